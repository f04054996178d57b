package sqlite

import (
	"context"
	"database/sql"
	_ "embed"
	"encoding/json"
	"fmt"

	"github.com/chat-platform/chat/events"
)

//go:embed messages.sql
var messagesDDL string

var messagesSchema = schema{kind: "messages", id: 0x6368746d, version: 1, ddl: messagesDDL, tables: []string{"messages"}, cacheKiB: 8_000}

// Messages keeps the messages of channels. For one message id the lowest
// sequence wins.
type Messages struct {
	*database
	records records

	before, after, older, newer, byID, all *sql.Stmt
}

// OpenMessages opens the file at path, or creates it.
func OpenMessages(ctx context.Context, path string, opts ...Option) (*Messages, error) {
	d, err := open(ctx, path, messagesSchema, opts)
	if err != nil {
		return nil, err
	}
	s := &Messages{database: d}
	if err := s.prepare(ctx); err != nil {
		_ = d.Close()
		return nil, fmt.Errorf("open %s store %s: %w", d.kind, path, err)
	}
	return s, nil
}

const fromRecords = "SELECT " + recordColumns + " FROM messages m JOIN channels c ON c.key = m.channel "

func (s *Messages) prepare(ctx context.Context) error {
	const of = "WHERE m.channel = (SELECT key FROM channels WHERE id = ?1) "
	if err := s.database.prepare(ctx, map[string]**sql.Stmt{
		fromRecords + of + "AND m.seq < ?2 ORDER BY m.seq DESC LIMIT ?3":     &s.before,
		fromRecords + of + "AND m.seq > ?2 ORDER BY m.seq LIMIT ?3":          &s.after,
		"SELECT EXISTS (SELECT 1 FROM messages m " + of + "AND m.seq <= ?2)": &s.older,
		"SELECT EXISTS (SELECT 1 FROM messages m " + of + "AND m.seq >= ?2)": &s.newer,
		"SELECT " + recordColumns + ` FROM json_each(?2) j CROSS JOIN messages m ON m.id = ` + keyExpr + `
		 JOIN channels c ON c.key = m.channel WHERE c.id = ?1`: &s.byID,
		fromRecords + "ORDER BY m.seq": &s.all,
	}); err != nil {
		return err
	}
	return s.write.do(ctx, func() error { return s.records.prepare(s.write) })
}

// PutMessages writes the batch, all or nothing. Errors match
// [events.ErrInvalid] for a message without id, channel or sequence, and
// [events.ErrConflict] for a sequence that another message has: such a file
// belongs to another log.
//
// It costs some 11 core-µs a message in batches of 1,000, 16 in batches of 100 and
// 50 alone.
func (s *Messages) PutMessages(ctx context.Context, ms []events.Message) error {
	if len(ms) == 0 {
		return nil
	}
	return s.transact(ctx, "write messages", func() (err error) { return s.records.put(ctx, ms, nil) })
}

// MessagesByID gives those of the ids that exist in the channel, about 5 µs each.
func (s *Messages) MessagesByID(ctx context.Context, channel events.ChannelID, ids []events.MessageID) (map[events.MessageID]events.Message, error) {
	found := make(map[events.MessageID]events.Message, len(ids))
	if len(ids) == 0 {
		return found, nil
	}
	ks := make([]string, len(ids))
	var b []byte
	for i, id := range ids {
		b = appendKey(b[:0], id)
		ks[i] = string(b)
	}
	keys, err := json.Marshal(ks)
	if err != nil {
		return nil, s.fail("read messages by id", err)
	}
	ms, err := collect(ctx, s.byID, scanRecord, string(channel), string(keys))
	if err != nil {
		return nil, s.fail(fmt.Sprintf("read %d messages of %s by id", len(ids), channel), err)
	}
	for _, m := range ms {
		found[m.ID] = m
	}
	return found, nil
}

// Checksums sums the messages with a sequence of at most through, by channel. It reads everything, some 10 µs a
// message.
func (s *Messages) Checksums(ctx context.Context, through uint64) (map[events.ChannelID]events.Checksum, error) {
	sums := newChecksums(through)
	err := each(ctx, s.all, scanRecord, func(m events.Message) error { return sums.add(m.ChannelID, m.Seq, m) })
	if err != nil {
		return nil, s.fail("checksum "+s.kind, err)
	}
	return sums.all, nil
}

// Reset drops all messages.
func (s *Messages) Reset(ctx context.Context) error {
	return s.reset(ctx, "")
}

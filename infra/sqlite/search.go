package sqlite

import (
	"context"
	"database/sql"
	_ "embed"
	"encoding/json"
	"fmt"
	"math"

	"github.com/chat-platform/chat/events"
	"github.com/chat-platform/chat/infra/words"
)

//go:embed search.sql
var searchDDL string

var searchSchema = schema{kind: "search", id: 0x63686373, version: 1, ddl: searchDDL, tables: []string{"messages"}, cacheKiB: 8_000}

// maxIndexedChannels is up to how many channels a search asks the index for;
// for more, it asks for the words alone and leaves out what is elsewhere.
const maxIndexedChannels = 64

// Search finds messages by their words. For one message id the lowest sequence
// wins.
type Search struct {
	*database
	records               records
	addTerms, removeTerms *statement
	terms                 []byte // reused
	keys, hits, byChannel *sql.Stmt
	messages, all         *sql.Stmt
}

// OpenSearch opens the file at path, or creates it.
func OpenSearch(ctx context.Context, path string, opts ...Option) (*Search, error) {
	d, err := open(ctx, path, searchSchema, opts)
	if err != nil {
		return nil, err
	}
	s := &Search{database: d}
	if err := s.prepare(ctx); err != nil {
		_ = d.Close()
		return nil, fmt.Errorf("open %s store %s: %w", d.kind, path, err)
	}
	return s, nil
}

func (s *Search) prepare(ctx context.Context) error {
	if err := s.database.prepare(ctx, map[string]**sql.Stmt{
		"SELECT c.key FROM json_each(?) j CROSS JOIN channels c ON c.id = j.value":          &s.keys,
		"SELECT rowid, '' FROM terms WHERE terms MATCH ? AND rowid < ? ORDER BY rowid DESC": &s.hits,
		`SELECT t.rowid, c.id FROM terms t CROSS JOIN messages m ON m.seq = t.rowid CROSS JOIN channels c ON c.key = m.channel
		 WHERE terms MATCH ? AND t.rowid < ? ORDER BY t.rowid DESC`: &s.byChannel,
		"SELECT " + recordColumns + ` FROM json_each(?) j CROSS JOIN messages m ON m.seq = j.value
		 JOIN channels c ON c.key = m.channel ORDER BY m.seq DESC`: &s.messages,
		fromRecords + "ORDER BY m.seq": &s.all,
	}); err != nil {
		return err
	}
	return s.write.do(ctx, func() error {
		if err := s.write.prepare(map[string]**statement{
			"INSERT INTO terms (rowid, term) VALUES (?, ?)":                  &s.addTerms,
			"INSERT INTO terms (terms, rowid, term) VALUES ('delete', ?, ?)": &s.removeTerms,
		}); err != nil {
			return err
		}
		return s.records.prepare(s.write)
	})
}

// IndexMessages writes the batch, all or nothing; a search finds it at once.
// Errors are those of [Messages.PutMessages]. It costs some 20
// core-µs a short message in batches of 1,000, 30 in batches of 100 and 120 alone.
func (s *Search) IndexMessages(ctx context.Context, ms []events.Message) error {
	if len(ms) == 0 {
		return nil
	}
	return s.transact(ctx, "index messages", func() error {
		return s.records.put(ctx, ms, func(m *events.Message, channel int64, old *stored) error {
			if old != nil {
				s.terms = appendTerms(s.terms[:0], old.channel, old.text)
				if _, err := s.removeTerms.exec(old.seq, string(s.terms)); err != nil {
					return err
				}
			}
			s.terms = appendTerms(s.terms[:0], channel, m.Text)
			_, err := s.addTerms.exec(int64(m.Seq), string(s.terms))
			return err
		})
	})
}

// SearchMessages finds messages with all words of q.Text, the last as a prefix,
// in the given channels, newest first. Case, accents and width don't matter,
// and nothing in q.Text is an operator; Chinese, Japanese, Korean and Thai are
// found at any character. A text without a word finds nothing.
//
// Up to 64 channels it costs the page that it gives, and where the last word is
// longer than three characters some 0.3 µs for each message that has a word which
// begins so; for more channels also the hits elsewhere that it passes over. Errors match [events.ErrInvalid] for more
// than 128 words.
func (s *Search) SearchMessages(ctx context.Context, q events.SearchQuery) (events.SearchPage, error) {
	page := events.SearchPage{Hits: []events.Hit{}}
	if err := validateLimit(q.Limit); err != nil {
		return page, err
	}
	query := words.Parse(q.Text)
	if len(query) == 0 || len(q.Channels) == 0 {
		return page, nil
	}
	c, err := s.candidates(ctx, query, q.Channels)
	if err != nil || c == nil {
		return page, s.fail("search", err)
	}
	before := int64(math.MaxInt64)
	if q.Before != 0 {
		before = bound(q.Before)
	}
	for {
		want := q.Limit + 1 - len(page.Hits)
		seqs, err := c.next(ctx, before, want)
		if err != nil {
			return page, s.fail("search", err)
		}
		hits, err := s.confirm(ctx, query, seqs)
		if err != nil {
			return page, s.fail("search", err)
		}
		page.Hits = append(page.Hits, hits...)
		if len(page.Hits) > q.Limit {
			page.Hits, page.More = page.Hits[:q.Limit], true
			return page, nil
		}
		if len(seqs) < want {
			return page, nil
		}
		before = seqs[len(seqs)-1]
	}
}

// candidates lists sequences that the index has for a query.
type candidates struct {
	st    *sql.Stmt
	match string
	in    map[events.ChannelID]bool // nil where match says it
}

// candidates returns nil if none of the channels has any message.
func (s *Search) candidates(ctx context.Context, q words.Query, channels []events.ChannelID) (*candidates, error) {
	if len(channels) > maxIndexedChannels {
		c := &candidates{st: s.byChannel, in: make(map[events.ChannelID]bool, len(channels))}
		for _, id := range channels {
			c.in[id] = true
		}
		var err error
		c.match, err = match(q, nil)
		return c, err
	}
	ids, err := json.Marshal(channels)
	if err != nil {
		return nil, err
	}
	keys, err := collect(ctx, s.keys, scanInt, string(ids))
	if err != nil || len(keys) == 0 {
		return nil, err
	}
	c := &candidates{st: s.hits}
	c.match, err = match(q, keys)
	return c, err
}

// next gives up to n of them below before, in descending order.
func (c *candidates) next(ctx context.Context, before int64, n int) ([]int64, error) {
	rows, err := c.st.QueryContext(ctx, c.match, before)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var seqs []int64
	for len(seqs) < n && rows.Next() {
		var seq int64
		var channel events.ChannelID
		if err := rows.Scan(&seq, &channel); err != nil {
			return nil, err
		}
		if c.in == nil || c.in[channel] {
			seqs = append(seqs, seq)
		}
	}
	return seqs, rows.Err()
}

// confirm reads the messages and keeps those that really match: the index has
// the pairs of a longer run in any place.
func (s *Search) confirm(ctx context.Context, q words.Query, seqs []int64) ([]events.Hit, error) {
	if len(seqs) == 0 {
		return nil, nil
	}
	list, err := json.Marshal(seqs)
	if err != nil {
		return nil, err
	}
	ms, err := collect(ctx, s.messages, scanRecord, string(list))
	if err != nil {
		return nil, err
	}
	hits := make([]events.Hit, 0, len(ms))
	for _, m := range ms {
		if snippet, ok := q.Find(m.Text); ok {
			hits = append(hits, events.Hit{Message: m, Snippet: snippet})
		}
	}
	return hits, nil
}

// Checksums sums messages by channel, as [Messages.Checksums] does.
func (s *Search) Checksums(ctx context.Context, through uint64) (map[events.ChannelID]events.Checksum, error) {
	sums := newChecksums(through)
	if err := each(ctx, s.all, scanRecord, func(m events.Message) error { return sums.add(m.ChannelID, m.Seq, m) }); err != nil {
		return nil, s.fail("checksum "+s.kind, err)
	}
	return sums.all, nil
}

// Reset drops all messages.
func (s *Search) Reset(ctx context.Context) error {
	return s.reset(ctx, "INSERT INTO terms (terms) VALUES ('delete-all')")
}

func scanInt(row scanner) (n int64, err error) {
	err = row.Scan(&n)
	return n, err
}

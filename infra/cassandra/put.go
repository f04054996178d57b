package cassandra

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"
	"sync/atomic"
	"unicode/utf8"

	gocql "github.com/apache/cassandra-gocql-driver/v2"
	"golang.org/x/sync/errgroup"

	"github.com/chat-platform/chat/events"
)

const (
	channelsAtOnce = 16      // of one call
	chunkRows      = 500     // placed and registered together
	batchRows      = 100     // of one request
	batchBytes     = 1 << 17 // of one request, about
	maxKey         = 1 << 10 // bytes of an id; Cassandra would take 64 KiB
	maxBody        = 4 << 20 // bytes; a request has to fit into 16 MiB
)

// PutMessages writes the batch. When it returns an error, some of it may be
// there; write it again. Errors match events.ErrInvalid for a message without
// id, channel or sequence or with text that is not UTF-8, and events.ErrTooLarge
// for one that is too large; nothing is written then.
//
// It costs two small requests a message and one for each hundred rows of a
// channel; in a channel with more than 16,384 messages two more for each 500.
func (s *Store) PutMessages(ctx context.Context, ms []events.Message) error {
	if len(ms) == 0 {
		return nil
	}
	return s.call(ctx, writing, func(ctx context.Context) error { return s.putAll(ctx, ms) }, "write %d messages", len(ms))
}

func (s *Store) putAll(ctx context.Context, ms []events.Message) error {
	for i := range ms {
		if err := check(&ms[i]); err != nil {
			return fmt.Errorf("message %q with sequence %d: %w", ms[i].ID, ms[i].Seq, err)
		}
	}
	ms = slices.Clone(ms)
	slices.SortFunc(ms, func(a, b events.Message) int {
		return cmp.Or(cmp.Compare(a.ChannelID, b.ChannelID), cmp.Compare(a.Seq, b.Seq), cmp.Compare(a.ID, b.ID))
	})
	ms = slices.CompactFunc(ms, func(a, b events.Message) bool {
		return a.Seq == b.Seq && a.ID == b.ID && a.ChannelID == b.ChannelID
	})
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(channelsAtOnce)
	for len(ms) > 0 {
		channel, n := ms[0].ChannelID, 1
		for n < len(ms) && ms[n].ChannelID == channel {
			n++
		}
		of := ms[:n]
		ms = ms[n:]
		g.Go(func() error {
			// In order, so that a reader sees no message before an earlier one of
			// the same call.
			for chunk := range slices.Chunk(of, chunkRows) {
				if err := s.putChunk(ctx, channel, chunk); err != nil {
					return fmt.Errorf("channel %s: %w", channel, err)
				}
			}
			return nil
		})
	}
	return g.Wait()
}

func check(m *events.Message) error {
	if m.Seq == 0 || m.Seq >= math.MaxInt64 || m.ID == "" || m.ChannelID == "" {
		return events.Invalid("invalid_record", "", "a message needs an id, a channel and a sequence from 1 to 2^63-2")
	}
	if len(m.ID) > maxKey || len(m.ChannelID) > maxKey || len(m.AuthorID) > maxKey || len(m.ClientID) > maxKey || len(m.ReplyTo) > maxKey || len(m.Text) > maxBody {
		return events.NewFault(events.ErrTooLarge, "record_too_large", "", "a message's ids have at most %d bytes, its text %d", maxKey, maxBody)
	}
	for _, text := range []string{string(m.ID), string(m.ChannelID), string(m.AuthorID), string(m.ClientID), string(m.ReplyTo), m.Text} {
		if !utf8.ValidString(text) {
			return events.Invalid("invalid_text", "", "a message's text and ids are UTF-8")
		}
	}
	return nil
}

func (s *Store) putChunk(ctx context.Context, channel events.ChannelID, ms []events.Message) error {
	chosen, fullAt, err := s.place(ctx, channel, ms)
	if err != nil {
		return err
	}
	known := make([][]spot, len(ms))
	if err := s.parallel(ctx, len(ms), func(ctx context.Context, i int) (err error) {
		known[i], err = s.register(ctx, &ms[i], chosen[i])
		return err
	}); err != nil {
		return err
	}
	rows := make([]row, 0, len(ms))
	var losers []loser
	for i, spots := range known {
		if winner := spots[0]; winner.seq == ms[i].Seq && winner.channel == channel {
			rows = append(rows, row{partition{channel, winner.level, s.shape.bucket(winner.level, winner.seq)}, &ms[i]})
		}
		for _, l := range spots[1:] {
			losers = append(losers, loser{l, l.seq == spots[0].seq})
		}
	}
	if err := s.putRows(ctx, rows, fullAt); err != nil {
		return err
	}
	return s.parallel(ctx, len(losers), func(ctx context.Context, i int) error { return s.hide(ctx, losers[i]) })
}

// parallel calls f for 0 … n−1, several at once.
func (s *Store) parallel(ctx context.Context, n int, f func(ctx context.Context, i int) error) error {
	if n == 1 {
		return f(ctx, 0)
	}
	var next atomic.Int64
	g, ctx := errgroup.WithContext(ctx)
	for range min(n, s.cfg.InFlight) {
		g.Go(func() error {
			for {
				i := int(next.Add(1)) - 1
				if i >= n {
					return nil
				}
				if err := f(ctx, i); err != nil {
					return err
				}
			}
		})
	}
	return g.Wait()
}

// spot is a place where a message id was seen.
type spot struct {
	channel events.ChannelID
	seq     uint64
	level   int
}

// register adds a message's place to those of its id and returns them all, the
// winner first.
func (s *Store) register(ctx context.Context, m *events.Message, level int) ([]spot, error) {
	err := s.exec(ctx, "INSERT INTO message_ids (id, seq, level, channel) VALUES (?, ?, ?, ?) USING TIMESTAMP ?",
		string(m.ID), int64(m.Seq), int8(level), string(m.ChannelID), int64(m.Seq))
	if err != nil {
		return nil, err
	}
	return s.spots(ctx, m.ID)
}

func (s *Store) spots(ctx context.Context, id events.MessageID) (found []spot, err error) {
	err = s.query(ctx, s.read("SELECT channel, seq, level FROM message_ids WHERE id = ?", string(id)), func(i *gocql.Iter) {
		var channel string
		var seq int64
		var level int8
		for i.Scan(&channel, &seq, &level) {
			found = append(found, spot{events.ChannelID(channel), uint64(seq), int(level)})
		}
	})
	return found, err
}

// row is a message and where it goes.
type row struct {
	partition
	m *events.Message
}

const insertRow = `INSERT INTO messages (channel, level, bucket, seq, id, author, client, reply, sent_at, body)
	VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) USING TIMESTAMP ?`

// putRows writes the rows of one channel, in order of sequence, each partition's
// run of them in requests that are seen whole or not at all.
func (s *Store) putRows(ctx context.Context, rows []row, fullAt uint64) error {
	if err := s.index(ctx, rows, fullAt); err != nil {
		return err
	}
	for len(rows) > 0 {
		b := s.session.Batch(gocql.UnloggedBatch).DefaultTimestamp(false)
		n, size := 0, 0
		for ; n < len(rows) && n < batchRows && rows[n].partition == rows[0].partition && (n == 0 || size+len(rows[n].m.Text) <= batchBytes); n++ {
			b.Query(s.table(insertRow), rows[n].values()...)
			size += len(rows[n].m.Text) + 200
		}
		err := s.slot(ctx)
		if err == nil {
			if n == 1 {
				err = s.session.Query(s.table(insertRow), rows[0].values()...).ExecContext(ctx)
			} else {
				err = b.ExecContext(ctx)
			}
			s.release()
		}
		if err != nil {
			return err
		}
		rows = rows[n:]
	}
	return nil
}

func (r row) values() []any {
	return []any{string(r.channel), int8(r.level), r.bucket, int64(r.m.Seq), string(r.m.ID), string(r.m.AuthorID),
		orUnset(string(r.m.ClientID)), orUnset(string(r.m.ReplyTo)), r.m.SentAt.UnixMilli(), r.m.Text, int64(r.m.Seq)}
}

// orUnset leaves an empty value out: null would be a tombstone.
func orUnset(v string) any {
	if v == "" {
		return gocql.UnsetValue
	}
	return v
}

// index makes known, before they are written, that buckets below the highest
// level have rows, and that there are such: readers look no further otherwise.
// Both are written each time. A memory of having done it would be wrong once
// another process has reset the view.
func (s *Store) index(ctx context.Context, rows []row, fullAt uint64) error {
	var below []partition
	var lower uint64 // the first sequence there
	for _, r := range rows {
		if r.level < top && !slices.Contains(below, r.partition) {
			below = append(below, r.partition)
			if lower == 0 {
				lower = r.m.Seq
			}
		}
	}
	if len(below) == 0 {
		return nil
	}
	if fullAt == 0 { // another process chose the level
		fullAt = lower
	}
	return s.parallel(ctx, len(below)+1, func(ctx context.Context, i int) error {
		if i == len(below) {
			return s.markFull(ctx, partition{rows[0].channel, top, 0}, fullAt)
		}
		return s.exec(ctx, "INSERT INTO channel_buckets (channel, level, bucket) VALUES (?, ?, ?) USING TIMESTAMP 1",
			string(below[i].channel), int8(below[i].level), below[i].bucket)
	})
}

// loser is a place of a message id that is not the message's.
type loser struct {
	spot
	copy bool // the same message on another level
}

// hide marks a row, whether it is there already or not.
func (s *Store) hide(ctx context.Context, l loser) error {
	state := int8(stateDuplicate)
	if l.copy {
		state = stateCopy
	}
	return s.exec(ctx, "UPDATE messages USING TIMESTAMP ? SET state = ? WHERE channel = ? AND level = ? AND bucket = ? AND seq = ?",
		int64(l.seq), state, string(l.channel), int8(l.level), s.shape.bucket(l.level, l.seq), int64(l.seq))
}

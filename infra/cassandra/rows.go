package cassandra

import (
	"context"
	"errors"
	"time"

	gocql "github.com/apache/cassandra-gocql-driver/v2"

	"github.com/chat-platform/chat/events"
)

// States of a row; null is a message. Of two marks with the same timestamp
// Cassandra keeps the greater: a copy whose message turns out to be a duplicate
// is hidden too.
const (
	stateCopy      = 1 // of a row on a higher level
	stateDuplicate = 2 // of a message with a lower sequence: hidden
)

// stored is a row.
type stored struct {
	m     events.Message
	state int8
}

const rowColumns = "seq, id, author, client, reply, sent_at, body, state"

// scanner reads rows of one query: rowColumns, followed by more. It is made once
// a query, since its destinations are.
type scanner struct {
	iter   *gocql.Iter
	row    stored
	seq    int64
	sentAt time.Time
	dest   []any
}

func newScanner(iter *gocql.Iter, more ...any) *scanner {
	s := &scanner{iter: iter}
	m := &s.row.m
	s.dest = append([]any{&s.seq, (*string)(&m.ID), (*string)(&m.AuthorID), (*string)(&m.ClientID), (*string)(&m.ReplyTo), &s.sentAt, &m.Text, &s.row.state}, more...)
	return s
}

// next reads into row; null is an empty value or 0.
func (s *scanner) next() bool {
	if !s.iter.Scan(s.dest...) {
		return false
	}
	s.row.m.Seq, s.row.m.SentAt = uint64(s.seq), s.sentAt.UTC()
	return true
}

// visible rows are messages, or copies of such. A mark without a row is neither.
func (r *stored) visible() bool { return r.state != stateDuplicate && r.m.ID != "" }

// fullness is whether a partition is known to be full.
type fullness int8

const (
	unknown fullness = iota
	no
	yes
)

// readPartition gives up to w.n visible rows of one partition, and whether that
// is full, if it has any rows in the walk's direction.
func (s *Store) readPartition(ctx context.Context, p partition, w walk) (rows []stored, full fullness, err error) {
	stmt := "SELECT " + rowColumns + ", full_at FROM messages WHERE channel = ? AND level = ? AND bucket = ? AND seq > ? ORDER BY seq ASC LIMIT ?"
	if w.down {
		stmt = "SELECT " + rowColumns + ", full_at FROM messages WHERE channel = ? AND level = ? AND bucket = ? AND seq < ? ORDER BY seq DESC LIMIT ?"
	}
	for {
		seen, want := 0, w.n-len(rows)
		if rows == nil {
			rows = make([]stored, 0, min(want, 128))
		}
		err := s.query(ctx, s.read(stmt, string(p.channel), int8(p.level), p.bucket, int64(w.from), want), func(i *gocql.Iter) {
			var fullAt int64
			scan := newScanner(i, &fullAt)
			scan.row.m.ChannelID = p.channel
			for scan.next() {
				if full = no; fullAt != 0 {
					full = yes
				}
				seen++
				w.from = scan.row.m.Seq
				if scan.row.visible() {
					rows = append(rows, scan.row)
				}
			}
		})
		if err != nil || seen < want || len(rows) == w.n {
			return rows, full, err
		}
		// Hidden rows took the place of others.
	}
}

// topIsFull tells whether a channel may have messages below the highest level.
func (s *Store) topIsFull(ctx context.Context, channel events.ChannelID) (fullness, error) {
	var fullAt *int64
	err := s.scanOne(ctx, "SELECT full_at FROM messages WHERE channel = ? AND level = ? AND bucket = 0 LIMIT 1",
		[]any{string(channel), int8(top)}, &fullAt)
	switch {
	case errors.Is(err, gocql.ErrNotFound):
		return no, nil
	case err != nil:
		return unknown, err
	case fullAt != nil:
		return yes, nil
	}
	return no, nil
}

// buckets lists up to n buckets of a level that have messages, from one on.
func (s *Store) buckets(ctx context.Context, level int, w walk, from int64, n int) (list []int64, err error) {
	stmt := "SELECT bucket FROM channel_buckets WHERE channel = ? AND level = ? AND bucket >= ? ORDER BY bucket ASC LIMIT ?"
	if w.down {
		stmt = "SELECT bucket FROM channel_buckets WHERE channel = ? AND level = ? AND bucket <= ? ORDER BY bucket DESC LIMIT ?"
	}
	err = s.query(ctx, s.read(stmt, string(w.channel), int8(level), from, n), func(i *gocql.Iter) {
		var b int64
		for i.Scan(&b) {
			list = append(list, b)
		}
	})
	return list, err
}

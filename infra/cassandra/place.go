package cassandra

import (
	"context"
	"sync"

	"github.com/chat-platform/chat/events"
)

const (
	levels = 4
	top    = levels - 1
)

// shape is how sequences are cut into buckets. It is part of the schema: rows
// are found by it.
type shape struct {
	shift [levels]uint // a bucket of level l spans 2^shift[l] sequences
	full  int          // rows after which a bucket of levels 1 and up is full
}

var production = shape{shift: [levels]uint{14, 22, 30, 63}, full: 1 << 14}

func (s shape) bucket(level int, seq uint64) int64 { return int64(seq >> s.shift[level]) }

// partition is one of the table messages.
type partition struct {
	channel events.ChannelID
	level   int
	bucket  int64
}

// fill is what this process knows of how full a partition is.
type fill struct {
	mu     sync.Mutex
	loaded bool
	rows   int    // at the last count and since
	added  int    // since the last count
	fullAt uint64 // the last sequence that went in before it was full; 0: it is not
}

// fills remembers partitions. It may forget: then they are counted again.
type fills struct {
	mu  sync.Mutex
	all map[partition]*fill
}

// maxFills bounds their memory to some 10 MiB.
const maxFills = 1 << 16

func newFills() *fills { return &fills{all: map[partition]*fill{}} }

func (f *fills) get(p partition) *fill {
	f.mu.Lock()
	defer f.mu.Unlock()
	if one, ok := f.all[p]; ok {
		return one
	}
	if len(f.all) >= maxFills {
		clear(f.all)
	}
	one := &fill{}
	f.all[p] = one
	return one
}

func (f *fills) clear() {
	f.mu.Lock()
	defer f.mu.Unlock()
	clear(f.all)
}

// place chooses the level of each message of one channel, in ascending order of
// sequence, and tells where the highest level is full, 0 if it is not.
func (s *Store) place(ctx context.Context, channel events.ChannelID, ms []events.Message) (chosen []int, fullAt uint64, err error) {
	chosen = make([]int, len(ms))
	checked := map[partition]*fill{}
	for i := range ms {
		level := top
		for ; level > 0; level-- {
			p := partition{channel, level, s.shape.bucket(level, ms[i].Seq)}
			f, ok := checked[p]
			if !ok {
				f = s.fills.get(p)
				if err := s.check(ctx, p, f); err != nil {
					return nil, 0, err
				}
				checked[p] = f
			}
			room, full := f.take(ms[i].Seq)
			if level == top {
				fullAt = full
			}
			if room {
				break
			}
		}
		chosen[i] = level
	}
	return chosen, fullAt, nil
}

// take counts a message in if it belongs here.
func (f *fill) take(seq uint64) (ok bool, fullAt uint64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.fullAt != 0 && seq > f.fullAt {
		return false, f.fullAt
	}
	f.rows++
	f.added++
	return true, f.fullAt
}

// check counts a partition the first time and after every eighth of what it
// takes, and declares it full.
func (s *Store) check(ctx context.Context, p partition, f *fill) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.loaded && (f.fullAt != 0 || f.rows < s.shape.full && f.added < max(s.shape.full/8, 1)) {
		return nil
	}
	var rows int
	var last, fullAt *int64
	err := s.scanOne(ctx, "SELECT COUNT(seq), MAX(seq), MAX(full_at) FROM messages WHERE channel = ? AND level = ? AND bucket = ?",
		[]any{string(p.channel), int8(p.level), p.bucket}, &rows, &last, &fullAt)
	if err != nil {
		return err
	}
	f.loaded, f.rows, f.added = true, rows, 0
	switch {
	case fullAt != nil:
		f.fullAt = uint64(*fullAt)
	case rows >= s.shape.full && last != nil:
		if err := s.markFull(ctx, p, uint64(*last)); err != nil {
			return err
		}
		f.fullAt = uint64(*last)
	}
	return nil
}

// lowestWins makes a timestamp by which the lowest sequence wins.
func lowestWins(seq uint64) int64 { return 1<<62 - int64(min(seq, 1<<62-1)) }

func (s *Store) markFull(ctx context.Context, p partition, at uint64) error {
	return s.exec(ctx, "UPDATE messages USING TIMESTAMP ? SET full_at = ? WHERE channel = ? AND level = ? AND bucket = ?",
		lowestWins(at), int64(at), string(p.channel), int8(p.level), p.bucket)
}

// scanOne reads one row.
func (s *Store) scanOne(ctx context.Context, stmt string, args []any, dest ...any) error {
	if err := s.slot(ctx); err != nil {
		return err
	}
	defer s.release()
	return s.read(stmt, args...).ScanContext(ctx, dest...)
}

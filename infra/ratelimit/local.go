package ratelimit

import (
	"context"
	"hash/maphash"
	"strings"
	"sync"
	"time"

	"github.com/chat-platform/chat/events"
)

const (
	shards     = 64
	sweepEvery = time.Minute
	sampled    = 8

	// DefaultKeys is how many buckets a process keeps: 10 to 20 MB of them.
	DefaultKeys = 1 << 16
)

// Local keeps buckets in the process. It is bounded: buckets that are full again
// are dropped, since they say nothing; where there are too many others, one that
// is nearly full makes room. A call takes about 200 ns.
type Local struct {
	now    func() time.Time
	start  time.Time
	keys   int // a shard
	seed   maphash.Seed
	shards [shards]shard
}

type shard struct {
	mu    sync.Mutex
	full  map[Key]int64 // when nothing is missing any more, in microseconds since the start
	sweep int64         // when full ones are dropped next
	_     [64]byte      // keeps neighbours off this one's cache line
}

// LocalOption changes how buckets are kept.
type LocalOption func(*Local)

// WithClock replaces the clock, for tests.
func WithClock(now func() time.Time) LocalOption { return func(l *Local) { l.now = now } }

// WithKeys bounds the number of buckets; it is rounded up to a multiple of 64.
func WithKeys(n int) LocalOption {
	return func(l *Local) { l.keys = (max(n, 1) + shards - 1) / shards }
}

// NewLocal gives buckets for this process.
func NewLocal(opts ...LocalOption) *Local {
	l := &Local{now: time.Now, keys: DefaultKeys / shards, seed: maphash.MakeSeed()}
	for _, o := range opts {
		o(l)
	}
	l.start = l.now()
	for i := range l.shards {
		l.shards[i].full = map[Key]int64{}
	}
	return l
}

// Take uses units of a bucket. It never fails.
func (l *Local) Take(_ context.Context, key Key, rate Rate, cost int) (events.Allowance, error) {
	s := &l.shards[maphash.Comparable(l.seed, key)%shards]
	now := l.now().Sub(l.start).Microseconds()
	s.mu.Lock()
	full, known := s.full[key]
	if !known {
		full = now
	}
	behind, allowed := rate.Take(full-now, cost)
	switch {
	case known:
		s.full[key] = now + behind
	case allowed:
		s.makeRoom(now, l.keys)
		key.User = events.UserID(strings.Clone(string(key.User))) // not the token that it is a part of
		s.full[key] = now + behind
	}
	s.mu.Unlock()
	return rate.Allowance(behind, allowed, cost), nil
}

// Len is how many buckets are kept.
func (l *Local) Len() (n int) {
	for i := range l.shards {
		s := &l.shards[i]
		s.mu.Lock()
		n += len(s.full)
		s.mu.Unlock()
	}
	return n
}

// makeRoom drops what is full: all of it once a minute, else only where the
// shard is at its bound, and then out of a few.
func (s *shard) makeRoom(now int64, keys int) {
	if now >= s.sweep {
		s.sweep = now + sweepEvery.Microseconds()
		for k, full := range s.full {
			if full <= now {
				delete(s.full, k)
			}
		}
	}
	if len(s.full) < keys {
		return
	}
	var first Key
	var least int64
	seen := 0
	for k, full := range s.full { // begins anywhere
		if seen == 0 || full < least {
			first, least = k, full
		}
		if seen++; seen == sampled {
			break
		}
	}
	delete(s.full, first)
}

package oidc

import (
	"crypto/sha256"
	"sync"
	"time"

	"github.com/chat-platform/chat/events"
)

// shards keep writers of different tokens apart, so that readers seldom wait.
const shards = 32

// cache remembers who verified tokens belong to, by the token's SHA-256 so that
// no token lies in memory for longer than its request.
type cache struct {
	shard [shards]struct {
		sync.RWMutex
		callers map[cacheKey]events.Caller
	}
	perShard int
}

type cacheKey [sha256.Size]byte

func keyOf(token string) cacheKey { return sha256.Sum256([]byte(token)) }

func newCache(size int) *cache {
	c := &cache{perShard: size / shards}
	for i := range c.shard {
		c.shard[i].callers = map[cacheKey]events.Caller{}
	}
	return c
}

func (c *cache) get(key cacheKey) (events.Caller, bool) {
	s := &c.shard[key[0]%shards]
	s.RLock()
	caller, ok := s.callers[key]
	s.RUnlock()
	return caller, ok
}

// put remembers a caller. A full shard gives up, of a few of its tokens chosen
// by the map's random order, the one that expires first.
func (c *cache) put(key cacheKey, caller events.Caller, now time.Time) {
	const sample = 8
	s := &c.shard[key[0]%shards]
	s.Lock()
	defer s.Unlock()
	if len(s.callers) >= c.perShard {
		var victim cacheKey
		var soonest time.Time
		n := 0
		for k, other := range s.callers {
			if !now.Before(other.Expires) {
				delete(s.callers, k)
			} else if soonest.IsZero() || other.Expires.Before(soonest) {
				victim, soonest = k, other.Expires
			}
			if n++; n == sample {
				break
			}
		}
		if len(s.callers) >= c.perShard {
			delete(s.callers, victim)
		}
	}
	s.callers[key] = caller
}

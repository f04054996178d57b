package membership

import (
	"sync"
	"time"

	"github.com/chat-platform/chat/events"
)

// generation bounds one of the cache's two maps.
const generation = 32_768

// cache keeps positive answers in two generations: the young one becomes the
// old one when it is full or as old as an answer may get, and the one before
// that is dropped whole. So nothing has to be swept. The zero value is ready.
type cache struct {
	mu         sync.Mutex
	young, old map[Pair]answer
	turn       time.Time // when the young generation becomes the old one at the latest
	forgets    uint64    // how often forget was called
}

type answer struct {
	member events.Member
	until  time.Time
}

func (c *cache) get(p Pair, now time.Time) (events.Member, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	a, ok := c.young[p]
	if !ok {
		a, ok = c.old[p]
	}
	if !ok || !now.Before(a.until) {
		return events.Member{}, false
	}
	return a.member, true
}

// mark is to be taken before the log is asked and given to put.
func (c *cache) mark() uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.forgets
}

// put keeps an answer unless something was forgotten since mark: the answer may
// be from before that. It is rare enough that any membership counts.
func (c *cache) put(p Pair, m events.Member, until time.Time, mark uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if mark != c.forgets {
		return
	}
	if len(c.young) >= generation || until.After(c.turn) {
		c.old, c.young, c.turn = c.young, make(map[Pair]answer), until.Add(keep)
	}
	c.young[p] = answer{m, until}
}

func (c *cache) forget(p Pair) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.forgets++
	delete(c.young, p)
	delete(c.old, p)
}

func (c *cache) size() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.young) + len(c.old)
}

package joined

import (
	"context"
	"sync"
	"time"

	"github.com/chat-platform/chat/events"
)

// answer is what is known about one user. Whoever holds turn may change it.
type answer struct {
	turn     chan struct{}
	channels []events.ChannelID // never changed in place
	through  uint64             // right up to this sequence of METADATA
	made     time.Time          // when the view was read; zero: not yet
}

// cache keeps answers in the order in which they were first asked for, and drops
// the oldest when they hold too many ids. The zero value is ready.
type cache struct {
	mu    sync.Mutex
	kept  map[events.UserID]*entry
	order []events.UserID
	size  int
}

type entry struct {
	*answer
	size int // as counted in the cache
}

// cost is what an answer counts for: an empty one takes memory too.
func (a *answer) cost() int { return len(a.channels) + 10 }

// take gives the user's answer, alone, until release is called.
func (c *cache) take(ctx context.Context, user events.UserID) (a *answer, release func(), err error) {
	c.mu.Lock()
	e, ok := c.kept[user]
	if !ok {
		e = &entry{answer: &answer{turn: make(chan struct{}, 1)}}
		if c.kept == nil {
			c.kept = map[events.UserID]*entry{}
		}
		c.kept[user] = e
		c.order = append(c.order, user)
	}
	c.mu.Unlock()
	select {
	case e.turn <- struct{}{}:
		return e.answer, func() {
			c.settle(user, e)
			<-e.turn
		}, nil
	case <-ctx.Done():
		return nil, nil, ctx.Err()
	}
}

// settle counts an answer anew and drops what is too much.
func (c *cache) settle(user events.UserID, e *entry) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.kept[user] != e {
		return // dropped while it was in use
	}
	cost := e.cost()
	c.size += cost - e.size
	e.size = cost
	for c.size > maxKept {
		oldest := c.order[0]
		c.order = c.order[1:]
		c.size -= c.kept[oldest].size
		delete(c.kept, oldest)
	}
}

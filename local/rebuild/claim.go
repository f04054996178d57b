package rebuild

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/chat-platform/chat/events"
	"github.com/chat-platform/chat/infra/stores"
)

// claim is the right to rebuild a view: our name in its state, which we change
// now and then for as long as we live. Nobody's clock matters: another rebuild
// takes over what has not changed for a while, and whoever was only slow then
// finds another name there and stops.
type claim struct {
	register stores.Register
	view, me string
	beat     time.Duration
	copied   func() uint64 // how far copying is; nil while there is none

	mu       sync.Mutex
	state    stores.State
	revision uint64

	stop context.CancelCauseFunc
	done chan struct{}
}

// silence is how many beats a rebuild may miss before another one takes over.
const silence = 3

func running(view, who string) error {
	return events.NewFault(events.ErrConflict, "rebuild_running", "view", "a rebuild of %s is under way already, by %s", view, who)
}

// take claims a view. alone says that no other rebuild can be alive. The context
// that it gives ends when another one takes over.
func take(ctx context.Context, register stores.Register, view string, beat time.Duration, alone bool) (*claim, context.Context, error) {
	state, revision, err := stores.ReadState(ctx, register, view)
	if err != nil {
		return nil, nil, err
	}
	if state.Builder != "" && !alone {
		if state, revision, err = silent(ctx, register, view, beat, state, revision); err != nil {
			return nil, nil, err
		}
	}
	host, _ := os.Hostname()
	c := &claim{register: register, view: view, me: fmt.Sprintf("%s/%d-%s", host, os.Getpid(), rand.Text()[:8]), beat: beat, done: make(chan struct{})}
	state.Builder = c.me
	c.state = state
	if c.revision, err = stores.WriteState(ctx, register, view, state, revision); err != nil {
		if errors.Is(err, events.ErrConflict) {
			return nil, nil, running(view, "another one that began just now")
		}
		return nil, nil, err
	}
	ctx, c.stop = context.WithCancelCause(ctx)
	go c.run(ctx)
	return c, ctx, nil
}

// silent waits until it is certain that nobody works on the view any more.
func silent(ctx context.Context, register stores.Register, view string, beat time.Duration, state stores.State, revision uint64) (stores.State, uint64, error) {
	tick := time.NewTicker(beat / 4)
	defer tick.Stop()
	for until := time.Now().Add(silence * beat); time.Now().Before(until); {
		select {
		case <-ctx.Done():
			return state, 0, ctx.Err()
		case <-tick.C:
		}
		now, r, err := stores.ReadState(ctx, register, view)
		switch {
		case err != nil:
			return state, 0, err
		case now.Builder == "":
			return now, r, nil
		case r != revision:
			return state, 0, running(view, now.Builder)
		}
	}
	return state, revision, nil
}

func (c *claim) run(ctx context.Context) {
	defer close(c.done)
	tick := time.NewTicker(c.beat)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			if err := c.change(ctx, func(*stores.State) {}); err != nil && !errors.Is(err, events.ErrUnavailable) {
				c.stop(err)
				return
			}
		}
	}
}

// now is the view's state.
func (c *claim) now() stores.State {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.state
}

// change changes the state; f may be called more than once. It fails where
// another rebuild has taken over.
func (c *claim) change(ctx context.Context, f func(*stores.State)) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	for wait := 20 * time.Millisecond; ; wait = min(2*wait, time.Second) {
		next := c.state
		f(&next)
		if c.copied != nil {
			next.Copied = max(next.Copied, c.copied())
		}
		next.Beat++
		revision, err := stores.WriteState(ctx, c.register, c.view, next, c.revision)
		if err == nil {
			c.state, c.revision = next, revision
			return nil
		}
		// It may have been written all the same.
		if state, revision, e := stores.ReadState(ctx, c.register, c.view); e == nil {
			if state.Builder != c.me {
				return running(c.view, "another one that took over")
			}
			c.state, c.revision = state, revision
			if state == next {
				return nil
			}
		}
		if wait >= time.Second || !errors.Is(err, events.ErrUnavailable) && !errors.Is(err, events.ErrConflict) {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(wait):
		}
	}
}

// release takes our name away, so that the next rebuild need not wait.
func (c *claim) release() {
	c.stop(nil)
	<-c.done
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	_ = c.change(ctx, func(s *stores.State) { s.Builder = "" }) // or the next one waits
}

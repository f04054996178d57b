package stores

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/chat-platform/chat/events"
)

// How long a process's start, and a call, wait for a generation to be opened, and
// the waits between attempts to do so.
const (
	startWait = 30 * time.Second
	openWait  = 2 * time.Second
	firstWait = 100 * time.Millisecond
	mostWait  = 5 * time.Second
)

// which generation, as one of which log.
type which struct {
	generation int
	epoch      string
}

// opening is a generation that is open, or that is tried to be opened until it is.
type opening[S View] struct {
	store  atomic.Pointer[S]
	failed atomic.Pointer[error] // why it is not open yet
	tried  chan struct{}         // closed once an attempt has ended
	stop   context.CancelFunc
	done   chan struct{} // closed once nobody tries any more
}

// errUnused says that a generation is of no use any more.
var errUnused = errors.New("the generation is not used any more")

// generation gives the store of a generation. All errors but that ctx has ended
// are of kind [events.ErrUnavailable]: whatever is wrong with a store that cannot
// be opened, it is no fault of the call.
func (s *Switching[S]) generation(ctx context.Context, w which) (store S, err error) {
	store, err = s.await(ctx, w, openWait)
	if err != nil && ctx.Err() == nil && !errors.Is(err, events.ErrUnavailable) {
		err = fmt.Errorf("%w: %v", events.ErrUnavailable, err) //nolint:errorlint // its kind is to be seen no more
	}
	return store, err
}

// await gives the store of a generation, and begins to open it where nobody has.
// It waits for the first attempt, or for so long.
func (s *Switching[S]) await(ctx context.Context, w which, wait time.Duration) (store S, err error) {
	s.mu.Lock()
	g, ok := s.opened[w]
	if !ok {
		if s.closed {
			s.mu.Unlock()
			return store, s.gone()
		}
		trying, stop := context.WithCancel(context.Background()) //nolint:gosec // close calls it
		g = &opening[S]{tried: make(chan struct{}), stop: stop, done: make(chan struct{})}
		s.opened[w] = g
		go s.try(trying, w, g) //nolint:contextcheck // it outlives the call
	}
	s.mu.Unlock()
	if open := g.store.Load(); open != nil {
		return *open, nil
	}
	late := time.NewTimer(wait)
	defer late.Stop()
	select {
	case <-g.tried:
	case <-late.C:
	case <-ctx.Done():
		return store, ctx.Err()
	}
	if open := g.store.Load(); open != nil {
		return *open, nil
	}
	if failed := g.failed.Load(); failed != nil {
		return store, *failed
	}
	return store, fmt.Errorf("view %s: %w: generation %d is being opened", s.feed.Name, events.ErrUnavailable, w.generation)
}

// try opens a generation, again and again until it is open, or of no use any more.
func (s *Switching[S]) try(ctx context.Context, w which, g *opening[S]) {
	defer close(g.done)
	first := true
	for wait, said := firstWait, ""; ; wait = min(2*wait, mostWait) {
		store, err := s.attempt(ctx, w)
		switch {
		case err == nil:
			g.store.Store(&store)
			if said != "" {
				s.log.Info("the "+s.feed.Name+" view is there", "view", s.feed.Name, "generation", w.generation)
			}
		case errors.Is(err, errUnused):
			s.mu.Lock()
			if s.opened[w] == g {
				delete(s.opened, w)
			}
			s.mu.Unlock()
		case err.Error() != said && ctx.Err() == nil && (!first || errors.Is(err, events.ErrUnavailable)): // else the process may end with it
			said = err.Error()
			s.log.Error("the "+s.feed.Name+" view cannot be used; it is tried again", "view", s.feed.Name, "generation", w.generation, "error", err)
		}
		if err != nil {
			g.failed.Store(&err)
		}
		if first {
			close(g.tried)
			first = false
		}
		if err == nil || errors.Is(err, errUnused) {
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait/2 + rand.N(wait)):
		}
	}
}

func (s *Switching[S]) attempt(ctx context.Context, w which) (store S, err error) {
	now, err := s.known.known(ctx)
	if err != nil {
		return store, err
	}
	if !now.Uses(w.generation) || now.epoch != w.epoch {
		return store, fmt.Errorf("view %s, generation %d: %w: %w", s.feed.Name, w.generation, events.ErrUnavailable, errUnused)
	}
	if store, err = s.open(ctx, w.generation); err != nil {
		return store, err
	}
	if err = s.feed.Belongs(ctx, store, w.generation, s.known.register, w.epoch); err != nil {
		_ = store.Close()
		return store, err
	}
	if o, ok := any(store).(outdated); ok {
		if old, err := o.Outdated(ctx); err == nil && old {
			s.log.Warn("the "+s.feed.Name+" view was made by an older version and may find less: run chat rebuild "+s.feed.Name, "view", s.feed.Name, "generation", w.generation)
		}
	}
	return store, nil
}

// close ends the attempts, or the use of the store.
func (g *opening[S]) close() error {
	g.stop()
	<-g.done
	if store := g.store.Load(); store != nil {
		return (*store).Close()
	}
	return nil
}

package stores

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"github.com/chat-platform/chat/events"
)

// Switching is a view whose generations change while it is used, as its state in
// the log says ([State]). Reads go to the live generation, writes to all that are
// written. Where the state cannot be asked for, calls are [events.ErrUnavailable].
//
// A call counts by what is known when it ends: a write that another generation
// has joined meanwhile goes there too, and a read of one that is written no more
// is done again. So whoever changes the state has but to wait for a [Lease], and
// not for calls under way.
type Switching[S View] struct {
	view  string
	open  func(ctx context.Context, generation int) (S, error)
	known *follower
	log   *slog.Logger

	mu     sync.Mutex
	opened map[int]*generation[S]
	closed atomic.Bool
}

// generation is one that has been opened, or is about to be.
type generation[S View] struct {
	mu    sync.Mutex // held while it is being opened
	store atomic.Pointer[S]
}

// outdated is a store that knows when it was made by an older version.
type outdated interface {
	Outdated(ctx context.Context) (bool, error)
}

// Switch makes a view of its generations and opens the live one. open opens any
// of them, and makes it where it is missing.
func Switch[S View](ctx context.Context, view string, host Host, open func(ctx context.Context, generation int) (S, error)) (*Switching[S], error) {
	s := &Switching[S]{view: view, open: open, log: host.Log, opened: map[int]*generation[S]{}}
	if s.log == nil {
		s.log = slog.Default()
	}
	s.known = follow(host.Views, view, host.Lease, s.settle)
	err := s.begin(ctx)
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

func (s *Switching[S]) begin(ctx context.Context) error {
	state, err := s.known.known(ctx)
	if err != nil {
		return fmt.Errorf("open view %s: %w", s.view, err)
	}
	store, err := s.generation(ctx, state.Live)
	if err != nil {
		return err
	}
	if o, ok := any(store).(outdated); ok {
		if old, err := o.Outdated(ctx); err == nil && old {
			s.log.Warn("the "+s.view+" view was made by an older version and may find less: run chat rebuild "+s.view, "view", s.view, "generation", state.Live)
		}
	}
	if state.Builder == "" && (state.Building != 0 || state.Retiring != 0 || state.Dropping != 0) {
		s.log.Warn("a rebuild of the "+s.view+" view was interrupted: chat rebuild "+s.view+" goes on with it", "view", s.view, "live", state.Live)
	}
	return nil
}

// generation gives the store of a generation, and opens it the first time.
func (s *Switching[S]) generation(ctx context.Context, number int) (store S, err error) {
	s.mu.Lock()
	g, ok := s.opened[number]
	if !ok {
		g = &generation[S]{}
		s.opened[number] = g
	}
	s.mu.Unlock()
	if known := g.store.Load(); known != nil {
		return *known, nil
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if known := g.store.Load(); known != nil {
		return *known, nil
	}
	if s.closed.Load() {
		return store, s.gone()
	}
	if store, err = s.open(ctx, number); err != nil {
		return store, err
	}
	g.store.Store(&store)
	if s.closed.Load() { // meanwhile
		_ = store.Close()
	}
	return store, nil
}

func (s *Switching[S]) gone() error {
	return fmt.Errorf("view %s: %w: the store is closed", s.view, events.ErrUnavailable)
}

// settle closes what the state names no more. A call that is still under way
// there is done again elsewhere.
func (s *Switching[S]) settle(state State) {
	s.mu.Lock()
	var old []*generation[S]
	for number, g := range s.opened {
		if !state.Uses(number) {
			old = append(old, g)
			delete(s.opened, number)
		}
	}
	s.mu.Unlock()
	for _, g := range old {
		g.close(s.log, s.view)
	}
}

func (g *generation[S]) close(log *slog.Logger, view string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if store := g.store.Load(); store != nil {
		if err := (*store).Close(); err != nil {
			log.Warn("an old generation was not closed well", "view", view, "error", err)
		}
	}
}

// read calls f with the live generation, again where it is no longer right by
// the time it is done.
func (s *Switching[S]) read(ctx context.Context, f func(S) error) error {
	for {
		if s.closed.Load() {
			return s.gone()
		}
		state, err := s.known.known(ctx)
		if err != nil {
			return err
		}
		store, err := s.generation(ctx, state.Live)
		if err == nil {
			err = f(store)
		}
		after, lost := s.known.known(ctx)
		switch {
		case lost != nil && err != nil:
			return err
		case lost != nil:
			return lost
		case after.Live == state.Live, err == nil && after.Uses(state.Live):
			return err
		}
	}
}

// write calls f with every generation that is written, until all those are that
// are known when the last of them is done.
func (s *Switching[S]) write(ctx context.Context, f func(context.Context, S) error) error {
	var done []int
	for {
		if s.closed.Load() {
			return s.gone()
		}
		state, err := s.known.known(ctx)
		if err != nil {
			return err
		}
		pending := slices.DeleteFunc(state.Written(), func(g int) bool { return slices.Contains(done, g) })
		if len(pending) == 0 {
			return nil
		}
		if len(pending) == 1 {
			err = s.writeOne(ctx, pending[0], f)
		} else {
			g, gctx := errgroup.WithContext(ctx)
			for _, number := range pending {
				g.Go(func() error { return s.writeOne(gctx, number, f) })
			}
			err = g.Wait()
		}
		if err != nil {
			after, lost := s.known.known(ctx)
			if lost != nil || !slices.ContainsFunc(pending, func(g int) bool { return !after.Uses(g) }) {
				return err
			}
			continue // it failed, perhaps, since one of them is no longer written
		}
		done = append(done, pending...)
	}
}

func (s *Switching[S]) writeOne(ctx context.Context, number int, f func(context.Context, S) error) error {
	store, err := s.generation(ctx, number)
	if err != nil {
		return err
	}
	return f(ctx, store)
}

// Generation is which one is live, as known within the last lease. What a process
// reads after it has asked is of that one or of a later one.
func (s *Switching[S]) Generation(ctx context.Context) (int, error) {
	state, err := s.known.known(ctx)
	return state.Live, err
}

// Ping asks the live generation for a sign of life.
func (s *Switching[S]) Ping(ctx context.Context) error {
	return s.read(ctx, func(store S) error { return store.Ping(ctx) })
}

// Checksums is of the live generation.
func (s *Switching[S]) Checksums(ctx context.Context, through uint64) (sums map[events.ChannelID]events.Checksum, err error) {
	err = s.read(ctx, func(store S) (err error) {
		sums, err = store.Checksums(ctx, through)
		return err
	})
	return sums, err
}

// Reset is of every generation that is written.
func (s *Switching[S]) Reset(ctx context.Context) error {
	return s.write(ctx, func(ctx context.Context, store S) error { return store.Reset(ctx) })
}

// Drop removes every generation that is written, and closes the view. The state
// stays: the next to open the view makes the live one anew.
func (s *Switching[S]) Drop(ctx context.Context) error {
	if err := s.write(ctx, func(ctx context.Context, store S) error { return store.Drop(ctx) }); err != nil {
		return err
	}
	return s.Close() //nolint:contextcheck // it does not take one
}

// Close closes all generations.
func (s *Switching[S]) Close() error {
	if s.closed.Swap(true) {
		return nil
	}
	s.known.close()
	s.mu.Lock()
	opened := s.opened
	s.opened = map[int]*generation[S]{}
	s.mu.Unlock()
	var errs []error
	for _, g := range opened {
		g.mu.Lock()
		if store := g.store.Load(); store != nil {
			errs = append(errs, (*store).Close())
		}
		g.mu.Unlock()
	}
	return errors.Join(errs...)
}

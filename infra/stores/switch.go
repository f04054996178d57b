package stores

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

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
//
// A generation whose store is away is opened once it is there; until then calls
// that need it are [events.ErrUnavailable]. So is, with a code ([IsForeign]), a
// generation that is of another log: it is not read, and not written either where
// another one is.
type Switching[S View] struct {
	feed  Feed
	open  func(ctx context.Context, generation int) (S, error)
	known *follower
	log   *slog.Logger

	mu      sync.Mutex
	opened  map[which]*opening[S]
	closed  bool
	closing sync.WaitGroup // generations that are used no more
}

// outdated is a store that knows when it was made by an older version.
type outdated interface {
	Outdated(ctx context.Context) (bool, error)
}

// Switch makes a view of its generations and opens the live one. open opens any
// of them, and makes it where it is missing. A store that is away, or of another
// log, is no error; one that no waiting helps is, if it shows soon.
func Switch[S View](ctx context.Context, feed Feed, host Host, open func(ctx context.Context, generation int) (S, error)) (*Switching[S], error) {
	s := &Switching[S]{feed: feed, open: open, log: host.Log, opened: map[which]*opening[S]{}}
	if s.log == nil {
		s.log = slog.Default()
	}
	s.known = follow(host.Views, feed.Name, host.Lease, s.settle)
	if err := s.begin(ctx, host.OpenWait); err != nil && (ctx.Err() != nil || !errors.Is(err, events.ErrUnavailable)) {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

func (s *Switching[S]) begin(ctx context.Context, wait time.Duration) error {
	if wait <= 0 {
		wait = startWait
	}
	state, err := s.known.known(ctx)
	if err != nil {
		s.log.Error("the "+s.feed.Name+" view cannot be used yet", "view", s.feed.Name, "error", err)
		return err
	}
	if state.Builder == "" && (state.Building != 0 || state.Retiring != 0 || state.Dropping != 0) {
		s.log.Warn("a rebuild of the "+s.feed.Name+" view was interrupted: chat rebuild "+s.feed.Name+" goes on with it", "view", s.feed.Name, "live", state.Live)
	}
	_, err = s.await(ctx, which{state.Live, state.epoch}, wait)
	return err
}

func (s *Switching[S]) gone() error {
	return fmt.Errorf("view %s: %w: the store is closed", s.feed.Name, events.ErrUnavailable)
}

func (s *Switching[S]) isClosed() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.closed
}

// settle closes what the state names no more, and what was of another log. A call
// that is still under way there is done again elsewhere.
func (s *Switching[S]) settle(now status) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for w, g := range s.opened {
		if now.Uses(w.generation) && w.epoch == now.epoch {
			continue
		}
		delete(s.opened, w)
		s.closing.Go(func() { // it may be about to ask for the status, and this is the answer
			if err := g.close(); err != nil {
				s.log.Warn("an old generation was not closed well", "view", s.feed.Name, "error", err)
			}
		})
	}
}

// read calls f with the live generation, again where it is no longer right by
// the time it is done.
func (s *Switching[S]) read(ctx context.Context, f func(S) error) error {
	for {
		if s.isClosed() {
			return s.gone()
		}
		state, err := s.known.known(ctx)
		if err != nil {
			return err
		}
		store, err := s.generation(ctx, which{state.Live, state.epoch})
		if err == nil {
			err = f(store)
		}
		after, lost := s.known.known(ctx)
		switch {
		case lost != nil && err != nil:
			return err
		case lost != nil:
			return lost
		case after.epoch != state.epoch:
		case after.Live == state.Live, err == nil && after.Uses(state.Live):
			return err
		}
	}
}

// write calls f with every generation that is written, until all those are that
// are known when the last of them is done. One that is not of this log is left
// out: a rebuild is about to replace it.
func (s *Switching[S]) write(ctx context.Context, f func(context.Context, S) error) error {
	var seen []int
	var foreign error
	epoch, written := "", false
	for {
		if s.isClosed() {
			return s.gone()
		}
		state, err := s.known.known(ctx)
		if err != nil {
			return err
		}
		if epoch == "" {
			epoch = state.epoch
		}
		if epoch != state.epoch {
			return fmt.Errorf("view %s: %w: another log has come meanwhile", s.feed.Name, events.ErrUnavailable)
		}
		pending := slices.DeleteFunc(state.Written(), func(g int) bool { return slices.Contains(seen, g) })
		if len(pending) == 0 {
			if !written {
				return foreign
			}
			return nil
		}
		refused, err := s.writeAll(ctx, pending, epoch, f)
		if err != nil {
			after, lost := s.known.known(ctx)
			if lost != nil || !slices.ContainsFunc(pending, func(g int) bool { return !after.Uses(g) }) {
				return err
			}
			continue // it failed, perhaps, since one of them is no longer written
		}
		seen = append(seen, pending...)
		for _, err := range refused {
			if err != nil {
				foreign = err
			} else {
				written = true
			}
		}
	}
}

// writeAll calls f with these generations at once, and tells which are not of this
// log.
func (s *Switching[S]) writeAll(ctx context.Context, generations []int, epoch string, f func(context.Context, S) error) ([]error, error) {
	foreign := make([]error, len(generations))
	one := func(ctx context.Context, i int) error {
		store, err := s.generation(ctx, which{generations[i], epoch})
		if IsForeign(err) {
			foreign[i] = err
			return nil
		}
		if err != nil {
			return err
		}
		return f(ctx, store)
	}
	if len(generations) == 1 {
		return foreign, one(ctx, 0)
	}
	g, gctx := errgroup.WithContext(ctx)
	for i := range generations {
		g.Go(func() error { return one(gctx, i) })
	}
	return foreign, g.Wait()
}

// Generation is which one is live, as known within the last lease. What a process
// reads after it has asked is of that one or of a later one.
func (s *Switching[S]) Generation(ctx context.Context) (int, error) {
	state, err := s.known.known(ctx)
	if err == nil {
		_, err = s.generation(ctx, which{state.Live, state.epoch})
	}
	return state.Live, err
}

// Claim is of the live generation.
func (s *Switching[S]) Claim(ctx context.Context, epoch string) (of string, err error) {
	err = s.read(ctx, func(store S) (err error) {
		of, err = store.Claim(ctx, epoch)
		return err
	})
	return of, err
}

// Empty is of the live generation.
func (s *Switching[S]) Empty(ctx context.Context) (empty bool, err error) {
	err = s.read(ctx, func(store S) (err error) {
		empty, err = store.Empty(ctx)
		return err
	})
	return empty, err
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
	s.mu.Lock()
	opened := s.opened
	already := s.closed
	s.opened, s.closed = map[which]*opening[S]{}, true
	s.mu.Unlock()
	if already {
		return nil
	}
	var errs []error
	for _, g := range opened {
		errs = append(errs, g.close())
	}
	s.known.close()
	s.closing.Wait()
	return errors.Join(errs...)
}

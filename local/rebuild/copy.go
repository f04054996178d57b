package rebuild

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/chat-platform/chat/events"
	"github.com/chat-platform/chat/infra/stores"
	"github.com/chat-platform/chat/local/views"
)

const (
	batchSize = 1000             // events that go to the writer at once
	writers   = 4                // batches at once: writers commute
	patience  = 30 * time.Second // with a store that is away
)

// copy hands the writer what the next generation lacks, and keeps in the log how
// far it is, so that one that is killed is gone on with there.
func (j job) copy(ctx context.Context, write views.Write, result *Result) error {
	state := j.claim.now()
	from, to := state.Copied, state.Through
	result.From, result.Through = from, to
	p := &prefix{upTo: from, ends: map[int]uint64{}}
	j.claim.mu.Lock()
	j.claim.copied = p.reached
	j.claim.mu.Unlock()
	defer func() {
		j.claim.mu.Lock()
		j.claim.copied = nil
		j.claim.mu.Unlock()
	}()
	j.progress("copying", from, from, to)
	if from >= to {
		return nil
	}
	g, gctx := errgroup.WithContext(ctx)
	batches := make(chan batch)
	var mu sync.Mutex // for result
	for range writers {
		g.Go(func() error {
			for b := range batches {
				refused, err := j.apply(gctx, write, b.events)
				if err != nil {
					return err
				}
				upTo := p.done(b.number, b.end)
				mu.Lock()
				result.Events += len(b.events)
				result.Refused += refused
				mu.Unlock()
				j.progress("copying", from, upTo, to)
			}
			return nil
		})
	}
	g.Go(func() error {
		defer close(batches)
		return j.read(gctx, from+1, to, func(b batch) error {
			select {
			case batches <- b:
				return nil
			case <-gctx.Done():
				return gctx.Err()
			}
		})
	})
	if err := g.Wait(); err != nil {
		return errors.Join(err, keep(j, p))
	}
	return j.claim.change(ctx, func(s *stores.State) { s.Copied = to })
}

// keep notes how far it is, also when ctx has ended.
func keep(j job, p *prefix) error {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	upTo := p.reached()
	err := j.claim.change(ctx, func(s *stores.State) { s.Copied = max(s.Copied, upTo) })
	if errors.Is(err, events.ErrUnavailable) {
		return nil // the last beat's word counts
	}
	return err
}

// batch is a run of events; all up to end are in it or in those before.
type batch struct {
	number int
	events []events.Event
	end    uint64
}

// read cuts a range of the log into batches.
func (j job) read(ctx context.Context, from, to uint64, f func(batch) error) error {
	b := batch{}
	next := func(end uint64) error {
		b.end = end
		if err := f(b); err != nil {
			return err
		}
		b = batch{number: b.number + 1, events: make([]events.Event, 0, batchSize)}
		return nil
	}
	err := j.Log.Range(ctx, j.view.Stream, nil, from, to, func(e events.Event) error {
		b.events = append(b.events, e)
		if len(b.events) < batchSize {
			return nil
		}
		return next(e.Sequence)
	})
	if err != nil {
		return err
	}
	return next(to)
}

// apply writes a batch, again while the store is away for a moment.
func (j job) apply(ctx context.Context, write views.Write, es []events.Event) (int, error) {
	until := time.Now().Add(patience)
	for wait := 50 * time.Millisecond; ; wait = min(2*wait, 2*time.Second) {
		refused, err := views.Apply(ctx, write, es)
		if err == nil || !errors.Is(err, events.ErrUnavailable) || time.Now().After(until) {
			if err != nil {
				err = fmt.Errorf("write events %d to %d: %w", es[0].Sequence, es[len(es)-1].Sequence, err)
			}
			return refused, err
		}
		select {
		case <-ctx.Done():
			return 0, ctx.Err()
		case <-time.After(wait/2 + rand.N(wait)):
		}
	}
}

// prefix knows up to which sequence all batches are done.
type prefix struct {
	mu   sync.Mutex
	next int            // number of the first batch that is not
	ends map[int]uint64 // of later ones that are
	upTo uint64
}

func (p *prefix) done(number int, end uint64) uint64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ends[number] = end
	for {
		end, ok := p.ends[p.next]
		if !ok {
			return p.upTo
		}
		delete(p.ends, p.next)
		p.next, p.upTo = p.next+1, end
	}
}

func (p *prefix) reached() uint64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.upTo
}

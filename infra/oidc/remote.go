package oidc

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"
)

const (
	minBackOff = 100 * time.Millisecond
	maxBackOff = 5 * time.Second
)

// remote is a value that is fetched from elsewhere: by one request at a time
// that all callers wait for, after a failure not before a back-off with full
// jitter has passed, after a success not before spacing has.
type remote[T any] struct {
	fetch   func(context.Context) (T, error)
	now     func() time.Time
	spacing time.Duration

	mu       sync.Mutex
	value    T
	at       time.Time // of the value; zero: there is none
	err      error     // of the last attempt
	failures int
	next     time.Time     // no attempt before
	flight   chan struct{} // closed when the attempt under way ends
}

// cached is the value, when it was fetched, and whether there is one.
func (r *remote[T]) cached() (T, time.Time, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.value, r.at, !r.at.IsZero()
}

// refresh fetches the value, or joins the attempt under way. Too early for an
// attempt, it gives what the last one did.
func (r *remote[T]) refresh(ctx context.Context) (T, error) {
	if flight := r.start(); flight != nil {
		select {
		case <-flight:
		case <-ctx.Done():
			var zero T
			return zero, ctx.Err()
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.value, r.err
}

// start begins an attempt unless one is under way or it is too early, and
// returns what the attempt closes at its end, or nil.
func (r *remote[T]) start() <-chan struct{} {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.flight == nil && !r.now().Before(r.next) {
		r.flight = make(chan struct{})
		go r.attempt(r.flight)
	}
	return r.flight
}

func (r *remote[T]) attempt(flight chan struct{}) {
	ctx, cancel := context.WithTimeout(context.Background(), fetchTimeout)
	defer cancel()
	value, err := r.fetch(ctx)
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.now()
	r.err = err
	if err == nil {
		r.value, r.at, r.failures, r.next = value, now, 0, now.Add(r.spacing)
	} else {
		limit := min(maxBackOff, minBackOff<<min(r.failures, 10))
		r.failures++
		r.next = now.Add(rand.N(limit))
	}
	r.flight = nil
	close(flight)
}

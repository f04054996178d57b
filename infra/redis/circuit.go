package redis

import (
	"context"
	"math"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"
)

const (
	tolerated = 3 // calls in a row that may fail
	probeMin  = 50 * time.Millisecond
	probeMax  = 2 * time.Second
	settled   = 10 * time.Second // after which the last outage is over for good
	flapMax   = 30 * time.Second
	unbounded = math.MaxInt64
)

// circuit decides whether a call goes to Redis.
type circuit struct {
	probe   func(context.Context) error
	changed func(degraded bool, err error)
	ramp    int64 // calls at a time, from which on there is no bound any more

	bound    atomic.Int64 // calls at a time: 0 while Redis does not answer, few after that
	inFlight atomic.Int64
	failures atomic.Int64 // in a row

	ctx     context.Context
	stop    context.CancelFunc
	mu      sync.Mutex // of trip, the end of look, and close; and of the two below
	wait    time.Duration
	since   time.Time // of the last recovery
	probing sync.WaitGroup
}

func newCircuit(ramp int, probe func(context.Context) error, changed func(bool, error)) *circuit {
	c := &circuit{probe: probe, changed: changed, ramp: int64(ramp)}
	c.ctx, c.stop = context.WithCancel(context.Background())
	c.bound.Store(unbounded)
	return c
}

func (c *circuit) open() bool { return c.bound.Load() == 0 }

// enter lets a call through, which then has to leave.
func (c *circuit) enter() bool {
	if c.inFlight.Add(1) <= c.bound.Load() {
		return true
	}
	c.inFlight.Add(-1)
	return false
}

// leave tells how the call went.
func (c *circuit) leave(err error) {
	c.inFlight.Add(-1)
	bound := c.bound.Load()
	switch {
	case bound == 0: // began before the circuit opened
	case err != nil:
		if c.failures.Add(1) >= tolerated || bound != unbounded {
			c.trip(err)
		}
	default:
		if c.failures.Load() != 0 {
			c.failures.Store(0)
		}
		if bound == unbounded {
			return
		}
		wider := bound + 1
		if wider >= c.ramp {
			wider = unbounded
		}
		c.bound.CompareAndSwap(bound, wider)
	}
}

// trip keeps calls from Redis and begins to probe it.
func (c *circuit) trip(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ctx.Err() != nil || c.bound.Swap(0) == 0 {
		return
	}
	c.changed(true, err)
	if c.wait = min(2*c.wait, flapMax); c.wait == 0 || time.Since(c.since) > settled {
		c.wait = probeMin
	}
	first := c.wait // longer for a server that comes and goes
	c.probing.Go(func() { c.look(first) })
}

// look ends when Redis answers, or when the circuit is closed for good.
func (c *circuit) look(first time.Duration) {
	for wait := first; ; wait = min(2*wait, max(first, probeMax)) {
		t := time.NewTimer(wait/2 + rand.N(wait)) // many processes do not come back at once
		select {
		case <-c.ctx.Done():
			t.Stop()
			return
		case <-t.C:
		}
		if c.probe(c.ctx) == nil {
			break
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ctx.Err() != nil {
		return
	}
	c.failures.Store(0)
	c.since = time.Now()
	c.changed(false, nil)
	c.bound.Store(1)
}

// close ends the probe; no call goes to Redis any more.
func (c *circuit) close() {
	c.mu.Lock()
	c.stop()
	c.bound.Store(0)
	c.mu.Unlock()
	c.probing.Wait()
}

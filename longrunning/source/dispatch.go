package source

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/chat-platform/chat/infra/nats"
)

// linger is how long a batch that is not full waits for more while another
// request is under way. An idle source sends at once.
const linger = 5 * time.Millisecond

// fetchWait bounds one wait for events.
const fetchWait = time.Second

// dispatcher is the life of one Run. Its loop owns the lanes; one goroutine
// fetches, one more makes each request.
type dispatcher struct {
	s        *Source
	consumer *nats.Consumer
	lanes    *lanes
	flying   int // requests
	alone    int // of those, requests for a lane that failed before
	batch    int // events a request, at present

	held    atomic.Int64  // events fetched and not let go of
	room    chan struct{} // capacity 1: some were let go of
	arrived chan []*nats.Delivery
	results chan *job
	jobs    sync.WaitGroup
}

func newDispatcher(s *Source, c *nats.Consumer) *dispatcher {
	return &dispatcher{s: s, consumer: c, lanes: newLanes(s.cfg.Order), batch: s.cfg.MaxBatch, room: make(chan struct{}, 1),
		arrived: make(chan []*nats.Delivery), results: make(chan *job, s.cfg.InFlight)}
}

func (d *dispatcher) run(ctx context.Context) {
	var fetching sync.WaitGroup
	fetching.Go(func() { d.fetch(ctx) })
	// Requests outlive ctx, but not Run.
	requests, abandon := context.WithCancel(context.WithoutCancel(ctx))
	defer abandon()
	beat := time.NewTicker(d.s.cfg.AckWait / 2)
	defer beat.Stop()
	alarm := time.NewTimer(time.Hour)
	defer alarm.Stop()
	for ctx.Err() == nil {
		now := time.Now()
		next := d.lanes.wake(now)
		if wait := d.start(requests, now); wait > 0 && (next.IsZero() || now.Add(wait).Before(next)) {
			next = now.Add(wait)
		}
		if !next.IsZero() {
			alarm.Reset(next.Sub(now))
		}
		select {
		case <-ctx.Done():
		case ds := <-d.arrived:
			d.add(ds)
		case j := <-d.results:
			d.finish(j)
		case <-beat.C:
			d.heartbeat()
		case <-alarm.C:
		}
	}
	d.drain(abandon, beat.C)
	fetching.Wait()
}

// drain waits for the requests under way and gives everything else back.
func (d *dispatcher) drain(abandon context.CancelFunc, beat <-chan time.Time) {
	late := time.NewTimer(d.s.cfg.DrainWait)
	defer late.Stop()
	for d.flying > 0 {
		select {
		case ds := <-d.arrived:
			d.add(ds)
		case j := <-d.results:
			d.finish(j)
		case <-beat:
			d.heartbeat()
		case <-late.C:
			abandon()
		}
	}
	d.jobs.Wait()
	for ds := range d.arrived { // until fetch has ended
		d.add(ds)
	}
	d.add(d.consumer.Close()) // before anything is given back, lest it comes here
	var back []*nats.Delivery
	for _, it := range d.lanes.bySeq {
		back = append(back, it.d)
	}
	if err := d.consumer.GiveBack(context.Background(), back); err != nil {
		d.s.logger.Warn("source: events not given back, they come again later", "events", len(back), "error", err)
	} else if len(back) > 0 {
		d.s.logger.Info("source: drained, events given back", "events", len(back))
	}
	d.s.metrics.held.Set(0)
}

// fetch asks for as many events as there is room for.
func (d *dispatcher) fetch(ctx context.Context) {
	defer close(d.arrived)
	for fails := 0; ctx.Err() == nil; {
		room := d.s.cfg.MaxPending - int(d.held.Load())
		if room <= 0 {
			select {
			case <-d.room:
			case <-ctx.Done():
			}
			continue
		}
		ds, err := d.consumer.Fetch(ctx, room, fetchWait)
		if err != nil {
			wait := d.s.backoff(fails, true)
			fails++
			d.s.logger.Warn("source: cannot fetch, will try again", "wait", wait, "error", err)
			select {
			case <-time.After(wait):
			case <-ctx.Done():
			}
			continue
		}
		fails = 0
		d.s.metrics.lag.Set(float64(d.consumer.Lag()))
		if len(ds) > 0 {
			d.held.Add(int64(len(ds)))
			d.arrived <- ds // the loop or drain takes it, always
		}
	}
}

func (d *dispatcher) add(ds []*nats.Delivery) {
	now := time.Now()
	double := 0
	for _, delivery := range ds {
		if !d.lanes.add(delivery, now) {
			double++
		}
	}
	d.release(double)
}

func (d *dispatcher) release(n int) {
	d.s.metrics.held.Set(float64(d.held.Add(-int64(n))))
	select {
	case d.room <- struct{}{}:
	default:
	}
}

// start makes the requests that can be made now, and returns how long to wait
// for a fuller one, if any.
func (d *dispatcher) start(ctx context.Context, now time.Time) (wait time.Duration) {
	cfg := d.s.cfg
	for d.flying < cfg.InFlight {
		// Lanes in trouble get half of the requests at most.
		if d.lanes.single.len() > 0 && (d.alone < (cfg.InFlight+1)/2 || d.lanes.ready.len() == 0) {
			d.alone++
			d.launch(ctx, &job{items: []*item{d.lanes.takeAlone()}, alone: true})
			continue
		}
		if d.lanes.ready.len() == 0 {
			return 0
		}
		if d.flying > 0 && d.lanes.queued < d.batch {
			if age := now.Sub(d.lanes.since); age < linger {
				return linger - age
			}
		}
		d.launch(ctx, &job{items: d.lanes.take(d.batch, cfg.MaxBatchBytes, now)})
	}
	return 0
}

func (d *dispatcher) launch(ctx context.Context, j *job) {
	d.flying++
	d.s.metrics.inFlight.Inc()
	d.jobs.Go(func() {
		d.s.deliver(ctx, j)
		d.results <- j // has room for every request
	})
}

// finish puts the lanes of a request back in order.
func (d *dispatcher) finish(j *job) {
	d.flying--
	d.s.metrics.inFlight.Dec()
	if j.alone {
		d.alone--
	}
	d.measure(j)
	now := time.Now()
	gone := 0
	for i := 0; i < len(j.items); {
		l := j.items[i].lane
		done, end := 0, i
		for ; end < len(j.items) && j.items[end].lane == l; end++ {
			if j.outcomes[end].done {
				done++
			}
		}
		var failed outcome
		if i+done < end {
			failed = j.outcomes[i+done]
		}
		wait := time.Duration(0)
		if failed.failed {
			fails := l.fails
			if done > 0 {
				fails = 0
			}
			wait = max(d.s.backoff(fails, failed.away), failed.after)
		}
		gone += d.lanes.settle(l, done, wait, failed.refused, now)
		i = end
	}
	d.release(gone)
}

// measure fits requests to what the sink manages. One that is back, and slow at
// first, would fail for ever at what has piled up if it were given more than it
// can do in its time; and to find out whether it is back takes one event.
func (d *dispatcher) measure(j *job) {
	if j.alone {
		return
	}
	if slices.ContainsFunc(j.outcomes, func(o outcome) bool { return o.away }) {
		d.batch = max(1, min(d.batch, len(j.items))/2)
		return
	}
	d.batch = min(2*d.batch, d.s.cfg.MaxBatch)
}

// heartbeat keeps everything held from being delivered to somebody else.
func (d *dispatcher) heartbeat() {
	for _, it := range d.lanes.bySeq {
		if err := it.d.InProgress(); err != nil {
			d.s.logger.Warn("source: cannot report progress, events may come again", "error", err)
			return
		}
	}
}

package nats

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/chat-platform/chat/events"
)

// ConsumerConfig describes a durable pull consumer. It begins at the stream's
// first event and knows for each whether it was acknowledged.
type ConsumerConfig struct {
	Stream, Name  string
	Filters       []string      // subjects; none: all
	AckWait       time.Duration // an event without a sign of life for so long is delivered again; 30 s by default
	MaxAckPending int           // events delivered and not acknowledged, of all who fetch; 10,000 by default
}

// Consumer hands out the events of a durable consumer. Any number of processes
// may fetch from the same one; each event goes to one of them.
type Consumer struct {
	l   *Log
	cfg ConsumerConfig

	mu     sync.Mutex
	pull   *puller
	again  <-chan struct{}
	closed bool
	last   uint64 // of the server's deliveries, the one taken last
	lag    atomic.Uint64
}

// FetchMost is the most that one Fetch returns.
const FetchMost = 5000

// Consumer creates the durable consumer, or updates its settings.
func (l *Log) Consumer(ctx context.Context, cfg ConsumerConfig) (*Consumer, error) {
	if cfg.AckWait <= 0 {
		cfg.AckWait = 30 * time.Second
	}
	if cfg.MaxAckPending <= 0 {
		cfg.MaxAckPending = 10_000
	}
	c := &Consumer{l: l, cfg: cfg}
	if err := c.create(ctx); err != nil {
		return nil, err
	}
	var err error
	c.again = l.reconnect()
	if c.pull, err = l.newPuller(cfg.Stream, cfg.Name, FetchMost); err != nil {
		return nil, fmt.Errorf("consumer %s of %s: %w", cfg.Name, cfg.Stream, translate(err))
	}
	return c, nil
}

func (c *Consumer) create(ctx context.Context) error {
	ctx, cancel := c.l.bounded(ctx)
	defer cancel()
	_, err := c.l.js.CreateOrUpdateConsumer(ctx, c.cfg.Stream, jetstream.ConsumerConfig{
		Durable: c.cfg.Name, FilterSubjects: c.cfg.Filters, AckPolicy: jetstream.AckExplicitPolicy,
		DeliverPolicy: jetstream.DeliverAllPolicy, AckWait: c.cfg.AckWait, MaxAckPending: c.cfg.MaxAckPending,
		MaxDeliver: -1, MaxWaiting: 512,
	})
	if err != nil {
		return fmt.Errorf("consumer %s of %s: %w", c.cfg.Name, c.cfg.Stream, translate(err))
	}
	return nil
}

// DeleteConsumer forgets a durable consumer and what it acknowledged; whoever
// fetches from it begins anew at the stream's first event. One that is not
// there is fine.
func (l *Log) DeleteConsumer(ctx context.Context, stream, name string) error {
	ctx, cancel := l.bounded(ctx)
	defer cancel()
	err := l.js.DeleteConsumer(ctx, stream, name)
	if err != nil && !errors.Is(err, jetstream.ErrConsumerNotFound) {
		return fmt.Errorf("delete consumer %s of %s: %w", name, stream, translate(err))
	}
	return nil
}

// Fetch returns up to max events as soon as some are there, and none if that
// takes longer than wait. One request to the server serves many calls; it may
// still bring up to max events, whose AckWait then runs already, after Fetch has
// returned: so fetch again soon, or let max be what there is room for. A
// consumer that was deleted is made anew, from the stream's beginning.
func (c *Consumer) Fetch(ctx context.Context, max int, wait time.Duration) ([]*Delivery, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	max = min(max, FetchMost)
	if max <= 0 {
		return nil, nil
	}
	if c.closed {
		return nil, fmt.Errorf("fetch from %s of %s: %w: it is closed", c.cfg.Name, c.cfg.Stream, events.ErrUnavailable)
	}
	timeout := time.NewTimer(wait)
	defer timeout.Stop()
	for {
		select {
		case <-c.again: // the requests went down with the connection
			c.again = c.l.reconnect()
			c.pull.owed = 0
		default:
		}
		err := c.pull.ensure(max)
		if err == nil {
			select {
			case <-ctx.Done():
				return nil, nil
			case <-timeout.C:
				return nil, nil
			case <-c.again:
				continue
			case m := <-c.pull.msgs:
				var ds []*Delivery
				if ds, err = c.drain(m, max); len(ds) > 0 {
					return ds, nil
				}
			}
		}
		if errors.Is(err, errGone) {
			err = c.recreate(ctx)
		}
		if err != nil {
			return nil, fmt.Errorf("fetch from %s of %s: %w", c.cfg.Name, c.cfg.Stream, translate(err))
		}
	}
}

func (c *Consumer) recreate(ctx context.Context) error {
	c.l.log.Warn("log: consumer is not there, creating it", "consumer", c.cfg.Name, "stream", c.cfg.Stream)
	return c.create(ctx)
}

// drain takes m and what else is there.
func (c *Consumer) drain(m *nats.Msg, max int) (ds []*Delivery, err error) {
	for {
		ok, err := c.pull.take(m)
		if err != nil {
			return ds, err
		}
		if ok {
			d, err := c.delivery(m)
			if err != nil {
				return ds, err
			}
			ds = append(ds, d)
		}
		if len(ds) == max {
			return ds, nil
		}
		select {
		case m = <-c.pull.msgs:
		default:
			return ds, nil
		}
	}
}

func (c *Consumer) delivery(m *nats.Msg) (*Delivery, error) {
	p, err := parseDelivery(m.Reply)
	if err != nil {
		return nil, err
	}
	d := &Delivery{Subject: m.Subject, Header: m.Header, Data: m.Data, Stream: c.cfg.Stream, Consumer: c.cfg.Name,
		Sequence: p.seq, Attempt: int(p.attempt), nc: c.l.nc, reply: m.Reply}
	d.Event, d.Err = event(m.Header, m.Data, m.Subject, p.seq)
	c.lag.Store(p.pending)
	c.last = p.consumerSeq
	return d, nil
}

// Lag is how many matching events the stream held beyond the last one fetched,
// at that time.
func (c *Consumer) Lag() uint64 { return c.lag.Load() }

// Close ends fetching and returns what was under way to the next Fetch, which
// the caller should give back, lest it comes again only after AckWait. The durable
// consumer stays.
func (c *Consumer) Close() []*Delivery {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return nil
	}
	c.closed = true
	var ds []*Delivery
	take := func() (n int) {
		for {
			select {
			case m := <-c.pull.msgs:
				n++
				if ok, err := c.pull.take(m); err == nil && ok {
					if d, err := c.delivery(m); err == nil {
						ds = append(ds, d)
					}
				}
			default:
				return n
			}
		}
	}
	// Requests cannot be taken back. What the server is sending in answer to them
	// it would put behind what is given back, if nobody listened any more; so
	// listen until it has nothing to send, or those who ask elsewhere leave it
	// quiet.
	end := time.Now().Add(c.l.timeout)
	for quiet := 0; c.pull.owed > 0 && quiet < 3 && time.Now().Before(end); {
		idle, sent, err := c.state()
		if err != nil {
			break
		}
		switch n := take(); {
		case idle && c.last >= sent:
			quiet = 3
		case !idle || n > 0:
			quiet = 0
		default:
			quiet++
			<-time.After(2 * time.Millisecond)
		}
	}
	if err := c.pull.sub.Drain(); err != nil || !c.l.nc.IsConnected() || c.l.nc.FlushTimeout(c.l.timeout) != nil {
		c.pull.close()
	}
	take()
	// Asked for its state, the server forgets requests that nobody listens for.
	// Otherwise it finds out by the first event given back, and puts that last.
	_, _, _ = c.state()
	return ds
}

// state tells whether the server has nothing to send now, to anybody, and the
// number of what it has sent last.
func (c *Consumer) state() (idle bool, sent uint64, err error) {
	if !c.l.nc.IsConnected() {
		return false, 0, nats.ErrDisconnected
	}
	ctx, cancel := c.l.bounded(context.Background())
	defer cancel()
	r, err := c.l.js.Consumer(ctx, c.cfg.Stream, c.cfg.Name)
	if err != nil {
		return false, 0, err
	}
	info := r.CachedInfo()
	idle = info.NumPending == 0 || info.NumWaiting == 0 || info.NumAckPending >= c.cfg.MaxAckPending
	return idle, info.Delivered.Consumer, nil
}

// GiveBack asks for another delivery of all of ds at once, in the order of their
// sequences and before anything new, and waits until the server has noted it.
func (c *Consumer) GiveBack(ctx context.Context, ds []*Delivery) error {
	if len(ds) == 0 {
		return nil
	}
	ds = slices.Clone(ds)
	slices.SortFunc(ds, func(a, b *Delivery) int { return cmp.Compare(a.Sequence, b.Sequence) })
	last := len(ds) - 1
	for _, d := range ds[:last] {
		if err := d.Nak(0); err != nil {
			return err
		}
	}
	ctx, cancel := c.l.bounded(ctx)
	defer cancel()
	if _, err := c.l.nc.RequestWithContext(ctx, ds[last].reply, []byte("-NAK")); err != nil {
		return fmt.Errorf("give back to %s of %s: %w", c.cfg.Name, c.cfg.Stream, translate(err))
	}
	return nil
}

// Applied tells how far a durable consumer has come: every event with a sequence
// up to the answer has been acknowledged, terminated, or does not match its
// filters. What the stream has let go of has been: the archiver takes nothing away
// before that, so while there is no such consumer the answer is what lies before
// the stream's first event, 0 in a stream that is whole.
func (l *Log) Applied(ctx context.Context, stream, consumer string) (uint64, error) {
	applied, _, err := l.Position(ctx, stream, consumer)
	return applied, err
}

// Position is [Log.Applied] and the sequence of the stream's last event as of
// just before. Where they are equal, the consumer has dealt with everything that
// the log had acknowledged when Position was called. It costs two requests, and a
// third where other events than the consumer's have come last.
func (l *Log) Position(ctx context.Context, stream, consumer string) (applied, last uint64, err error) {
	ctx, cancel := l.bounded(ctx)
	defer cancel()
	info, err := l.streamInfo(ctx, stream) // before the consumer is asked, lest the answer be too high
	if err == nil {
		last = info.State.LastSeq
		applied, err = l.applied(ctx, stream, consumer, last)
	}
	if err != nil {
		return 0, 0, fmt.Errorf("applied by %s of %s: %w", consumer, stream, err)
	}
	return max(applied, max(info.State.FirstSeq, 1)-1), last, nil
}

func (l *Log) applied(ctx context.Context, stream, consumer string, last uint64) (uint64, error) {
	c, err := l.js.Consumer(ctx, stream, consumer)
	if errors.Is(err, jetstream.ErrConsumerNotFound) {
		return 0, nil
	}
	if err != nil {
		return 0, translate(err)
	}
	info := c.CachedInfo()
	floor := info.AckFloor.Stream
	if floor >= last || info.NumPending > 0 || info.NumAckPending > 0 {
		return floor, nil
	}
	filters := info.Config.FilterSubjects
	if info.Config.FilterSubject != "" {
		filters = []string{info.Config.FilterSubject}
	}
	if len(filters) == 0 {
		filters = []string{">"}
	}
	// The consumer sees nothing up to last that it has not had; its replica may
	// be behind, the leader is not.
	for _, filter := range filters {
		s, ok, err := l.leader(ctx, stream, getRequest{Seq: floor + 1, NextFor: filter})
		if err != nil {
			return 0, err
		}
		if ok && s.seq <= last {
			return floor, nil
		}
	}
	return last, nil
}

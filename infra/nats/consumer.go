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

	// Where Shares is not 0, this one fetches only from the partitions p of the
	// stream with p mod Shares = Share; what is in none counts as 0. A stream that
	// has no partitions leaves nothing to the others.
	Share, Shares int
}

// Consumer hands out the events of a durable consumer. Any number of processes
// may fetch from the same one; each event goes to one of them. On a stream with
// partitions it is several on the server, one a partition, and notices within
// partitionsEvery when there are more.
type Consumer struct {
	l   *Log
	cfg ConsumerConfig

	mu     sync.Mutex
	msgs   chan *nats.Msg
	parts  []*part
	most   int       // partitions that parts are of; −1 at first
	looked time.Time // at how many there are
	again  <-chan struct{}
	closed bool
	lag    atomic.Uint64
}

// part is one of the server's consumers.
type part struct {
	durable
	pull *puller
	gone bool // it is to be made anew
	lag  uint64
}

// FetchMost is the most that one Fetch returns.
const FetchMost = 5000

// partitionsEvery is how soon a consumer finds that its stream has more partitions.
const partitionsEvery = 10 * time.Second

// Consumer creates the durable consumer, or updates its settings.
func (l *Log) Consumer(ctx context.Context, cfg ConsumerConfig) (*Consumer, error) {
	if cfg.AckWait <= 0 {
		cfg.AckWait = 30 * time.Second
	}
	if cfg.MaxAckPending <= 0 {
		cfg.MaxAckPending = 10_000
	}
	c := &Consumer{l: l, cfg: cfg, most: -1, again: l.reconnect(), msgs: make(chan *nats.Msg, 2*FetchMost+4*PartitionsMost)}
	if err := c.look(ctx); err != nil {
		for _, p := range c.parts {
			p.pull.close()
		}
		return nil, err
	}
	return c, nil
}

// look makes what the stream's partitions need.
func (c *Consumer) look(ctx context.Context) error {
	c.looked = time.Now()
	most, err := c.l.most(ctx, c.cfg.Stream)
	if err != nil || most == c.most {
		return err
	}
	for _, d := range durables(c.cfg.Name, c.cfg.Filters, most) {
		if c.cfg.Shares > 0 && max(d.number, 0)%c.cfg.Shares != c.cfg.Share {
			continue
		}
		if err := c.create(ctx, d); err != nil {
			return err
		}
		if slices.ContainsFunc(c.parts, func(p *part) bool { return p.name == d.name }) {
			continue
		}
		pull, err := c.l.newPullerInto(c.cfg.Stream, d.name, c.msgs)
		if err != nil {
			return fmt.Errorf("consumer %s of %s: %w", d.name, c.cfg.Stream, translate(err))
		}
		c.parts = append(c.parts, &part{durable: d, pull: pull})
	}
	c.most = most
	return nil
}

func (c *Consumer) create(ctx context.Context, d durable) error {
	ctx, cancel := c.l.bounded(ctx)
	defer cancel()
	_, err := c.l.js.CreateOrUpdateConsumer(ctx, c.cfg.Stream, jetstream.ConsumerConfig{
		Durable: d.name, FilterSubjects: d.filters, AckPolicy: jetstream.AckExplicitPolicy,
		DeliverPolicy: jetstream.DeliverAllPolicy, AckWait: c.cfg.AckWait, MaxAckPending: c.cfg.MaxAckPending,
		MaxDeliver: -1, MaxWaiting: 512,
	})
	if err != nil {
		return fmt.Errorf("consumer %s of %s: %w", d.name, c.cfg.Stream, translate(err))
	}
	return nil
}

// DeleteConsumer forgets a durable consumer and what it acknowledged; whoever
// fetches from it begins anew at the stream's first event. One that is not
// there is fine.
func (l *Log) DeleteConsumer(ctx context.Context, stream, name string) error {
	ctx, cancel := l.bounded(ctx)
	defer cancel()
	most, err := l.most(ctx, stream)
	for _, d := range durables(name, nil, most) {
		if err != nil {
			break
		}
		if err = l.js.DeleteConsumer(ctx, stream, d.name); errors.Is(err, jetstream.ErrConsumerNotFound) {
			err = nil
		}
	}
	if err != nil {
		return fmt.Errorf("delete consumer %s of %s: %w", name, stream, translate(err))
	}
	return nil
}

// Fetch returns up to max events as soon as some are there, and none if that
// takes longer than wait. One request to the server serves many calls; it may
// still bring up to max events (of each partition at least one), whose AckWait
// then runs already, after Fetch has returned: so fetch again soon, or let max be
// what there is room for. A consumer that was deleted is made anew, from the
// stream's beginning.
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
	if time.Since(c.looked) > partitionsEvery {
		if err := c.look(ctx); err != nil && ctx.Err() == nil {
			c.l.log.Warn("log: cannot tell how many partitions there are, will try again", "consumer", c.cfg.Name, "stream", c.cfg.Stream, "error", err)
		}
	}
	timeout := time.NewTimer(wait)
	defer timeout.Stop()
	for {
		select {
		case <-c.again: // the requests went down with the connection
			c.again = c.l.reconnect()
			for _, p := range c.parts {
				p.pull.owed = 0
			}
		default:
		}
		err := c.recreate(ctx)
		if err == nil {
			err = c.ensure(max)
		}
		if err == nil {
			select {
			case <-ctx.Done():
				return nil, nil
			case <-timeout.C:
				return nil, nil
			case <-c.again:
				continue
			case m := <-c.msgs:
				var ds []*Delivery
				if ds, err = c.drain(m, max); len(ds) > 0 {
					return ds, nil
				}
			}
		}
		if err != nil {
			return nil, fmt.Errorf("fetch from %s of %s: %w", c.cfg.Name, c.cfg.Stream, translate(err))
		}
	}
}

// recreate makes anew what was found gone.
func (c *Consumer) recreate(ctx context.Context) error {
	for _, p := range c.parts {
		if !p.gone {
			continue
		}
		c.l.log.Warn("log: consumer is not there, creating it", "consumer", p.name, "stream", c.cfg.Stream)
		if err := c.create(ctx, p.durable); err != nil {
			return err
		}
		p.gone = false
	}
	return nil
}

// ensure has about max events under way, shared out among the parts; one that has
// none asks for one at least.
func (c *Consumer) ensure(most int) error {
	owed := c.owed()
	for _, p := range c.parts {
		had := p.pull.owed
		n := min(max(most/len(c.parts), 1), had+max(most-owed, 0))
		if err := p.pull.ensure(max(n, 1)); err != nil {
			return err
		}
		owed += p.pull.owed - had
	}
	return nil
}

func (c *Consumer) owed() (n int) {
	for _, p := range c.parts {
		n += p.pull.owed
	}
	return n
}

// drain takes m and what else is there.
func (c *Consumer) drain(m *nats.Msg, max int) (ds []*Delivery, err error) {
	defer c.sumLag()
	for {
		d, err := c.take(m)
		if err != nil {
			return ds, err
		}
		if d != nil {
			ds = append(ds, d)
		}
		if len(ds) == max {
			return ds, nil
		}
		select {
		case m = <-c.msgs:
		default:
			return ds, nil
		}
	}
}

// take reads one answer; nil if it is no event.
func (c *Consumer) take(m *nats.Msg) (*Delivery, error) {
	i := slices.IndexFunc(c.parts, func(p *part) bool { return p.pull.sub == m.Sub })
	if i < 0 {
		return nil, nil
	}
	p := c.parts[i]
	ok, err := p.pull.take(m)
	if errors.Is(err, errGone) {
		p.gone, err = true, nil
	}
	if err != nil || !ok {
		return nil, err
	}
	at, err := parseDelivery(m.Reply)
	if err != nil {
		return nil, err
	}
	d := &Delivery{Subject: plainSubject(m.Subject), Header: m.Header, Data: m.Data, Stream: c.cfg.Stream, Consumer: c.cfg.Name,
		Sequence: at.seq, Attempt: int(at.attempt), nc: c.l.nc, reply: m.Reply, durable: p.name}
	d.Event, d.Err = event(m.Header, m.Data, d.Subject, at.seq)
	p.lag = at.pending
	return d, nil
}

func (c *Consumer) sumLag() {
	lag := uint64(0)
	for _, p := range c.parts {
		lag += p.lag
	}
	c.lag.Store(lag)
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
			case m := <-c.msgs:
				n++
				if d, err := c.take(m); err == nil && d != nil {
					ds = append(ds, d)
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
	sent := make([]uint64, len(c.parts))
listen:
	for quiet := 0; c.owed() > 0 && quiet < 3 && time.Now().Before(end); {
		idle := true
		for i, p := range c.parts {
			nothing, upTo, err := c.state(p)
			if err != nil {
				break listen
			}
			// What comes again is not counted as pending.
			idle, sent[i] = idle && nothing && upTo == sent[i], upTo
		}
		if n := take(); !idle || n > 0 {
			quiet = 0
			continue
		}
		quiet++
		<-time.After(2 * time.Millisecond)
	}
	var err error
	for _, p := range c.parts {
		err = cmp.Or(err, p.pull.sub.Drain())
	}
	if err != nil || !c.l.nc.IsConnected() || c.l.nc.FlushTimeout(c.l.timeout) != nil {
		for _, p := range c.parts {
			p.pull.close()
		}
	}
	take()
	// Asked for its state, the server forgets requests that nobody listens for.
	// Otherwise it finds out by the first event given back, and puts that last.
	for _, p := range c.parts {
		if _, _, err := c.state(p); err != nil {
			break
		}
	}
	return ds
}

// state tells whether the server has nothing to send now, to anybody, and the
// number of what it has sent last.
func (c *Consumer) state(p *part) (idle bool, sent uint64, err error) {
	if !c.l.nc.IsConnected() {
		return false, 0, nats.ErrDisconnected
	}
	ctx, cancel := c.l.bounded(context.Background())
	defer cancel()
	r, err := c.l.js.Consumer(ctx, c.cfg.Stream, p.name)
	if err != nil {
		return false, 0, err
	}
	info := r.CachedInfo()
	idle = info.NumPending == 0 || info.NumWaiting == 0 || info.NumAckPending >= c.cfg.MaxAckPending
	return idle, info.Delivered.Consumer, nil
}

// GiveBack asks for another delivery of all of ds at once, in the order of their
// sequences (of each partition) and before anything new, and waits until the
// server has noted it.
func (c *Consumer) GiveBack(ctx context.Context, ds []*Delivery) error {
	ds = slices.Clone(ds)
	slices.SortFunc(ds, func(a, b *Delivery) int {
		return cmp.Or(cmp.Compare(a.durable, b.durable), cmp.Compare(a.Sequence, b.Sequence))
	})
	ctx, cancel := c.l.bounded(ctx)
	defer cancel()
	for i, d := range ds {
		if i+1 < len(ds) && ds[i+1].durable == d.durable {
			if err := d.Nak(0); err != nil {
				return err
			}
			continue
		}
		if _, err := c.l.nc.RequestWithContext(ctx, d.reply, []byte("-NAK")); err != nil {
			return fmt.Errorf("give back to %s of %s: %w", d.durable, c.cfg.Stream, translate(err))
		}
	}
	return nil
}

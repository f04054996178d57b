package fanout

import (
	"context"
	"fmt"
	"math/bits"
	"sync"
	"time"

	natslog "github.com/chat-platform/chat/infra/nats"
	"github.com/chat-platform/chat/longrunning/internal/link"
)

// keysAtOnce is how many keys change while events wait, about 0.2 ms.
const keysAtOnce = 1000

// control takes the requests of the instances.
type control struct {
	cfg  Config
	r    *router
	kick chan struct{} // the number of free slots has changed

	mu     sync.Mutex // one request at a time; before the router's locks
	links  map[link.ID]*outlet
	taken  uint64 // slots in use
	closed bool   // nobody may attach any more
}

func newControl(cfg Config, r *router) *control {
	return &control{cfg: cfg, r: r, kick: make(chan struct{}, 1), links: make(map[link.ID]*outlet)}
}

// open listens for the requests of links.
func (c *control) open(bus *natslog.Bus) (stop func(), err error) {
	subject := link.InterestSubject(c.cfg.ID)
	stop, err = bus.Subscribe(subject, "", c.answer)
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", subject, err)
	}
	return stop, nil
}

// run opens the door to new instances while there are free slots, and ends the
// links of those that are no longer heard.
func (c *control) run(ctx context.Context, bus *natslog.Bus) error {
	var shut func() // not nil while the door is open
	defer func() {
		if shut != nil {
			shut()
		}
	}()
	t := time.NewTicker(min(link.TickEvery, c.cfg.DeadAfter/4))
	defer t.Stop()
	for {
		switch free := c.free(); {
		case free && shut == nil:
			stop, err := bus.Subscribe(link.AttachSubject, link.AttachQueue, c.answer)
			if err != nil {
				return fmt.Errorf("listen on %s: %w", link.AttachSubject, err)
			}
			shut = stop
		case !free && shut != nil:
			shut()
			shut = nil
		}
		select {
		case <-ctx.Done():
			return nil
		case <-c.kick:
		case now := <-t.C:
			c.expire(now)
		}
	}
}

// answer handles one request. Nobody waits for an answer that can't be sent.
func (c *control) answer(m natslog.BusMessage) {
	a := link.Answer{Status: link.StatusInvalid}
	request, err := link.ParseRequest(m.Data)
	if err != nil {
		c.r.log.Warn("fanout: request refused", "subject", m.Subject, "error", err)
	} else {
		a = c.handle(request)
	}
	a.FanOut = c.cfg.ID
	if err := m.Respond(a.Append(nil)); err != nil {
		c.r.log.Warn("fanout: answer not sent", "subject", m.Subject, "status", a.Status.String(), "error", err)
	}
}

func (c *control) handle(request link.Request) link.Answer {
	c.mu.Lock()
	defer c.mu.Unlock()
	defer c.measure()
	switch r := request.(type) {
	case link.Attach:
		return c.attach(r)
	case link.Interest:
		return c.interest(r)
	case link.Detach:
		if o := c.links[r.Link]; o != nil {
			c.end(o, "detached", false)
		}
		return link.Answer{Link: r.Link, Positions: c.r.positions()}
	}
	return link.Answer{Status: link.StatusInvalid}
}

func (c *control) attach(a link.Attach) link.Answer {
	if a.Instance == "" {
		return link.Answer{Status: link.StatusInvalid, Link: a.Link}
	}
	for id, o := range c.links {
		if id == a.Link || o.instance == a.Instance {
			c.end(o, "replaced", false)
		}
	}
	slot := bits.TrailingZeros64(^c.taken)
	if slot >= c.cfg.MaxInstances || c.closed {
		return link.Answer{Status: link.StatusFull, Link: a.Link}
	}
	o := &outlet{id: a.Link, instance: a.Instance, subject: link.NotifySubject(a.Instance), slot: slot, heard: time.Now()}
	c.links[a.Link] = o
	c.taken |= 1 << slot
	c.r.log.Info("fanout: instance attached", "fanout", c.cfg.ID, "instance", a.Instance, "link", a.Link.String(), "slot", slot)
	return link.Answer{Link: a.Link, Positions: c.r.join(o)}
}

// interest changes the link's keys. A position read after that, while no batch is
// being routed, is exact: what is routed later sees the keys.
func (c *control) interest(i link.Interest) link.Answer {
	o := c.links[i.Link]
	if o == nil {
		return link.Answer{Status: link.StatusUnknown, Link: i.Link}
	}
	o.heard = time.Now()
	for keys := i.Remove; len(keys) > 0; {
		n := min(len(keys), keysAtOnce)
		c.r.change(keys[:n], o.slot, c.r.table.Remove)
		keys = keys[n:]
	}
	at := c.r.positions()
	for keys := i.Add; len(keys) > 0; {
		n := min(len(keys), keysAtOnce)
		at = c.r.change(keys[:n], o.slot, c.r.table.Add)
		keys = keys[n:]
	}
	if len(i.Add) > 0 {
		c.r.tickTo(o) // an instance that waits to have got that far need not wait for the clock
	}
	return link.Answer{Link: i.Link, Positions: at}
}

// expire ends the links that have not been heard of. They are told, in case they
// are alive.
func (c *control) expire(now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, o := range c.links {
		if now.Sub(o.heard) >= c.cfg.DeadAfter {
			c.end(o, "silent", true)
		}
	}
	c.measure()
}

// end ends a link and frees its slot once nothing in the table, nor in a batch on
// its way, points to it.
func (c *control) end(o *outlet, reason string, tell bool) {
	c.r.leave(o, tell)
	delete(c.links, o.id)
	c.taken &^= 1 << o.slot
	c.r.m.ended.WithLabelValues(reason).Inc()
	c.r.log.Info("fanout: link ended", "fanout", c.cfg.ID, "instance", o.instance, "link", o.id.String(), "reason", reason)
}

// close ends all links at once, each with a last frame, and takes no new ones.
func (c *control) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	c.r.farewell()
	clear(c.links)
	c.measure()
}

func (c *control) free() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.links) < c.cfg.MaxInstances
}

// measure sets the gauges and lets run look at the door.
func (c *control) measure() {
	c.r.m.instances.Set(float64(len(c.links)))
	c.r.m.keys.Set(float64(c.r.table.Len()))
	c.r.m.bytes.Set(float64(c.r.table.Bytes()))
	select {
	case c.kick <- struct{}{}:
	default:
	}
}

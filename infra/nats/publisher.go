package nats

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/chat-platform/chat/events"
)

// maxUnacked bounds the publishes that wait for their acknowledgement, of all
// callers together.
const maxUnacked = 1 << 16

// publisher matches acknowledgements to publishes: one subscription for all of
// them, a counter in the reply subject, and one sweep for those that never come
// instead of a timer each.
type publisher struct {
	nc      *nats.Conn
	sub     *nats.Subscription
	prefix  string
	timeout time.Duration
	stop    chan struct{}
	stopped sync.WaitGroup
	once    sync.Once

	mu      sync.Mutex
	last    uint64
	waiting map[uint64]*publish
}

type publish struct {
	id   uint64
	sent time.Time
	done chan receipt // capacity 1; whoever takes it out of waiting sends
}

type receipt struct {
	msg *nats.Msg
	err error
}

func newPublisher(nc *nats.Conn, timeout time.Duration) (*publisher, error) {
	p := &publisher{nc: nc, prefix: nc.NewInbox() + ".", timeout: timeout, stop: make(chan struct{}), waiting: map[uint64]*publish{}}
	var err error
	if p.sub, err = nc.Subscribe(p.prefix+"*", p.acknowledged); err != nil {
		return nil, err
	}
	p.stopped.Go(p.sweep)
	return p, nil
}

var publishes = sync.Pool{New: func() any { return &publish{done: make(chan receipt, 1)} }}

// send publishes without waiting; each send without error must be followed by a
// wait.
func (p *publisher) send(m *nats.Msg) (*publish, error) {
	w := publishes.Get().(*publish)
	w.sent = time.Now()
	p.mu.Lock()
	if len(p.waiting) >= maxUnacked {
		p.mu.Unlock()
		publishes.Put(w)
		return nil, fmt.Errorf("%w: %d publishes wait for their acknowledgement", events.ErrUnavailable, maxUnacked)
	}
	p.last++
	w.id = p.last
	p.waiting[w.id] = w
	p.mu.Unlock()
	m.Reply = p.prefix + strconv.FormatUint(w.id, 36)
	if err := p.nc.PublishMsg(m); err != nil {
		p.forget(w)
		return nil, err
	}
	return w, nil
}

// wait returns the log's answer; a context that ends leaves it open whether the
// event was stored.
func (p *publisher) wait(ctx context.Context, w *publish) (events.Ack, error) {
	select {
	case r := <-w.done:
		publishes.Put(w)
		if r.err != nil {
			return events.Ack{}, r.err
		}
		return parseAck(r.msg)
	case <-ctx.Done():
		p.forget(w)
		return events.Ack{}, ctx.Err()
	}
}

func (p *publisher) forget(w *publish) {
	p.mu.Lock()
	_, mine := p.waiting[w.id]
	delete(p.waiting, w.id)
	p.mu.Unlock()
	if !mine {
		<-w.done // somebody has it in hand
	}
	publishes.Put(w)
}

func (p *publisher) acknowledged(m *nats.Msg) {
	id, err := strconv.ParseUint(m.Subject[len(p.prefix):], 36, 64)
	if err != nil {
		return
	}
	p.mu.Lock()
	w, ok := p.waiting[id]
	delete(p.waiting, id)
	p.mu.Unlock()
	if ok {
		w.done <- receipt{msg: m}
	}
}

// fail ends all that wait.
func (p *publisher) fail(err error) { p.failOlder(time.Now().Add(time.Hour), err) }

func (p *publisher) failOlder(than time.Time, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for id, w := range p.waiting {
		if w.sent.Before(than) {
			delete(p.waiting, id)
			w.done <- receipt{err: err}
		}
	}
}

func (p *publisher) sweep() {
	t := time.NewTicker(p.timeout / 4)
	defer t.Stop()
	for {
		select {
		case <-p.stop:
			return
		case now := <-t.C:
			p.failOlder(now.Add(-p.timeout), nats.ErrTimeout)
		}
	}
}

func (p *publisher) close() {
	p.once.Do(func() { close(p.stop) })
	p.stopped.Wait()
	p.fail(nats.ErrConnectionClosed)
}

// parseAck reads {"stream":"MESSAGES","seq":22,"duplicate":true} by hand where it
// has just that form.
func parseAck(m *nats.Msg) (events.Ack, error) {
	if len(m.Data) == 0 && m.Header.Get("Status") == "503" {
		return events.Ack{}, nats.ErrNoResponders
	}
	if ack, ok := plainAck(string(m.Data)); ok {
		return ack, nil
	}
	var a struct {
		Error     *jetstream.APIError `json:"error"`
		Stream    string              `json:"stream"`
		Seq       uint64              `json:"seq"`
		Duplicate bool                `json:"duplicate"`
	}
	if err := json.Unmarshal(m.Data, &a); err != nil {
		return events.Ack{}, fmt.Errorf("%w: acknowledgement %q: %w", events.ErrUnavailable, m.Data, err)
	}
	if a.Error != nil {
		return events.Ack{}, a.Error
	}
	if a.Stream == "" || a.Seq == 0 {
		return events.Ack{}, fmt.Errorf("%w: acknowledgement %q names no sequence", events.ErrUnavailable, m.Data)
	}
	return events.Ack{Stream: a.Stream, Seq: a.Seq, Duplicate: a.Duplicate}, nil
}

func plainAck(s string) (events.Ack, bool) {
	s, ok := strings.CutPrefix(s, `{"stream":"`)
	name, s, ok2 := strings.Cut(s, `","seq":`)
	if !ok || !ok2 || len(s) < 2 {
		return events.Ack{}, false
	}
	i := 0
	var seq uint64
	for ; i < len(s) && i < 19 && s[i] >= '0' && s[i] <= '9'; i++ {
		seq = seq*10 + uint64(s[i]-'0')
	}
	// JetStream writes a space before the duplicate's flag.
	rest := strings.TrimSpace(s[i:])
	if i == 0 || seq == 0 || rest != "}" && rest != `,"duplicate": true}` && rest != `,"duplicate":true}` {
		return events.Ack{}, false
	}
	for _, st := range streams {
		if st.name == name { // its name without garbage
			return events.Ack{Stream: st.name, Seq: seq, Duplicate: rest != "}"}, true
		}
	}
	return events.Ack{}, false
}

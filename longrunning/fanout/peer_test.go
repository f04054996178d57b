package fanout_test

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/chat-platform/chat/events"
	natslog "github.com/chat-platform/chat/infra/nats"
	"github.com/chat-platform/chat/longrunning/fanout"
	"github.com/chat-platform/chat/longrunning/internal/link"
)

const patience = 60 * time.Second

// start runs a fan-out until the test ends or stop is called, and waits until it
// is ready.
func start(t testing.TB, log fanout.Log, cfg fanout.Config) (s *fanout.Service, stop func()) {
	t.Helper()
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.DeadAfter == 0 {
		cfg.DeadAfter = time.Hour // peers send no heartbeats
	}
	s = fanout.New(log, cfg)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		require.NoError(t, <-done)
	})
	t.Cleanup(stop)
	require.Eventually(t, func() bool { return s.Ready(t.Context()) == nil }, patience, 5*time.Millisecond)
	return s, stop
}

// peer is a notification instance, as far as the link is concerned.
type peer struct {
	t      testing.TB
	bus    *natslog.Bus
	name   string
	fanout string

	mu      sync.Mutex
	tracker link.Tracker
	frames  []link.Frame // of the link, in order
	over    bool
}

func newPeer(t testing.TB, log *natslog.Log, name string) *peer {
	t.Helper()
	p := &peer{t: t, bus: log.Bus(), name: name}
	stop, err := p.bus.Subscribe(link.NotifySubject(name), "", p.take)
	require.NoError(t, err)
	t.Cleanup(stop)
	return p
}

func (p *peer) take(m natslog.BusMessage) {
	f, err := link.ParseFrame(m.Data)
	if err != nil || len(m.Data) > link.MaxFrame {
		p.t.Errorf("%s got a frame of %d bytes: %v", p.name, len(m.Data), err)
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	switch p.tracker.Take(f, time.Now()) {
	case link.Deliver:
		p.frames = append(p.frames, f)
		p.over = p.over || f.Last
	case link.Broken:
		p.over = true
	case link.Ignore:
	}
}

func (p *peer) ask(subject string, r link.Request) (link.Answer, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	b, err := p.bus.Request(ctx, subject, r.Append(nil))
	if err != nil {
		return link.Answer{}, err
	}
	return link.ParseAnswer(b)
}

// tryAttach begins a new link.
func (p *peer) tryAttach() (link.Answer, error) {
	id := link.NewLinkID()
	p.mu.Lock()
	p.tracker, p.frames, p.over = link.Track(id, time.Now()), nil, false
	p.mu.Unlock()
	a, err := p.ask(link.AttachSubject, link.Attach{Link: id, Instance: p.name})
	p.fanout = a.FanOut
	return a, err
}

func (p *peer) attach() link.Answer {
	p.t.Helper()
	var a link.Answer
	require.Eventually(p.t, func() bool {
		var err error
		a, err = p.tryAttach()
		return err == nil && a.Status == link.StatusOK
	}, patience, 10*time.Millisecond)
	return a
}

func (p *peer) request(r link.Request) link.Answer {
	p.t.Helper()
	a, err := p.ask(link.InterestSubject(p.fanout), r)
	require.NoError(p.t, err)
	return a
}

func (p *peer) add(keys ...string) link.Positions {
	p.t.Helper()
	var at link.Positions
	for i := range link.Interests(p.link(), keys, nil) {
		a := p.request(i)
		require.Equal(p.t, link.StatusOK, a.Status)
		at = a.Positions
	}
	return at
}

func (p *peer) remove(keys ...string) {
	p.t.Helper()
	require.Equal(p.t, link.StatusOK, p.request(link.Interest{Link: p.link(), Remove: keys}).Status)
}

func (p *peer) link() link.ID {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.tracker.Link()
}

func (p *peer) ended() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.over
}

// got gives the events of the link so far and its positions.
func (p *peer) got() (items []link.Item, after link.Positions) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, f := range p.frames {
		items = append(items, f.Events...)
		after = f.After
	}
	return items, after
}

// reach waits until the link's positions have come to these.
func (p *peer) reach(at link.Positions) []link.Item {
	p.t.Helper()
	var items []link.Item
	require.Eventually(p.t, func() bool {
		var after link.Positions
		items, after = p.got()
		return after.Messages >= at.Messages && after.Metadata >= at.Metadata
	}, patience, 2*time.Millisecond, "%s waits for %+v", p.name, at)
	return items
}

var unique struct {
	sync.Mutex
	n int
}

func id() string {
	unique.Lock()
	defer unique.Unlock()
	unique.n++
	return fmt.Sprintf("id-%d", unique.n)
}

func sent(channel events.ChannelID, data string) events.Event {
	return events.Event{ID: id(), Source: "/test", Type: events.TypeMessageSent, Subject: events.MessageSubject(channel),
		PartitionKey: string(channel), Time: time.Now().UTC(), Data: []byte(data)}
}

func membership(kind string, channel events.ChannelID, user events.UserID) events.Event {
	return events.Event{ID: id(), Source: "/test", Type: kind, Subject: events.MemberSubject(channel, user),
		PartitionKey: string(channel), Time: time.Now().UTC(), Data: []byte(`{}`)}
}

func publish(t testing.TB, log *natslog.Log, e events.Event) uint64 {
	t.Helper()
	ack, err := log.Publish(t.Context(), e)
	require.NoError(t, err)
	return ack.Seq
}

// publishAll stores the events in order and gives the last one's sequence.
func publishAll(t testing.TB, log *natslog.Log, es []events.Event) uint64 {
	t.Helper()
	acks, errs := log.PublishAll(t.Context(), es, nil)
	for _, err := range errs {
		require.NoError(t, err)
	}
	return acks[len(acks)-1].Seq
}

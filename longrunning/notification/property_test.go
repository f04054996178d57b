package notification_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/chat-platform/chat/events"
	natslog "github.com/chat-platform/chat/infra/nats"
	"github.com/chat-platform/chat/infra/nats/natstest"
	fanoutservice "github.com/chat-platform/chat/longrunning/fanout"
	"github.com/chat-platform/chat/longrunning/notification"
)

// model is a client as the protocol's documentation wants it, which checks what
// it is told: in order, no gap by prev, nothing twice but after a join, nothing
// of a channel left.
type model struct {
	t         *testing.T
	user      string
	instances []*instance

	mu     sync.Mutex
	seen   map[string]map[uint64]bool // channel → messages
	faults []string
	ready  chan struct{}

	calm   atomic.Bool // the connection is left alone
	cursor string
	last   map[string]uint64 // channel → last message
	in     map[string]bool
}

func (m *model) fault(format string, args ...any) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.faults = append(m.faults, m.user+": "+fmt.Sprintf(format, args...))
}

func (m *model) has(channel string, seq uint64) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.seen[channel][seq]
}

// run connects, breaks the connection at random, and resumes anywhere.
func (m *model) run(ctx context.Context, r *rand.Rand) {
	for ctx.Err() == nil {
		c := dial(m.t, m.instances[r.IntN(len(m.instances))])
		if m.cursor == "" {
			c.say("identify", "token", m.user)
		} else {
			c.say("resume", "token", m.user, "cursor", m.cursor)
		}
		stop := context.AfterFunc(ctx, func() { _ = c.conn.CloseNow() })
		meta := map[string]uint64{}
		for life := 1 + r.IntN(60)*(1+9*r.IntN(2)); life > 0 || m.calm.Load(); life-- {
			o, err := c.read()
			if err != nil {
				break
			}
			m.take(o, meta)
		}
		stop()
		_ = c.conn.CloseNow()
	}
}

func (m *model) take(o op, meta map[string]uint64) {
	if o.Cursor != "" {
		m.cursor = o.Cursor
	}
	switch {
	case o.Op == "ready":
		close(m.ready)
	case o.Op == "resumed":
		if len(o.Limited) > 0 || o.All {
			m.fault("limited: %+v", o)
		}
	case o.Op != "event":
		m.fault("unexpected %+v", o)
	case o.Stream == "metadata":
		if o.Seq <= meta[o.Channel] {
			m.fault("metadata %d of %s after %d", o.Seq, o.Channel, meta[o.Channel])
		}
		meta[o.Channel] = o.Seq
		var j events.MemberJoined
		if err := json.Unmarshal(o.Data, &j); err != nil || string(j.UserID) != m.user {
			return
		}
		m.in[o.Channel] = o.Type == events.TypeMemberJoined
		delete(m.last, o.Channel)
	default:
		if !m.in[o.Channel] {
			m.fault("message %d of %s, which the user is not in", o.Seq, o.Channel)
		}
		if last, ok := m.last[o.Channel]; ok && o.Prev != last {
			m.fault("message %d of %s says prev %d after %d", o.Seq, o.Channel, o.Prev, last)
		}
		m.last[o.Channel] = o.Seq
		m.mu.Lock()
		if m.seen[o.Channel] == nil {
			m.seen[o.Channel] = map[uint64]bool{}
		}
		m.seen[o.Channel][o.Seq] = true
		m.mu.Unlock()
	}
}

// stay is a time in a channel: the messages of which the member must have been told.
type stay struct {
	user, channel string
	after, upTo   uint64
}

// act joins, leaves and sends at random. Before it leaves it lets the client see
// what was sent so far, so that what must have been seen is certain.
func (m *model) act(log *natslog.Log, r *rand.Rand, channels []string, steps int) (stays []stay) {
	open := map[string]uint64{}
	for range steps {
		c := channels[r.IntN(len(channels))]
		after, in := open[c]
		switch n := r.IntN(10); {
		case !in && n < 5:
			join(m.t, log, c, m.user)
			open[c] = end(m.t, log)
		case in && n == 0:
			upTo := lastOf(m.t, log, c)
			if upTo > after {
				m.await(c, upTo)
				stays = append(stays, stay{m.user, c, after, upTo})
			}
			leave(m.t, log, c, m.user)
			delete(open, c)
		default:
			send(m.t, log, c, m.user, "x")
		}
	}
	for c, after := range open {
		stays = append(stays, stay{m.user, c, after, 0})
	}
	return stays
}

func (m *model) await(channel string, seq uint64) {
	deadline := time.After(3 * patience) // it may take several connections
	for !m.has(channel, seq) {
		select {
		case <-time.After(2 * time.Millisecond):
		case <-deadline:
			m.fault("message %d of %s never came", seq, channel)
			return
		}
	}
}

func end(t *testing.T, log *natslog.Log) uint64 {
	t.Helper()
	n, err := log.LastSequence(context.Background(), events.StreamMessages)
	require.NoError(t, err)
	return n
}

func lastOf(t *testing.T, log *natslog.Log, channel string) uint64 {
	t.Helper()
	s := events.MessageSubject(events.ChannelID(channel))
	m, err := log.LastBefore(context.Background(), []string{s}, 1<<62)
	require.NoError(t, err)
	return m[s]
}

func TestClientsSeeTheLog(t *testing.T) {
	for name, trouble := range map[string]func(fs []*fanout, step int){
		"calm":         func([]*fanout, int) {},
		"real fan-out": nil,
		"lost frames": func(fs []*fanout, step int) {
			for _, f := range fs {
				f.set(func() { f.lose = (step + 1) % 8 / 7 })
			}
		},
		"a fan-out dies": func(fs []*fanout, step int) {
			if step == 3 {
				fs[0].stop()
			}
		},
		"streams lag": lag(),
	} {
		t.Run(name, func(t *testing.T) { clientsSeeTheLog(t, trouble, 0) })
		t.Run(name+", memberships kept", func(t *testing.T) { clientsSeeTheLog(t, trouble, 1) })
	}
}

// lag lets one fan-out after the other stand still in one of the streams, so that
// instances are far apart in ever another order; step 0 ends it.
func lag() func(fs []*fanout, step int) {
	release := func() {}
	return func(fs []*fanout, step int) {
		release()
		release = func() {}
		if step > 0 {
			stream := []string{events.StreamMessages, events.StreamMetadata}[step/2%2]
			release = fs[step%len(fs)].hold(stream)
		}
	}
}

func startRealFanout(t *testing.T, log *natslog.Log) {
	t.Helper()
	f := fanoutservice.New(log, fanoutservice.Config{ID: "real", Logger: slog.New(slog.DiscardHandler)})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- f.Run(ctx) }()
	t.Cleanup(func() { cancel(); require.NoError(t, <-done) })
	require.Eventually(t, func() bool { return f.Ready(t.Context()) == nil }, patience, 5*time.Millisecond)
}

func clientsSeeTheLog(t *testing.T, trouble func([]*fanout, int), snapshotAfter int) {
	t.Helper()
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	srv := natstest.Start(t)
	log := natstest.Connect(t, srv)
	var fs []*fanout
	if trouble == nil {
		startRealFanout(t, natstest.Connect(t, srv))
		trouble = func([]*fanout, int) {}
	} else {
		fs = []*fanout{startFanout(t, natstest.Connect(t, srv), "f1"), startFanout(t, natstest.Connect(t, srv), "f2")}
	}
	var instances []*instance
	for range 3 {
		instances = append(instances, startInstance(t, natstest.Connect(t, srv), notification.Config{ReplayPerChannel: 1 << 20, ReplayEvents: 1 << 20, SnapshotAfter: snapshotAfter}))
	}
	channels := []string{"ch_a", "ch_b", "ch_c", "ch_d"}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var clients, actors sync.WaitGroup
	var models []*model
	for u := range 6 {
		m := &model{t: t, user: fmt.Sprintf("user %d", u), instances: instances, ready: make(chan struct{}),
			seen: map[string]map[uint64]bool{}, last: map[string]uint64{}, in: map[string]bool{}}
		models = append(models, m)
		clients.Go(func() { m.run(ctx, rand.New(rand.NewPCG(seed, uint64(u)))) })
		<-m.ready
	}
	var mu sync.Mutex
	var stays []stay
	for u, m := range models {
		actors.Go(func() {
			s := m.act(log, rand.New(rand.NewPCG(seed, 100+uint64(u))), channels, 60)
			mu.Lock()
			defer mu.Unlock()
			stays = append(stays, s...)
		})
	}
	done := make(chan struct{})
	go func() { actors.Wait(); close(done) }()
	tick := time.NewTicker(30 * time.Millisecond)
	defer tick.Stop()
	for step, over := 0, false; !over; step++ {
		select {
		case <-done:
			over = true
		case <-tick.C:
			trouble(fs, step)
		}
	}
	trouble(fs, 0)
	for _, m := range models {
		m.calm.Store(true)
	}

	sent := map[string][]uint64{}
	require.NoError(t, log.Range(t.Context(), events.StreamMessages, nil, 1, end(t, log), func(e events.Event) error {
		c := string(events.ChannelOf(e.Subject))
		sent[c] = append(sent[c], e.Sequence)
		return nil
	}))
	byUser := map[string]*model{}
	for _, m := range models {
		byUser[m.user] = m
	}
	checked := 0
	for _, s := range stays {
		m := byUser[s.user]
		if s.upTo == 0 {
			s.upTo = 1 << 62
		}
		for _, seq := range sent[s.channel] {
			if seq > s.after && seq <= s.upTo {
				m.await(s.channel, seq)
				checked++
			}
		}
	}
	cancel()
	clients.Wait()
	for _, m := range models {
		require.Empty(t, m.faults)
	}
	require.NotZero(t, checked)
	t.Logf("%d messages in %d stays", checked, len(stays))
}

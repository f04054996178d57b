// Package longrunning_test holds what only several services together can show.
package longrunning_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/chat-platform/chat/events"
	natslog "github.com/chat-platform/chat/infra/nats"
	"github.com/chat-platform/chat/infra/nats/embedded"
	"github.com/chat-platform/chat/infra/nats/natstest"
	"github.com/chat-platform/chat/longrunning/fanout"
	"github.com/chat-platform/chat/longrunning/notification"
)

const patience = 60 * time.Second

var quiet = slog.New(slog.DiscardHandler)

// Two fan-outs, three notification instances, twelve people with a socket each in
// four channels, and two writers who never stop. One instance dies without a word,
// then one fan-out. Everybody has every message of their channels once, in the
// log's order, each naming the one before it.
func TestNobodyMissesAMessageWhenAnInstanceAndAFanOutDie(t *testing.T) {
	srv := natstest.Start(t)
	log := natstest.Connect(t, srv)
	channels := []events.ChannelID{"ch_a", "ch_b", "ch_c", "ch_d"}
	const people = 12
	var clients []*client
	for n := range people {
		c := &client{user: events.UserID(fmt.Sprintf("user %d", n)), got: map[events.ChannelID][]arrival{}}
		for i, ch := range channels {
			if (n>>(i%3))&1 == 0 || i == n%4 {
				c.channels = append(c.channels, ch)
				join(t, log, ch, c.user)
			}
		}
		clients = append(clients, c)
	}

	// The first two instances fill the first fan-out, the third takes the second.
	reg := prometheus.NewRegistry()
	killFanOut := startFanOut(t, srv, fanout.Config{ID: "one", MaxInstances: 2, Registerer: reg})
	var urls []string
	kill := map[string]func(){}
	for n := range 3 {
		if n == 2 {
			startFanOut(t, srv, fanout.Config{ID: "two", Registerer: reg})
		}
		url, k := startInstance(t, srv, fmt.Sprintf("n%d", n))
		urls, kill[url] = append(urls, url), k
	}
	require.Equal(t, map[string]float64{"one": 2, "two": 1}, attached(t, reg))

	ctx, leave := context.WithCancel(context.Background())
	var sessions sync.WaitGroup
	defer sessions.Wait()
	defer leave()
	for n, c := range clients {
		sessions.Go(func() { c.run(ctx, urls, n) })
	}
	for _, c := range clients {
		require.Eventually(t, func() bool { return c.state().ready }, patience, 5*time.Millisecond, "%s", c.user)
	}

	var writers sync.WaitGroup
	writing, stop := context.WithCancel(context.Background())
	defer writers.Wait()
	defer stop()
	for w := range 2 {
		writer := natstest.Connect(t, srv)
		writers.Go(func() {
			pace := time.NewTicker(2 * time.Millisecond)
			defer pace.Stop()
			for n := 0; writing.Err() == nil; n++ {
				if _, err := writer.Publish(context.Background(), message(channels[n%len(channels)], fmt.Sprintf("writer %d says %d", w, n))); err != nil {
					t.Errorf("writer %d: %v", w, err)
					return
				}
				<-pace.C
			}
		})
	}
	// everybody waits until all have got n messages more in each channel.
	everybody := func(n int) {
		t.Helper()
		want := map[*client]int{}
		for _, c := range clients {
			want[c] = c.fewest() + n
		}
		for _, c := range clients {
			require.Eventually(t, func() bool { return c.fewest() >= want[c] }, patience, 10*time.Millisecond, "%s: %+v", c.user, c.state())
		}
	}
	everybody(20)
	kill[urls[0]]()
	everybody(20)
	killFanOut()
	everybody(20)
	require.Eventually(t, func() bool { return attached(t, reg)["two"] == 2 }, patience, 10*time.Millisecond)
	everybody(20)
	stop()
	writers.Wait()

	written := history(t, log)
	resumed := 0
	for _, c := range clients {
		require.Eventually(t, func() bool {
			n := 0
			for _, ch := range c.channels {
				n += len(written[ch])
			}
			return c.state().messages >= n
		}, patience, 5*time.Millisecond, "%s: %+v", c.user, c.state())
	}
	leave()
	sessions.Wait()
	for _, c := range clients {
		require.Empty(t, c.fault)
		require.Len(t, c.got, len(c.channels), "only their own channels")
		for _, ch := range c.channels {
			require.Equal(t, written[ch], c.got[ch], "%s in %s", c.user, ch)
		}
		resumed += c.resumed
	}
	require.GreaterOrEqual(t, resumed, people/3, "those of the instance that died came back elsewhere")
}

// arrival is a message as a channel's order has it.
type arrival struct{ seq, prev uint64 }

// history is what the log holds.
func history(t *testing.T, log *natslog.Log) map[events.ChannelID][]arrival {
	t.Helper()
	last, err := log.LastSequence(t.Context(), events.StreamMessages)
	require.NoError(t, err)
	all, prev := map[events.ChannelID][]arrival{}, map[events.ChannelID]uint64{}
	require.NoError(t, log.Range(t.Context(), events.StreamMessages, nil, 1, last, func(e events.Event) error {
		ch := events.ChannelOf(e.Subject)
		all[ch] = append(all[ch], arrival{e.Sequence, prev[ch]})
		prev[ch] = e.Sequence
		return nil
	}))
	return all
}

// startFanOut runs a fan-out on a connection of its own. kill cuts that: it can
// say nothing any more, not even goodbye.
func startFanOut(t *testing.T, srv *embedded.Server, cfg fanout.Config) (kill func()) {
	t.Helper()
	log := natstest.Connect(t, srv)
	cfg.Logger = quiet
	s := fanout.New(log, cfg)
	background(t, s.Run)
	require.Eventually(t, func() bool { return s.Ready(t.Context()) == nil }, patience, 5*time.Millisecond)
	return func() { require.NoError(t, log.Close()) }
}

// startInstance runs a notification instance. kill cuts its connection to NATS
// and all of its sockets at once.
func startInstance(t *testing.T, srv *embedded.Server, name string) (url string, kill func()) {
	t.Helper()
	log := natstest.Connect(t, srv)
	s := notification.New(log, log.Bus(), verifier{}, notification.Config{Instance: name, Logger: quiet, DrainSpread: time.Millisecond, CloseTimeout: time.Second})
	background(t, s.Run)
	require.Eventually(t, func() bool { return s.Ready(t.Context()) == nil }, patience, 5*time.Millisecond)
	server := httptest.NewUnstartedServer(s.Handler())
	sockets := &sockets{Listener: server.Listener}
	server.Listener = sockets
	server.Start()
	t.Cleanup(server.Close)
	return server.URL, func() {
		require.NoError(t, log.Close())
		sockets.cut()
	}
}

// background runs a service until the test has ended.
func background(t *testing.T, run func(context.Context) error) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- run(ctx) }()
	t.Cleanup(func() {
		cancel()
		require.NoError(t, <-done)
	})
}

// sockets is a listener that can cut everything it has accepted, as the kernel
// does when a process dies.
type sockets struct {
	net.Listener
	mu   sync.Mutex
	all  []net.Conn
	dead bool
}

func (s *sockets) Accept() (net.Conn, error) {
	conn, err := s.Listener.Accept()
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.dead {
		_ = conn.Close()
		return conn, nil
	}
	s.all = append(s.all, conn)
	return conn, nil
}

func (s *sockets) cut() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.dead = true
	for _, c := range s.all {
		_ = c.Close()
	}
}

// verifier takes the user's id for a token.
type verifier struct{}

func (verifier) Verify(_ context.Context, token string) (events.Caller, error) {
	return events.Caller{User: events.UserID(token)}, nil
}

// client is a person with one session, who goes to the next instance whenever the
// socket breaks, and resumes there.
type client struct {
	user     events.UserID
	channels []events.ChannelID

	mu      sync.Mutex
	got     map[events.ChannelID][]arrival
	cursor  string
	fault   string
	ready   bool
	resumed int
}

type state struct {
	ready             bool
	messages, resumed int
	fault             string
}

func (c *client) state() state {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := state{ready: c.ready, resumed: c.resumed, fault: c.fault}
	for _, g := range c.got {
		s.messages += len(g)
	}
	return s
}

// fewest is the number of messages in the channel that has least.
func (c *client) fewest() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	var n []int
	for _, ch := range c.channels {
		n = append(n, len(c.got[ch]))
	}
	return slices.Min(n)
}

func (c *client) run(ctx context.Context, urls []string, n int) {
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	for ; ctx.Err() == nil; n++ {
		c.session(ctx, urls[n%len(urls)])
		select {
		case <-ctx.Done():
		case <-again.C:
		}
	}
}

// op is what the test reads of the server's ops.
type op struct {
	Op         string           `json:"op"`
	Cursor     string           `json:"cursor"`
	Stream     string           `json:"stream"`
	Channel    events.ChannelID `json:"channel_id"`
	Seq        uint64           `json:"seq"`
	Prev       uint64           `json:"prev"`
	Limited    []any            `json:"limited"`
	LimitedAll bool             `json:"limited_all"`
	Reason     string           `json:"reason"`
}

func (c *client) session(ctx context.Context, url string) {
	dial, cancel := context.WithTimeout(ctx, patience)
	conn, answer, err := websocket.Dial(dial, url+"/ws", nil)
	cancel()
	if err != nil {
		return // this instance is no more, or not yet
	}
	if answer.StatusCode != http.StatusSwitchingProtocols {
		return
	}
	defer conn.CloseNow()
	hello := map[string]string{"op": "identify", "token": string(c.user)}
	c.mu.Lock()
	if c.cursor != "" {
		hello["op"], hello["cursor"] = "resume", c.cursor
	}
	c.mu.Unlock()
	b, err := json.Marshal(hello)
	if err != nil || conn.Write(ctx, websocket.MessageText, b) != nil {
		return
	}
	for {
		_, b, err := conn.Read(ctx)
		if err != nil {
			return
		}
		c.take(b)
	}
}

func (c *client) take(b []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	var o op
	if err := json.Unmarshal(b, &o); err != nil {
		c.fault = err.Error()
		return
	}
	switch {
	case o.Op == "invalid_session" || o.LimitedAll || len(o.Limited) > 0:
		c.fault = string(b)
	case o.Op == "ready":
		c.ready = true
	case o.Op == "resumed":
		c.resumed++
	case o.Op == "event" && o.Stream == "messages":
		c.got[o.Channel] = append(c.got[o.Channel], arrival{o.Seq, o.Prev})
	}
	if o.Cursor != "" {
		c.cursor = o.Cursor
	}
}

func message(channel events.ChannelID, text string) events.Event {
	m := events.MessageSent{ChannelID: channel, AuthorID: "writer", Text: text, SentAt: time.Now().UTC().Truncate(time.Millisecond), ClientID: events.NewClientID()}
	m.ID = events.NewMessageID(m.AuthorID, m.ChannelID, m.ClientID)
	return event(string(m.ID), events.TypeMessageSent, events.MessageSubject(channel), channel, m)
}

func join(t *testing.T, log *natslog.Log, channel events.ChannelID, user events.UserID) {
	t.Helper()
	m := events.MemberJoined{ChannelID: channel, UserID: user, Role: events.RoleMember, At: time.Now().UTC()}
	_, err := log.Publish(t.Context(), event(events.EventID(string(channel), string(user)), events.TypeMemberJoined, events.MemberSubject(channel, user), channel, m))
	require.NoError(t, err)
}

func event(id, kind, subject string, channel events.ChannelID, payload events.Payload) events.Event {
	data, err := json.Marshal(payload)
	if err != nil {
		panic(err) // strings and times only
	}
	return events.Event{ID: id, Source: "/test", Type: kind, Subject: subject, Time: time.Now().UTC(), PartitionKey: string(channel), Data: data}
}

// attached is how many instances each fan-out serves.
func attached(t *testing.T, reg prometheus.Gatherer) map[string]float64 {
	t.Helper()
	families, err := reg.Gather()
	require.NoError(t, err)
	n := map[string]float64{}
	for _, f := range families {
		if f.GetName() != "chat_fanout_instances" {
			continue
		}
		for _, m := range f.GetMetric() {
			for _, l := range m.GetLabel() {
				if l.GetName() == "instance" {
					n[l.GetValue()] = m.GetGauge().GetValue()
				}
			}
		}
	}
	return n
}

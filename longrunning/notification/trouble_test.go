package notification_test

import (
	"context"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/chat-platform/chat/events"
	"github.com/chat-platform/chat/infra/nats/natstest"
	"github.com/chat-platform/chat/longrunning/internal/link"
	"github.com/chat-platform/chat/longrunning/notification"
)

// follow reads n messages of the channel and checks that there is no gap.
func (c *client) follow(n int, prev uint64) uint64 {
	c.t.Helper()
	for range n {
		o := c.next()
		require.Equal(c.t, "messages", o.Stream)
		require.Equal(c.t, prev, o.Prev)
		prev = o.Seq
	}
	return prev
}

func TestLostLinks(t *testing.T) {
	for name, trouble := range map[string]func(t *testing.T, f, spare *fanout){
		"a frame is lost": func(_ *testing.T, f, spare *fanout) {
			f.set(func() { f.lose = 1 })
			spare.set(func() { spare.lose = 1 })
		},
		"the fan-out falls silent": func(_ *testing.T, f, _ *fanout) { f.set(func() { f.mute = true }) },
		"the fan-out dies":         func(_ *testing.T, f, _ *fanout) { f.stop() },
		"the fan-out forgets the link": func(_ *testing.T, f, _ *fanout) {
			f.set(func() { clear(f.links) })
		},
		"the fan-out says goodbye": func(_ *testing.T, f, _ *fanout) {
			f.set(func() {
				for id, o := range f.links {
					_ = f.bus.Publish(link.NotifySubject(o.instance), link.Frame{Link: id, Number: o.number + 1, Last: true, After: f.pos}.Append(nil))
				}
				clear(f.links)
			})
			f.stop() // as one that drains does: it takes no more attaches
		},
		"rubbish": func(_ *testing.T, f, _ *fanout) {
			f.set(func() {
				for _, o := range f.links {
					_ = f.bus.Publish(link.NotifySubject(o.instance), []byte("rubbish"))
				}
			})
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			srv := natstest.Start(t)
			log := natstest.Connect(t, srv)
			f := startFanout(t, natstest.Connect(t, srv), "f1")
			join(t, log, "ch_a", "alice")
			f.settle()
			i := startInstance(t, log, notification.Config{})
			spare := startFanout(t, natstest.Connect(t, srv), "f2")
			c, _ := identify(t, i, "alice")
			send(t, log, "ch_a", "bob", "1")
			prev := c.follow(1, 0)
			trouble(t, f, spare)
			for n := range 20 {
				send(t, log, "ch_a", "bob", fmt.Sprint(n))
			}
			join(t, log, "ch_b", "alice")
			prev = c.follow2(20, prev)
			send(t, log, "ch_a", "bob", "last")
			c.follow(1, prev)
		})
	}
}

// On a log that was empty, nothing is an instance's place like any other: what
// comes after it is owed to its sessions, also where the first link never brought
// anything.
func TestAnEmptyLogIsAPlace(t *testing.T) {
	srv := natstest.Start(t)
	log := natstest.Connect(t, srv)
	f := startFanout(t, natstest.Connect(t, srv), "f1")
	i := startInstance(t, log, notification.Config{})
	c, _ := identify(t, i, "alice")
	f.set(func() { f.mute = true })
	join(t, log, "ch_a", "alice")
	send(t, log, "ch_a", "bob", "1")
	send(t, log, "ch_a", "bob", "2")
	f.stop()
	startFanout(t, natstest.Connect(t, srv), "f2")
	joined := c.next()
	require.Equal(t, events.TypeMemberJoined, joined.Type)
	prev := c.follow(2, 0)
	send(t, log, "ch_a", "bob", "3")
	c.follow(1, prev)
}

// follow2 is follow with the user's own join somewhere among the messages.
func (c *client) follow2(n int, prev uint64) uint64 {
	c.t.Helper()
	joined := false
	for n > 0 || !joined {
		o := c.next()
		if o.Stream == "metadata" {
			require.False(c.t, joined)
			joined = true
			continue
		}
		require.Equal(c.t, prev, o.Prev)
		prev = o.Seq
		n--
	}
	return prev
}

// A session begins while its instance goes over to a fan-out that is behind the
// one before it.
func TestAFanOutThatIsBehind(t *testing.T) {
	srv := natstest.Start(t)
	log := natstest.Connect(t, srv)
	first := startFanout(t, natstest.Connect(t, srv), "f1")
	join(t, log, "ch_a", "alice")
	first.settle()
	i := startInstance(t, log, notification.Config{})
	alice, _ := identify(t, i, "alice")
	behind := startFanout(t, natstest.Connect(t, srv), "f2")
	var release []func()
	for _, stream := range []string{events.StreamMessages, events.StreamMetadata} {
		release = append(release, behind.hold(stream))
	}
	first.set(func() { first.deaf = true })

	carol := dial(t, i)
	carol.say("identify", "token", "carol")
	require.Eventually(t, func() bool { return i.Keys() == 3 }, patience, time.Millisecond)
	join(t, log, "ch_c", "carol")
	first.settle()
	seq := send(t, log, "ch_a", "bob", "routed before the other fan-out has it")
	require.Equal(t, seq, alice.next().Seq)
	require.Eventually(t, func() bool { behind.mu.Lock(); defer behind.mu.Unlock(); return len(behind.links) > 0 }, patience, time.Millisecond)
	for _, r := range release {
		r()
	}
	require.Equal(t, "ready", carol.next().Op)
	seq = send(t, log, "ch_c", "bob", "for carol")
	o := carol.next()
	if o.Stream == "metadata" { // her join, where the instance was quick to go over
		o = carol.next()
	}
	require.Equal(t, seq, o.Seq)
	require.Equal(t, seq, send(t, log, "ch_c", "bob", "2")-1)
	require.Equal(t, seq+1, carol.next().Seq)
}

func TestTooFarBehindTheLog(t *testing.T) {
	srv := natstest.Start(t)
	log := natstest.Connect(t, srv)
	f := startFanout(t, natstest.Connect(t, srv), "f1")
	join(t, log, "ch_a", "alice")
	f.settle()
	i := startInstance(t, log, notification.Config{GapEvents: 10})
	c, cursor := identify(t, i, "alice")
	f.stop()
	for range 11 {
		send(t, log, "ch_a", "bob", "x")
	}
	startFanout(t, natstest.Connect(t, srv), "f2")
	code, _ := c.closed()
	require.Equal(t, 4005, code)
	c, replay, o := resume(t, i, "alice", cursor)
	require.Equal(t, "resumed", o.Op)
	require.Len(t, replay, 11)
	send(t, log, "ch_a", "bob", "x")
	require.Equal(t, replay[10].Seq, c.next().Prev)
}

func TestSlowClient(t *testing.T) {
	log := natstest.Open(t)
	f := startFanout(t, log, "f1")
	join(t, log, "ch_a", "alice")
	join(t, log, "ch_a", "carol")
	f.settle()
	reg := prometheus.NewRegistry()
	i := startInstance(t, log, notification.Config{Instance: "n1", QueueEvents: 50, QueueBytes: 1 << 20, Registerer: reg})

	dialer := &net.Dialer{}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	conn, _, err := websocket.Dial(ctx, i.url+"/ws", &websocket.DialOptions{HTTPClient: smallWindow(dialer)})
	require.NoError(t, err)
	conn.SetReadLimit(-1)
	slow := &client{t, conn}
	require.Equal(t, "hello", slow.next().Op)
	slow.say("identify", "token", "alice")
	cursor := slow.next().Cursor
	quick, _ := identify(t, i, "carol")

	text := strings.Repeat("x", 100_000)
	var last uint64
	const n = 120
	for range n {
		last = send(t, log, "ch_a", "bob", text)
		require.Equal(t, last, quick.next().Seq, "a slow client holds nobody up")
	}
	seen := 0
	for {
		var o op
		if o, err = slow.read(); err != nil {
			break
		}
		seen++
		cursor = o.Cursor
	}
	require.Equal(t, websocket.StatusCode(4001), websocket.CloseStatus(err), "%v", err)
	require.Less(t, seen, n)
	require.Positive(t, counter(t, reg, "chat_notification_queue_dropped_total"))
	for seen < n {
		_, replay, o := resume(t, i, "alice", cursor)
		require.Equal(t, "resumed", o.Op)
		cursor = o.Cursor
		seen += len(replay)
		for _, l := range o.Limited {
			seen += int(last - l.From + 1)
		}
	}
	require.Equal(t, n, seen)
}

func TestDrain(t *testing.T) {
	srv := natstest.Start(t)
	log := natstest.Connect(t, srv)
	f := startFanout(t, log, "f1")
	join(t, log, "ch_a", "alice")
	f.settle()
	one := startInstance(t, natstest.Connect(t, srv), notification.Config{})
	two := startInstance(t, natstest.Connect(t, srv), notification.Config{})
	var cs []*client
	var cursor string
	for range 10 {
		c, at := identify(t, one, "alice")
		cs, cursor = append(cs, c), at
	}
	var wg sync.WaitGroup
	wg.Go(one.stop)
	for _, c := range cs {
		require.Equal(t, "reconnect", c.next().Op)
		code, _ := c.closed()
		require.Equal(t, 4000, code)
	}
	wg.Wait()
	send(t, log, "ch_a", "bob", "x")
	f.settle()
	_, replay, o := resume(t, two, "alice", cursor)
	require.Equal(t, "resumed", o.Op)
	require.Len(t, replay, 1)
}

func TestReplayBounds(t *testing.T) {
	log := natstest.Open(t)
	f := startFanout(t, log, "f1")
	for _, c := range []string{"ch_a", "ch_b"} {
		join(t, log, c, "alice")
	}
	f.settle()
	cfg := notification.Config{ReplayPerChannel: 5}
	i := startInstance(t, log, cfg)
	first, cursor := identify(t, i, "alice")
	var a []uint64
	for range 20 {
		a = append(a, send(t, log, "ch_a", "bob", "x"))
	}
	b := send(t, log, "ch_b", "bob", "x")
	for first.next().Seq != b { // then the instance has them all
	}
	c, replay, o := resume(t, i, "alice", cursor)
	require.Len(t, replay, 6)
	require.Equal(t, b, replay[5].Seq)
	require.Equal(t, []lim{{"ch_a", a[5]}}, o.Limited)
	require.False(t, o.All)
	send(t, log, "ch_a", "bob", "x")
	require.Equal(t, a[19], c.next().Prev, "the gap shows")

	_, replay, o = resume(t, startInstance(t, log, notification.Config{ReplayEvents: 7}), "alice", cursor)
	require.Len(t, replay, 7)
	require.True(t, o.All)
	_, replay, o = resume(t, startInstance(t, log, notification.Config{ReplayScan: 3}), "alice", cursor)
	require.LessOrEqual(t, len(replay), 3)
	require.True(t, o.All)
}

// A user in more channels than the server takes filters of: the log is read as a
// whole and sifted.
func TestManyChannels(t *testing.T) {
	srv := natstest.Start(t)
	log := natstest.Connect(t, srv)
	f := startFanout(t, log, "f1")
	const n = 5000
	var joins []events.Event
	for k := range n {
		c := events.ChannelID(fmt.Sprintf("ch_%d", k))
		joins = append(joins, event(events.TypeMemberJoined, events.MemberSubject(c, "alice"), string(c),
			events.MemberJoined{ChannelID: c, UserID: "alice", Role: events.RoleMember, At: time.Now()}))
	}
	_, errs := log.PublishAll(t.Context(), joins, nil)
	for _, err := range errs {
		require.NoError(t, err)
	}
	f.settle()
	i := startInstance(t, log, notification.Config{})
	c, cursor := identify(t, i, "alice")
	require.Len(t, f.keys(), n+1)
	require.NoError(t, c.conn.CloseNow())
	require.Eventually(t, func() bool { return len(f.keys()) == 0 }, patience, 5*time.Millisecond, "keys that nobody wants are taken back")

	leave(t, log, "ch_7", "alice")
	send(t, log, "ch_7", "bob", "not any more")
	join(t, log, "ch_8", "bob")
	join(t, log, "ch_other", "bob")
	want := send(t, log, "ch_9", "bob", "x")
	send(t, log, "ch_other", "bob", "x")
	join(t, log, "ch_new", "alice")
	late := send(t, log, "ch_new", "bob", "x")
	f.settle()
	_, replay, o := resume(t, i, "alice", cursor)
	require.Equal(t, "resumed", o.Op)
	var got []string
	for _, e := range replay {
		got = append(got, e.Type+" "+e.Channel)
	}
	require.Equal(t, []string{"chat.member.left.v1 ch_7", "chat.member.joined.v1 ch_8", "chat.member.joined.v1 ch_new",
		"chat.message.sent.v1 ch_9", "chat.message.sent.v1 ch_new"}, got)
	require.Equal(t, want, replay[3].Seq)
	require.Equal(t, late, replay[4].Seq)

	_, replay, o = resume(t, startInstance(t, log, notification.Config{ReplayScan: 2}), "alice", cursor)
	require.Empty(t, replay)
	require.True(t, o.All, "it would read more than it may")
}

// I3: subscriptions do not depend on users.
func TestSubscriptionsDoNotGrowWithUsers(t *testing.T) {
	srv := natstest.Start(t)
	f := startFanout(t, natstest.Connect(t, srv), "f1")
	log := natstest.Connect(t, srv)
	i := startInstance(t, log, notification.Config{})
	const n = 300
	var joins []events.Event
	for u := range n {
		c, user := events.ChannelID(fmt.Sprintf("ch_%d", u)), events.UserID(fmt.Sprintf("user %d", u))
		for _, c := range []events.ChannelID{c, "ch_all"} {
			joins = append(joins, event(events.TypeMemberJoined, events.MemberSubject(c, user), string(c),
				events.MemberJoined{ChannelID: c, UserID: user, Role: events.RoleMember, At: time.Now()}))
		}
	}
	_, errs := log.PublishAll(t.Context(), joins, nil)
	for _, err := range errs {
		require.NoError(t, err)
	}
	f.settle()
	one, _ := identify(t, i, "user 0")
	send(t, log, "ch_all", "bob", "x")
	one.next()
	before := log.Bus().Subscriptions()
	cs := []*client{one}
	for u := 1; u < n; u++ {
		c, _ := identify(t, i, fmt.Sprintf("user %d", u))
		cs = append(cs, c)
	}
	seq := send(t, log, "ch_all", "bob", "x")
	for _, c := range cs {
		for o := c.next(); o.Seq != seq; o = c.next() {
			require.Equal(t, one, c)
		}
	}
	require.Len(t, f.keys(), 2*n+1)
	require.Eventually(t, func() bool { return log.Bus().Subscriptions() == before }, patience, 5*time.Millisecond)
}

func TestEventsThatCannotBeRead(t *testing.T) {
	log := natstest.Open(t)
	f := startFanout(t, log, "f1")
	join(t, log, "ch_a", "alice")
	f.settle()
	reg := prometheus.NewRegistry()
	i := startInstance(t, log, notification.Config{Registerer: reg})
	c, cursor := identify(t, i, "alice")
	bad := message("ch_a", "bob", "x")
	bad.Data = []byte(`{"text":`)
	publish(t, log, bad)
	badJoin := event(events.TypeMemberJoined, "members.ch_a.alice", "ch_a", map[string]string{"user_id": ""})
	publish(t, log, badJoin)
	later := event("chat.channel.renamed.v1", "channels.ch_a", "ch_a", map[string]string{"name": "new"})
	publish(t, log, later)
	require.Equal(t, "chat.channel.renamed.v1", c.next().Type, "types of a later version pass through")
	seq := send(t, log, "ch_a", "bob", "good")
	require.Equal(t, seq, c.next().Seq)
	require.Positive(t, counter(t, reg, "chat_notification_unreadable_total"))
	f.settle()
	_, replay, _ := resume(t, i, "alice", cursor)
	require.Len(t, replay, 2)
}

// A session whose start takes longer than its queue is deep reads on in the log.
func TestMoreThanCanBeHeld(t *testing.T) {
	log := natstest.Open(t)
	f := startFanout(t, log, "f1")
	join(t, log, "ch_a", "alice")
	f.settle()
	i := startInstance(t, log, notification.Config{QueueEvents: 16, ReplayPerChannel: 1 << 20})
	_, cursor := identify(t, i, "alice")
	const n = 1500
	var sends []events.Event
	for range n {
		sends = append(sends, message("ch_a", "bob", strings.Repeat("x", 1000)))
	}
	var wg sync.WaitGroup
	wg.Go(func() { log.PublishAll(context.Background(), sends, nil) })
	c := dial(t, i)
	c.say("resume", "token", "alice", "cursor", cursor)
	prev, got := uint64(0), 0
	for got < n {
		o, err := c.read()
		if websocket.CloseStatus(err) == 4001 { // caught up, and then too slow: as it must be
			c = dial(t, i)
			c.say("resume", "token", "alice", "cursor", cursor)
			continue
		}
		require.NoError(t, err)
		cursor = o.Cursor
		if o.Op == "event" {
			require.Equal(t, prev, o.Prev)
			prev = o.Seq
			got++
		}
	}
	wg.Wait()
}

// The log is replaced by another one: whoever comes back is told so.
func TestAnotherLog(t *testing.T) {
	m := &memory{channel: "ch_a"}
	i := startOn(t, m, m, notification.Config{})
	c, cursor := identify(t, i, "alice")
	m.push([]string{"x"})
	require.Equal(t, "event", c.next().Op)
	m.replace("another")
	m.push([]string{"lost"}) // its number is not the next one
	code, _ := c.closed()
	require.Equal(t, 4005, code)
	_, _, o := resume(t, i, "alice", cursor)
	require.Equal(t, op{Op: "invalid_session", Reason: "cursor_of_another_log"}, o)
}

func TestLongAndOddMessages(t *testing.T) {
	log := natstest.Open(t)
	f := startFanout(t, log, "f1")
	join(t, log, "ch_a", "alice \"é\"")
	f.settle()
	i := startInstance(t, log, notification.Config{})
	c, _ := identify(t, i, `alice "é"`)
	for _, n := range []int{1, 200, 20_000, 40_000, 70_000, 200_000} {
		text := strings.Repeat("ü", n)
		send(t, log, "ch_a", `alice "é"`, text)
		require.Equal(t, text, c.next().text(t))
	}
	e := message("ch_a", "bob", "no time")
	e.Time = time.Time{}
	publish(t, log, e)
	require.True(t, c.next().Time.IsZero())
	publish(t, log, event("chat.user.renamed.v1", `users.`+events.Token(`alice "é"`), "", map[string]string{"name": "A"}))
	o := c.next()
	require.Equal(t, "chat.user.renamed.v1", o.Type)
	require.Empty(t, o.Channel)
}

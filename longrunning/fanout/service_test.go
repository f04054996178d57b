package fanout_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/chat-platform/chat/events"
	"github.com/chat-platform/chat/infra/nats/natstest"
	"github.com/chat-platform/chat/longrunning/fanout"
	"github.com/chat-platform/chat/longrunning/internal/link"
)

func sequences(items []link.Item) []uint64 {
	var s []uint64
	for i := range items {
		s = append(s, items[i].Seq())
	}
	return s
}

func TestEventsGoToThoseWhoAnnouncedTheKey(t *testing.T) {
	log := natstest.Open(t)
	publish(t, log, sent("ch_a", `{"n":1}`))
	publish(t, log, sent("ch_b", `{"n":2}`))
	publish(t, log, membership(events.TypeMemberJoined, "ch_a", "ann"))
	start(t, log, fanout.Config{})
	one, two := newPeer(t, log, "one"), newPeer(t, log, "two.b")

	at := one.attach().Positions
	require.Equal(t, link.Positions{Messages: 2, Metadata: 1}, at, "from now on")
	two.attach()
	require.Equal(t, at, one.add("ch_a", "user:ann"))
	require.Equal(t, at, two.add("ch_a", "ch_b"))

	e := sent("ch_a", `{"n":3}`)
	publish(t, log, e)
	publish(t, log, sent("ch_b", `{"n":4}`))
	publish(t, log, sent("ch_c", `{"n":5}`))
	publish(t, log, sent("ch_a", `{"n":6}`))
	items := one.reach(link.Positions{Messages: 6})
	require.Equal(t, []uint64{3, 6}, sequences(items))
	require.Equal(t, []uint64{1, 3}, []uint64{items[0].Prev, items[1].Prev}, "the channel's previous message, also from before the interest")
	e.Sequence, e.Time = 3, items[0].Event.Time
	require.Equal(t, e, items[0].Event, "the whole event, as it was published")
	items = two.reach(link.Positions{Messages: 6})
	require.Equal(t, []uint64{3, 4, 6}, sequences(items))
	require.Equal(t, uint64(2), items[1].Prev)

	// A membership goes to its channel and to its user, once where both are here.
	publish(t, log, membership(events.TypeMemberJoined, "ch_new", "ann"))
	publish(t, log, membership(events.TypeMemberLeft, "ch_a", "ann"))
	publish(t, log, membership(events.TypeMemberJoined, "ch_b", "a.n n"))
	items = one.reach(link.Positions{Messages: 6, Metadata: 4})[2:]
	require.Equal(t, []uint64{2, 3}, sequences(items))
	require.Equal(t, events.StreamMetadata, items[0].Stream)
	require.Zero(t, items[0].Prev)
	require.Equal(t, []uint64{3, 4}, sequences(two.reach(link.Positions{Metadata: 4})[3:]))

	// A key taken back brings nothing any more; adding it again finds its prev.
	one.remove("ch_a", "not_there")
	one.add("user:a.n n")
	publish(t, log, sent("ch_a", `{"n":7}`))
	publish(t, log, membership(events.TypeMemberLeft, "ch_b", "a.n n"))
	items = one.reach(link.Positions{Messages: 7, Metadata: 5})[4:]
	require.Equal(t, []uint64{5}, sequences(items))
	one.add("ch_a", "ch_fresh")
	publish(t, log, sent("ch_a", `{"n":8}`))
	publish(t, log, sent("ch_fresh", `{"n":9}`))
	items = one.reach(link.Positions{Messages: 9})[5:]
	require.Equal(t, []uint64{8, 9}, sequences(items))
	require.Equal(t, uint64(7), items[0].Prev)
	require.Zero(t, items[1].Prev, "the channel's first message")
}

func TestTicksCarryThePositions(t *testing.T) {
	log := natstest.Open(t)
	start(t, log, fanout.Config{})
	p := newPeer(t, log, "one")
	p.attach()
	publish(t, log, sent("ch_a", `{}`))
	publish(t, log, membership(events.TypeMemberJoined, "ch_a", "ann"))
	require.Empty(t, p.reach(link.Positions{Messages: 1, Metadata: 1}), "nobody wanted the events, yet the positions move")
}

func TestLongEventsAndBatchesAreSplitIntoFrames(t *testing.T) {
	log := natstest.Open(t)
	start(t, log, fanout.Config{})
	p := newPeer(t, log, "one")
	p.attach()
	p.add("ch_a", "ch_b")
	text := strings.Repeat("x", 8_000)
	var es []events.Event
	for i := range 400 {
		e := sent(events.ChannelID("ch_"+string("ab"[i%2])), fmt.Sprintf(`{"n":%d,"text":%q}`, i, text))
		if i%100 == 50 {
			e.Data = []byte(fmt.Sprintf(`{"text":%q}`, strings.Repeat("y", 400_000)))
		}
		es = append(es, e)
	}
	items := p.reach(link.Positions{Messages: publishAll(t, log, es)})
	require.Len(t, items, len(es))
	for i := range items {
		require.Equal(t, uint64(i+1), items[i].Seq())
		require.Equal(t, es[i].Data, items[i].Event.Data)
		require.Equal(t, uint64(max(0, i-1)), items[i].Prev)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	require.False(t, p.over)
	for _, f := range p.frames { // each frame's position is that of what is in it, not of the batch
		if n := len(f.Events); n > 0 {
			require.Equal(t, f.Events[n-1].Seq(), f.After.Messages)
		}
	}
}

// I3: what the connection holds depends on fan-outs and streams alone.
func TestSubscriptionsDoNotGrowWithUsersAndChannels(t *testing.T) {
	srv := natstest.Start(t)
	log := natstest.Connect(t, srv)
	start(t, log, fanout.Config{})
	p := newPeer(t, natstest.Connect(t, srv), "one")
	p.attach()
	p.add("ch_0")
	before, beforePeer := log.Bus().Subscriptions(), p.bus.Subscriptions()

	keys := make([]string, 0, 30_000)
	for i := range 15_000 {
		keys = append(keys, link.ChannelKey(events.ChannelID(fmt.Sprintf("ch_%d", i))), link.UserKey(events.UserID(fmt.Sprintf("u%d", i))))
	}
	p.add(keys...)
	var es []events.Event
	for i := range 2_000 {
		es = append(es, sent(events.ChannelID(fmt.Sprintf("ch_%d", i%100*70)), `{}`))
	}
	require.Len(t, p.reach(link.Positions{Messages: publishAll(t, log, es)}), len(es))
	require.Equal(t, before, log.Bus().Subscriptions())
	require.Equal(t, beforePeer, p.bus.Subscriptions())
}

func TestShutdownEndsLinksAtOnce(t *testing.T) {
	srv := natstest.Start(t)
	log := natstest.Connect(t, srv)
	idle := log.Bus().Subscriptions()
	s, stop := start(t, log, fanout.Config{ID: "f1"})
	require.Equal(t, "f1", s.ID())
	p := newPeer(t, natstest.Connect(t, srv), "one")
	p.attach()
	require.Equal(t, "f1", p.fanout)
	stop()
	require.Eventually(t, p.ended, patience, 2*time.Millisecond)
	require.ErrorIs(t, s.Ready(context.Background()), events.ErrUnavailable)
	require.LessOrEqual(t, log.Bus().Subscriptions(), idle+1, "only the answers of requests are still listened for")
	_, err := p.tryAttach()
	require.ErrorIs(t, err, events.ErrUnavailable)
}

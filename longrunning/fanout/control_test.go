package fanout_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/chat-platform/chat/events"
	"github.com/chat-platform/chat/infra/nats/natstest"
	"github.com/chat-platform/chat/longrunning/fanout"
	"github.com/chat-platform/chat/longrunning/internal/link"
)

func TestAFullFanOutLeavesInstancesToAnother(t *testing.T) {
	log := natstest.Open(t)
	start(t, log, fanout.Config{ID: "small", MaxInstances: 2})
	peers := []*peer{newPeer(t, log, "p0"), newPeer(t, log, "p1"), newPeer(t, log, "p2")}
	peers[0].attach()
	peers[1].attach()
	require.Eventually(t, func() bool { // refused, or nobody listens any more
		a, err := peers[2].tryAttach()
		require.True(t, err != nil || a.Status == link.StatusFull, "%+v", a)
		return err != nil
	}, patience, 5*time.Millisecond)

	start(t, log, fanout.Config{ID: "other"})
	peers[2].attach()
	require.Equal(t, "other", peers[2].fanout)

	// A slot that became free is taken again, and brings nothing of its former user.
	peers[0].add("ch_a")
	old := peers[0].link()
	require.Equal(t, link.StatusOK, peers[0].request(link.Detach{Link: old}).Status)
	require.Equal(t, link.StatusUnknown, peers[0].request(link.Interest{Link: old}).Status)
	require.Eventually(t, func() bool {
		peers[2].attach()
		return peers[2].fanout == "small"
	}, patience, 5*time.Millisecond)
	peers[2].add("ch_b")
	publish(t, log, sent("ch_a", `{}`))
	seq := publish(t, log, sent("ch_b", `{}`))
	require.Equal(t, []uint64{seq}, sequences(peers[2].reach(link.Positions{Messages: seq})))
}

func TestAnInstanceHasOneLink(t *testing.T) {
	log := natstest.Open(t)
	start(t, log, fanout.Config{MaxInstances: 1})
	p := newPeer(t, log, "one")
	p.attach()
	p.add("ch_a")
	first := p.link()
	p.tracker = link.Tracker{}
	require.Eventually(t, func() bool { // the door is shut: ask the fan-out itself
		a, err := p.ask(link.InterestSubject(p.fanout), link.Attach{Link: 77, Instance: "one"})
		return err == nil && a.Status == link.StatusOK
	}, patience, 5*time.Millisecond)
	require.Equal(t, link.StatusUnknown, p.request(link.Interest{Link: first}).Status)
	require.Equal(t, link.StatusOK, p.request(link.Interest{Link: 77}).Status)
	require.Equal(t, link.StatusFull, p.request(link.Attach{Link: 78, Instance: "two"}).Status)
	require.Equal(t, link.StatusInvalid, p.request(link.Attach{Link: 78}).Status)
	require.Equal(t, link.StatusOK, p.request(link.Detach{Link: 12345}).Status, "ending what is not there is fine")
}

func TestMalformedRequestsAreAnswered(t *testing.T) {
	log := natstest.Open(t)
	s, _ := start(t, log, fanout.Config{})
	for _, subject := range []string{link.AttachSubject, link.InterestSubject(s.ID())} {
		b, err := log.Bus().Request(t.Context(), subject, []byte("hello"))
		require.NoError(t, err)
		a, err := link.ParseAnswer(b)
		require.NoError(t, err)
		require.Equal(t, link.StatusInvalid, a.Status)
		require.Equal(t, s.ID(), a.FanOut)
		require.NoError(t, log.Bus().Publish(subject, []byte("no reply wanted")))
	}
	newPeer(t, log, "one").attach() // and it goes on
}

func TestASilentInstanceIsDetached(t *testing.T) {
	log := natstest.Open(t)
	start(t, log, fanout.Config{DeadAfter: 400 * time.Millisecond})
	alive, dead := newPeer(t, log, "alive"), newPeer(t, log, "dead")
	alive.attach()
	dead.attach()
	alive.add("ch_a")
	dead.add("ch_a")
	require.Eventually(t, func() bool {
		require.Equal(t, link.StatusOK, alive.request(link.Interest{Link: alive.link()}).Status, "heartbeat")
		return dead.ended()
	}, patience, 20*time.Millisecond, "it is told, in case it is alive")
	require.Equal(t, link.StatusUnknown, dead.request(link.Interest{Link: dead.link()}).Status)
	seq := publish(t, log, sent("ch_a", `{}`))
	require.Len(t, alive.reach(link.Positions{Messages: seq}), 1)
	items, _ := dead.got()
	require.Empty(t, items)
}

func TestConfig(t *testing.T) {
	require.NoError(t, fanout.Config{}.Validate())
	require.ErrorContains(t, fanout.Config{MaxInstances: 65}.Validate(), "FANOUT_MAX_INSTANCES is 65, expected 1 to 64")
	require.ErrorContains(t, fanout.Config{DeadAfter: -1}.Validate(), "FANOUT_DEAD_AFTER")
	log := natstest.Open(t)
	a, b := fanout.New(log, fanout.Config{}), fanout.New(log, fanout.Config{})
	require.NotEqual(t, a.ID(), b.ID())
	require.Equal(t, a.ID(), events.Token(a.ID()))
}

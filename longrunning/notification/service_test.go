package notification_test

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/chat-platform/chat/events"
	"github.com/chat-platform/chat/infra/nats/natstest"
	"github.com/chat-platform/chat/longrunning/notification"
)

func TestLiveDelivery(t *testing.T) {
	log := natstest.Open(t)
	f := startFanout(t, log, "f1")
	join(t, log, "ch_a", "alice")
	join(t, log, "ch_a", "bob")
	first := send(t, log, "ch_a", "alice", "before")
	f.settle()
	i := startInstance(t, log, notification.Config{})
	alice, _ := identify(t, i, "alice")
	bob, _ := identify(t, i, "bob")
	carol, _ := identify(t, i, "carol")

	e := message("ch_a", "alice", "hello \"you\" \u2028 \n")
	e.TraceParent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
	seq := publish(t, log, e)
	send(t, log, "ch_elsewhere", "alice", "not for them")
	last := send(t, log, "ch_a", "bob", "hi")
	for _, c := range []*client{alice, bob} {
		o := c.next()
		require.Equal(t, "event", o.Op)
		require.Equal(t, events.TypeMessageSent, o.Type)
		require.Equal(t, "messages", o.Stream)
		require.Equal(t, "ch_a", o.Channel)
		require.Equal(t, seq, o.Seq)
		require.Equal(t, first, o.Prev)
		require.Equal(t, e.TraceParent, o.Trace)
		require.True(t, e.Time.Equal(o.Time))
		require.Equal(t, "hello \"you\" \u2028 \n", o.text(t))
		var m events.MessageSent
		require.NoError(t, json.Unmarshal(o.Data, &m))
		require.Equal(t, c == alice, m.ClientID != "", "the client's id is for the author's sessions only")
		o = c.next()
		require.Equal(t, last, o.Seq)
		require.Equal(t, seq, o.Prev)
		require.Equal(t, c == bob, m.ClientID == "")
	}
	carol.say("heartbeat")
	require.Equal(t, "heartbeat_ack", carol.next().Op, "nothing before it")
}

func TestJoinAndLeaveWhileConnected(t *testing.T) {
	log := natstest.Open(t)
	f := startFanout(t, log, "f1")
	i := startInstance(t, log, notification.Config{})
	join(t, log, "ch_a", "bob")
	send(t, log, "ch_a", "bob", "long before")
	f.settle()
	alice, _ := identify(t, i, "alice")
	bob, _ := identify(t, i, "bob")

	seq := join(t, log, "ch_a", "alice")
	for _, c := range []*client{alice, bob} {
		o := c.next()
		require.Equal(t, events.TypeMemberJoined, o.Type)
		require.Equal(t, "metadata", o.Stream)
		require.Equal(t, seq, o.Seq)
	}
	m := send(t, log, "ch_a", "bob", "welcome")
	for _, c := range []*client{alice, bob} {
		o := c.next()
		for ; o.text(t) == "long before"; o = c.next() { // not known to be before the join
			require.Same(t, alice, c)
		}
		require.Equal(t, m, o.Seq)
	}
	seq = leave(t, log, "ch_a", "alice")
	o := alice.next()
	require.Equal(t, events.TypeMemberLeft, o.Type)
	require.Equal(t, seq, o.Seq)
	send(t, log, "ch_a", "bob", "gone?")
	require.Equal(t, events.TypeMemberLeft, bob.next().Type)
	require.Equal(t, "gone?", bob.next().text(t))
	alice.say("heartbeat")
	require.Equal(t, "heartbeat_ack", alice.next().Op, "nothing of the channel after leaving it")
}

func TestResumeOnAnotherInstance(t *testing.T) {
	log := natstest.Open(t)
	f := startFanout(t, log, "f1")
	one := startInstance(t, log, notification.Config{})
	two := startInstance(t, log, notification.Config{})
	join(t, log, "ch_a", "alice")
	join(t, log, "ch_b", "alice")
	f.settle()
	c, _ := identify(t, one, "alice")
	s0 := send(t, log, "ch_a", "bob", "0")
	cursor := c.next().Cursor
	require.NoError(t, c.conn.CloseNow())
	s1 := send(t, log, "ch_a", "bob", "1")
	s2 := send(t, log, "ch_b", "bob", "2")
	send(t, log, "ch_c", "bob", "before the join")
	leave(t, log, "ch_b", "alice")
	s3 := send(t, log, "ch_b", "bob", "not any more")
	j := join(t, log, "ch_c", "alice")
	s4 := send(t, log, "ch_c", "bob", "4")
	s5 := send(t, log, "ch_a", "bob", "5")
	f.settle()
	c, replay, o := resume(t, two, "alice", cursor)
	require.Equal(t, "resumed", o.Op)
	require.Equal(t, len(replay), o.Replayed)
	require.Empty(t, o.Limited)
	var seqs, metadata []uint64
	for _, e := range replay {
		if e.Stream == "metadata" {
			metadata = append(metadata, e.Seq)
			continue
		}
		require.NotContains(t, []uint64{s2, s3}, e.Seq, "the user has left ch_b")
		if e.Channel == "ch_a" {
			require.Contains(t, map[uint64]uint64{s1: s0, s5: s1}, e.Seq)
			require.Equal(t, map[uint64]uint64{s1: s0, s5: s1}[e.Seq], e.Prev)
		}
		seqs = append(seqs, e.Seq)
	}
	require.Subset(t, seqs, []uint64{s1, s4, s5})
	require.Equal(t, []uint64{j - 1, j}, metadata, "the leave and the join")
	next := send(t, log, "ch_c", "bob", "live")
	o = c.next()
	require.Equal(t, next, o.Seq)
	require.Equal(t, s4, o.Prev)
}

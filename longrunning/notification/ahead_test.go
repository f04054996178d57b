package notification_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/chat-platform/chat/events"
	natslog "github.com/chat-platform/chat/infra/nats"
	"github.com/chat-platform/chat/infra/nats/natstest"
	"github.com/chat-platform/chat/longrunning/internal/link"
	"github.com/chat-platform/chat/longrunning/notification"
)

// twoLinks are two instances with a fan-out each, and alice in ch_a.
func twoLinks(t *testing.T) (log *natslog.Log, one, two *fanout, x, y *instance) {
	t.Helper()
	srv := natstest.Start(t)
	log = natstest.Connect(t, srv)
	one = startFanout(t, natstest.Connect(t, srv), "f1")
	join(t, log, "ch_a", "alice")
	one.settle()
	x = startInstance(t, natstest.Connect(t, srv), notification.Config{})
	one.shut()
	two = startFanout(t, natstest.Connect(t, srv), "f2")
	two.settle()
	y = startInstance(t, natstest.Connect(t, srv), notification.Config{})
	return log, one, two, x, y
}

// placeOf is what a cursor says.
func placeOf(t *testing.T, log *natslog.Log, cursor string) link.Positions {
	t.Helper()
	name, err := log.Epoch(t.Context())
	require.NoError(t, err)
	at, _, _, err := notification.ParseCursor(cursor, name)
	require.NoError(t, err)
	return at
}

// A session comes from an instance that was further in MESSAGES than the one it
// comes to is, and not as far in METADATA as a join of its own. What the channel
// had between the two was never told, and the link's part of it is passed over.
func TestAJoinAheadOfTheLink(t *testing.T) {
	log, one, two, x, y := twoLinks(t)
	one.hold(events.StreamMetadata)
	metadata, messages := two.hold(events.StreamMetadata), two.hold(events.StreamMessages)
	c, _ := identify(t, x, "alice")
	joined := join(t, log, "ch_b", "alice")
	since := send(t, log, "ch_b", "bob", "after the join")
	seq := send(t, log, "ch_a", "bob", "x")
	o := c.next()
	require.Equal(t, seq, o.Seq)
	require.Equal(t, link.Positions{Messages: seq, Metadata: joined - 1}, placeOf(t, log, o.Cursor))

	c, replay, o := resume(t, y, "alice", o.Cursor)
	require.Equal(t, "resumed", o.Op)
	require.Empty(t, replay)
	metadata()
	o = c.next()
	require.Equal(t, []any{"ch_b", joined}, []any{o.Channel, o.Seq})
	require.Equal(t, link.Positions{Messages: seq, Metadata: joined - 1}, placeOf(t, log, o.Cursor))
	messages()
	o = c.next()
	require.Equal(t, []any{"ch_b", since}, []any{o.Channel, o.Seq})
	require.Equal(t, link.Positions{Messages: seq, Metadata: joined}, placeOf(t, log, o.Cursor))
	last := send(t, log, "ch_b", "bob", "the next")
	o = c.next()
	require.Equal(t, []any{last, since}, []any{o.Seq, o.Prev})
}

// A session that is ahead of its instance's link stays where it is.
func TestAPlaceAheadOfTheLink(t *testing.T) {
	log, _, two, x, y := twoLinks(t)
	two.hold(events.StreamMessages)
	c, _ := identify(t, x, "alice")
	seq := send(t, log, "ch_a", "bob", "x")
	o := c.next()
	require.Equal(t, seq, o.Seq)
	c, replay, o := resume(t, y, "alice", o.Cursor)
	require.Equal(t, "resumed", o.Op)
	require.Empty(t, replay)
	renamed := publish(t, log, event("chat.channel.renamed.v1", "channels.ch_a", "ch_a", map[string]string{"name": "new"}))
	o = c.next()
	require.Equal(t, renamed, o.Seq)
	require.Equal(t, link.Positions{Messages: seq, Metadata: renamed}, placeOf(t, log, o.Cursor))
	_, replay, _ = resume(t, x, "alice", o.Cursor)
	require.Empty(t, replay)
}

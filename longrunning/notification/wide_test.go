package notification_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/chat-platform/chat/events"
	natslog "github.com/chat-platform/chat/infra/nats"
	"github.com/chat-platform/chat/infra/nats/natstest"
	"github.com/chat-platform/chat/longrunning/internal/link"
	"github.com/chat-platform/chat/longrunning/notification"
)

// counted is a log that counts the events read, and a bus that counts the keys
// announced.
type counted struct {
	*natslog.Log
	read atomic.Int64
	keys atomic.Int64
}

func (c *counted) Range(ctx context.Context, stream string, filters []string, from, to uint64, f func(events.Event) error) error {
	return c.Log.Range(ctx, stream, filters, from, to, func(e events.Event) error {
		c.read.Add(1)
		return f(e)
	})
}

func (c *counted) Request(ctx context.Context, subject string, data []byte) ([]byte, error) {
	if r, err := link.ParseRequest(data); err == nil {
		if i, ok := r.(link.Interest); ok {
			c.keys.Add(int64(len(i.Add)))
		}
	}
	return c.Bus().Request(ctx, subject, data)
}

func (c *counted) Subscribe(subject, queue string, f func(natslog.BusMessage)) (func(), error) {
	return c.Bus().Subscribe(subject, queue, f)
}

// A user in very many channels who comes back costs what has changed: the joins
// and leaves made meanwhile are seen, and they are all that is read.
func TestResumeCostsWhatChanged(t *testing.T) {
	srv := natstest.Start(t)
	log := natstest.Connect(t, srv)
	f := startFanout(t, log, "f1")
	const n = 3000
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
	seen := &counted{Log: log}
	i := startOn(t, seen, seen, notification.Config{})
	cost := func(do func()) (events, keys int64) {
		events, keys = seen.read.Load(), seen.keys.Load()
		do()
		return seen.read.Load() - events, seen.keys.Load() - keys
	}

	var c *client
	var oldest string
	read, keys := cost(func() { c, oldest = identify(t, i, "alice") })
	require.EqualValues(t, n, read)
	require.EqualValues(t, n+1, keys)
	require.NoError(t, c.conn.CloseNow())

	leave(t, log, "ch_7", "alice")
	send(t, log, "ch_7", "bob", "not any more")
	leave(t, log, "ch_8", "alice")
	join(t, log, "ch_8", "alice")
	join(t, log, "ch_new", "alice")
	late := send(t, log, "ch_new", "bob", "x")
	f.settle()
	want := []string{"chat.member.left.v1 ch_7", "chat.member.left.v1 ch_8", "chat.member.joined.v1 ch_8",
		"chat.member.joined.v1 ch_new", "chat.message.sent.v1 ch_new"}
	got := func(replay []op) (got []string) {
		for _, e := range replay {
			got = append(got, e.Type+" "+e.Channel)
		}
		return got
	}
	var replay []op
	var o op
	read, keys = cost(func() { c, replay, o = resume(t, i, "alice", oldest) })
	require.Equal(t, "resumed", o.Op)
	require.Equal(t, want, got(replay))
	require.LessOrEqual(t, read, int64(20))
	require.LessOrEqual(t, keys, int64(2), "what the fan-out knows is not announced again")
	live := send(t, log, "ch_new", "bob", "live")
	next := c.next()
	require.Equal(t, live, next.Seq)
	require.Equal(t, late, next.Prev)
	require.NoError(t, c.conn.CloseNow())

	// The memberships kept are later than this cursor; what changed after it is
	// told all the same.
	read, _ = cost(func() { c, replay, o = resume(t, i, "alice", oldest) })
	require.Equal(t, append(want, "chat.message.sent.v1 ch_new"), got(replay))
	require.LessOrEqual(t, read, int64(20))

	// A second session, and a user who leaves and joins while both are there.
	var other *client
	read, keys = cost(func() { other, _ = identify(t, i, "alice") })
	require.LessOrEqual(t, read, int64(2))
	require.Zero(t, keys)
	send(t, log, "ch_7", "bob", "still not")
	seq := send(t, log, "ch_8", "bob", "x")
	require.Equal(t, seq, c.next().Seq)
	require.Equal(t, seq, other.next().Seq)
	left := leave(t, log, "ch_9", "alice")
	require.Equal(t, left, c.next().Seq)
	require.Equal(t, left, other.next().Seq)
	send(t, log, "ch_9", "bob", "not any more")
	f.settle()
	third, at := identify(t, i, "alice")
	require.NotEmpty(t, at)
	seq = send(t, log, "ch_10", "bob", "x")
	for _, c := range []*client{c, other, third} {
		require.Equal(t, seq, c.next().Seq)
	}

	// Another instance knows nothing, and answers the same.
	_, replay, o = resume(t, startInstance(t, log, notification.Config{}), "alice", oldest)
	require.Equal(t, "resumed", o.Op)
	require.Equal(t, []string{"chat.member.left.v1 ch_7", "chat.member.left.v1 ch_8", "chat.member.joined.v1 ch_8", "chat.member.joined.v1 ch_new",
		"chat.member.left.v1 ch_9"}, got(replay)[:5])
	require.Len(t, replay, 5+4)
}

package notification_test

import (
	"context"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/chat-platform/chat/events"
	natslog "github.com/chat-platform/chat/infra/nats"
	"github.com/chat-platform/chat/infra/nats/natstest"
	"github.com/chat-platform/chat/longrunning/notification"
)

// counted is a log that counts the events that are read of it.
type counted struct {
	*natslog.Log
	read atomic.Int64
}

func (c *counted) Range(ctx context.Context, stream string, filters []string, from, to uint64, f func(events.Event) error) error {
	return c.Log.Range(ctx, stream, filters, from, to, func(e events.Event) error {
		c.read.Add(1)
		return f(e)
	})
}

// joinMany lets users into n channels, whose ids are a format of their number.
func joinMany(tb testing.TB, log *natslog.Log, n int, format string, users ...string) {
	tb.Helper()
	var es []events.Event
	for k := range n {
		c := events.ChannelID(fmt.Sprintf(format, k))
		for _, u := range users {
			u := events.UserID(u)
			es = append(es, event(events.TypeMemberJoined, events.MemberSubject(c, u), string(c),
				events.MemberJoined{ChannelID: c, UserID: u, Role: events.RoleMember, At: time.Now()}))
		}
		if len(es) >= 5000 || k == n-1 {
			_, errs := log.PublishAll(tb.Context(), es, nil)
			for _, err := range errs {
				require.NoError(tb, err)
			}
			es = es[:0]
		}
	}
}

const ofAlice = "memberships of alice"

// kept waits for a snapshot of alice's memberships other than the one given.
func kept(t *testing.T, log *natslog.Log, before []byte) (snapshot []byte) {
	t.Helper()
	require.Eventually(t, func() bool {
		var err error
		snapshot, err = log.ReadSnapshot(t.Context(), ofAlice)
		require.NoError(t, err)
		return snapshot != nil && !slices.Equal(snapshot, before)
	}, patience, time.Millisecond)
	return snapshot
}

func names(replay []op) (names []string) {
	for _, e := range replay {
		names = append(names, e.Type+" "+e.Channel)
	}
	return names
}

// A user in very many channels who comes to an instance that never saw her costs
// what has changed, not what she is in; and nothing of what has changed is lost.
func TestResumeReadsWhatChanged(t *testing.T) {
	srv := natstest.Start(t)
	log := natstest.Connect(t, srv)
	f := startFanout(t, log, "f1")
	const n, few = 3000, 150
	joinMany(t, log, n, "ch_%d", "alice")
	f.settle()
	fresh := func() (*instance, *counted) { // an instance that knows nothing
		seen := &counted{Log: log}
		return startOn(t, seen, log.Bus(), notification.Config{SnapshotAfter: few}), seen
	}
	one, seen := fresh()
	c, oldest := identify(t, one, "alice")
	require.EqualValues(t, n+1, seen.read.Load(), "nobody has done it before")
	require.NoError(t, c.conn.CloseNow())
	first := kept(t, log, nil)

	leave(t, log, "ch_7", "alice")
	send(t, log, "ch_7", "bob", "not any more")
	leave(t, log, "ch_8", "alice")
	join(t, log, "ch_8", "alice")
	join(t, log, "ch_new", "alice")
	late := send(t, log, "ch_new", "bob", "x")
	f.settle()
	want := []string{"chat.member.left.v1 ch_7", "chat.member.left.v1 ch_8", "chat.member.joined.v1 ch_8",
		"chat.member.joined.v1 ch_new", "chat.message.sent.v1 ch_new"}
	two, seen := fresh()
	c, replay, o := resume(t, two, "alice", oldest)
	require.Equal(t, "resumed", o.Op)
	require.Equal(t, want, names(replay))
	require.LessOrEqual(t, seen.read.Load(), int64(few+20))
	live := send(t, log, "ch_new", "bob", "live")
	next := c.next()
	require.Equal(t, []any{live, late}, []any{next.Seq, next.Prev})
	live = send(t, log, "ch_2999", "bob", "live")
	require.Equal(t, live, c.next().Seq)
	send(t, log, "ch_7", "bob", "still not")
	live = send(t, log, "ch_8", "bob", "live")
	require.Equal(t, live, c.next().Seq)
	again, err := log.ReadSnapshot(t.Context(), ofAlice)
	require.NoError(t, err)
	require.Equal(t, first, again, "little has changed since")

	// Much changes, so that it is kept anew; a cursor from before that is told all.
	for k := range 100 {
		leave(t, log, fmt.Sprintf("ch_%d", 10+k), "alice")
		join(t, log, fmt.Sprintf("ch_%d", 10+k), "alice")
	}
	left := leave(t, log, "ch_9", "alice")
	f.settle()
	three, seen := fresh()
	_, _ = identify(t, three, "alice")
	require.LessOrEqual(t, seen.read.Load(), int64(few+220))
	kept(t, log, first)
	four, _ := fresh()
	_, replay, o = resume(t, four, "alice", oldest)
	require.Equal(t, "resumed", o.Op)
	got := names(replay)
	require.Equal(t, want[:4], got[:4])
	require.Len(t, got, 4+201+4)
	require.Equal(t, left, replay[4+200].Seq)
	five, seen := fresh()
	_, _ = identify(t, five, "alice")
	require.LessOrEqual(t, seen.read.Load(), int64(few+2))
}

// A snapshot that is not of this log is passed over.
func TestSnapshotsOfAnotherLog(t *testing.T) {
	log := natstest.Open(t)
	f := startFanout(t, log, "f1")
	joinMany(t, log, 50, "ch_%d", "alice")
	f.settle()
	var last events.Event
	require.NoError(t, log.Range(t.Context(), events.StreamMetadata, nil, 50, 50, func(e events.Event) error { last = e; return nil }))
	for name, snapshot := range map[string][]byte{
		"of another event":      notification.NewSnapshot(50, "evt_other", "ch_other"),
		"of an earlier place":   notification.NewSnapshot(49, last.ID, "ch_other"),
		"after the log's end":   notification.NewSnapshot(51, last.ID, "ch_other"),
		"malformed":             []byte("x"),
		"of nothing":            {},
		"without a last event":  notification.NewSnapshot(0, "", "ch_other"),
		"of an unknown version": append([]byte{2}, notification.NewSnapshot(50, last.ID, "ch_other")[1:]...),
	} {
		t.Run(name, func(t *testing.T) {
			require.NoError(t, log.WriteSnapshot(t.Context(), ofAlice, snapshot))
			reg := prometheus.NewRegistry()
			i := startInstance(t, log, notification.Config{SnapshotAfter: 20, Registerer: reg})
			c, _ := identify(t, i, "alice")
			require.GreaterOrEqual(t, counter(t, reg, "chat_notification_memberships_read_total"), 50.0)
			send(t, log, "ch_other", "bob", "not for her")
			seq := send(t, log, "ch_49", "bob", "x")
			require.Equal(t, seq, c.next().Seq)
			kept(t, log, snapshot) // it is replaced
		})
	}
	// And one that is: it is believed.
	require.NoError(t, log.WriteSnapshot(t.Context(), ofAlice, notification.NewSnapshot(50, last.ID, "ch_49", "ch_other")))
	c, _ := identify(t, startInstance(t, log, notification.Config{SnapshotAfter: 20}), "alice")
	send(t, log, "ch_48", "bob", "not for her")
	seq := send(t, log, "ch_other", "bob", "x")
	require.Equal(t, seq, c.next().Seq)
}

// The snapshots are not to be had: the log is read.
func TestNoSnapshots(t *testing.T) {
	log := natstest.Open(t)
	f := startFanout(t, log, "f1")
	joinMany(t, log, 50, "ch_%d", "alice")
	f.settle()
	i := startOn(t, &forgetful{Log: log}, log.Bus(), notification.Config{SnapshotAfter: 20})
	for range 5 {
		c, _ := identify(t, i, "alice")
		seq := send(t, log, "ch_49", "bob", "x")
		require.Equal(t, seq, c.next().Seq)
	}
}

type forgetful struct{ *natslog.Log }

func (*forgetful) ReadSnapshot(context.Context, string) ([]byte, error) {
	return nil, events.ErrUnavailable
}

func (*forgetful) WriteSnapshot(context.Context, string, []byte) error { return events.ErrUnavailable }

func FuzzSnapshot(f *testing.F) {
	f.Add(notification.NewSnapshot(7, "evt_1", "ch_a", "ch_b"))
	f.Add(notification.NewSnapshot(1, ""))
	f.Add(notification.NewSnapshot(1, "evt", "ch_b", "ch_a"))
	f.Add([]byte{1, 1, 0, 0xff, 0xff, 0xff, 0xff, 0x0f})
	f.Fuzz(func(t *testing.T, b []byte) {
		again, err := notification.ParseSnapshot(b)
		if err != nil {
			return
		}
		require.LessOrEqual(t, len(again), len(b))
		same, err := notification.ParseSnapshot(again)
		require.NoError(t, err)
		require.Equal(t, again, same)
	})
}

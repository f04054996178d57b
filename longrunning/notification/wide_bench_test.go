package notification_test

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
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

// wideLog is a log in which the user is in n channels, among as many
// memberships of others, and the real fan-out on it.
func wideLog(tb testing.TB, user string, n int) *natslog.Log {
	tb.Helper()
	srv := natstest.Start(tb)
	log := natstest.Connect(tb, srv)
	var es []events.Event
	for i := range n {
		c := events.ChannelID(fmt.Sprintf("ch_%026d", i))
		for _, u := range []events.UserID{events.UserID(user), events.UserID(fmt.Sprintf("u%d", i%1000))} {
			es = append(es, event(events.TypeMemberJoined, events.MemberSubject(c, u), string(c),
				events.MemberJoined{ChannelID: c, UserID: u, Role: events.RoleMember, At: time.Now().UTC()}))
		}
		if len(es) >= 2000 || i == n-1 {
			_, errs := log.PublishAll(tb.Context(), es, nil)
			for _, err := range errs {
				require.NoError(tb, err)
			}
			es = es[:0]
		}
	}
	f := fanoutservice.New(natstest.Connect(tb, srv), fanoutservice.Config{ID: "real", Logger: slog.New(slog.DiscardHandler)})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- f.Run(ctx) }()
	tb.Cleanup(func() { cancel(); require.NoError(tb, <-done) })
	require.Eventually(tb, func() bool { return f.Ready(tb.Context()) == nil }, patience, 5*time.Millisecond)
	return log
}

// BenchmarkWideUser measures how long a user in 100,000 channels takes to be
// ready, and what the deliveries to another user take meanwhile (the time from
// publish to the client), five hundred a second. All of it runs in this process.
//
//	go test -run '^$' -bench WideUser -benchtime 5x ./longrunning/notification
func BenchmarkWideUser(b *testing.B) {
	const channels = 100_000
	log := wideLog(b, "alice", channels)
	join(b, log, "ch_other", "bob")
	i := startInstance(b, log, notification.Config{HeartbeatInterval: time.Hour})
	ctx, cancel := context.WithCancel(b.Context())
	bob, _ := identify(b, i, "bob")
	var measuring atomic.Bool
	took := make(chan time.Duration, 1<<20)
	go func() {
		for {
			o, err := bob.read()
			if err != nil {
				return
			}
			if o.Op == "event" && measuring.Load() {
				took <- time.Since(o.Time)
			}
		}
	}()
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		tick := time.NewTicker(2 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				_, _ = log.Publish(ctx, message("ch_other", "carol", "x"))
			}
		}
	}()
	defer func() { cancel(); <-sent }()
	report := func(b *testing.B) {
		b.Helper()
		var all []time.Duration
		for len(took) > 0 {
			all = append(all, <-took)
		}
		if len(all) == 0 {
			return
		}
		slices.Sort(all)
		b.ReportMetric(float64(all[len(all)/2].Microseconds())/1000, "other-p50-ms")
		b.ReportMetric(float64(all[len(all)-1].Microseconds())/1000, "other-max-ms")
	}
	var cursor string
	fresh := func(b *testing.B) { // an instance that knows nothing
		b.Helper()
		b.StopTimer()
		j := startInstance(b, log, notification.Config{HeartbeatInterval: time.Hour})
		b.StartTimer()
		measuring.Store(true)
		c, at := identify(b, j, "alice")
		measuring.Store(false)
		b.StopTimer()
		cursor = at
		_ = c.conn.CloseNow()
		j.stop()
		b.StartTimer()
	}
	b.Run("identify on a new instance", func(b *testing.B) {
		for b.Loop() {
			fresh(b)
		}
		report(b)
	})
	b.Run("idle", func(b *testing.B) { // the other user's deliveries without her
		for b.Loop() {
			measuring.Store(true)
			<-time.After(time.Second)
			measuring.Store(false)
		}
		report(b)
	})
	if cursor == "" {
		_, cursor = identify(b, i, "alice")
	}
	resumed := func(b *testing.B) {
		b.Helper()
		measuring.Store(true)
		c, _, o := resume(b, i, "alice", cursor)
		measuring.Store(false)
		require.Equal(b, "resumed", o.Op)
		cursor = o.Cursor
		_ = c.conn.CloseNow()
	}
	b.Run("resume", func(b *testing.B) {
		resumed(b) // the instance may learn what it likes from the first
		for len(took) > 0 {
			<-took
		}
		b.ResetTimer()
		for b.Loop() {
			resumed(b)
		}
		report(b)
	})
}

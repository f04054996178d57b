package notification_test

import (
	"context"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/chat-platform/chat/infra/nats/natstest"
	fanoutservice "github.com/chat-platform/chat/longrunning/fanout"
	"github.com/chat-platform/chat/longrunning/notification"
)

// BenchmarkResume measures from resume to resumed, with twenty messages missed in
// ten of the user's channels, by how many channels the user is in: on the instance
// where the user was a moment ago, and on one that has never seen the user. Log,
// fan-out and client are in this process. events/op is what was read of the log.
//
//	go test -run '^$' -bench Resume -benchtime 10x ./longrunning/notification
func BenchmarkResume(b *testing.B) {
	for _, channels := range []int{10, 1000, 100_000} {
		b.Run(fmt.Sprintf("%d channels", channels), func(b *testing.B) {
			srv := natstest.Start(b)
			log := natstest.Connect(b, srv)
			joinMany(b, log, channels, "ch_%026d", "alice", "bob")
			router := fanoutservice.New(natstest.Connect(b, srv), fanoutservice.Config{ID: "real", Logger: slog.New(slog.DiscardHandler)})
			ctx, cancel := context.WithCancel(context.Background())
			done := make(chan error, 1)
			go func() { done <- router.Run(ctx) }()
			b.Cleanup(func() { cancel(); require.NoError(b, <-done) })
			require.Eventually(b, func() bool { return router.Ready(b.Context()) == nil }, patience, 5*time.Millisecond)

			seen := &counted{Log: log}
			start := func() *instance {
				return startOn(b, seen, log.Bus(), notification.Config{HeartbeatInterval: time.Hour})
			}
			first := start()
			c, cursor := identify(b, first, "alice")
			_ = c.conn.CloseNow()
			require.Eventually(b, func() bool { // what was found out is kept
				s, err := log.ReadSnapshot(b.Context(), ofAlice)
				require.NoError(b, err)
				return s != nil || channels < 1000
			}, patience, time.Millisecond)
			resumed := func(b *testing.B, i *instance) {
				b.Helper()
				b.StopTimer()
				for k := range 20 {
					send(b, log, fmt.Sprintf("ch_%026d", k%10), "bob", "missed")
				}
				before := seen.read.Load()
				b.StartTimer()
				c, replay, o := resume(b, i, "alice", cursor)
				b.StopTimer()
				require.Equal(b, "resumed", o.Op)
				require.Len(b, replay, 20)
				b.ReportMetric(float64(seen.read.Load()-before), "events/op") // of the last one
				cursor = o.Cursor
				_ = c.conn.CloseNow()
				b.StartTimer()
			}
			b.Run("the same instance", func(b *testing.B) {
				for b.Loop() {
					resumed(b, first)
				}
			})
			b.Run("a new instance", func(b *testing.B) {
				for b.Loop() {
					b.StopTimer()
					i := start()
					b.StartTimer()
					resumed(b, i)
					b.StopTimer()
					i.stop()
					b.StartTimer()
				}
			})
		})
	}
}

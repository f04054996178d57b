package channelhistory_test

import (
	"fmt"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/chat-platform/chat/events"
	"github.com/chat-platform/chat/functions/internal/hot"
	"github.com/chat-platform/chat/functions/internal/membership"
	"github.com/chat-platform/chat/functions/internal/records"
	"github.com/chat-platform/chat/functions/internal/tail/tailtest"
	"github.com/chat-platform/chat/functions/query/channelhistory"
	"github.com/chat-platform/chat/infra/nats"
	"github.com/chat-platform/chat/infra/nats/natstest"
	"github.com/chat-platform/chat/infra/sqlite"
)

// BenchmarkHistory is a page of 50 on the real log and the embedded store: with a
// view that is caught up, and with one that lacks the last 20 messages; from the
// view and from what is kept.
func BenchmarkHistory(b *testing.B) {
	const n = 5_000
	for name, lag := range map[string]int{"caught up": 0, "20 behind": 20} {
		log := natstest.Open(b)
		view, err := sqlite.OpenMessages(b.Context(), filepath.Join(b.TempDir(), "messages.db"))
		require.NoError(b, err)
		b.Cleanup(func() { _ = view.Close() })
		fill(b, log, view, n, lag)
		for _, c := range []struct {
			name   string
			before *uint64
			pages  *hot.Pages
		}{
			{"latest", nil, nil},
			{"latest, kept", nil, hot.New(hot.Config{Bytes: 1 << 20}, nil, nil)},
			{"scroll", ptr(2_500), nil},
		} {
			h := channelhistory.New(log, membership.New(log), view, c.pages)
			b.Run(name+"/"+c.name, func(b *testing.B) {
				for b.Loop() {
					a, err := h.Handle(b.Context(), ann, channelhistory.Request{ChannelID: "ch_1", Before: c.before})
					if err != nil || len(a.Messages) != 50 {
						b.Fatalf("%d messages, %v", len(a.Messages), err)
					}
				}
			})
		}
	}
}

func fill(b *testing.B, log *nats.Log, view *sqlite.Messages, n, lag int) {
	b.Helper()
	made := &tailtest.Log{}
	made.Create("ch_1", events.Public, "ann")
	made.Join("ch_1", "ann", events.RoleOwner)
	for i := range n {
		made.Send(0, "ch_1", "ann", fmt.Sprint("a message of the usual length, number ", i))
	}
	var es []events.Event
	for _, filter := range []string{"channels.*", "members.*.*", "messages.*.*"} {
		part, err := made.Tail(b.Context(), filter, 1, n)
		require.NoError(b, err)
		es = append(es, part...)
	}
	acks, errs := log.PublishAll(b.Context(), es, nil)
	for i := range es {
		require.NoError(b, errs[i])
		es[i].Sequence = acks[i].Seq
	}
	for part := range slices.Chunk(es[2:len(es)-lag], 500) {
		ms, err := records.Messages(part)
		require.NoError(b, err)
		require.NoError(b, view.PutMessages(b.Context(), ms))
	}
	c, err := log.Consumer(b.Context(), nats.ConsumerConfig{Stream: events.StreamMessages, Name: events.ConsumerMessages, AckWait: time.Minute, MaxAckPending: n})
	require.NoError(b, err)
	defer c.Close()
	for done := 0; done < n-lag; {
		ds, err := c.Fetch(b.Context(), min(500, n-lag-done), time.Minute)
		require.NoError(b, err)
		require.NotEmpty(b, ds)
		for _, d := range ds {
			require.NoError(b, d.Ack())
		}
		done += len(ds)
	}
	require.Eventually(b, func() bool {
		applied, err := log.Applied(b.Context(), events.StreamMessages, events.ConsumerMessages)
		return err == nil && applied >= uint64(n-lag)
	}, time.Minute, time.Millisecond)
}

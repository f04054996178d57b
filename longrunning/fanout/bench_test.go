package fanout_test

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/chat-platform/chat/events"
	natslog "github.com/chat-platform/chat/infra/nats"
	"github.com/chat-platform/chat/infra/nats/natstest"
	"github.com/chat-platform/chat/longrunning/fanout"
	"github.com/chat-platform/chat/longrunning/internal/link"
)

// canned is a log whose MESSAGES stream comes from memory.
type canned struct {
	*natslog.Log
	batches chan []events.Event
}

func (c canned) Follow(ctx context.Context, stream string, filters []string, from uint64, ready func(uint64), f func([]events.Event) error) error {
	if stream != events.StreamMessages {
		return c.Log.Follow(ctx, stream, filters, from, ready, f)
	}
	ready(0)
	for {
		select {
		case <-ctx.Done():
			return nil
		case es := <-c.batches:
			if err := f(es); err != nil {
				return err
			}
		}
	}
}

// Routing, encoding and publishing to three instances, the NATS server included,
// in batches as the log gives them; the clock stops when all frames have arrived.
func BenchmarkRoute(b *testing.B) {
	for _, size := range []int{1, 100, 500} {
		b.Run(fmt.Sprintf("batches of %d", size), func(b *testing.B) {
			srv := natstest.Start(b)
			log := canned{natstest.Connect(b, srv), make(chan []events.Event)}
			s, _ := start(b, log, fanout.Config{})
			const channels = 1000
			keys := make([]string, channels)
			for i := range keys {
				keys[i] = fmt.Sprintf("ch_%026d", i)
			}
			var arrived [3]atomic.Uint64
			bus := natstest.Connect(b, srv).Bus()
			for n := range arrived {
				name := fmt.Sprintf("p%d", n)
				_, err := bus.Subscribe(link.NotifySubject(name), "", func(m natslog.BusMessage) {
					f, err := link.ParseFrame(m.Data)
					if err != nil {
						b.Error(err)
					}
					arrived[n].Store(f.After.Messages)
				})
				require.NoError(b, err)
				id := link.NewLinkID()
				for _, r := range []struct {
					subject string
					request link.Request
				}{
					{link.AttachSubject, link.Attach{Link: id, Instance: name}},
					{link.InterestSubject(s.ID()), link.Interest{Link: id, Add: keys}},
				} {
					answer, err := bus.Request(b.Context(), r.subject, r.request.Append(nil))
					require.NoError(b, err)
					a, err := link.ParseAnswer(answer)
					require.NoError(b, err)
					require.Equal(b, link.StatusOK, a.Status)
				}
			}
			data := []byte(`{"text":"` + strings.Repeat("x", 300) + `"}`)
			seq := uint64(0)
			b.ReportAllocs()
			b.ResetTimer()
			for seq < uint64(b.N) {
				es := make([]events.Event, size)
				for i := range es {
					seq++
					c := events.ChannelID(keys[int(seq)*7919%channels])
					es[i] = events.Event{ID: "msg_aaaaaaaaaaaaaaaaaaaaaaaaaa", Source: "/functions/sendmessage", Type: events.TypeMessageSent,
						Subject: events.MessageSubject(c), PartitionKey: string(c), Sequence: seq, Data: data}
				}
				log.batches <- es
			}
			require.Eventually(b, func() bool {
				return arrived[0].Load() == seq && arrived[1].Load() == seq && arrived[2].Load() == seq
			}, patience, time.Millisecond)
			b.StopTimer()
			b.ReportMetric(float64(seq)/b.Elapsed().Seconds(), "events/s")
		})
	}
}

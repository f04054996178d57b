package nats_test

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/chat-platform/chat/events"
	"github.com/chat-platform/chat/infra/nats"
	"github.com/chat-platform/chat/infra/nats/natstest"
)

var text = `{"text":"` + strings.Repeat("hello ", 40) + `"}`

func message(i int) events.Event {
	e := sent(fmt.Sprintf("ch_%d", i%1000), i)
	e.Data = []byte(text)
	return e
}

func BenchmarkPublish(b *testing.B) {
	for _, inFlight := range []int{1, 64} {
		b.Run(fmt.Sprintf("inflight=%d", inFlight), func(b *testing.B) {
			log := natstest.Open(b)
			var n atomic.Int64
			done := make(chan error, inFlight)
			b.ReportAllocs()
			b.ResetTimer()
			for range inFlight {
				go func() {
					var err error
					for i := int(n.Add(1)); i <= b.N && err == nil; i = int(n.Add(1)) {
						_, err = log.Publish(b.Context(), message(i))
					}
					done <- err
				}()
			}
			for range inFlight {
				require.NoError(b, <-done)
			}
		})
	}
}

// One operation is 1,000 events.
func BenchmarkPublishAll(b *testing.B) {
	log := natstest.Open(b)
	n := 0
	for b.Loop() {
		es := make([]events.Event, 1000)
		for i := range es {
			es[i] = message(n)
			n++
		}
		_, errs := log.PublishAll(b.Context(), es, nil)
		require.NoError(b, errs[999])
	}
	b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "events/s")
}

func filled(b *testing.B, n int) *nats.Log {
	log := natstest.Open(b)
	for i := 0; i < n; i += 1000 {
		fill(b, log, 1000, func(j int) events.Event { return message(i + j) })
	}
	return log
}

const stock = 50_000 // events in the log for the benchmarks that read

// One operation reads all events of the log.
func BenchmarkRange(b *testing.B) {
	log := filled(b, stock)
	for name, filters := range map[string][]string{"all": nil, "filter": {"messages.send.*"}, "two": {"messages.send.ch_1", "messages.send.ch_2"}} {
		b.Run(name, func(b *testing.B) {
			n := 0
			for b.Loop() {
				require.NoError(b, log.Range(b.Context(), events.StreamMessages, filters, 1, stock, func(events.Event) error { n++; return nil }))
			}
			b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "events/s")
		})
	}
}

func BenchmarkFollow(b *testing.B) {
	log := filled(b, stock)
	total, calls := 0, 0
	for b.Loop() {
		ctx, stop := context.WithCancel(b.Context())
		n := 0
		require.NoError(b, log.Follow(ctx, events.StreamMessages, nil, 1, nil, func(es []events.Event) error {
			calls++
			if n += len(es); n == stock {
				stop()
			}
			return nil
		}))
		total += n
	}
	b.ReportMetric(float64(total)/b.Elapsed().Seconds(), "events/s")
	b.ReportMetric(float64(total)/float64(calls), "events/call")
}

func BenchmarkFetchAndAck(b *testing.B) {
	log := filled(b, stock)
	total := 0
	for i := 0; b.Loop(); i++ {
		c, err := log.Consumer(b.Context(), nats.ConsumerConfig{Stream: events.StreamMessages, Name: fmt.Sprintf("c%d", i)})
		require.NoError(b, err)
		for n := 0; n < stock; {
			ds, err := c.Fetch(b.Context(), 1000, time.Second)
			require.NoError(b, err)
			for _, d := range ds {
				require.NoError(b, d.Ack())
			}
			n += len(ds)
			total += len(ds)
		}
		c.Close()
	}
	b.ReportMetric(float64(total)/b.Elapsed().Seconds(), "events/s")
}

func BenchmarkLast(b *testing.B) {
	log := filled(b, stock)
	b.Run("one", func(b *testing.B) {
		for b.Loop() {
			_, err := log.Last(b.Context(), "messages.send.ch_7")
			require.NoError(b, err)
		}
	})
	b.Run("of 1000", func(b *testing.B) {
		subjects := make([]string, 1000)
		for i := range subjects {
			subjects[i] = fmt.Sprintf("messages.send.ch_%d", i)
		}
		for b.Loop() {
			_, err := log.LastOf(b.Context(), subjects)
			require.NoError(b, err)
		}
	})
	b.Run("before", func(b *testing.B) {
		for b.Loop() {
			_, err := log.LastBefore(b.Context(), []string{"messages.send.ch_7"}, stock/2)
			require.NoError(b, err)
		}
	})
	b.Run("applied", func(b *testing.B) {
		_, err := log.Consumer(b.Context(), nats.ConsumerConfig{Stream: events.StreamMessages, Name: "x"})
		require.NoError(b, err)
		for b.Loop() {
			_, err := log.Applied(b.Context(), events.StreamMessages, "x")
			require.NoError(b, err)
		}
	})
	b.Run("tail", func(b *testing.B) {
		for b.Loop() {
			_, err := log.Tail(b.Context(), "messages.send.ch_7", stock-10, 50)
			require.NoError(b, err)
		}
	})
}

// With the stream divided, and not: what the transform costs those who publish,
// what reads through one cost, and a position of so many consumers.
func BenchmarkPartitions(b *testing.B) {
	for _, n := range []int{1, 4} {
		b.Run(fmt.Sprintf("n=%d", n), func(b *testing.B) {
			b.Setenv("NATS_PARTITIONS", fmt.Sprint(n))
			b.Run("publish", BenchmarkPublishAll)
			b.Run("publish one", BenchmarkPublish)
			b.Run("last", BenchmarkLast)
			b.Run("fetch", BenchmarkFetchAndAck)
		})
	}
}

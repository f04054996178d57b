package source_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/chat-platform/chat/events"
	"github.com/chat-platform/chat/infra/nats/natstest"
	"github.com/chat-platform/chat/longrunning/source"
)

// direct hands requests to a handler without a socket.
type direct struct{ http.Handler }

func (d direct) RoundTrip(r *http.Request) (*http.Response, error) {
	w := httptest.NewRecorder()
	d.ServeHTTP(w, r)
	return w.Result(), nil
}

// One operation carries all events of the log to a sink that reads and drops
// them.
func BenchmarkSource(b *testing.B) { benchmark(b) }

// The same with one partition and with four, all of them in one process.
func BenchmarkPartitions(b *testing.B) {
	for _, n := range []string{"1", "4"} {
		b.Run("n="+n, func(b *testing.B) {
			b.Setenv("NATS_PARTITIONS", n)
			benchmark(b)
		})
	}
}

func benchmark(b *testing.B) {
	const stock = 50_000
	log := natstest.Open(b)
	text := []byte(`{"text":"` + strings.Repeat("hello ", 40) + `"}`)
	for i := 0; i < stock; i += 1000 {
		es := make([]events.Event, 1000)
		for j := range es {
			es[j] = sent(fmt.Sprintf("ch_%d", (i+j)%1000), i+j)
			es[j].Data = text
		}
		publish(b, log, es...)
	}
	drop := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { _, _ = io.Copy(io.Discard, r.Body) })
	server := httptest.NewServer(drop)
	defer server.Close()
	for _, c := range []struct {
		name      string
		mode      source.Mode
		transport http.RoundTripper
	}{{"batch", source.Batch, nil}, {"batch in process", source.Batch, direct{drop}}, {"single", source.Single, nil}} {
		b.Run(c.name, func(b *testing.B) {
			total := 0
			for i := 0; b.Loop(); i++ {
				cfg := config(server.URL)
				cfg.Mode, cfg.Consumer = c.mode, fmt.Sprintf("%s_%d_%d", c.mode, time.Now().UnixNano(), i)
				s, err := source.New(log, cfg, source.Options{Transport: c.transport})
				require.NoError(b, err)
				ctx, stop := context.WithCancel(b.Context())
				done := make(chan error, 1)
				go func() { done <- s.Run(ctx) }()
				require.Eventually(b, func() bool {
					seq, err := log.Applied(b.Context(), events.StreamMessages, cfg.Consumer)
					return err == nil && seq >= stock
				}, time.Minute, time.Millisecond)
				stop()
				require.NoError(b, <-done)
				total += stock
			}
			b.ReportMetric(float64(total)/b.Elapsed().Seconds(), "events/s")
		})
	}
}

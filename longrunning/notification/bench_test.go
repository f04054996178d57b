package notification_test

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/chat-platform/chat/longrunning/notification"
)

func serveMemory(tb testing.TB) (*memory, string) {
	tb.Helper()
	m := &memory{channel: "ch_bench"}
	s := notification.New(m, m, verifier{}, notification.Config{Logger: slog.New(slog.DiscardHandler), DrainSpread: time.Millisecond, CloseTimeout: time.Second, QueueEvents: 100_000, QueueBytes: 64 << 20})
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(tb, err)
	srv := &http.Server{Handler: s.Handler()}
	go func() { _ = srv.Serve(ln) }()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	tb.Cleanup(func() {
		cancel()
		<-done
		_ = srv.Close()
	})
	require.Eventually(tb, func() bool { return s.Ready(context.Background()) == nil }, patience, time.Millisecond)
	return m, ln.Addr().String()
}

// BenchmarkDeliver measures deliveries to 1,000 sockets in one channel. The
// clients only count bytes, on the same cores.
func BenchmarkDeliver(b *testing.B) {
	const sockets = 1000
	for _, load := range []struct {
		name           string
		events, behind int // events a frame; events that may be on their way
	}{{"one by one", 1, 0}, {"1 a frame", 1, 50}, {"10 a frame", 10, 50}, {"100 a frame", 100, 100}} {
		events := load.events
		b.Run(load.name, func(b *testing.B) {
			m, addr := serveMemory(b)
			var got atomic.Int64
			for i := range sockets {
				conn, err := net.Dial("tcp", addr)
				require.NoError(b, err)
				b.Cleanup(func() { _ = conn.Close() })
				p := newPlug(b, conn, fmt.Sprintf("u%d", i))
				go func() {
					buf := make([]byte, 16<<10)
					for {
						n, err := p.Conn.Read(buf)
						if err != nil {
							return
						}
						for _, c := range buf[:n] {
							if c == '~' { // one in each event
								got.Add(1)
							}
						}
					}
				}()
			}
			texts := make([]string, events)
			for i := range texts {
				texts[i] = "~" + strings.Repeat("x", 100)
			}
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			sent := int64(0)
			for b.Loop() {
				m.push(texts)
				sent += int64(events) * sockets
				for sent-got.Load() > int64(load.behind)*sockets {
					runtime.Gosched()
				}
			}
			for got.Load() < sent {
				runtime.Gosched()
			}
			b.StopTimer()
			runtime.ReadMemStats(&after)
			b.ReportMetric(float64(sent)/b.Elapsed().Seconds(), "deliveries/s")
			b.ReportMetric(float64(after.TotalAlloc-before.TotalAlloc)/float64(sent), "B/delivery")
			b.ReportMetric(0, "ns/op")
		})
	}
}

// BenchmarkIdleSockets measures what an identified socket costs while nothing
// happens: heap and stacks of the process, the client's end included.
func BenchmarkIdleSockets(b *testing.B) {
	const sockets = 3000
	_, addr := serveMemory(b)
	for b.Loop() {
		before := inUse()
		conns := make([]net.Conn, sockets)
		for i := range conns {
			conn, err := net.Dial("tcp", addr)
			require.NoError(b, err)
			newPlug(b, conn, fmt.Sprintf("u%d", i))
			conns[i] = conn
		}
		b.ReportMetric(float64(inUse()-before)/sockets, "B/socket")
		for _, c := range conns {
			_ = c.Close()
		}
	}
	b.ReportMetric(0, "ns/op")
}

func inUse() uint64 {
	for range 3 {
		runtime.GC()
		runtime.Gosched()
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapInuse + m.StackInuse
}

package frontdoor_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/chat-platform/chat/events"
	"github.com/chat-platform/chat/functions/internal/frontdoor"
)

// discard is a ResponseWriter that keeps nothing, so that the benchmarks show
// the function runtime alone, without net/http.
type discard struct {
	h      http.Header
	status int
}

func (d *discard) Header() http.Header         { return d.h }
func (d *discard) Write(b []byte) (int, error) { return len(b), nil }
func (d *discard) WriteHeader(status int)      { d.status = status }

// replay serves one request over and over.
func replay(b *testing.B, h http.Handler, r *http.Request, body string, want int) {
	b.Helper()
	reader := strings.NewReader(body)
	w := &discard{h: http.Header{}}
	b.ReportAllocs()
	b.SetBytes(int64(len(body)))
	for b.Loop() {
		reader.Reset(body)
		r.Body = io.NopCloser(reader)
		clear(w.h)
		h.ServeHTTP(w, r)
	}
	require.Equal(b, want, w.status)
}

// BenchmarkCommandREST is what one small command costs above net/http.
func BenchmarkCommandREST(b *testing.B) {
	f := greetFunction(frontdoor.WithRegisterer(prometheus.NewRegistry())).Alone()
	const body = `{"text":"hello, everybody","client_id":"01912f4e-8d3c-7c7a-b1a0-5a3f0e5f9a10"}`
	replay(b, f, request("POST", greetings, body, "Content-Type", "application/json"), body, http.StatusAccepted)
}

// BenchmarkCommandRESTOverTCP is the same with net/http and a client, for
// comparison with BenchmarkBareHTTPOverTCP.
func BenchmarkCommandRESTOverTCP(b *testing.B) { overTCP(b, greetFunction().Alone()) }

func BenchmarkBareHTTPOverTCP(b *testing.B) {
	overTCP(b, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.WriteHeader(http.StatusAccepted)
		_, _ = w.Write([]byte(`{"channel":"ch_a","user":"u1","text":"hello, everybody"}`))
	}))
}

func overTCP(b *testing.B, h http.Handler) {
	b.Helper()
	server := httptest.NewServer(h)
	defer server.Close()
	b.ReportAllocs()
	for b.Loop() {
		req, err := http.NewRequest("POST", server.URL+greetings, strings.NewReader(`{"text":"hello, everybody"}`))
		require.NoError(b, err)
		req.Header.Set("Content-Type", "application/json")
		req.Header.Set("Authorization", "Bearer u1")
		res, err := http.DefaultClient.Do(req)
		require.NoError(b, err)
		_, _ = io.Copy(io.Discard, res.Body)
		_ = res.Body.Close()
		require.Equal(b, http.StatusAccepted, res.StatusCode)
	}
}

// BenchmarkWriterBatch is what a batch of messages of 100 bytes costs before the
// writer gets it.
func BenchmarkWriterBatch(b *testing.B) {
	f := frontdoor.Writer(frontdoor.Spec{Name: "store", Types: []string{events.TypeMessageSent}}, func(context.Context, []events.Event) error { return nil },
		frontdoor.WithLogger(silent), frontdoor.WithRegisterer(prometheus.NewRegistry())).Alone()
	for _, n := range []int{1, 100, 1000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			es := make([]events.Event, n)
			for i := range es {
				channel := events.ChannelID(fmt.Sprintf("ch_%d", i%5))
				es[i] = events.Event{ID: events.EventID(fmt.Sprint(i)), Source: "/functions/sendmessage", Type: events.TypeMessageSent,
					Subject: events.MessageSubject(channel), PartitionKey: string(channel), Sequence: uint64(i + 1),
					Data: []byte(`{"id":"msg_aaaaaaaaaaaaaaaaaaaaaaaaaa","channel_id":"ch_0","author_id":"u1","text":"` + strings.Repeat("x", 100) + `"}`)}
			}
			body, err := events.AppendBatch(nil, es)
			require.NoError(b, err)
			replay(b, f, request("POST", "/", string(bytes.TrimSpace(body)), "Content-Type", events.ContentTypeBatch), string(body), http.StatusOK)
		})
	}
}

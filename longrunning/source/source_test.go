package source_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/chat-platform/chat/events"
	"github.com/chat-platform/chat/infra/nats"
	"github.com/chat-platform/chat/infra/nats/natstest"
	"github.com/chat-platform/chat/longrunning/source"
)

func sent(channel string, n int) events.Event {
	return events.Event{
		ID: fmt.Sprintf("evt_%s_%d", channel, n), Source: "/test", Type: events.TypeMessageSent,
		Subject: events.MessageSubject(events.ChannelID(channel)), PartitionKey: channel,
		Time: time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC), Data: []byte(fmt.Sprintf(`{"n":%d}`, n)),
	}
}

func publish(t testing.TB, log *nats.Log, es ...events.Event) {
	t.Helper()
	_, errs := log.PublishAll(t.Context(), es, nil)
	for _, err := range errs {
		require.NoError(t, err)
	}
}

// spread makes n events, dealt out to channels in turn.
func spread(n, channels int) (es []events.Event) {
	for i := range n {
		es = append(es, sent(fmt.Sprintf("ch_%d", i%channels), i/channels))
	}
	return es
}

// sink answers with what reply says and remembers what it accepted.
type sink struct {
	*httptest.Server
	reply func(es []events.Event) int // nil: 200

	mu       sync.Mutex
	requests [][]events.Event
	accepted []events.Event
	header   http.Header // of the last request
	retry    string      // Retry-After of what is not accepted
}

func newSink(t testing.TB, reply func(es []events.Event) int) *sink {
	s := &sink{reply: reply}
	s.Server = httptest.NewServer(s)
	t.Cleanup(s.Close)
	return s
}

func (s *sink) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	var es []events.Event
	if r.Header.Get("Content-Type") == events.ContentTypeBatch {
		es, err = events.ParseBatch(body)
	} else if err == nil {
		es = make([]events.Event, 1)
		es[0], err = events.FromHeader(r.Header.Get, body)
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusTeapot)
		return
	}
	s.mu.Lock()
	s.requests = append(s.requests, es)
	s.header = r.Header
	reply := s.reply
	s.mu.Unlock()
	status := http.StatusOK
	if reply != nil {
		status = reply(es)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if status/100 == 2 {
		s.accepted = append(s.accepted, es...)
	} else if s.retry != "" {
		w.Header().Set("Retry-After", s.retry)
	}
	w.WriteHeader(status)
	if status == http.StatusUnprocessableEntity {
		fmt.Fprint(w, `{"code":"poison","detail":"this can not be"}`)
	}
}

func (s *sink) taken() []events.Event {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]events.Event(nil), s.accepted...)
}

func (s *sink) seen() [][]events.Event {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([][]events.Event(nil), s.requests...)
}

func (s *sink) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.accepted)
}

func config(url string) source.Config {
	return source.Config{Stream: events.StreamMessages, Consumer: "writer", Sink: url,
		BackoffBase: time.Millisecond, BackoffCap: 5 * time.Millisecond, MaxAttempts: 3, AckWait: patience}
}

// run starts a source; stop ends it and waits.
func run(t testing.TB, log source.Log, cfg source.Config) (stop func()) {
	t.Helper()
	s, err := source.New(log, cfg, source.Options{Logger: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	var once sync.Once
	stop = func() {
		once.Do(func() {
			cancel()
			select {
			case err := <-done:
				assert.NoError(t, err)
			case <-time.After(patience):
				assert.Fail(t, "Run does not end")
			}
		})
	}
	t.Cleanup(stop)
	return stop
}

// patience bounds every wait; each ends as soon as what it waits for is there.
const patience = time.Minute

func eventually(t testing.TB, what string, f func() bool) {
	t.Helper()
	require.Eventually(t, f, patience, 2*time.Millisecond, what)
}

func applied(t testing.TB, log *nats.Log, want uint64) {
	t.Helper()
	eventually(t, fmt.Sprintf("applied %d", want), func() bool {
		seq, err := log.Applied(context.Background(), events.StreamMessages, "writer")
		return err == nil && seq == want
	})
}

// inOrder checks that each channel's events came in the log's order; doubles
// may repeat what came already.
func inOrder(t *testing.T, es []events.Event, doubles bool) {
	t.Helper()
	last := map[string]uint64{}
	for _, e := range es {
		if e.Sequence <= last[e.PartitionKey] {
			if !doubles {
				require.Failf(t, "order", "%s (%d) came after %d", e.ID, e.Sequence, last[e.PartitionKey])
			}
			continue
		}
		last[e.PartitionKey] = e.Sequence
	}
}

func dead(t testing.TB, log *nats.Log) (es []events.Event) {
	t.Helper()
	require.NoError(t, log.Range(t.Context(), events.StreamDeadLetters, nil, 1, 1<<40, func(e events.Event) error {
		es = append(es, e)
		return nil
	}))
	return es
}

func TestBatches(t *testing.T) {
	log := natstest.Open(t)
	es := spread(3000, 10)
	publish(t, log, es...)
	s := newSink(t, nil)
	cfg := config(s.URL)
	cfg.MaxBatch = 200
	cfg.Overrides = `{"extensions":{"tenant":"a \"b\"","zone":"x"}}`
	run(t, log, cfg)
	applied(t, log, 3000)
	got := s.taken()
	require.Len(t, got, 3000)
	inOrder(t, got, false)
	for i, e := range got {
		want := es[e.Sequence-1]
		want.Sequence = e.Sequence
		require.Equal(t, want, e, i)
	}
	for _, r := range s.seen() {
		assert.LessOrEqual(t, len(r), 200)
	}
	assert.Less(t, len(s.seen()), 300)
	assert.Equal(t, events.ContentTypeBatch, s.header.Get("Content-Type"))
}

func TestSingle(t *testing.T) {
	log := natstest.Open(t)
	es := spread(50, 5)
	es[0].TraceParent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
	s := newSink(t, nil)
	cfg := config(s.URL)
	cfg.Mode = source.Single
	cfg.Overrides = `{"extensions":{"tenant":"a \"b\""}}`
	run(t, log, cfg)
	publish(t, log, es[0])
	applied(t, log, 1)
	assert.Equal(t, es[0].TraceParent, s.header.Get("traceparent"))
	assert.Equal(t, es[0].TraceParent, s.header.Get("ce-traceparent"))
	assert.Equal(t, "a%20%22b%22", s.header.Get("ce-tenant"))
	assert.Equal(t, "00000000000000000001", s.header.Get("ce-sequence"))
	publish(t, log, es[1:]...)
	applied(t, log, 50)
	inOrder(t, s.taken(), false)
	require.Equal(t, 50, s.count())
}

func TestMaxBatchBytes(t *testing.T) {
	log := natstest.Open(t)
	es := spread(40, 40)
	for i := range es {
		es[i].Data = fmt.Appendf(nil, `"%010000d"`, i)
	}
	publish(t, log, es...)
	s := newSink(t, nil)
	cfg := config(s.URL)
	cfg.MaxBatchBytes = 25_000
	run(t, log, cfg)
	applied(t, log, 40)
	for _, r := range s.seen() {
		assert.LessOrEqual(t, len(r), 2)
	}
	require.Equal(t, 40, s.count())
}

// Every row of the table in the package comment.
func TestStatuses(t *testing.T) {
	const (
		ack = iota
		bury
		retry
		forever
	)
	for status, want := range map[int]int{
		200: ack, 201: ack, 202: ack, 204: ack,
		400: bury, 401: bury, 403: bury, 413: bury, 415: bury, 422: bury,
		404: retry, 408: retry, 409: retry, 429: retry, 500: retry, 501: retry, 502: retry, 504: retry, 302: retry, 418: retry,
		503: forever,
	} {
		for _, mode := range []source.Mode{source.Batch, source.Single} {
			t.Run(fmt.Sprintf("%d %s", status, mode), func(t *testing.T) {
				t.Parallel()
				log := natstest.Open(t)
				publish(t, log, sent("ch_a", 0))
				const answers = 7 // more than MaxAttempts
				n := 0
				var s *sink
				s = newSink(t, func([]events.Event) int {
					s.mu.Lock()
					defer s.mu.Unlock()
					if n++; want == forever && n == answers {
						return 200
					}
					return status
				})
				cfg := config(s.URL)
				cfg.Mode = mode
				run(t, log, cfg)
				applied(t, log, 1)
				requests, letters := len(s.seen()), dead(t, log)
				switch want {
				case ack:
					assert.Equal(t, 1, requests)
					assert.Empty(t, letters)
				case bury:
					assert.Equal(t, 1, requests)
					assert.Len(t, letters, 1)
				case retry:
					assert.Equal(t, 3, requests)
					assert.Len(t, letters, 1)
				case forever:
					assert.Equal(t, answers, requests)
					assert.Empty(t, letters)
				}
			})
		}
	}
}

func TestPoisonInABatch(t *testing.T) {
	for _, status := range []int{422, 413, 500} {
		t.Run(fmt.Sprint(status), func(t *testing.T) {
			log := natstest.Open(t)
			es := spread(600, 6)
			publish(t, log, es...)
			bad := map[string]bool{es[100].ID: true, es[101].ID: true, es[106].ID: true, es[599].ID: true}
			s := newSink(t, func(es []events.Event) int {
				for _, e := range es {
					if bad[e.ID] {
						return status
					}
				}
				return 200
			})
			run(t, log, config(s.URL))
			applied(t, log, 600)
			got := s.taken()
			require.Len(t, got, 596)
			inOrder(t, got, false)
			letters := dead(t, log)
			require.Len(t, letters, 4)
			for _, e := range letters {
				assert.True(t, bad[e.ID], e.ID)
			}
		})
	}
}

func TestOrderUnderRandomFailures(t *testing.T) {
	for _, mode := range []source.Mode{source.Batch, source.Single} {
		t.Run(string(mode), func(t *testing.T) {
			log := natstest.Open(t)
			var mu sync.Mutex
			busy := map[string]bool{}
			s := newSink(t, func(es []events.Event) int {
				channels := map[string]bool{}
				mu.Lock()
				for _, e := range es {
					channels[e.PartitionKey] = true
				}
				for c := range channels {
					assert.False(t, busy[c], "%s is in two requests", c)
					busy[c] = true
				}
				mu.Unlock()
				defer func() {
					mu.Lock()
					for c := range channels {
						busy[c] = false
					}
					mu.Unlock()
				}()
				switch rand.IntN(8) {
				case 0:
					return 503
				case 1:
					return 500
				case 2:
					return 429
				case 3:
					return 409
				}
				return 200
			})
			cfg := config(s.URL)
			cfg.Mode, cfg.MaxBatch, cfg.MaxPending, cfg.MaxAttempts = mode, 20, 200, 1000
			run(t, log, cfg)
			publish(t, log, spread(400, 13)...)
			applied(t, log, 400)
			got := s.taken()
			require.Len(t, got, 400)
			inOrder(t, got, false)
			assert.Empty(t, dead(t, log))
		})
	}
}

// Without an order, one channel has as many requests under way as there may be;
// each event still comes once, and a culprit is still found.
func TestNoOrder(t *testing.T) {
	log := natstest.Open(t)
	var flying atomic.Int32
	together := make(chan struct{})
	s := newSink(t, func(es []events.Event) int {
		if flying.Add(1) == 4 {
			close(together)
		}
		select {
		case <-together:
		case <-time.After(patience):
			t.Error("no four requests at a time")
		}
		for _, e := range es {
			if e.ID == "evt_ch_0_7" {
				return http.StatusUnprocessableEntity
			}
		}
		return http.StatusOK
	})
	publish(t, log, spread(200, 1)...)
	cfg := config(s.URL)
	cfg.Order, cfg.InFlight, cfg.MaxBatch = source.OrderNone, 4, 10
	run(t, log, cfg)
	applied(t, log, 200)
	ids := map[string]int{}
	for _, e := range s.taken() {
		ids[e.ID]++
	}
	assert.Len(t, ids, 199)
	for id, n := range ids {
		assert.Equal(t, 1, n, id)
	}
	require.Len(t, dead(t, log), 1)
}

// A channel that fails holds up no other.
func TestOthersGoOn(t *testing.T) {
	log := natstest.Open(t)
	open := make(chan struct{})
	s := newSink(t, func(es []events.Event) int {
		for _, e := range es {
			if e.PartitionKey == "ch_0" {
				select {
				case <-open:
				default:
					return 500
				}
			}
		}
		return 200
	})
	cfg := config(s.URL)
	cfg.MaxAttempts = 1_000_000
	run(t, log, cfg)
	publish(t, log, spread(400, 4)...)
	eventually(t, "the others", func() bool { return s.count() == 300 })
	close(open)
	applied(t, log, 400)
	inOrder(t, s.taken(), false)
	assert.Equal(t, 400, s.count())
}

func TestSinkAway(t *testing.T) {
	log := natstest.Open(t)
	s := newSink(t, nil)
	url := s.URL
	address := s.Listener.Addr().String()
	s.Close()
	publish(t, log, spread(100, 3)...)
	cfg := config(url)
	cfg.MaxAttempts = 1
	registry := prometheus.NewRegistry()
	src, err := source.New(log, cfg, source.Options{Registerer: registry, Logger: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	_, err = source.New(log, cfg, source.Options{Registerer: registry}) // two in one process
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- src.Run(ctx) }()
	value := func(name string) (v float64) {
		families, err := registry.Gather()
		require.NoError(t, err)
		for _, f := range families {
			if f.GetName() == name {
				v = f.GetMetric()[0].GetCounter().GetValue() + f.GetMetric()[0].GetGauge().GetValue()
			}
		}
		return v
	}
	eventually(t, "retries", func() bool { return value("chat_source_retried_total") > 20 })
	eventually(t, "held events", func() bool { return value("chat_source_held_events") == 100 })

	back := &http.Server{Addr: address, Handler: s, ReadHeaderTimeout: time.Second}
	go func() { _ = back.ListenAndServe() }()
	defer back.Close()
	applied(t, log, 100)
	inOrder(t, s.taken(), false)
	assert.Equal(t, 100, s.count())
	assert.Empty(t, dead(t, log))
	eventually(t, "metrics", func() bool {
		return value("chat_source_delivered_total") == 100 && value("chat_source_held_events") == 0
	})
	cancel()
	require.NoError(t, <-done)
}

// However long refusals make it wait, it goes on soon after an outage.
func TestAnOutageIsNotFollowedByALongWait(t *testing.T) {
	log := natstest.Open(t)
	var calls atomic.Int64
	s := newSink(t, func([]events.Event) int {
		if calls.Add(1) < 4 {
			return http.StatusServiceUnavailable
		}
		return http.StatusOK
	})
	publish(t, log, spread(10, 1)...)
	cfg := config(s.URL)
	cfg.BackoffBase, cfg.BackoffCap, cfg.OutageCap = 24*time.Hour, 24*time.Hour, 5*time.Millisecond
	run(t, log, cfg)
	applied(t, log, 10)
	inOrder(t, s.taken(), false)
}

// A sink that cannot finish large requests in its time is given smaller ones.
func TestASlowSinkIsGivenLess(t *testing.T) {
	log := natstest.Open(t)
	s := newSink(t, func(es []events.Event) int {
		if len(es) > 7 {
			return http.StatusServiceUnavailable
		}
		return http.StatusOK
	})
	publish(t, log, spread(300, 3)...)
	run(t, log, config(s.URL))
	applied(t, log, 300)
	inOrder(t, s.taken(), false)
	assert.Equal(t, 300, s.count())
	assert.Empty(t, dead(t, log))
}

func TestRetryAfter(t *testing.T) {
	for name, v := range map[string]func() string{
		"seconds": func() string { return "1" },
		"date":    func() string { return time.Now().Add(2 * time.Second).UTC().Format(http.TimeFormat) },
	} {
		t.Run(name, func(t *testing.T) {
			log := natstest.Open(t)
			publish(t, log, sent("ch_a", 0))
			var mu sync.Mutex
			var times []time.Time
			s := newSink(t, func([]events.Event) int {
				mu.Lock()
				defer mu.Unlock()
				if times = append(times, time.Now()); len(times) == 1 {
					return 429
				}
				return 200
			})
			s.retry = v()
			run(t, log, config(s.URL))
			applied(t, log, 1)
			require.Len(t, times, 2)
			assert.GreaterOrEqual(t, times[1].Sub(times[0]), 900*time.Millisecond, "the sink's word counts more than the back-off of 5 ms")
		})
	}
}

// A sink slower than AckWait gets nothing twice, neither what is in the request
// nor what waits behind it. On a machine that stands still for longer than half
// of AckWait it may; so the wait grows until the machine is fast enough.
func TestSlowSink(t *testing.T) {
	for wait := 250 * time.Millisecond; ; wait *= 4 {
		n := slowSink(t, wait)
		if n == 20 {
			return
		}
		require.Less(t, wait, patience, "20 events came as %d", n)
	}
}

// slowSink gives how many events came to a sink that takes three times AckWait.
func slowSink(t *testing.T, wait time.Duration) (n int) {
	t.Helper()
	log := natstest.Open(t)
	publish(t, log, spread(20, 20)...)
	var once sync.Once
	s := newSink(t, func([]events.Event) int {
		once.Do(func() { <-time.After(3 * wait) })
		return 200
	})
	cfg := config(s.URL)
	cfg.AckWait, cfg.InFlight, cfg.MaxBatch = wait, 1, 10
	stop := run(t, log, cfg)
	defer stop()
	require.Eventually(t, func() bool {
		seq, err := log.Applied(context.Background(), events.StreamMessages, "writer")
		return err == nil && seq == 20
	}, patience+3*wait, 2*time.Millisecond)
	for _, r := range s.seen() {
		n += len(r)
	}
	return n
}

// flaky cannot store dead letters at first.
type flaky struct {
	*nats.Log
	mu    sync.Mutex
	fails int
}

func (f *flaky) PublishDead(ctx context.Context, d *nats.Delivery, why nats.DeadReason) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.fails--; f.fails >= 0 {
		return errors.New("no room")
	}
	return f.Log.PublishDead(ctx, d, why)
}

func TestDeadLetterCannotBeStored(t *testing.T) {
	log := natstest.Open(t)
	es := spread(9, 3)
	publish(t, log, es...)
	s := newSink(t, func(got []events.Event) int {
		for _, e := range got {
			if e.ID == es[0].ID {
				return 422
			}
		}
		return 200
	})
	f := &flaky{Log: log, fails: 5}
	run(t, f, config(s.URL))
	applied(t, log, 9)
	require.Len(t, dead(t, log), 1)
	assert.Equal(t, 8, s.count())
	inOrder(t, s.taken(), false)
	assert.Negative(t, f.fails)
}

func TestDrainAndRestart(t *testing.T) {
	log := natstest.Open(t)
	publish(t, log, spread(2000, 20)...)
	entered, leave := make(chan struct{}, 100), make(chan struct{})
	s := newSink(t, func([]events.Event) int {
		entered <- struct{}{}
		<-leave
		return 200
	})
	cfg := config(s.URL)
	cfg.AckWait, cfg.MaxBatch, cfg.InFlight = time.Hour, 100, 2
	stop := run(t, log, cfg)
	<-entered
	go func() { // the requests end while it drains
		<-time.After(50 * time.Millisecond)
		close(leave)
	}()
	stop()
	n := s.count()
	assert.Positive(t, n, "what was in flight is through")
	assert.Less(t, n, 2000)
	s.mu.Lock()
	s.reply = nil
	s.mu.Unlock()
	// With an AckWait of an hour only what was given back comes again.
	for range 5 {
		before := s.count()
		stop := run(t, log, cfg)
		eventually(t, "progress", func() bool { return s.count() > before || before == 2000 })
		stop()
		inOrder(t, s.taken()[before:], false)
	}
	run(t, log, cfg)
	applied(t, log, 2000)
	assert.Equal(t, 2000, s.count(), "each once")
}

func TestDrainDoesNotWaitForEver(t *testing.T) {
	log := natstest.Open(t)
	publish(t, log, sent("ch_a", 0))
	entered, leave := make(chan struct{}, 10), make(chan struct{})
	s := newSink(t, func([]events.Event) int { entered <- struct{}{}; <-leave; return 200 })
	cfg := config(s.URL)
	cfg.DrainWait = 10 * time.Millisecond
	stop := run(t, log, cfg)
	<-entered
	stop()
	close(leave)
	s.mu.Lock()
	s.reply = nil
	s.mu.Unlock()
	run(t, log, cfg)
	applied(t, log, 1)
}

func TestServerRestart(t *testing.T) {
	srv := natstest.Start(t)
	log := natstest.ConnectTCP(t, srv)
	s := newSink(t, nil)
	cfg := config(s.URL)
	cfg.AckWait = time.Second
	run(t, log, cfg)
	publish(t, log, spread(500, 5)...)
	eventually(t, "some", func() bool { return s.count() > 0 })
	require.NoError(t, srv.Restart())
	eventually(t, "connection", func() bool { return log.Ping(t.Context()) == nil })
	publish(t, log, spread(1000, 5)...)
	applied(t, log, 1000)
	seen := map[string]bool{}
	for _, e := range s.taken() {
		seen[e.ID] = true
	}
	assert.Len(t, seen, 1000)
}

// The rebuild of a view deletes its consumer while the source runs.
func TestConsumerDeleted(t *testing.T) {
	log := natstest.Open(t)
	s := newSink(t, nil)
	run(t, log, config(s.URL))
	publish(t, log, spread(200, 5)...)
	applied(t, log, 200)
	before := s.count() // 200, or more where the machine was so slow that some came twice
	require.NoError(t, log.DeleteConsumer(t.Context(), events.StreamMessages, "writer"))
	eventually(t, "all of it again", func() bool {
		again := map[string]bool{}
		for _, e := range s.taken()[before:] {
			again[e.ID] = true
		}
		return len(again) == 200
	})
	applied(t, log, 200)
	inOrder(t, s.taken()[before:], true)
}

func TestNotACloudEvent(t *testing.T) {
	srv := natstest.Start(t)
	log := natstest.Connect(t, srv)
	js := driver(t, srv.ClientURL())
	publish(t, log, sent("ch_a", 0))
	_, err := js.Publish(t.Context(), "messages.send.ch_a", []byte("hello"))
	require.NoError(t, err)
	publish(t, log, sent("ch_a", 1))
	_, err = js.Publish(t.Context(), "messages.send.ch_b", []byte("hello"))
	require.NoError(t, err)
	odd := sent("ch_c", 0)
	odd.Data = []byte("no JSON")
	publish(t, log, odd, sent("ch_c", 1))
	s := newSink(t, nil)
	run(t, log, config(s.URL))
	applied(t, log, 6)
	assert.Equal(t, 3, s.count())
	inOrder(t, s.taken(), false)
	reasons := map[string]string{}
	st, err := js.Stream(t.Context(), events.StreamDeadLetters)
	require.NoError(t, err)
	for seq := range uint64(3) {
		m, err := st.GetMsg(t.Context(), seq+1)
		require.NoError(t, err)
		reasons[m.Header.Get(nats.HeaderDeadSequence)] = m.Header.Get(nats.HeaderDeadReason)
	}
	assert.Contains(t, reasons["2"], "not a CloudEvent")
	assert.Contains(t, reasons["4"], "not a CloudEvent")
	assert.Contains(t, reasons["5"], "evt_ch_c_0")
}

func TestReasonIsTheProblems(t *testing.T) {
	srv := natstest.Start(t)
	log := natstest.Connect(t, srv)
	js := driver(t, srv.ClientURL())
	publish(t, log, sent("ch_a", 0))
	s := newSink(t, func([]events.Event) int { return 422 })
	run(t, log, config(s.URL))
	applied(t, log, 1)
	st, err := js.Stream(t.Context(), events.StreamDeadLetters)
	require.NoError(t, err)
	m, err := st.GetMsg(t.Context(), 1)
	require.NoError(t, err)
	assert.Equal(t, "poison: this can not be", m.Header.Get(nats.HeaderDeadReason))
	assert.Equal(t, "422", m.Header.Get(nats.HeaderDeadStatus))
	assert.Equal(t, "1", m.Header.Get(nats.HeaderDeadAttempts))
	assert.Equal(t, "evt_ch_a_0", m.Header.Get("ce-id"))
}

func TestFilters(t *testing.T) {
	log := natstest.Open(t)
	s := newSink(t, nil)
	cfg := config(s.URL)
	cfg.Filters = []string{"messages.send.ch_1", "messages.send.ch_3"}
	run(t, log, cfg)
	publish(t, log, spread(100, 5)...)
	applied(t, log, 100)
	assert.Equal(t, 40, s.count())
}

func TestRunWaitsForTheLog(t *testing.T) {
	srv := natstest.Start(t)
	log := natstest.ConnectTCP(t, srv)
	publish(t, log, sent("ch_a", 0))
	srv.Shutdown()
	eventually(t, "down", func() bool { return log.Ping(t.Context()) != nil })
	s := newSink(t, nil)
	run(t, log, config(s.URL))
	require.NoError(t, srv.Restart())
	eventually(t, "delivery", func() bool { return s.count() == 1 })

	srv.Shutdown()
	eventually(t, "down", func() bool { return log.Ping(t.Context()) != nil })
	src, err := source.New(log, config(s.URL), source.Options{Logger: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	assert.NoError(t, src.Run(ctx))
}

func TestRunReturnsWhatWaitingCannotHelp(t *testing.T) {
	log := natstest.Open(t)
	cfg := config("http://localhost")
	cfg.Consumer = "bad.name"
	s, err := source.New(log, cfg, source.Options{})
	require.NoError(t, err)
	assert.ErrorContains(t, s.Run(t.Context()), "bad.name")
}

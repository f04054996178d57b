//go:build integration

package main_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/chat-platform/chat/events"
	"github.com/chat-platform/chat/functions/internal/hot"
	"github.com/chat-platform/chat/infra/cassandra"
	"github.com/chat-platform/chat/infra/redis"
	"github.com/chat-platform/chat/infra/servertest"
	"github.com/chat-platform/chat/infra/stores"
	"github.com/chat-platform/chat/infra/stores/messages"
	"github.com/chat-platform/chat/infra/storetest"
)

func TestMain(m *testing.M) { servertest.Main(m) }

func openCassandra(tb testing.TB) stores.Messages {
	tb.Helper()
	return openGeneration(tb, servertest.Name(tb), 1)
}

func openGeneration(tb testing.TB, keyspace string, generation int) stores.Messages {
	tb.Helper()
	cfg := messages.Config{Store: "cassandra", Cassandra: cassandra.Config{Hosts: strings.Split(servertest.Cassandra(tb), ","), Keyspace: keyspace}}
	s, err := messages.OpenGeneration(tb.Context(), cfg, stores.Host{Name: "test", Log: slog.New(slog.DiscardHandler)}, generation)
	require.NoError(tb, err)
	tb.Cleanup(func() { _ = s.Close() })
	return s
}

// openShared makes what keeps pages as a process does that keeps so many bytes.
func openShared(tb testing.TB, cfg redis.Config, bytes int) *hot.Pages {
	tb.Helper()
	cfg.Timeout, cfg.Logger = 5*time.Second, slog.New(slog.DiscardHandler)
	shared, err := redis.OpenCache(tb.Context(), cfg, time.Minute)
	require.NoError(tb, err)
	tb.Cleanup(func() { _ = shared.Close() })
	return hot.New(hot.Config{Bytes: bytes}, shared, nil)
}

// TestSuiteOnTheRealServers is the stores' suite on Cassandra behind Redis: each
// page that is kept is read from there.
func TestSuiteOnTheRealServers(t *testing.T) {
	cfg := redis.Config{URL: servertest.Redis(t)}
	through := func(t *testing.T, s stores.Messages) storetest.Messages {
		t.Helper()
		c := cfg
		c.Prefix = servertest.Name(t) + ":"
		return &through{Messages: s, pages: openShared(t, c, 0)}
	}
	storetest.TestMessages(t, func(t *testing.T) storetest.Messages {
		t.Helper()
		return through(t, openCassandra(t))
	}, func(t *testing.T) func(int) storetest.Messages {
		keyspace := servertest.Name(t)
		return func(generation int) storetest.Messages { return through(t, openGeneration(t, keyspace, generation)) }
	})
}

const channel = events.ChannelID("ch_busy")

func conversation(n int) []events.Message {
	ms := make([]events.Message, n)
	for i := range ms {
		client := events.ClientID(fmt.Sprintf("01890a5d-ac96-774b-bcce-%012d", i))
		ms[i] = events.Message{Seq: uint64(i) + 1, MessageSent: events.MessageSent{
			ID: events.NewMessageID("ann", channel, client), ChannelID: channel, AuthorID: "ann", ClientID: client,
			Text:   fmt.Sprint("a message of the usual length, about a hundred characters or so, of which this is number ", i),
			SentAt: time.UnixMilli(1_700_000_000_000 + int64(i)).UTC(),
		}}
	}
	return ms
}

// counted counts the pages that are read from the store.
type counted struct {
	stores.Messages
	reads atomic.Int64
}

func (c *counted) History(ctx context.Context, q events.HistoryQuery) (events.HistoryPage, error) {
	c.reads.Add(1)
	return c.Messages.History(ctx, q)
}

// 200 miss the same page at once, in four processes. (That one read is enough is
// hot's own test, on a clock that stands still; here a process may lose patience.)
func TestStampede(t *testing.T) {
	store := &counted{Messages: openCassandra(t)}
	require.NoError(t, store.PutMessages(t.Context(), conversation(200)))
	cfg := redis.Config{URL: servertest.Redis(t), Prefix: servertest.Name(t) + ":"}
	var processes []*through
	for range 4 {
		processes = append(processes, &through{Messages: store, pages: openShared(t, cfg, 1<<20)})
	}
	ready := make(chan struct{})
	var readers sync.WaitGroup
	for i := range 200 {
		readers.Go(func() {
			<-ready
			page, err := processes[i%4].History(t.Context(), events.HistoryQuery{Channel: channel, Limit: 50})
			assert.NoError(t, err)
			assert.Len(t, page.Messages, 50)
		})
	}
	close(ready)
	readers.Wait()
	t.Logf("200 readers in 4 processes: %d reads of the store", store.reads.Load())
	require.LessOrEqual(t, store.reads.Load(), int64(4))
}

// Redis is killed under readers and comes back: nobody gets an error or an old
// page, and pages are shared again.
func TestRedisKilledUnderReaders(t *testing.T) {
	srv := servertest.Start(t, servertest.ProductRedis)
	store := &counted{Messages: openCassandra(t)}
	ms := conversation(400)
	require.NoError(t, store.PutMessages(t.Context(), ms[:100]))
	var last atomic.Uint64
	last.Store(100)
	cfg := redis.Config{URL: srv.Address(), Prefix: servertest.Name(t) + ":", Timeout: 500 * time.Millisecond, Logger: slog.New(slog.DiscardHandler)}
	var shared []*redis.Cache
	var pages []*hot.Pages
	for range 2 {
		c, err := redis.OpenCache(t.Context(), cfg, time.Minute)
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, c.Close()) })
		shared, pages = append(shared, c), append(pages, hot.New(hot.Config{}, c, nil))
	}
	read := func(p *hot.Pages) {
		before := last.Load()
		page, err := p.Get(t.Context(), string(channel), func(context.Context) (events.Event, error) {
			return events.Event{ID: "evt", Sequence: last.Load()}, nil
		}, func(ctx context.Context) (events.HistoryPage, bool, error) {
			page, err := store.History(ctx, events.HistoryQuery{Channel: channel, Limit: 50})
			return page, true, err
		})
		if assert.NoError(t, err) && assert.Len(t, page.Messages, 50) {
			assert.GreaterOrEqual(t, page.Messages[49].Seq, before)
		}
	}
	ctx, stop := context.WithCancel(t.Context())
	var calls atomic.Int64
	var traffic sync.WaitGroup
	for i := range 8 {
		traffic.Go(func() {
			for ctx.Err() == nil {
				read(pages[i%2])
				calls.Add(1)
			}
		})
	}
	defer traffic.Wait()
	defer stop()
	goOn := func() {
		t.Helper()
		at := calls.Load()
		for range 20 { // while messages come
			seq := last.Load() + 1
			require.NoError(t, store.PutMessages(t.Context(), ms[seq-1:seq]))
			last.Store(seq)
		}
		require.Eventually(t, func() bool { return calls.Load() > at+100 }, time.Minute, 5*time.Millisecond)
	}
	degraded := func(want bool) {
		t.Helper()
		require.Eventually(t, func() bool { return shared[0].Degraded() == want && shared[1].Degraded() == want }, time.Minute, 5*time.Millisecond)
	}
	goOn()
	srv.Kill(t)
	degraded(true)
	goOn()
	srv.Restart(t)
	degraded(false)
	goOn()
	require.Eventually(t, func() bool { // what is shared is found again
		at := store.reads.Load()
		read(pages[0])
		read(pages[1])
		return store.reads.Load() == at
	}, time.Minute, 5*time.Millisecond)
}

// BenchmarkLatest is the latest 50 of a channel, from Cassandra, from Redis and
// from the process, in turns; without the request to the log that all of them
// need. Run it with -benchtime 1x.
func BenchmarkLatest(b *testing.B) {
	store := openCassandra(b)
	ms := conversation(2000)
	for chunk := range slices.Chunk(ms, 500) {
		require.NoError(b, store.PutMessages(b.Context(), chunk))
	}
	cfg := redis.Config{URL: servertest.Redis(b), Prefix: servertest.Name(b) + ":", PoolSize: 64}
	sides := []struct {
		name string
		s    storetest.Messages
	}{
		{"cassandra", store},
		{"redis", &through{Messages: alive{store}, pages: openShared(b, cfg, 0)}},
		{"process", &through{Messages: alive{store}, pages: openShared(b, cfg, 1<<20)}},
	}
	turn := 500 * time.Millisecond
	if ms, err := strconv.Atoi(os.Getenv("BENCH_TURN_MS")); err == nil {
		turn = time.Duration(ms) * time.Millisecond
	}
	for _, inFlight := range []int{1, 16, 64} {
		b.Run(strconv.Itoa(inFlight), func(b *testing.B) {
			took := make([][]time.Duration, len(sides))
			rates := make([][]float64, len(sides))
			for n := range 6 {
				for k, side := range sides {
					each, rate := calls(b, inFlight, turn, side.s)
					if n > 0 { // the first warms up
						took[k], rates[k] = append(took[k], each...), append(rates[k], rate)
					}
				}
			}
			for k, side := range sides {
				slices.Sort(took[k])
				slices.Sort(rates[k])
				b.ReportMetric(rates[k][len(rates[k])/2], side.name+"/s")
				b.ReportMetric(float64(took[k][len(took[k])*99/100].Microseconds())/1000, side.name+"-p99-ms")
			}
			b.ReportMetric(0, "ns/op")
		})
	}
}

// alive is asked for its health in vain, so that only pages are measured.
type alive struct{ stores.Messages }

func (alive) Ping(context.Context) error { return nil }

func calls(b *testing.B, inFlight int, turn time.Duration, s storetest.Messages) (all []time.Duration, rate float64) {
	b.Helper()
	var mu sync.Mutex
	var readers sync.WaitGroup
	begin := time.Now()
	for range inFlight {
		readers.Go(func() {
			var mine []time.Duration
			for time.Since(begin) < turn {
				t := time.Now()
				page, err := s.History(b.Context(), events.HistoryQuery{Channel: channel, Limit: 50})
				if err != nil || len(page.Messages) != 50 {
					b.Errorf("%d messages, %v", len(page.Messages), err)
					return
				}
				mine = append(mine, time.Since(t))
			}
			mu.Lock()
			defer mu.Unlock()
			all = append(all, mine...)
		})
	}
	readers.Wait()
	return all, float64(len(all)) / time.Since(begin).Seconds()
}

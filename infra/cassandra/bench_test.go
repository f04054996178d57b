//go:build integration

package cassandra_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	gocql "github.com/apache/cassandra-gocql-driver/v2"
	"github.com/stretchr/testify/require"

	"github.com/chat-platform/chat/events"
	"github.com/chat-platform/chat/infra/cassandra"
)

// Each benchmark runs the store and the bare driver in turns, a fraction of a
// second each, since the machine's other work changes from one second to the
// next: run them with -benchtime 1x. turns says how often.
var turns = 6

func turnTime() time.Duration {
	if ms, err := strconv.Atoi(os.Getenv("BENCH_TURN_MS")); err == nil {
		return time.Duration(ms) * time.Millisecond
	}
	return 500 * time.Millisecond
}

// measure is what a side did.
type measure struct {
	n    int64
	took time.Duration
	each []time.Duration
}

func (m *measure) quantile(q float64) float64 {
	if len(m.each) == 0 {
		return 0
	}
	slices.Sort(m.each)
	return float64(m.each[min(len(m.each)-1, int(q*float64(len(m.each))))].Microseconds()) / 1000
}

// duel lets both sides work in turns, with so many calls under way.
func duel(b *testing.B, inFlight, size int, store, driver func(ctx context.Context, worker int) error) {
	sides := []func(context.Context, int) error{store, driver}
	var results [2]measure
	for turn := range 2*turns + 2 {
		side := turn % 2
		end := time.Now().Add(turnTime())
		var mu sync.Mutex
		var wg sync.WaitGroup
		var all []time.Duration
		began := time.Now()
		for w := range inFlight {
			wg.Go(func() {
				var mine []time.Duration
				for time.Now().Before(end) {
					t := time.Now()
					if err := sides[side](b.Context(), w); err != nil {
						b.Error(err)
						return
					}
					mine = append(mine, time.Since(t))
				}
				mu.Lock()
				defer mu.Unlock()
				all = append(all, mine...)
			})
		}
		wg.Wait()
		if turn < 2 { // warm-up
			continue
		}
		results[side].n += int64(len(all) * size)
		results[side].took += time.Since(began)
		results[side].each = append(results[side].each, all...)
	}
	rate := func(m measure) float64 { return float64(m.n) / m.took.Seconds() }
	s, d := rate(results[0]), rate(results[1])
	b.ReportMetric(s, "store/s")
	b.ReportMetric(d, "driver/s")
	b.ReportMetric(100*s/d, "%")
	b.ReportMetric(results[0].quantile(0.5), "p50-ms")
	b.ReportMetric(results[0].quantile(0.99), "p99-ms")
	b.ReportMetric(results[1].quantile(0.99), "driver-p99-ms")
	b.ReportMetric(0, "ns/op")
}

func openBench(b *testing.B, o gocql.QueryObserver) *cassandra.Store {
	cfg := config(b)
	dropAfter(b, cfg)
	return openOn(b, cfg, cassandra.OpenObserved, o)
}

// batches makes messages of a channel for each worker.
type batches struct {
	seq  atomic.Uint64
	size int
}

const body = "The quick brown fox jumps over the lazy dog, then sits down to write about it at some length."

func (g *batches) next(worker int) []events.Message {
	ms := make([]events.Message, g.size)
	last := g.seq.Add(uint64(g.size))
	c := events.ChannelID(fmt.Sprintf("ch_worker_%02d", worker))
	for i := range ms {
		seq := last - uint64(g.size) + uint64(i) + 1
		client := events.ClientID(fmt.Sprintf("01890a5d-ac96-774b-bcce-%012d", seq))
		ms[i] = events.Message{Seq: seq, MessageSent: events.MessageSent{
			ID: events.NewMessageID("ann", c, client), ChannelID: c, AuthorID: "ann", ClientID: client, Text: body,
			SentAt: time.UnixMilli(1_700_000_000_000 + int64(seq)).UTC(),
		}}
	}
	return ms
}

// bare writes a batch as the store does, by the driver alone.
func bare(ctx context.Context, s *gocql.Session, ms []events.Message) error {
	var next atomic.Int64
	errs := make(chan error, 128)
	workers := min(len(ms), 128)
	for range workers {
		go func() {
			for {
				i := int(next.Add(1)) - 1
				if i >= len(ms) {
					errs <- nil
					return
				}
				m := ms[i]
				err := s.Query("INSERT INTO message_ids (id, seq, level, channel) VALUES (?, ?, ?, ?) USING TIMESTAMP ?",
					string(m.ID), int64(m.Seq), int8(3), string(m.ChannelID), int64(m.Seq)).ExecContext(ctx)
				if err == nil {
					var channel string
					var seq int64
					var level int8
					err = s.Query("SELECT channel, seq, level FROM message_ids WHERE id = ?", string(m.ID)).ScanContext(ctx, &channel, &seq, &level)
				}
				if err != nil {
					errs <- err
					return
				}
			}
		}()
	}
	for range workers {
		if err := <-errs; err != nil {
			return err
		}
	}
	batch := s.Batch(gocql.UnloggedBatch).DefaultTimestamp(false)
	for _, m := range ms {
		batch.Query(cassandra.InsertRow, string(m.ChannelID), int8(3), int64(0), int64(m.Seq), string(m.ID), string(m.AuthorID),
			string(m.ClientID), gocql.UnsetValue, m.SentAt.UnixMilli(), m.Text, int64(m.Seq))
	}
	return batch.ExecContext(ctx)
}

func BenchmarkPut(b *testing.B) {
	for _, size := range []int{1, 100} {
		for _, inFlight := range []int{1, 16, 64} {
			b.Run(fmt.Sprintf("batch=%d/inflight=%d", size, inFlight), func(b *testing.B) {
				s := openBench(b, nil)
				g := &batches{size: size}
				duel(b, inFlight, size,
					func(ctx context.Context, w int) error { return s.PutMessages(ctx, g.next(w)) },
					func(ctx context.Context, w int) error { return bare(ctx, s.Session(), g.next(w)) })
			})
		}
	}
}

func BenchmarkLatest50(b *testing.B) {
	s := openBench(b, nil)
	g := &batches{size: 500}
	for w := range 64 {
		for range 4 {
			require.NoError(b, s.PutMessages(b.Context(), g.next(w)))
		}
	}
	for _, inFlight := range []int{1, 16, 64} {
		b.Run(fmt.Sprintf("inflight=%d", inFlight), func(b *testing.B) {
			duel(b, inFlight, 1, func(ctx context.Context, w int) error {
				p, err := s.History(ctx, events.HistoryQuery{Channel: events.ChannelID(fmt.Sprintf("ch_worker_%02d", w)), Limit: 50})
				if err == nil && len(p.Messages) != 50 {
					err = fmt.Errorf("%d messages", len(p.Messages))
				}
				return err
			}, func(ctx context.Context, w int) error {
				iter := s.Session().Query("SELECT seq, id, author, client, reply, sent_at, body, state, full_at FROM messages WHERE channel = ? AND level = ? AND bucket = ? AND seq < ? ORDER BY seq DESC LIMIT ?",
					fmt.Sprintf("ch_worker_%02d", w), int8(3), int64(0), int64(1)<<62, 51).IterContext(ctx)
				var seq int64
				var sentAt time.Time
				var id, author, client, reply, text string
				var state *int8
				var full *int64
				var ms []events.Message
				for iter.Scan(&seq, &id, &author, &client, &reply, &sentAt, &text, &state, &full) {
					ms = append(ms, events.Message{Seq: uint64(seq), MessageSent: events.MessageSent{Text: text}})
				}
				return iter.Close()
			})
		})
	}
}

// pages reads 50 messages here and there, and reports what that takes.
func pages(b *testing.B, s *cassandra.Store, requests *counter, q func() events.HistoryQuery) {
	var m measure
	before := requests.n.Load()
	for range 200 {
		query := q()
		query.Channel, query.Limit = channel, 50
		t := time.Now()
		_, err := s.History(b.Context(), query)
		require.NoError(b, err)
		m.each = append(m.each, time.Since(t))
	}
	b.ReportMetric(float64(requests.n.Load()-before)/200, "requests/page")
	b.ReportMetric(m.quantile(0.5), "p50-ms")
	b.ReportMetric(m.quantile(0.99), "p99-ms")
	b.ReportMetric(0, "ns/op")
}

// BenchmarkPages shows what a page costs in channels of every kind.
func BenchmarkPages(b *testing.B) {
	giant := conversation(1, 1, 200_000)
	sparse := conversation(1<<33, 1<<24, 2_000) // each 16 million sequences from the next
	for _, c := range []struct {
		name string
		ms   []events.Message
	}{
		{"giant of 200,000", giant},
		{"quiet, 2,000 over 2^35 sequences", sparse},
		{"once busy with 40,000, then quiet for 2^33 sequences, then sparse", slices.Concat(giant[:40_000], sparse)},
	} {
		b.Run(c.name, func(b *testing.B) {
			var requests counter
			s := openBench(b, &requests)
			began := time.Now()
			for chunk := range slices.Chunk(c.ms, 1000) {
				require.NoError(b, s.PutMessages(b.Context(), chunk))
			}
			b.Logf("%s: written at %.0f/s", c.name, float64(len(c.ms))/time.Since(began).Seconds())
			rows := map[string]int{}
			iter := s.Session().Query("SELECT level, bucket FROM messages").Iter()
			var level, bucket int64
			most := 0
			for iter.Scan(&level, &bucket) {
				p := fmt.Sprint(level, bucket)
				rows[p]++
				most = max(most, rows[p])
			}
			require.NoError(b, iter.Close())
			b.Logf("%s: %d partitions, the largest of %d rows", c.name, len(rows), most)
			any := func() uint64 { return c.ms[rand.IntN(len(c.ms))].Seq }
			for name, q := range map[string]func() events.HistoryQuery{
				"latest": func() events.HistoryQuery { return events.HistoryQuery{} },
				"before": func() events.HistoryQuery { return events.HistoryQuery{Before: any()} },
				"after":  func() events.HistoryQuery { return events.HistoryQuery{After: any()} },
				"around": func() events.HistoryQuery { return events.HistoryQuery{Around: any()} },
			} {
				b.Run(name, func(b *testing.B) { pages(b, s, &requests, q) })
			}
		})
	}
}

//go:build integration

package cassandra_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	gocql "github.com/apache/cassandra-gocql-driver/v2"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/semaphore"

	"github.com/chat-platform/chat/events"
	"github.com/chat-platform/chat/infra/cassandra"
	"github.com/chat-platform/chat/infra/storetest"
)

// busy is a timeout on a machine that has other work: time that was lost.
func busy(err error) bool { return cassandra.KindOf(err) != nil }

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

// vocabulary is of made-up words, so that texts compress as texts do.
var vocabulary = func() []string {
	r := rand.New(rand.NewPCG(1, 2))
	words := make([]string, 3000)
	for i := range words {
		for range 2 + r.IntN(7) {
			words[i] += string(rune('a' + r.IntN(26)))
		}
	}
	return words
}()

func text(seq uint64) string {
	r := rand.New(rand.NewPCG(seq, 3))
	words := make([]string, 4+r.IntN(25))
	for i := range words {
		words[i] = vocabulary[min(r.IntN(3000), r.IntN(3000))]
	}
	return strings.Join(words, " ")
}

func (g *batches) next(worker int) []events.Message {
	ms := make([]events.Message, g.size)
	last := g.seq.Add(uint64(g.size))
	c := events.ChannelID(fmt.Sprintf("ch_worker_%02d", worker))
	for i := range ms {
		seq := last - uint64(g.size) + uint64(i) + 1
		client := events.ClientID(fmt.Sprintf("01890a5d-ac96-774b-bcce-%012d", seq))
		ms[i] = events.Message{Seq: seq, MessageSent: events.MessageSent{
			ID: events.NewMessageID("ann", c, client), ChannelID: c, AuthorID: "ann", ClientID: client, Text: text(seq),
			SentAt: time.UnixMilli(1_700_000_000_000 + int64(seq)).UTC(),
		}}
	}
	return ms
}

// inFlightMost is how many requests either side has under way.
const inFlightMost = 256

var slots = semaphore.NewWeighted(inFlightMost)

// bare writes a batch as the store does, by the driver alone.
func bare(ctx context.Context, s *gocql.Session, ms []events.Message) error {
	var next atomic.Int64
	errs := make(chan error, inFlightMost)
	workers := min(len(ms), inFlightMost)
	for range workers {
		go func() {
			for {
				i := int(next.Add(1)) - 1
				if i >= len(ms) {
					errs <- nil
					return
				}
				m := ms[i]
				if err := slots.Acquire(ctx, 1); err != nil {
					errs <- err
					return
				}
				err := s.Query("INSERT INTO message_ids (id, seq, level, channel) VALUES (?, ?, ?, ?) USING TIMESTAMP ?",
					string(m.ID), int64(m.Seq), int8(3), string(m.ChannelID), int64(m.Seq)).ExecContext(ctx)
				if err == nil {
					var channel string
					var seq int64
					var level int8
					err = s.Query("SELECT channel, seq, level FROM message_ids WHERE id = ?", string(m.ID)).ScanContext(ctx, &channel, &seq, &level)
				}
				slots.Release(1)
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
	if err := slots.Acquire(ctx, 1); err != nil {
		return err
	}
	defer slots.Release(1)
	return batch.ExecContext(ctx)
}

// load writes what a benchmark reads, on a machine that may be too busy at times.
func load(b *testing.B, s *cassandra.Store, ms []events.Message) {
	b.Helper()
	require.Eventually(b, func() bool {
		err := s.PutMessages(b.Context(), ms)
		if err != nil {
			require.ErrorIs(b, err, events.ErrUnavailable)
		}
		return err == nil
	}, time.Minute, 10*time.Millisecond)
}

// BenchmarkAgainstDriver compares the store with the bare driver.
func BenchmarkAgainstDriver(b *testing.B) {
	for _, size := range []int{1, 100} {
		for _, inFlight := range storetest.InFlight {
			b.Run(fmt.Sprintf("write %d/%d", size, inFlight), func(b *testing.B) {
				s := openBench(b, nil)
				g := &batches{size: size}
				storetest.Duel{InFlight: inFlight, Size: size, Passing: busy}.Run(b,
					func(ctx context.Context, w int) error { return s.PutMessages(ctx, g.next(w)) },
					func(ctx context.Context, w int) error { return bare(ctx, s.Session(), g.next(w)) })
			})
		}
	}
	s := openBench(b, nil)
	g := &batches{size: 500}
	for w := range 64 {
		for range 4 {
			load(b, s, g.next(w))
		}
	}
	for _, inFlight := range storetest.InFlight {
		b.Run(fmt.Sprintf("latest 50/%d", inFlight), func(b *testing.B) {
			storetest.Duel{InFlight: inFlight, Size: 1, Passing: busy}.Run(b, func(ctx context.Context, w int) error {
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
				var state int8
				var full int64
				var ms []events.Message
				for iter.Scan(&seq, &id, &author, &client, &reply, &sentAt, &text, &state, &full) {
					ms = append(ms, events.Message{Seq: uint64(seq), MessageSent: events.MessageSent{ID: events.MessageID(id), AuthorID: events.UserID(author),
						ClientID: events.ClientID(client), ReplyTo: events.MessageID(reply), SentAt: sentAt.UTC(), Text: text}})
				}
				if err := iter.Close(); err != nil {
					return err
				}
				if len(ms) < 50 {
					return fmt.Errorf("%d messages", len(ms))
				}
				return nil
			})
		})
	}
}

// BenchmarkBytes shows what a message takes on one node's disk.
func BenchmarkBytes(b *testing.B) {
	const n = 60_000
	cfg := config(b)
	dropAfter(b, cfg)
	s := openOn(b, cfg, cassandra.OpenObserved, nil)
	g := &batches{size: 500}
	for range n / 500 {
		load(b, s, g.next(0))
	}
	for _, table := range []string{"messages", "message_ids"} {
		require.NoError(b, s.Session().Query("ALTER TABLE "+table+" WITH memtable_flush_period_in_ms = 1000").Exec())
	}
	used := func() (total int64) {
		iter := s.Session().Query("SELECT table_name, mebibytes FROM system_views.disk_usage WHERE keyspace_name = ?", cfg.Keyspace).Iter()
		var table string
		var mib int64
		for iter.Scan(&table, &mib) {
			if table == "messages" || table == "message_ids" {
				total += mib
			}
		}
		require.NoError(b, iter.Close())
		return total
	}
	require.Eventually(b, func() bool { return used() > 2 }, time.Minute, time.Second)
	most, same := int64(0), 0
	require.Eventually(b, func() bool { // until the last flush
		now := used()
		if same++; now > most {
			most, same = now, 0
		}
		return same == 5
	}, time.Minute, 2*time.Second)
	b.ReportMetric(float64(most<<20)/n, "B/message")
	b.ReportMetric(0, "ns/op")
}

// pages reads 50 messages here and there, and reports what that takes.
func pages(b *testing.B, s *cassandra.Store, requests *counter, q func() events.HistoryQuery) {
	var each []time.Duration
	before := requests.n.Load()
	for range 200 {
		query := q()
		query.Channel, query.Limit = channel, 50
		t := time.Now()
		_, err := s.History(b.Context(), query)
		require.NoError(b, err)
		each = append(each, time.Since(t))
	}
	b.ReportMetric(float64(requests.n.Load()-before)/200, "requests/page")
	slices.Sort(each)
	b.ReportMetric(float64(each[len(each)/2].Microseconds())/1000, "p50-ms")
	b.ReportMetric(float64(each[len(each)*99/100].Microseconds())/1000, "p99-ms")
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
				load(b, s, chunk)
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

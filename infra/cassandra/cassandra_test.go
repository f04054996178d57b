//go:build integration

package cassandra_test

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	gocql "github.com/apache/cassandra-gocql-driver/v2"
	"github.com/stretchr/testify/require"

	"github.com/chat-platform/chat/events"
	"github.com/chat-platform/chat/infra/cassandra"
	"github.com/chat-platform/chat/infra/servertest"
	"github.com/chat-platform/chat/infra/stores"
	"github.com/chat-platform/chat/infra/storetest"
)

func TestMain(m *testing.M) { servertest.Main(m) }

// counter counts requests.
type counter struct{ n atomic.Int64 }

func (c *counter) ObserveQuery(context.Context, gocql.ObservedQuery) { c.n.Add(1) }

type opener func(context.Context, cassandra.Config, gocql.QueryObserver) (*cassandra.Store, error)

func config(t testing.TB) cassandra.Config {
	return cassandra.Config{
		Hosts: strings.Split(servertest.Cassandra(t), ","), Keyspace: servertest.Name(t),
		Logger: slog.New(slog.DiscardHandler), Timeout: 20 * time.Second, // the machine may be busy
	}
}

func openOn(t testing.TB, cfg cassandra.Config, open opener, o gocql.QueryObserver) *cassandra.Store {
	t.Helper()
	s, err := open(t.Context(), cfg, o)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	return s
}

func dropAfter(t testing.TB, cfg cassandra.Config) {
	t.Cleanup(func() {
		g := gocql.NewCluster(cfg.Hosts...)
		g.Timeout, g.ConnectTimeout, g.Logger = time.Minute, time.Minute, gocql.NewLogger(gocql.LogLevelNone)
		session, err := g.CreateSession()
		require.NoError(t, err)
		defer session.Close()
		require.NoError(t, session.Query("DROP KEYSPACE IF EXISTS "+cfg.Keyspace).Exec())
	})
}

func openSmall(t testing.TB) *cassandra.Store {
	cfg := config(t)
	dropAfter(t, cfg)
	return openOn(t, cfg, cassandra.OpenSmall, nil)
}

// emptied opens stores on keyspaces that earlier tests of the suite have left,
// emptied, since tables cost Cassandra much more than rows.
func emptied(t *testing.T, open opener) func(t *testing.T) storetest.Messages {
	var mu sync.Mutex
	var free []cassandra.Config
	take := func() (cassandra.Config, bool) {
		mu.Lock()
		defer mu.Unlock()
		if len(free) == 0 {
			return cassandra.Config{}, false
		}
		cfg := free[len(free)-1]
		free = free[:len(free)-1]
		return cfg, true
	}
	return func(tt *testing.T) storetest.Messages {
		cfg, used := take()
		if !used {
			cfg = config(t)
			dropAfter(t, cfg)
		}
		tt.Cleanup(func() {
			mu.Lock()
			defer mu.Unlock()
			free = append(free, cfg)
		})
		s := openOn(tt, cfg, open, nil)
		if used {
			require.NoError(tt, s.Reset(tt.Context()))
		}
		return s
	}
}

// generations of a view are tables of one keyspace.
func generations(open opener) storetest.Generations[storetest.Messages] {
	return func(t *testing.T) func(int) storetest.Messages {
		cfg := config(t)
		dropAfter(t, cfg)
		return func(generation int) storetest.Messages {
			cfg.Generation = generation
			return openOn(t, cfg, open, nil)
		}
	}
}

// What somebody drops is made anew by the next write; what it held comes back by
// a rebuild.
func TestDroppedTables(t *testing.T) {
	cfg := config(t)
	dropAfter(t, cfg)
	cfg.Generation = 3
	s := openOn(t, cfg, cassandra.OpenObserved, nil)
	ms := conversation(1, 1, 20)
	require.NoError(t, s.PutMessages(t.Context(), ms))
	for _, stmt := range []string{"DROP TABLE " + cfg.Keyspace + ".messages_3", "DROP KEYSPACE " + cfg.Keyspace} {
		require.NoError(t, s.Session().Query(stmt).ExecContext(t.Context()))
		_, err := s.History(t.Context(), events.HistoryQuery{Channel: channel, Limit: 1})
		require.ErrorIs(t, err, events.ErrUnavailable, "reads do not pretend that it is empty")
		err = s.PutMessages(t.Context(), ms)
		require.ErrorIs(t, err, events.ErrUnavailable)
		require.Eventually(t, func() bool {
			err = s.PutMessages(t.Context(), ms)
			return err == nil
		}, time.Minute, 100*time.Millisecond, "it is made anew: %v", err)
		holds(t, s, ms)
	}
}

func TestMessages(t *testing.T) {
	storetest.TestMessages(t, emptied(t, cassandra.OpenObserved), generations(cassandra.OpenObserved))
}

func TestMessagesOnAllLevels(t *testing.T) {
	storetest.TestMessages(t, emptied(t, cassandra.OpenSmall), generations(cassandra.OpenSmall))
}

const channel = events.ChannelID("ch_a")

func message(seq uint64) events.Message {
	client := events.ClientID(fmt.Sprintf("client-%d", seq))
	return events.Message{Seq: seq, MessageSent: events.MessageSent{
		ID: events.NewMessageID("ann", channel, client), ChannelID: channel, AuthorID: "ann", ClientID: client,
		Text: fmt.Sprintf("message %d", seq), SentAt: time.UnixMilli(1_700_000_000_000 + int64(seq%1_000_000)).UTC(),
	}}
}

func conversation(first, step uint64, n int) []events.Message {
	ms := make([]events.Message, n)
	for i := range ms {
		ms[i] = message(first + uint64(i)*step)
	}
	return ms
}

func sumsOf(t testing.TB, ms []events.Message) map[events.ChannelID]events.Checksum {
	sums := map[events.ChannelID]events.Checksum{}
	for _, m := range ms {
		sum := sums[m.ChannelID]
		require.NoError(t, sum.Add(m))
		sums[m.ChannelID] = sum
	}
	return sums
}

// holds checks everything that can be read.
func holds(t *testing.T, s *cassandra.Store, want []events.Message) {
	t.Helper()
	sums, err := s.Checksums(t.Context(), stores.All)
	require.NoError(t, err)
	require.Equal(t, sumsOf(t, want), sums)
	page, err := s.History(t.Context(), events.HistoryQuery{Channel: channel, Limit: len(want) + 5})
	require.NoError(t, err)
	require.Equal(t, want, page.Messages)
	require.False(t, page.MoreBefore || page.MoreAfter)
	page, err = s.History(t.Context(), events.HistoryQuery{Channel: channel, After: 1, Limit: len(want) + 5})
	require.NoError(t, err)
	require.Equal(t, want[1:], page.Messages, "upwards") // the first one has sequence 1 in these tests
	ids := make([]events.MessageID, len(want))
	byID := map[events.MessageID]events.Message{}
	for i, m := range want {
		ids[i], byID[m.ID] = m.ID, m
	}
	found, err := s.MessagesByID(t.Context(), channel, ids)
	require.NoError(t, err)
	require.Equal(t, byID, found)
}

// partitions counts the rows of every partition.
func partitions(t *testing.T, s *cassandra.Store) map[string]int {
	counts := map[string]int{}
	iter := s.Session().Query("SELECT level, bucket FROM messages").Iter()
	var level, bucket int64
	for iter.Scan(&level, &bucket) {
		counts[fmt.Sprintf("%d/%d", level, bucket)]++
	}
	require.NoError(t, iter.Close())
	return counts
}

func TestPartitionsAreBounded(t *testing.T) {
	s := openSmall(t)
	ms := conversation(1, 1, 1000)
	for chunk := range slices.Chunk(ms, 7) {
		require.NoError(t, s.PutMessages(t.Context(), chunk))
	}
	holds(t, s, ms)
	counts := partitions(t, s)
	require.GreaterOrEqual(t, len(counts), 1000/16)
	seen := map[byte]bool{}
	for p, n := range counts {
		require.LessOrEqual(t, n, 8+7, p) // full at 8, which shows with the next call of 7
		seen[p[0]] = true
	}
	require.Len(t, seen, 4, "all levels are used")
	require.NoError(t, s.PutMessages(t.Context(), ms), "again")
	holds(t, s, ms)
	require.Equal(t, counts, partitions(t, s), "messages that come again go where they are")
}

func TestPagesOnAllLevels(t *testing.T) {
	s := openSmall(t)
	// Dense, a gap, far apart, dense again.
	ms := slices.Concat(conversation(1, 1, 60), conversation(500, 37, 60), conversation(1<<40, 1<<20, 60), conversation(1<<50, 1, 60))
	for chunk := range slices.Chunk(ms, 5) {
		require.NoError(t, s.PutMessages(t.Context(), chunk))
	}
	holds(t, s, ms)
	at := func(seq uint64) (i int) {
		i, _ = slices.BinarySearchFunc(ms, seq, func(m events.Message, seq uint64) int { return int(int64(m.Seq) - int64(seq)) })
		return i
	}
	for range 300 {
		i, limit := rand.IntN(len(ms)), 1+rand.IntN(90)
		seq := ms[i].Seq + uint64(rand.IntN(2))
		var q events.HistoryQuery
		var from, to int
		switch rand.IntN(3) {
		case 0:
			q, to = events.HistoryQuery{Before: seq}, at(seq)
			from = max(0, to-limit)
		case 1:
			q, from = events.HistoryQuery{After: seq}, at(seq+1)
			to = min(len(ms), from+limit)
		case 2:
			q = events.HistoryQuery{Around: seq}
			from, to = max(0, at(seq)-limit/2), min(len(ms), at(seq)+limit-limit/2)
		}
		q.Channel, q.Limit = channel, limit
		page, err := s.History(t.Context(), q)
		require.NoError(t, err)
		require.Equal(t, ms[from:to], append([]events.Message{}, page.Messages...), "%+v", q)
		require.Equal(t, from > 0, page.MoreBefore, "%+v", q)
		require.Equal(t, to < len(ms), page.MoreAfter, "%+v", q)
	}
}

// Writers with the same messages and their duplicates, in different orders and
// with different memories, leave the originals.
func TestDuplicatesByManyWriters(t *testing.T) {
	cfg := config(t)
	dropAfter(t, cfg)
	var ms, all []events.Message
	for i := range uint64(80) {
		m := message(1 + 3*i)
		ms, all = append(ms, m), append(all, m)
		if i%2 == 0 { // a duplicate right after it, another one far away
			m.Seq, m.Text = 2+3*i, "once more"
			all = append(all, m)
			m.Seq = 10_000 + i
			all = append(all, m)
		}
	}
	writers := make([]*cassandra.Store, 4)
	for i := range writers {
		writers[i] = openOn(t, cfg, cassandra.OpenSmall, nil)
	}
	var wg sync.WaitGroup
	errs := make([]error, len(writers))
	for i, s := range writers {
		mine := slices.Clone(all)
		rand.Shuffle(len(mine), func(a, b int) { mine[a], mine[b] = mine[b], mine[a] })
		wg.Go(func() {
			for chunk := range slices.Chunk(mine, 1+3*i) {
				if errs[i] = s.PutMessages(t.Context(), chunk); errs[i] != nil {
					return
				}
			}
		})
	}
	wg.Wait()
	for i, s := range writers {
		require.NoError(t, errs[i])
		holds(t, s, ms)
	}
	for chunk := range slices.Chunk(all, 50) {
		require.NoError(t, writers[0].PutMessages(t.Context(), chunk))
	}
	holds(t, writers[0], ms)
}

// Hidden rows neither show nor make a page shorter.
func TestPageFullOfDuplicates(t *testing.T) {
	s := openSmall(t)
	first := message(1)
	last := message(1000)
	all := []events.Message{first}
	for seq := range uint64(100) {
		m := first
		m.Seq = 2 + seq
		all = append(all, m)
	}
	rand.Shuffle(len(all), func(a, b int) { all[a], all[b] = all[b], all[a] })
	for _, m := range append(all, last) {
		require.NoError(t, s.PutMessages(t.Context(), []events.Message{m}))
	}
	holds(t, s, []events.Message{first, last})
	page, err := s.History(t.Context(), events.HistoryQuery{Channel: channel, Before: 1000, Limit: 1})
	require.NoError(t, err)
	require.Equal(t, []events.Message{first}, page.Messages)
	require.False(t, page.MoreBefore)
	page, err = s.History(t.Context(), events.HistoryQuery{Channel: channel, After: 1, Limit: 1})
	require.NoError(t, err)
	require.Equal(t, []events.Message{last}, page.Messages)
	require.False(t, page.MoreAfter)
}

// A writer that knows nothing of the others' levels puts the same message
// elsewhere; it is one message still.
func TestCopiesOnTwoLevels(t *testing.T) {
	cfg := config(t)
	dropAfter(t, cfg)
	a, b := openOn(t, cfg, cassandra.OpenSmall, nil), openOn(t, cfg, cassandra.OpenSmall, nil)
	ms := conversation(1, 1, 40)
	require.NoError(t, b.PutMessages(t.Context(), ms[:6]), "b has counted six")
	for chunk := range slices.Chunk(ms, 4) {
		require.NoError(t, a.PutMessages(t.Context(), chunk))
	}
	before := len(rows(t, a))
	// b has room for two more, it thinks; a has put them lower.
	for i := 12; i < 20; i += 2 {
		b.Forget()
		require.NoError(t, b.PutMessages(t.Context(), ms[:6]))
		require.NoError(t, b.PutMessages(t.Context(), ms[i:i+2]))
	}
	holds(t, a, ms)
	holds(t, b, ms)
	require.GreaterOrEqual(t, len(rows(t, a)), before)

	// By hand, what such a race leaves behind.
	m := ms[20]
	require.NoError(t, a.Session().Query("INSERT INTO message_ids (id, seq, level, channel) VALUES (?, ?, ?, ?) USING TIMESTAMP ?",
		string(m.ID), int64(m.Seq), 3, string(channel), int64(m.Seq)).Exec())
	require.NoError(t, a.PutMessages(t.Context(), ms[20:21]))
	holds(t, b, ms)
	require.Len(t, rows(t, a), before+1)
}

func rows(t *testing.T, s *cassandra.Store) []int64 {
	var all []int64
	iter := s.Session().Query("SELECT seq FROM messages").Iter()
	var seq int64
	for iter.Scan(&seq) {
		all = append(all, seq)
	}
	require.NoError(t, iter.Close())
	return all
}

// What a process remembers of the levels is wrong once another one has reset
// the view. Nothing that it writes then is out of sight.
func TestResetByAnotherProcess(t *testing.T) {
	cfg := config(t)
	dropAfter(t, cfg)
	a, b := openOn(t, cfg, cassandra.OpenSmall, nil), openOn(t, cfg, cassandra.OpenSmall, nil)
	ms := conversation(1, 1, 200)
	for chunk := range slices.Chunk(ms, 5) {
		require.NoError(t, a.PutMessages(t.Context(), chunk))
	}
	require.NoError(t, b.Reset(t.Context()))
	require.NoError(t, a.PutMessages(t.Context(), ms[150:160]))
	page, err := b.History(t.Context(), events.HistoryQuery{Channel: channel, Limit: 100})
	require.NoError(t, err)
	require.Equal(t, ms[150:160], page.Messages)
	for chunk := range slices.Chunk(ms, 5) {
		require.NoError(t, b.PutMessages(t.Context(), chunk))
	}
	holds(t, a, ms)
}

func TestOpenByManyAtOnce(t *testing.T) {
	cfg := config(t)
	dropAfter(t, cfg)
	stores := make([]*cassandra.Store, 4)
	errs := make([]error, len(stores))
	var wg sync.WaitGroup
	for i := range stores {
		wg.Go(func() { stores[i], errs[i] = cassandra.Open(t.Context(), cfg) })
	}
	wg.Wait()
	for i, s := range stores {
		require.NoError(t, errs[i])
		defer s.Close()
		require.NoError(t, s.PutMessages(t.Context(), []events.Message{message(uint64(i + 1))}))
	}
	holds(t, stores[0], conversation(1, 1, len(stores)))
	again, err := cassandra.Open(t.Context(), cfg)
	require.NoError(t, err)
	holds(t, again, conversation(1, 1, len(stores)))
	require.NoError(t, again.Close())
}

func TestInvalidMessages(t *testing.T) {
	s := openSmall(t)
	for want, spoil := range map[string]func(*events.Message){
		"sequence from 1":   func(m *events.Message) { m.Seq = 0 },
		"2^63":              func(m *events.Message) { m.Seq = 1<<63 - 1 },
		"needs an id":       func(m *events.Message) { m.ID = "" },
		"a channel":         func(m *events.Message) { m.ChannelID = "" },
		"UTF-8":             func(m *events.Message) { m.Text = "\xff" },
		"ids are UTF-8":     func(m *events.Message) { m.AuthorID = "\xff" },
		"have at most 1024": func(m *events.Message) { m.ID = events.MessageID(strings.Repeat("x", 1025)) },
		"its text 4194304":  func(m *events.Message) { m.Text = strings.Repeat("x", 4<<20+1) },
	} {
		bad := message(2)
		spoil(&bad)
		err := s.PutMessages(t.Context(), []events.Message{message(1), bad})
		require.ErrorContains(t, err, want)
		require.Condition(t, func() bool { return events.IsPermanent(err) || strings.Contains(err.Error(), "at most") })
	}
	sums, err := s.Checksums(t.Context(), stores.All)
	require.NoError(t, err)
	require.Empty(t, sums, "nothing of such a batch is written")
	for _, id := range []events.ChannelID{"", events.ChannelID(strings.Repeat("x", 2000))} {
		page, err := s.History(t.Context(), events.HistoryQuery{Channel: id, Limit: 1})
		require.NoError(t, err)
		require.Empty(t, page.Messages)
		found, err := s.MessagesByID(t.Context(), id, []events.MessageID{message(1).ID})
		require.NoError(t, err)
		require.Empty(t, found)
	}
	last := message(1<<63 - 2)
	require.NoError(t, s.PutMessages(t.Context(), []events.Message{last}))
	page, err := s.History(t.Context(), events.HistoryQuery{Channel: channel, Around: last.Seq, Limit: 3})
	require.NoError(t, err)
	require.Equal(t, []events.Message{last}, page.Messages)
}

// A page costs a bounded number of requests, wherever the messages are.
func TestRequestsOfAPage(t *testing.T) {
	cfg := config(t)
	dropAfter(t, cfg)
	var requests counter
	s := openOn(t, cfg, cassandra.OpenSmall, &requests)
	page := func(q events.HistoryQuery) int {
		t.Helper()
		q.Channel = channel
		before := requests.n.Load()
		p, err := s.History(t.Context(), q)
		require.NoError(t, err)
		require.Len(t, p.Messages, q.Limit)
		return int(requests.n.Load() - before)
	}
	// Seven messages over 2^60 sequences, all in one partition.
	quiet := conversation(1, 1<<57, 7)
	require.NoError(t, s.PutMessages(t.Context(), quiet))
	require.Equal(t, 1, page(events.HistoryQuery{Limit: 5}))
	require.Equal(t, 2, page(events.HistoryQuery{Around: quiet[3].Seq, Limit: 5}))
	// A channel that was busy once: every message since lies in a bucket of its own.
	require.NoError(t, s.Reset(t.Context()))
	ms := append(conversation(1, 1, 100), conversation(1<<20, 1<<10, 200)...)
	for chunk := range slices.Chunk(ms, 5) {
		require.NoError(t, s.PutMessages(t.Context(), chunk))
	}
	require.LessOrEqual(t, page(events.HistoryQuery{Limit: 50}), 150)
	require.LessOrEqual(t, page(events.HistoryQuery{Around: ms[200].Seq, Limit: 50}), 200)
}

func TestSpeculationNeedsSeveralNodes(t *testing.T) {
	cfg := config(t)
	dropAfter(t, cfg)
	cfg.Speculate = 1 // at once
	s := openOn(t, cfg, cassandra.OpenSmall, nil)
	ms := conversation(1, 1, 100)
	require.NoError(t, s.PutMessages(t.Context(), ms))
	for range 50 {
		holds(t, s, ms) // with one node, speculation would fail reads
	}
	s.Several(2)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var err error
	for err == nil && ctx.Err() == nil { // shows that the policy is in use then
		_, err = s.History(ctx, events.HistoryQuery{Channel: channel, Limit: 1})
	}
	require.ErrorIs(t, err, gocql.ErrNoConnections)
	require.ErrorIs(t, err, events.ErrUnavailable)
}

// The server is killed while it is written to. Calls fail as unavailable, and
// what failed is there once it was written again.
func TestServerKilled(t *testing.T) {
	srv := servertest.Start(t, servertest.ProductCassandra)
	cfg := config(t)
	cfg.Hosts, cfg.Timeout, cfg.ConnectWait = []string{srv.Address()}, 2*time.Second, 2*time.Minute
	s := openOn(t, cfg, cassandra.OpenObserved, nil)
	ms := conversation(1, 1, 2000)
	require.NoError(t, s.PutMessages(t.Context(), ms[:1000]))
	srv.Kill(t)
	require.ErrorIs(t, s.PutMessages(t.Context(), ms[1000:]), events.ErrUnavailable)
	_, err := s.History(t.Context(), events.HistoryQuery{Channel: channel, Limit: 1})
	require.ErrorIs(t, err, events.ErrUnavailable)
	_, err = s.MessagesByID(t.Context(), channel, []events.MessageID{ms[0].ID})
	require.ErrorIs(t, err, events.ErrUnavailable)
	_, err = s.Checksums(t.Context(), stores.All)
	require.ErrorIs(t, err, events.ErrUnavailable)
	require.ErrorIs(t, s.Ping(t.Context()), events.ErrUnavailable)
	srv.Restart(t)
	require.Eventually(t, func() bool { return s.PutMessages(t.Context(), ms[1000:]) == nil }, time.Minute, 100*time.Millisecond)
	// With the commit log synced periodically the last moments before the kill
	// may be lost; that is what the log is there for.
	require.NoError(t, s.PutMessages(t.Context(), ms[:1000]))
	holds(t, s, ms)
}

//go:build integration

package mongodb_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	"go.mongodb.org/mongo-driver/v2/mongo"

	"github.com/chat-platform/chat/events"
	"github.com/chat-platform/chat/infra/mongodb"
	"github.com/chat-platform/chat/infra/servertest"
	"github.com/chat-platform/chat/infra/stores"
	"github.com/chat-platform/chat/infra/storetest"
)

func TestMain(m *testing.M) { servertest.Main(m) }

// config is a database of the test's own.
func config(tb testing.TB) mongodb.Config {
	tb.Helper()
	return mongodb.Config{URL: servertest.MongoDB(tb), Database: servertest.Name(tb), Timeout: time.Minute}
}

// openStore opens a store and drops its database at the end.
func openStore(tb testing.TB, cfg mongodb.Config) *mongodb.Store {
	tb.Helper()
	s, err := mongodb.Open(tb.Context(), cfg)
	require.NoError(tb, err)
	tb.Cleanup(func() {
		require.NoError(tb, s.Close())
		c, err := mongodb.Open(context.WithoutCancel(tb.Context()), mongodb.Config{URL: cfg.URL, Database: cfg.Database})
		require.NoError(tb, err)
		require.NoError(tb, c.Database().Drop(context.WithoutCancel(tb.Context())))
		require.NoError(tb, c.Close())
	})
	return s
}

func TestMetadata(t *testing.T) {
	sayWhatIsNotJudged(t)
	storetest.TestMetadata(t, func(t *testing.T) storetest.Metadata {
		t.Helper()
		return openStore(t, config(t))
	}, func(t *testing.T) func(int) storetest.Metadata {
		cfg := config(t)
		openStore(t, cfg) // drops the database in the end
		return func(generation int) storetest.Metadata {
			cfg.Generation = generation
			s, err := mongodb.Open(t.Context(), cfg)
			require.NoError(t, err)
			t.Cleanup(func() { require.NoError(t, s.Close()) })
			return s
		}
	})
}

// Collections that somebody drops are there again with the next write; what they
// held comes back by a rebuild.
func TestDroppedDatabase(t *testing.T) {
	s := openStore(t, config(t))
	require.NoError(t, s.PutMembers(t.Context(), []events.Member{member("ch_1", "ann", 1, true)}))
	require.NoError(t, s.Database().Drop(t.Context()))
	require.NoError(t, s.PutMembers(t.Context(), []events.Member{member("ch_1", "bob", 2, true)}))
	got, err := s.MembersOf(t.Context(), "ch_1", "", 10)
	require.NoError(t, err)
	require.Equal(t, []events.Member{member("ch_1", "bob", 2, true)}, got)
}

func member(channel events.ChannelID, user events.UserID, seq uint64, active bool) events.Member {
	return events.Member{Seq: seq, ChannelID: channel, UserID: user, Role: events.RoleMember, Active: active, At: time.UnixMilli(int64(seq)).UTC()}
}

func channel(id events.ChannelID, seq uint64) events.Channel {
	return events.Channel{Seq: seq, ChannelCreated: events.ChannelCreated{
		ID: id, Name: "Name of " + string(id), Visibility: events.Public, CreatedBy: "ann", CreatedAt: time.UnixMilli(int64(seq)).UTC(),
	}}
}

// Ids that a statement would trip over if they became a field or an operator.
func TestIdsAreValues(t *testing.T) {
	s := openStore(t, config(t))
	users := []events.UserID{"$gt", "$where", "a.$b", "a..b", ".", "$", "$set", "seq", "_id", "__proto__", `{"$ne":null}`, "null", "0", "ObjectId('x')", "a/b", "/", "é", "e\u0301"}
	ms := []events.Member{}
	for i, u := range users {
		ms = append(ms, member("ch_1", u, uint64(i+1), true), member(events.ChannelID(fmt.Sprintf("of_%d", i)), u, uint64(100+i), true))
	}
	require.NoError(t, s.PutMembers(t.Context(), ms))
	all, err := s.MembersOf(t.Context(), "ch_1", "", 100)
	require.NoError(t, err)
	require.Len(t, all, len(users))
	require.True(t, slices.IsSortedFunc(all, func(a, b events.Member) int { return strings.Compare(string(a.UserID), string(b.UserID)) }))
	for i, u := range users {
		got, err := s.ChannelsOf(t.Context(), u, "ch_1", 10)
		require.NoError(t, err)
		require.Len(t, got, 1, u)
		require.Equal(t, events.ChannelID(fmt.Sprintf("of_%d", i)), got[0].Channel.ID)
	}
	got, err := s.ChannelsOf(t.Context(), "$ne", "", 10)
	require.NoError(t, err)
	require.Empty(t, got)
}

func TestRecordsThatCannotBeStored(t *testing.T) {
	s := openStore(t, config(t))
	good := member("ch_1", "ann", 1, true)
	for name, bad := range map[string]events.Member{
		"no sequence": member("ch_1", "ann", 0, true), "a sequence beyond int64": member("ch_1", "ann", 1<<63-1, true),
		"no channel": member("", "ann", 1, true), "no user": member("ch_1", "", 1, true), "no text": member("ch_1", "\xff", 1, true),
	} {
		require.ErrorIs(t, s.PutMembers(t.Context(), []events.Member{good, bad}), events.ErrInvalid, name)
	}
	ms, err := s.MembersOf(t.Context(), "ch_1", "", 10)
	require.NoError(t, err)
	require.Empty(t, ms, "nothing of such a batch is written")
	nameless := channel("ch_1", 1)
	nameless.Name = "\xc3("
	require.ErrorIs(t, s.PutChannels(t.Context(), []events.Channel{nameless}), events.ErrInvalid)
	for _, limit := range []int{0, -1} {
		_, err := s.MembersOf(t.Context(), "ch_1", "", limit)
		require.ErrorIs(t, err, events.ErrInvalid)
		_, err = s.ChannelsOf(t.Context(), "ann", "", limit)
		require.ErrorIs(t, err, events.ErrInvalid)
		_, err = s.PublicChannels(t.Context(), "", limit)
		require.ErrorIs(t, err, events.ErrInvalid)
	}
}

// All writers begin with the same new key: most of them are told that it exists.
func TestRacingWritersEndAtTheHighest(t *testing.T) {
	s := openStore(t, config(t))
	const writers, rounds = 16, 20
	errs := make([]error, writers)
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for r := range rounds {
				seq := uint64(1 + (w*7+r*11)%(writers*rounds))
				c := events.ChannelID(fmt.Sprintf("ch_%d", r))
				errs[w] = errors.Join(errs[w], s.PutMembers(t.Context(), []events.Member{member(c, "ann", seq, true), member(c, "bob", seq, false)}))
			}
		})
	}
	wg.Wait()
	require.NoError(t, errors.Join(errs...))
	for r := range rounds {
		highest := uint64(0)
		for w := range writers {
			highest = max(highest, uint64(1+(w*7+r*11)%(writers*rounds)))
		}
		c := events.ChannelID(fmt.Sprintf("ch_%d", r))
		got, err := s.MembersOf(t.Context(), c, "", 10)
		require.NoError(t, err)
		require.Equal(t, []events.Member{member(c, "ann", highest, true)}, got)
	}
}

func TestChecksumsOfSeveralBatches(t *testing.T) {
	s := openStore(t, config(t))
	ms := make([]events.Member, 5_001)
	want := map[events.ChannelID]events.Checksum{}
	for i := range ms {
		ms[i] = member(events.ChannelID(fmt.Sprintf("ch_%d", i%3)), events.UserID(fmt.Sprintf("user %d", i)), uint64(i+1), i%5 != 0)
		sum := want[ms[i].ChannelID]
		require.NoError(t, sum.Add(ms[i]))
		want[ms[i].ChannelID] = sum
	}
	require.NoError(t, s.PutMembers(t.Context(), ms))
	got, err := s.Checksums(t.Context(), stores.All)
	require.NoError(t, err)
	require.Equal(t, want, got)

	all, err := s.ChannelsOf(t.Context(), "user 1", "", 20_000)
	require.NoError(t, err)
	require.Len(t, all, 1)
}

// More channels than one statement asks for.
func TestAPageOfManyChannels(t *testing.T) {
	s := openStore(t, config(t))
	var ms []events.Member
	var cs []events.Channel
	for i := range 2_100 {
		id := events.ChannelID(fmt.Sprintf("ch_%04d", i))
		ms = append(ms, member(id, "ann", uint64(i+1), true))
		cs = append(cs, channel(id, uint64(i+10_000)))
	}
	require.NoError(t, s.PutMembers(t.Context(), ms))
	require.NoError(t, s.PutChannels(t.Context(), cs))
	got, err := s.ChannelsOf(t.Context(), "ann", "", 5_000)
	require.NoError(t, err)
	require.Len(t, got, len(ms))
	for i, m := range got {
		require.Equal(t, events.Membership{Channel: cs[i], Member: ms[i]}, m)
	}
}

func TestMetrics(t *testing.T) {
	registry := prometheus.NewRegistry()
	cfg := config(t)
	cfg.Registerer = registry
	s := openStore(t, cfg)
	m := []events.Member{member("ch_1", "ann", 1, true)}
	require.NoError(t, s.PutMembers(t.Context(), m))
	require.NoError(t, s.PutMembers(t.Context(), m), "a stale one is success")
	families, err := registry.Gather()
	require.NoError(t, err)
	got := map[string]float64{}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			name := f.GetName()
			for _, l := range m.GetLabel() {
				name += " " + l.GetValue()
			}
			got[name] = m.GetCounter().GetValue() + float64(m.GetHistogram().GetSampleCount())
		}
	}
	require.Equal(t, map[string]float64{"chat_mongodb_stale_total": 1, "chat_mongodb_seconds open ok": 1, "chat_mongodb_seconds put_members ok": 2}, got)
}

// isStandIn tells whether the server speaks MongoDB's protocol without being
// MongoDB: it can't explain a plan.
func isStandIn(err error) bool {
	var e mongo.CommandError
	return errors.As(err, &e) && e.HasErrorCode(59)
}

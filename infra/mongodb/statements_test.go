//go:build integration

package mongodb_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/event"

	"github.com/chat-platform/chat/events"
	"github.com/chat-platform/chat/infra/mongodb"
)

// statement is what the server was asked.
type statement struct {
	name       string // find, update, …
	collection string
	filters    []bson.Raw
	sort       bson.Raw
}

// listener keeps the statements that a store sends.
type listener struct {
	mu  sync.Mutex
	all []statement
}

func (l *listener) monitor() *event.CommandMonitor {
	return &event.CommandMonitor{Started: func(_ context.Context, e *event.CommandStartedEvent) {
		st := statement{name: e.CommandName}
		st.collection, _ = e.Command.Lookup(e.CommandName).StringValueOK()
		st.sort, _ = e.Command.Lookup("sort").DocumentOK()
		if f, ok := e.Command.Lookup("filter").DocumentOK(); ok {
			st.filters = append(st.filters, slices.Clone(f))
		}
		if us, ok := e.Command.Lookup("updates").ArrayOK(); ok {
			values, _ := us.Values()
			for _, u := range values {
				st.filters = append(st.filters, slices.Clone(u.Document().Lookup("q").Document()))
			}
		}
		st.sort = slices.Clone(st.sort)
		l.mu.Lock()
		defer l.mu.Unlock()
		l.all = append(l.all, st)
	}}
}

// take gives the statements since the last time.
func (l *listener) take() []statement {
	l.mu.Lock()
	defer l.mu.Unlock()
	all := l.all
	l.all = nil
	return all
}

// once tells whether there was one statement, without printing all that it says.
func (l *listener) once() bool { return len(l.take()) == 1 }

func fieldsIn(t *testing.T, d bson.Raw) (fields []string) {
	t.Helper()
	es, err := d.Elements()
	require.NoError(t, err)
	for _, e := range es {
		fields = append(fields, e.Key())
	}
	return fields
}

// is tells whether one filter of the statement has the query's shape.
func (st statement) is(t *testing.T, filter bson.Raw, q mongodb.Query) bool {
	t.Helper()
	want, order := slices.Clone(q.Equal), []string(nil)
	if q.After != "" {
		want, order = append(want, q.After), []string{q.After}
	}
	sorted := []string(nil)
	if st.sort != nil {
		sorted = fieldsIn(t, st.sort)
	}
	return st.collection == q.Collection && slices.Equal(fieldsIn(t, filter), want) && slices.Equal(sorted, order) &&
		(st.name == "update") == q.Write
}

// hotCalls is every method of the store that is not for rebuilds only.
func hotCalls(s *mongodb.Store) map[string]func(context.Context) error {
	return map[string]func(context.Context) error{
		"PutChannels": func(ctx context.Context) error {
			return s.PutChannels(ctx, []events.Channel{channel("ch_1", 1), channel("ch_2", 2), channel("ch_1", 3)})
		},
		"PutMembers": func(ctx context.Context) error {
			return s.PutMembers(ctx, []events.Member{member("ch_1", "ann", 1, true), member("ch_2", "ann", 2, true), member("ch_1", "ann", 3, true)})
		},
		"ChannelByID":    func(ctx context.Context) error { _, err := s.ChannelByID(ctx, "ch_1"); return err },
		"PublicChannels": func(ctx context.Context) error { _, err := s.PublicChannels(ctx, "", 50); return err },
		"ChannelsOf":     func(ctx context.Context) error { _, err := s.ChannelsOf(ctx, "ann", "", 50); return err },
		"MembersOf":      func(ctx context.Context) error { _, err := s.MembersOf(ctx, "ch_1", "", 50); return err },
	}
}

func TestEveryStatementIsListed(t *testing.T) {
	var l listener
	s := openStore(t, config(t).Monitored(l.monitor()))
	l.take()
	calls := hotCalls(s)
	seen := map[string]bool{}
	for _, name := range []string{"PutChannels", "PutMembers", "PutMembers", "ChannelByID", "PublicChannels", "ChannelsOf", "MembersOf"} {
		require.NoError(t, calls[name](t.Context()))
		for _, st := range l.take() {
			require.NotEmpty(t, st.filters, "%s sends %s", name, st.name)
			for _, f := range st.filters {
				i := slices.IndexFunc(mongodb.HotQueries(), func(q mongodb.Query) bool { return st.is(t, f, q) })
				require.GreaterOrEqual(t, i, 0, "%s sends %s %v ordered by %v, which hotQueries lacks", name, st.name, f, st.sort)
				for _, q := range mongodb.HotQueries() {
					if st.is(t, f, q) {
						seen[q.Name] = true
					}
				}
			}
		}
	}
	for _, q := range mongodb.HotQueries() {
		require.True(t, seen[q.Name], "nothing sends %q", q.Name)
	}
}

func TestRoundTrips(t *testing.T) {
	var l listener
	s := openStore(t, config(t).Monitored(l.monitor()))
	l.take()
	calls := hotCalls(s)
	for _, c := range []struct {
		name string
		want []string
	}{
		{"PutChannels", []string{"update"}},
		{"PutMembers", []string{"update"}},
		{"PutMembers", []string{"update"}}, // all of them stale
		{"ChannelByID", []string{"find"}},
		{"PublicChannels", []string{"find"}},
		{"ChannelsOf", []string{"find", "find"}},
		{"MembersOf", []string{"find"}},
	} {
		require.NoError(t, calls[c.name](t.Context()))
		got := []string{}
		for _, st := range l.take() {
			got = append(got, st.name)
		}
		require.Equal(t, c.want, got, c.name)
	}
	many := make([]events.Member, 1_000) // a stand-in takes no more
	for i := range many {
		many[i] = member("ch_many", events.UserID(fmt.Sprintf("user %04d", i)), uint64(i+1), true)
	}
	require.NoError(t, s.PutMembers(t.Context(), many))
	require.True(t, l.once(), "1,000 records")
	for after, read := events.UserID(""), 0; read < len(many); read += 100 {
		page, err := s.MembersOf(t.Context(), "ch_many", after, 100)
		require.NoError(t, err)
		require.Equal(t, many[read:read+100], page)
		require.True(t, l.once(), "a page of many")
		after = page[99].UserID
	}
}

func TestIndexesOnTheServer(t *testing.T) {
	var l listener
	cfg := config(t)
	s := openStore(t, cfg)
	holds := func(t *testing.T) {
		t.Helper()
		var got []mongodb.Index
		for _, c := range []string{"channels", "members"} {
			specs, err := s.Database().Collection(c).Indexes().ListSpecifications(t.Context())
			require.NoError(t, err)
			for _, x := range specs {
				got = append(got, mongodb.Index{Collection: c, Name: x.Name, Fields: mongodb.FieldsOf(x.KeysDocument)})
			}
		}
		require.ElementsMatch(t, mongodb.Indexes(), got)
	}
	holds(t)

	t.Run("opened again, nothing is created", func(t *testing.T) {
		again, err := mongodb.Open(t.Context(), cfg.Monitored(l.monitor()))
		require.NoError(t, err)
		require.NoError(t, again.Close())
		for _, st := range l.take() {
			require.NotEqual(t, "createIndexes", st.name)
		}
		holds(t)
	})
	t.Run("made anew by a reset", func(t *testing.T) {
		require.NoError(t, s.PutMembers(t.Context(), []events.Member{member("ch_1", "ann", 1, true)}))
		require.NoError(t, s.Reset(t.Context()))
		holds(t)
	})
	t.Run("opened by many at once, one index missing", func(t *testing.T) {
		require.NoError(t, s.Database().Collection("members").Indexes().DropOne(t.Context(), "channel_active_user"))
		errs := make(chan error, 8)
		for range cap(errs) {
			go func() {
				o, err := mongodb.Open(t.Context(), cfg)
				if err == nil {
					err = o.Close()
				}
				errs <- err
			}()
		}
		for range cap(errs) {
			require.NoError(t, <-errs)
		}
		holds(t)
	})
	t.Run("fields that are not ascending have their kind", func(t *testing.T) {
		raw, err := bson.Marshal(bson.D{{Key: "a", Value: 1}, {Key: "b", Value: -1}, {Key: "c", Value: "hashed"}, {Key: "d", Value: 1.0}})
		require.NoError(t, err)
		fields := mongodb.FieldsOf(raw)
		require.Equal(t, []string{"a", "d"}, []string{fields[0], fields[3]})
		require.True(t, strings.HasPrefix(fields[1], "b:") && strings.HasPrefix(fields[2], "c:"), fields)
	})
}

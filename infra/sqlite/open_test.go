package sqlite_test

import (
	"context"
	"database/sql"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	_ "modernc.org/sqlite" // to meddle with files

	"github.com/chat-platform/chat/events"
	"github.com/chat-platform/chat/infra/sqlite"
	"github.com/chat-platform/chat/infra/stores"
)

type store interface {
	io.Closer
	Ping(context.Context) error
}

// kinds of store, with a way to open each.
var kinds = map[string]func(context.Context, string, ...sqlite.Option) (store, error){
	"messages": func(ctx context.Context, path string, o ...sqlite.Option) (store, error) {
		return sqlite.OpenMessages(ctx, path, o...)
	},
	"metadata": func(ctx context.Context, path string, o ...sqlite.Option) (store, error) {
		return sqlite.OpenMetadata(ctx, path, o...)
	},
	"search": func(ctx context.Context, path string, o ...sqlite.Option) (store, error) {
		return sqlite.OpenSearch(ctx, path, o...)
	},
}

// meddle runs SQL on a file behind the store's back.
func meddle(t *testing.T, path, query string) {
	t.Helper()
	db, err := sql.Open("sqlite", path)
	require.NoError(t, err)
	_, err = db.Exec(query)
	require.NoError(t, err)
	require.NoError(t, db.Close())
}

func TestOpenRefuses(t *testing.T) {
	for kind, open := range kinds {
		for _, c := range []struct {
			name    string
			prepare func(t *testing.T, path string) string
			want    []string // parts of the error beside the path
			is      error
		}{
			{"a path below a file", func(t *testing.T, path string) string {
				require.NoError(t, os.WriteFile(path, nil, 0o600))
				return filepath.Join(path, "store.db")
			}, []string{kind}, events.ErrUnavailable},
			{"a folder that is not there", func(_ *testing.T, path string) string { return filepath.Join(path, "store.db") },
				[]string{kind}, events.ErrUnavailable},
			{"a folder", func(t *testing.T, path string) string {
				require.NoError(t, os.Mkdir(path, 0o700))
				return path
			}, []string{kind}, events.ErrUnavailable},
			{"a file that is no database", func(t *testing.T, path string) string {
				require.NoError(t, os.WriteFile(path, []byte("Dear diary, today I wrote a file that is longer than a header, because a header has a hundred bytes or so."), 0o600))
				return path
			}, []string{"not a database"}, nil},
			{"another kind of store", func(t *testing.T, path string) string {
				other := "messages"
				if kind == other {
					other = "search"
				}
				s, err := kinds[other](t.Context(), path)
				require.NoError(t, err)
				require.NoError(t, s.Close())
				return path
			}, []string{"not a " + kind + " store"}, nil},
			{"somebody else's database", func(t *testing.T, path string) string {
				meddle(t, path, "CREATE TABLE theirs (x)")
				return path
			}, []string{"not a " + kind + " store"}, nil},
			{"a newer version", func(t *testing.T, path string) string {
				s, err := open(t.Context(), path)
				require.NoError(t, err)
				require.NoError(t, s.Close())
				meddle(t, path, "PRAGMA user_version = 99")
				return path
			}, []string{"version 99", "newer program"}, nil},
			{"an older version", func(t *testing.T, path string) string {
				s, err := open(t.Context(), path)
				require.NoError(t, err)
				require.NoError(t, s.Close())
				meddle(t, path, "PRAGMA user_version = 0")
				return path
			}, []string{"version 0", "rebuild"}, nil},
		} {
			t.Run(kind+"/"+c.name, func(t *testing.T) {
				path := c.prepare(t, filepath.Join(t.TempDir(), "it.db"))
				_, err := open(t.Context(), path)
				require.ErrorContains(t, err, path)
				for _, part := range c.want {
					require.ErrorContains(t, err, part)
				}
				if c.is != nil {
					require.ErrorIs(t, err, c.is)
				}
			})
		}
	}
}

func TestOpenCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for kind, open := range kinds {
		_, err := open(ctx, filepath.Join(t.TempDir(), "it.db"))
		require.ErrorIs(t, err, context.Canceled, kind)
	}
}

func TestOpenAgain(t *testing.T) {
	for _, name := range []string{"plain.db", "a b?c#d%41&mode=memory.db", "ünïcødé 日本.db"} {
		for kind, open := range kinds {
			path := filepath.Join(t.TempDir(), name)
			for range 2 {
				s, err := open(t.Context(), path, sqlite.FullSync())
				require.NoError(t, err, "%s %s", kind, name)
				require.NoError(t, s.Ping(t.Context()))
				require.NoError(t, s.Close())
				require.FileExists(t, path)
			}
		}
	}
}

func TestContentOutlivesTheStore(t *testing.T) {
	path := filepath.Join(t.TempDir(), "messages.db")
	s, err := sqlite.OpenMessages(t.Context(), path, sqlite.FullSync())
	require.NoError(t, err)
	require.NoError(t, s.PutMessages(t.Context(), batch(0)))
	want, err := s.Checksums(t.Context(), stores.All)
	require.NoError(t, err)
	require.NoError(t, s.Close())

	s, err = sqlite.OpenMessages(t.Context(), path)
	require.NoError(t, err)
	defer s.Close()
	got, err := s.Checksums(t.Context(), stores.All)
	require.NoError(t, err)
	require.Equal(t, want, got)
}

// lock holds the right to write until the test ends.
func lock(t *testing.T, path string) {
	db, err := sql.Open("sqlite", path)
	require.NoError(t, err)
	db.SetMaxOpenConns(1)
	_, err = db.Exec("BEGIN IMMEDIATE")
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
}

func TestLockedByAnother(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "messages.db")
	s, err := sqlite.OpenMessages(t.Context(), path)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	require.NoError(t, s.PutMessages(t.Context(), batch(0)))
	lock(t, path)

	page, err := s.History(t.Context(), events.HistoryQuery{Channel: message(0).ChannelID, Limit: 1})
	require.NoError(t, err, "readers don't wait")
	require.Len(t, page.Messages, 1)

	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
	defer cancel()
	require.ErrorIs(t, s.PutMessages(ctx, batch(20)), context.DeadlineExceeded, "a writer waits as long as its caller does")
	require.ErrorIs(t, s.PutMessages(t.Context(), batch(20)), events.ErrUnavailable, "and not for ever")
}

// late is a context that is cancelled when it has been asked n times.
type late struct {
	context.Context
	n int
}

func (l *late) Err() error {
	if l.n--; l.n < 0 {
		return context.Canceled
	}
	return nil
}

func TestHalfABatch(t *testing.T) {
	many := make([]events.Message, 2_000)
	members := make([]events.Member, len(many))
	for i := range many {
		many[i] = message(i)
		members[i] = events.Member{Seq: uint64(i + 1), ChannelID: many[i].ChannelID, UserID: events.UserID(many[i].ID), Role: events.RoleMember, Active: true}
	}
	taken := many[5]
	taken.ID = "msg_aaaaaaaaaaaaaaaaaaaaaaaaaa"
	bad := func(change func(*events.Message)) []events.Message {
		m := message(3_000)
		change(&m)
		return append(many[10:20:20], m)
	}
	messages, search, metadata := openMessages(t), openSearch(t), openMetadata(t)
	for name, put := range map[string]func(context.Context, []events.Message) error{"messages": messages.PutMessages, "search": search.IndexMessages} {
		require.NoError(t, put(t.Context(), many[:10]), name)
		require.ErrorIs(t, put(&late{t.Context(), 3}, many[10:]), context.Canceled, name)
		require.ErrorIs(t, put(&late{t.Context(), 7}, many[10:]), context.Canceled, "%s, at its end", name)
		require.ErrorIs(t, put(t.Context(), append(many[10:20:20], taken)), events.ErrConflict, "%s: another message has its sequence", name)
		require.ErrorIs(t, put(t.Context(), bad(func(m *events.Message) { m.Seq = 0 })), events.ErrInvalid, name)
		require.ErrorIs(t, put(t.Context(), bad(func(m *events.Message) { m.Seq = 1 << 63 })), events.ErrInvalid, name)
		require.ErrorIs(t, put(t.Context(), bad(func(m *events.Message) { m.ID = "" })), events.ErrInvalid, name)
		require.ErrorIs(t, put(t.Context(), bad(func(m *events.Message) { m.ChannelID = "" })), events.ErrInvalid, name)
	}
	require.ErrorIs(t, metadata.PutMembers(&late{t.Context(), 3}, members), context.Canceled)
	require.ErrorIs(t, metadata.PutMembers(t.Context(), append(members[:5:5], events.Member{Seq: 9, ChannelID: "ch_1"})), events.ErrInvalid)
	require.ErrorIs(t, metadata.PutChannels(t.Context(), []events.Channel{{Seq: 1}}), events.ErrInvalid)

	for name, sums := range map[string]func(context.Context, uint64) (map[events.ChannelID]events.Checksum, error){
		"messages": messages.Checksums, "search": search.Checksums, "metadata": metadata.Checksums} {
		got, err := sums(t.Context(), stores.All)
		require.NoError(t, err)
		n := uint64(0)
		for _, sum := range got {
			n += sum.Count
		}
		want := uint64(10)
		if name == "metadata" {
			want = 0
		}
		require.Equal(t, want, n, "%s: all or nothing", name)
	}
	// The channels that a batch met before it was undone are met again.
	require.NoError(t, messages.PutMessages(t.Context(), many))
	require.NoError(t, search.IndexMessages(t.Context(), many))
	a, err := messages.Checksums(t.Context(), stores.All)
	require.NoError(t, err)
	b, err := search.Checksums(t.Context(), stores.All)
	require.NoError(t, err)
	require.Equal(t, a, b, "both views hold the same")
}

func TestBadLimits(t *testing.T) {
	s := openMetadata(t)
	for _, limit := range []int{0, -1} {
		_, err := s.PublicChannels(t.Context(), "", limit)
		require.ErrorIs(t, err, events.ErrInvalid)
		_, err = s.ChannelsOf(t.Context(), "a", "", limit)
		require.ErrorIs(t, err, events.ErrInvalid)
		_, err = s.MembersOf(t.Context(), "a", "", limit)
		require.ErrorIs(t, err, events.ErrInvalid)
	}
}

// A file of a version that did not keep whose it is gets a place for that.
func TestAnOlderFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "metadata.db")
	s, err := sqlite.OpenMetadata(t.Context(), path)
	require.NoError(t, err)
	require.NoError(t, s.PutChannels(t.Context(), []events.Channel{{Seq: 1, ChannelCreated: events.ChannelCreated{ID: "ch_a"}}}))
	require.NoError(t, s.Close())
	meddle(t, path, "DROP TABLE origin")
	s, err = sqlite.OpenMetadata(t.Context(), path)
	require.NoError(t, err)
	defer s.Close()
	empty, err := s.Empty(t.Context())
	require.NoError(t, err)
	require.False(t, empty)
	of, err := s.Claim(t.Context(), "")
	require.NoError(t, err)
	require.Empty(t, of)
	of, err = s.Claim(t.Context(), "a log")
	require.NoError(t, err)
	require.Equal(t, "a log", of)
}

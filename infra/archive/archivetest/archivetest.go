// Package archivetest is the suite that every object store of the archive has to
// pass, and what tests put into segments.
package archivetest

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/chat-platform/chat/events"
	"github.com/chat-platform/chat/infra/archive"
)

// TestStore judges a store, which is empty below "suite/".
func TestStore(t *testing.T, store archive.Store) {
	random := make([]byte, 300_000)
	_, _ = rand.Read(random)

	t.Run("what was put is read, in parts too", func(t *testing.T) {
		require.NoError(t, store.Put(t.Context(), "suite/a/one", random))
		for _, part := range []struct{ offset, length int64 }{{0, -1}, {0, 10}, {7, 1000}, {299_990, 10}, {299_990, -1}, {131_070, 131_080}} {
			want := random[part.offset:]
			if part.length >= 0 {
				want = want[:part.length]
			}
			got, err := store.Get(t.Context(), "suite/a/one", part.offset, part.length)
			require.NoError(t, err)
			require.True(t, bytes.Equal(want, got), "%d bytes from %d on", part.length, part.offset)
		}
	})
	t.Run("what is not there is not found", func(t *testing.T) {
		_, err := store.Get(t.Context(), "suite/a/none", 0, -1)
		require.ErrorIs(t, err, events.ErrNotFound)
		_, err = store.Get(t.Context(), "suite/a/none", 5, 10)
		require.ErrorIs(t, err, events.ErrNotFound)
		require.Empty(t, list(t, store, "suite/none/"))
	})
	t.Run("the listing shows names and sizes below a prefix", func(t *testing.T) {
		require.NoError(t, store.Put(t.Context(), "suite/b/x/1", []byte("12345")))
		require.NoError(t, store.Put(t.Context(), "suite/b/x/2", []byte("1")))
		require.NoError(t, store.Put(t.Context(), "suite/b/xy/3", []byte("1")))
		require.Equal(t, map[string]int64{"suite/b/x/1": 5, "suite/b/x/2": 1}, list(t, store, "suite/b/x/"))
		require.Len(t, list(t, store, "suite/b/"), 3)
	})
	t.Run("an object is replaced as a whole", func(t *testing.T) {
		require.NoError(t, store.Put(t.Context(), "suite/c/same", random))
		require.NoError(t, store.Put(t.Context(), "suite/c/same", []byte("short")))
		got, err := store.Get(t.Context(), "suite/c/same", 0, -1)
		require.NoError(t, err)
		require.Equal(t, "short", string(got))
		require.Equal(t, map[string]int64{"suite/c/same": 5}, list(t, store, "suite/c/"))
	})
	t.Run("several put the same at once", func(t *testing.T) {
		var wg sync.WaitGroup
		errs := make([]error, 4)
		for i := range errs {
			wg.Go(func() { errs[i] = store.Put(t.Context(), "suite/d/same", random) })
		}
		wg.Wait()
		for _, err := range errs {
			require.NoError(t, err)
		}
		got, err := store.Get(t.Context(), "suite/d/same", 0, -1)
		require.NoError(t, err)
		require.True(t, bytes.Equal(random, got))
	})
	t.Run("a context that is over ends a call", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		err := store.List(ctx, "suite/", func(string, int64) error { return nil })
		require.Error(t, err)
	})
	t.Run("segments", func(t *testing.T) {
		a := archive.New(store)
		ms := Messages(500)
		for i := 0; i < len(ms); i += 100 {
			Add(t, a, "SUITE", "x", ms[i:i+100], Prev(ms[:i]))
		}
		var got []archive.Message
		require.NoError(t, a.Range(t.Context(), "SUITE", "x", nil, 150, 350, Collect(&got)))
		require.Equal(t, ms[149:350], got)
	})
}

func list(t *testing.T, store archive.Store, prefix string) map[string]int64 {
	t.Helper()
	found := map[string]int64{}
	require.NoError(t, store.List(t.Context(), prefix, func(name string, size int64) error {
		found[name] = size
		return nil
	}))
	return found
}

// Messages gives n messages with the sequences 1 to n, on the subjects s.0 to
// s.6, with headers and data of several forms.
func Messages(n int) []archive.Message {
	ms := make([]archive.Message, n)
	at := time.Date(2026, 1, 2, 3, 4, 5, 678_901_234, time.UTC)
	for i := range ms {
		m := archive.Message{Sequence: uint64(i + 1), Time: at.Add(time.Duration(i*i) * time.Microsecond), Subject: fmt.Sprintf("s.%d", i*i%7),
			Data: fmt.Appendf(nil, `{"text":"the message with number %d","n":%d}`, i, i*i)}
		if i%3 > 0 {
			m.Header = map[string][]string{"ce-id": {fmt.Sprintf("evt_%d", i)}, "Nats-Msg-Id": {"a", "b"}, "empty": {""}}
		}
		if i%11 == 0 {
			m.Data = []byte{}
		}
		ms[i] = m
	}
	return ms
}

// Prev gives the last sequence of each subject.
func Prev(ms []archive.Message) map[string]uint64 {
	prev := map[string]uint64{}
	for _, m := range ms {
		prev[m.Subject] = m.Sequence
	}
	return prev
}

// Build makes a segment of messages that follow each other without a hole.
func Build(t testing.TB, stream, id string, ms []archive.Message, prev map[string]uint64) ([]byte, archive.Index) {
	t.Helper()
	b := archive.NewBuilder(stream, id, ms[0].Sequence)
	for _, m := range ms {
		require.NoError(t, b.Add(m))
	}
	data, ix, err := b.Finish(ms[len(ms)-1].Sequence, prev)
	require.NoError(t, err)
	return data, ix
}

// Add builds a segment and adds it.
func Add(t testing.TB, a *archive.Archive, stream, id string, ms []archive.Message, prev map[string]uint64) archive.Segment {
	t.Helper()
	data, ix := Build(t, stream, id, ms, prev)
	s, err := a.Add(t.Context(), data, ix)
	require.NoError(t, err)
	return s
}

// Collect is a callback of Range that keeps what comes.
func Collect(to *[]archive.Message) func(uint64, time.Time, string, map[string][]string, []byte) error {
	return func(seq uint64, at time.Time, subject string, header map[string][]string, data []byte) error {
		*to = append(*to, archive.Message{Sequence: seq, Time: at, Subject: subject, Header: header, Data: data})
		return nil
	}
}

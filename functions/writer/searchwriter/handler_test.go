package searchwriter_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/chat-platform/chat/events"
	"github.com/chat-platform/chat/functions/internal/fixtures"
	"github.com/chat-platform/chat/functions/internal/frontdoor"
	"github.com/chat-platform/chat/functions/internal/tail/tailtest"
	"github.com/chat-platform/chat/functions/writer/searchwriter"
	"github.com/chat-platform/chat/infra/sqlite"
	"github.com/chat-platform/chat/infra/stores"
)

func open(t *testing.T) *sqlite.Search {
	t.Helper()
	s, err := sqlite.OpenSearch(t.Context(), filepath.Join(t.TempDir(), "search.db"))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	return s
}

func TestFixtures(t *testing.T) {
	fixtures.RunWriter(t, func(t *testing.T) *frontdoor.Function {
		h := searchwriter.New(open(t))
		return frontdoor.Writer(searchwriter.Spec, h.Handle, append(fixtures.Options(), frontdoor.WithHooks(h))...)
	})
}

// conversation is a log with messages in three channels, among them some whose id
// comes a second time, and events of a type that nobody here knows.
func conversation(t *testing.T) []events.Event {
	t.Helper()
	log := &tailtest.Log{}
	for i := range 60 {
		text := fmt.Sprint("text ", i)
		if i%10 == 9 {
			text = fmt.Sprint("text ", i-6)
		}
		log.Send(0, events.ChannelID(fmt.Sprint("ch_", i%3)), "ann", text)
		if i%7 == 0 {
			log.Put(0, "chat.message.edited.v1", "messages.edit.ch_0", "later")
		}
	}
	es, err := log.Tail(t.Context(), "messages.*.*", 1, 1000)
	require.NoError(t, err)
	return es
}

func deliver(t *testing.T, s *sqlite.Search, es []events.Event, batch int) map[events.ChannelID]events.Checksum {
	t.Helper()
	h := searchwriter.New(s)
	for part := range slices.Chunk(es, batch) {
		require.NoError(t, h.Handle(t.Context(), part))
	}
	sums, err := s.Checksums(t.Context(), stores.All)
	require.NoError(t, err)
	return sums
}

func TestDeliveries(t *testing.T) {
	es := conversation(t)
	want := deliver(t, open(t), es, 1)
	require.Len(t, want, 3)
	require.Equal(t, uint64(54), want["ch_0"].Count+want["ch_1"].Count+want["ch_2"].Count, "six came a second time")

	t.Run("in batches", func(t *testing.T) { require.Equal(t, want, deliver(t, open(t), es, 25)) })
	t.Run("twice", func(t *testing.T) {
		s := open(t)
		deliver(t, s, es, 10)
		require.Equal(t, want, deliver(t, s, es, 7))
	})
	for seed := range uint64(5) {
		t.Run(fmt.Sprint("shuffled ", seed), func(t *testing.T) {
			shuffled := append(slices.Clone(es), es...)
			rand.New(rand.NewPCG(seed, 0)).Shuffle(len(shuffled), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
			require.Equal(t, want, deliver(t, open(t), shuffled, 9))
		})
	}
}

// store counts calls, and fails if told to.
type store struct {
	calls int
	err   error
}

func (s *store) IndexMessages(context.Context, []events.Message) error { s.calls++; return s.err }
func (s *store) Ping(context.Context) error                            { return s.err }

func TestOneCallABatchAndNoneForABadOne(t *testing.T) {
	es := conversation(t)
	s := &store{}
	h := searchwriter.New(s)
	require.NoError(t, h.Handle(t.Context(), es))
	require.Equal(t, 1, s.calls)

	require.NoError(t, h.Handle(t.Context(), []events.Event{{ID: "evt_1", Source: "/x", Type: "chat.message.edited.v1", Subject: "messages.edit.ch_1"}}))
	require.Equal(t, 1, s.calls, "nothing to write")

	es[5].Sequence = 0
	err := h.Handle(t.Context(), es)
	require.ErrorIs(t, err, events.ErrInvalid)
	require.ErrorContains(t, err, es[5].ID)
	require.Equal(t, 1, s.calls, "nothing half-done")
}

func TestErrorsOfTheStoreKeepTheirKind(t *testing.T) {
	for _, kind := range []error{events.ErrUnavailable, events.ErrInvalid, errors.New("broken")} {
		h := searchwriter.New(&store{err: kind})
		require.ErrorIs(t, h.Handle(t.Context(), conversation(t)), kind)
		ready, err := h.Ready(t.Context())
		require.False(t, ready)
		require.ErrorIs(t, err, kind)
	}
	ready, err := searchwriter.New(&store{}).Ready(t.Context())
	require.True(t, ready)
	require.NoError(t, err)
}

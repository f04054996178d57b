package storetest

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/chat-platform/chat/events"
	"github.com/chat-platform/chat/infra/stores"
)

// testView checks what all views promise. write puts the same few records, of
// two channels at least, into a store.
func testView[S View](t *testing.T, open func(t *testing.T) S, generations Generations[S], write func(ctx context.Context, s S) error) {
	testGenerations(t, generations, write)
	testOrigin(t, generations, write)
	testChecksums(t, open, write)
	t.Run("an empty view has no checksums", func(t *testing.T) {
		sums, err := open(t).Checksums(t.Context(), stores.All)
		require.NoError(t, err)
		require.Empty(t, sums)
	})
	t.Run("reset drops all, and the view can be filled again", func(t *testing.T) {
		s := open(t)
		require.NoError(t, s.Reset(t.Context()), "of an empty view")
		require.NoError(t, write(t.Context(), s))
		refresh(t, s)
		before, err := s.Checksums(t.Context(), stores.All)
		require.NoError(t, err)
		require.GreaterOrEqual(t, len(before), 2)
		require.NoError(t, s.Reset(t.Context()))
		refresh(t, s)
		sums, err := s.Checksums(t.Context(), stores.All)
		require.NoError(t, err)
		require.Empty(t, sums)
		require.NoError(t, write(t.Context(), s))
		refresh(t, s)
		after, err := s.Checksums(t.Context(), stores.All)
		require.NoError(t, err)
		require.Equal(t, before, after)
	})
	t.Run("ping", func(t *testing.T) {
		s := open(t)
		require.NoError(t, s.Ping(t.Context()))
		require.NoError(t, s.Close())
		require.ErrorIs(t, s.Ping(t.Context()), events.ErrUnavailable, "after Close")
	})
	t.Run("a closed view is unavailable", func(t *testing.T) {
		s := open(t)
		require.NoError(t, s.Close())
		require.NoError(t, s.Close(), "a second time")
		require.ErrorIs(t, write(t.Context(), s), events.ErrUnavailable)
		require.ErrorIs(t, s.Reset(t.Context()), events.ErrUnavailable)
		require.ErrorIs(t, s.Drop(t.Context()), events.ErrUnavailable)
		_, err := s.Checksums(t.Context(), stores.All)
		require.ErrorIs(t, err, events.ErrUnavailable)
		_, err = s.Claim(t.Context(), "an epoch")
		require.ErrorIs(t, err, events.ErrUnavailable)
		_, err = s.Empty(t.Context())
		require.ErrorIs(t, err, events.ErrUnavailable)
	})
	t.Run("a cancelled context ends every call", func(t *testing.T) {
		s := open(t)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		require.ErrorIs(t, write(ctx, s), context.Canceled)
		require.ErrorIs(t, s.Reset(ctx), context.Canceled)
		require.ErrorIs(t, s.Drop(ctx), context.Canceled)
		require.ErrorIs(t, s.Ping(ctx), context.Canceled)
		_, err := s.Checksums(ctx, stores.All)
		require.ErrorIs(t, err, context.Canceled)
		_, err = s.Claim(ctx, "an epoch")
		require.ErrorIs(t, err, context.Canceled)
		_, err = s.Empty(ctx)
		require.ErrorIs(t, err, context.Canceled)

		refresh(t, s)
		sums, err := s.Checksums(t.Context(), stores.All)
		require.NoError(t, err)
		require.Empty(t, sums, "nothing was written")
		require.NoError(t, write(t.Context(), s), "the store goes on")
	})
}

// testMessageWrites checks what the two views of messages promise of writes,
// which differ in name only.
func testMessageWrites[S View](t *testing.T, open func(t *testing.T) S, put func(S) func(context.Context, []events.Message) error) {
	all := append(conversation(general, 60, 1, 2), conversation(random, 40, 2, 2)...)
	want := sumsOf(t, all)
	holds := func(t *testing.T, s S, want map[events.ChannelID]events.Checksum) {
		t.Helper()
		refresh(t, s)
		got, err := s.Checksums(t.Context(), stores.All)
		require.NoError(t, err)
		require.Equal(t, want, got)
	}
	t.Run("nothing is written by an empty batch", func(t *testing.T) {
		s := open(t)
		require.NoError(t, put(s)(t.Context(), nil))
		holds(t, s, map[events.ChannelID]events.Checksum{})
	})
	t.Run("delivered twice", func(t *testing.T) {
		s := open(t)
		putChunks(t, put(s), all, 7)
		putChunks(t, put(s), all, 13)
		require.NoError(t, put(s)(t.Context(), append(all[:5:5], all[:5]...)), "twice in one batch")
		holds(t, s, want)
	})
	t.Run("delivered shuffled", func(t *testing.T) {
		for seed := range uint64(5) {
			s := open(t)
			putChunks(t, put(s), shuffled(append(all[:30:30], all...), seed), 1+int(seed)*9)
			holds(t, s, want)
		}
	})
	t.Run("delivered by several writers at once", func(t *testing.T) {
		s := open(t)
		putConcurrently(t, put(s), all, 4, 9)
		holds(t, s, want)
	})
	t.Run("the caller's batch stays as it was", func(t *testing.T) {
		batch := shuffled(all, 3)
		before := append([]events.Message{}, batch...)
		s := open(t)
		require.NoError(t, put(s)(t.Context(), batch))
		require.Equal(t, before, batch)
	})
	t.Run("the lowest sequence of a message id wins", func(t *testing.T) {
		first := newMessage(general, "a.b", 10, "the original")
		late, later := first, first
		late.Seq, late.Text = 20, "slipped in"
		later.Seq, later.Text = 30, "slipped in again"
		other := newMessage(general, "a.b", 25, "another")
		want := sumsOf(t, []events.Message{first, other})
		for seed := range uint64(6) {
			for _, size := range []int{1, 4} {
				s := open(t)
				putChunks(t, put(s), shuffled([]events.Message{first, late, later, other}, seed), size)
				holds(t, s, want)
			}
		}
	})
	t.Run("one byte makes another checksum", func(t *testing.T) {
		s := open(t)
		changed := append([]events.Message{}, all...)
		changed[3].Text += "."
		require.NoError(t, put(s)(t.Context(), changed))
		refresh(t, s)
		got, err := s.Checksums(t.Context(), stores.All)
		require.NoError(t, err)
		require.NotEqual(t, want[general], got[general])
		require.Equal(t, want[general].Count, got[general].Count)
		require.Equal(t, want[random], got[random])
	})
	t.Run("every field comes back", func(t *testing.T) {
		s := open(t)
		ms := []events.Message{}
		for _, text := range trickyTexts {
			ms = append(ms, newMessage(general, oddUsers[len(ms)%len(oddUsers)], uint64(len(ms)+1), text))
		}
		bare := events.Message{Seq: 100, MessageSent: events.MessageSent{ID: "msg_aaaaaaaaaaaaaaaaaaaaaaaaaa", ChannelID: random, AuthorID: "A", Text: "x", SentAt: time1970}}
		alike := bare // an id that a decoder takes for the one above
		alike.Seq, alike.ID, alike.SentAt = 101, "msg_aaaaaaaaaaaaaaaaaaaaaaaaab", epoch.AddDate(-1000, 0, 0)
		ms = append(ms, bare, alike)
		require.NoError(t, put(s)(t.Context(), ms))
		holds(t, s, sumsOf(t, ms))
	})
	t.Run("10,000 messages in one batch", func(t *testing.T) {
		s := open(t)
		many := conversation(general, 10_000, 1, 1)
		require.NoError(t, put(s)(t.Context(), many))
		holds(t, s, sumsOf(t, many))
	})
}

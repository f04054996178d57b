package storetest

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/chat-platform/chat/events"
	"github.com/chat-platform/chat/infra/stores"
)

// Generations opens generations of one view, which nobody else uses: 1 is where
// a view lies at first, 2 where a rebuild puts the next one. A generation that
// is opened a second time is the same one; all are closed in a cleanup of t.
type Generations[S View] func(t *testing.T) (open func(generation int) S)

// testGenerations checks that generations have nothing in common, since a
// rebuild fills one while everybody works with another. write is that of
// testView.
func testGenerations[S View](t *testing.T, generations Generations[S], write func(ctx context.Context, s S) error) {
	sums := func(t *testing.T, s S) map[events.ChannelID]events.Checksum {
		t.Helper()
		refresh(t, s)
		all, err := s.Checksums(t.Context(), stores.All)
		require.NoError(t, err)
		return all
	}
	t.Run("generations/independent", func(t *testing.T) {
		open := generations(t)
		first, second := open(1), open(2)
		require.NoError(t, write(t.Context(), first))
		full := sums(t, first)
		require.GreaterOrEqual(t, len(full), 2)
		require.Empty(t, sums(t, second))
		require.NoError(t, write(t.Context(), second))
		require.Equal(t, full, sums(t, second))
		require.NoError(t, first.Reset(t.Context()))
		require.Empty(t, sums(t, first))
		require.Equal(t, full, sums(t, second), "of the first one alone")
		require.Equal(t, full, sums(t, open(2)), "opened again")
	})
	t.Run("generations/dropped", func(t *testing.T) {
		open := generations(t)
		first, second := open(1), open(2)
		require.NoError(t, write(t.Context(), first))
		require.NoError(t, write(t.Context(), second))
		full := sums(t, second)
		_, err := first.Claim(t.Context(), "the first")
		require.NoError(t, err)
		require.NoError(t, first.Drop(t.Context()))
		require.ErrorIs(t, first.Ping(t.Context()), events.ErrUnavailable, "it is closed")
		require.ErrorIs(t, first.Drop(t.Context()), events.ErrUnavailable)
		require.Equal(t, full, sums(t, second))
		again := open(1)
		require.Empty(t, sums(t, again))
		of, err := again.Claim(t.Context(), Epoch)
		require.NoError(t, err)
		require.Equal(t, Epoch, of, "whose it was is forgotten too")
		require.NoError(t, write(t.Context(), again), "a number may be used again")
		require.Equal(t, full, sums(t, again))
		require.NoError(t, second.Drop(t.Context()))
		require.Equal(t, full, sums(t, again))
		require.NoError(t, open(12).Drop(t.Context()), "an empty one")
	})
}

// testChecksums checks the sums of a part of a view. write is that of testView:
// its records have sequences from 1 on.
func testChecksums[S View](t *testing.T, open func(t *testing.T) S, write func(ctx context.Context, s S) error) {
	t.Run("checksums", func(t *testing.T) {
		s := open(t)
		require.NoError(t, write(t.Context(), s))
		refresh(t, s)
		count := func(through uint64) (n uint64) {
			sums, err := s.Checksums(t.Context(), through)
			require.NoError(t, err)
			for _, sum := range sums {
				n += sum.Count
			}
			return n
		}
		all := count(stores.All)
		require.GreaterOrEqual(t, all, uint64(4))
		for through := range all {
			require.Equal(t, through, count(through), "its records are numbered from 1 on")
		}
		require.Equal(t, all, count(all))
		require.Equal(t, all, count(1<<63))
	})
}

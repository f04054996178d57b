package storetest

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Epoch is that of the log which the suite's views are of.
const Epoch = "it's one.a"

// testOrigin checks that a generation knows of which log it is, and that others
// do not share that. write is that of testView.
func testOrigin[S View](t *testing.T, generations Generations[S], write func(ctx context.Context, s S) error) {
	is := func(t *testing.T, s S, want string) {
		t.Helper()
		of, err := s.Claim(t.Context(), "")
		require.NoError(t, err)
		require.Equal(t, want, of)
	}
	claim := func(t *testing.T, s S, epoch, want string) {
		t.Helper()
		of, err := s.Claim(t.Context(), epoch)
		require.NoError(t, err)
		require.Equal(t, want, of)
		is(t, s, want)
	}
	holds := func(t *testing.T, s S, want bool) {
		t.Helper()
		refresh(t, s)
		empty, err := s.Empty(t.Context())
		require.NoError(t, err)
		require.Equal(t, !want, empty)
	}
	t.Run("origin", func(t *testing.T) {
		open := generations(t)
		first, second := open(1), open(2)
		for _, s := range []S{first, second} {
			require.NoError(t, s.Reset(t.Context()))
			is(t, s, "")
			holds(t, s, false)
		}
		claim(t, first, Epoch, Epoch)
		claim(t, first, "another", Epoch)
		is(t, second, "")
		holds(t, first, false)
		require.NoError(t, write(t.Context(), first))
		holds(t, first, true)
		holds(t, second, false)
		is(t, open(1), Epoch)
		claim(t, second, "another", "another")
		require.NoError(t, write(t.Context(), second))

		require.NoError(t, first.Reset(t.Context()))
		is(t, first, "")
		is(t, second, "another")
		claim(t, first, "the next", "the next")
		holds(t, first, false)
		require.NoError(t, second.Reset(t.Context()))
		claim(t, second, "the last", "the last")
	})
	t.Run("origin/of many who claim it one is right", func(t *testing.T) {
		open := generations(t)
		s, other := open(1), open(1)
		require.NoError(t, s.Reset(t.Context()))
		answers := make([]string, 8)
		var all sync.WaitGroup
		for i := range answers {
			all.Go(func() {
				mine := []S{s, other}[i%2]
				of, err := mine.Claim(t.Context(), fmt.Sprint("epoch ", i))
				assert.NoError(t, err)
				answers[i] = of
			})
		}
		all.Wait()
		of, err := s.Claim(t.Context(), "")
		require.NoError(t, err)
		require.NotEmpty(t, of)
		for _, a := range answers {
			require.Equal(t, of, a)
		}
	})
}

package sqlite_test

import (
	"context"
	"fmt"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/chat-platform/chat/infra/sqlite"
	"github.com/chat-platform/chat/infra/storetest"
)

// generations of a view are files beside each other.
func generations[S storetest.View](open func(ctx context.Context, path string) (S, error)) storetest.Generations[S] {
	return func(t *testing.T) func(int) S {
		dir := t.TempDir()
		return func(generation int) S {
			s, err := open(t.Context(), filepath.Join(dir, fmt.Sprintf("it.%d.db", generation)))
			require.NoError(t, err)
			t.Cleanup(func() { require.NoError(t, s.Close()) })
			return s
		}
	}
}

func openMessages(t testing.TB) *sqlite.Messages {
	s, err := sqlite.OpenMessages(t.Context(), filepath.Join(t.TempDir(), "messages.db"))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	return s
}

func TestMessages(t *testing.T) {
	storetest.TestMessages(t, func(t *testing.T) storetest.Messages { return openMessages(t) }, generations[storetest.Messages](func(ctx context.Context, path string) (storetest.Messages, error) {
		return sqlite.OpenMessages(ctx, path)
	}))
}

func openMetadata(t testing.TB) *sqlite.Metadata {
	s, err := sqlite.OpenMetadata(t.Context(), filepath.Join(t.TempDir(), "metadata.db"))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	return s
}

func openSearch(t testing.TB) *sqlite.Search {
	s, err := sqlite.OpenSearch(t.Context(), filepath.Join(t.TempDir(), "search.db"))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	return s
}

func TestMetadata(t *testing.T) {
	storetest.TestMetadata(t, func(t *testing.T) storetest.Metadata { return openMetadata(t) }, generations[storetest.Metadata](func(ctx context.Context, path string) (storetest.Metadata, error) {
		return sqlite.OpenMetadata(ctx, path)
	}))
}

func TestSearch(t *testing.T) {
	storetest.TestSearch(t, func(t *testing.T) storetest.Search { return openSearch(t) }, generations[storetest.Search](func(ctx context.Context, path string) (storetest.Search, error) {
		return sqlite.OpenSearch(ctx, path)
	}))
}

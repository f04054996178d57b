package sqlite_test

import (
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/chat-platform/chat/infra/sqlite"
	"github.com/chat-platform/chat/infra/storetest"
)

func openMessages(t testing.TB) *sqlite.Messages {
	s, err := sqlite.OpenMessages(t.Context(), filepath.Join(t.TempDir(), "messages.db"))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	return s
}

func TestMessages(t *testing.T) {
	storetest.TestMessages(t, func(t *testing.T) storetest.Messages { return openMessages(t) })
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
	storetest.TestMetadata(t, func(t *testing.T) storetest.Metadata { return openMetadata(t) })
}

func TestSearch(t *testing.T) {
	storetest.TestSearch(t, func(t *testing.T) storetest.Search { return openSearch(t) })
}

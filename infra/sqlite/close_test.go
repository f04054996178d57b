package sqlite_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/chat-platform/chat/events"
	"github.com/chat-platform/chat/infra/sqlite"
)

// What is closed is one file, which may be moved: nothing of it is left in a
// write-ahead log.
func TestCloseLeavesOneFile(t *testing.T) {
	dir := t.TempDir()
	messages, err := sqlite.OpenMessages(t.Context(), filepath.Join(dir, "messages.db"))
	require.NoError(t, err)
	metadata, err := sqlite.OpenMetadata(t.Context(), filepath.Join(dir, "metadata.db"))
	require.NoError(t, err)
	search, err := sqlite.OpenSearch(t.Context(), filepath.Join(dir, "search.db"))
	require.NoError(t, err)
	ms := []events.Message{{Seq: 1, MessageSent: events.MessageSent{
		ID: events.NewMessageID("alice", "ch_1", "k"), ChannelID: "ch_1", AuthorID: "alice", Text: "hello", ClientID: events.NewClientID(),
	}}}
	require.NoError(t, messages.PutMessages(t.Context(), ms))
	require.NoError(t, search.IndexMessages(t.Context(), ms))
	for _, s := range []interface{ Close() error }{messages, metadata, search} {
		require.NoError(t, s.Close())
	}
	files, err := os.ReadDir(dir)
	require.NoError(t, err)
	var names []string
	for _, f := range files {
		names = append(names, f.Name())
	}
	assert.Equal(t, []string{"messages.db", "metadata.db", "search.db"}, names)
}

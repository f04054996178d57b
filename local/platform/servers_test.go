//go:build integration

package platform_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/chat-platform/chat/infra/servertest"
	"github.com/chat-platform/chat/infra/stores"
	"github.com/chat-platform/chat/local/datadir"
	"github.com/chat-platform/chat/local/platform/platformtest"
)

func TestMain(m *testing.M) { servertest.Main(m) }

// The same story as on the embedded default, on all real servers, with limits
// kept in Redis.
func TestTwoPeopleTalkOnRealServers(t *testing.T) {
	environ := append(platformtest.OnServers(t), "RATE_LIMIT_SEND=1000/1s burst 1000")
	dir := twoPeopleTalk(t, environ...)
	for _, name := range []string{datadir.Log, stores.MessagesFile, stores.MetadataFile, stores.SearchFile} {
		assert.NoFileExists(t, dir+"/"+name)
		assert.NoDirExists(t, dir+"/"+name)
	}

	// The servers are all of it: another data folder, the same chat.
	p := platformtest.Start(t, "", environ...)
	page, err := newClient(t, p, "bob").HistoryAfter(t.Context(), "ch_general", 0, 100)
	require.NoError(t, err)
	require.Len(t, page.Messages, 2)
}

package search_test

import (
	"context"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/chat-platform/chat/events"
	"github.com/chat-platform/chat/infra/elasticsearch"
	"github.com/chat-platform/chat/infra/stores"
	"github.com/chat-platform/chat/infra/stores/search"
	"github.com/chat-platform/chat/infra/stores/storestest"
)

func TestOpen(t *testing.T) {
	storestest.TestOpener(t, storestest.Opener{
		File: "search.db", Variable: "STORE_SEARCH",
		Open: func(ctx context.Context, store string, e stores.Embedded) (stores.View, error) {
			return search.Open(ctx, search.Config{Store: store, Embedded: e}, stores.Host{})
		},
		Read: func(ctx context.Context, store string, e stores.Embedded) (stores.Opened, error) {
			return search.OpenReader(ctx, search.Config{Store: store, Embedded: e}, stores.Host{})
		},
	})
}

func TestTheConfigurationChooses(t *testing.T) {
	cfg := search.Config{Store: "elasticsearch", Embedded: stores.Embedded{Dir: t.TempDir()},
		Elasticsearch: elasticsearch.Config{URLs: []string{"http://127.0.0.1:1"}, Timeout: 50 * time.Millisecond, Attempts: 1}}
	s, err := search.Open(t.Context(), cfg, stores.Host{Name: "test"})
	require.ErrorIs(t, err, events.ErrUnavailable)
	require.Nil(t, s)
	require.NoFileExists(t, filepath.Join(cfg.Dir, stores.SearchFile))
}

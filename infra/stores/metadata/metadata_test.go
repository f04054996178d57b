package metadata_test

import (
	"context"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/chat-platform/chat/events"
	"github.com/chat-platform/chat/infra/mongodb"
	"github.com/chat-platform/chat/infra/stores"
	"github.com/chat-platform/chat/infra/stores/metadata"
	"github.com/chat-platform/chat/infra/stores/storestest"
)

func TestOpen(t *testing.T) {
	storestest.TestOpener(t, storestest.Opener{
		File: "metadata.db", Variable: "STORE_METADATA",
		Open: func(ctx context.Context, store string, e stores.Embedded) (stores.View, error) {
			return metadata.Open(ctx, metadata.Config{Store: store, Embedded: e}, stores.Host{})
		},
		Read: func(ctx context.Context, store string, e stores.Embedded) (stores.Opened, error) {
			return metadata.OpenReader(ctx, metadata.Config{Store: store, Embedded: e}, stores.Host{})
		},
	})
}

func TestTheConfigurationChooses(t *testing.T) {
	cfg := metadata.Config{Store: "mongodb", Embedded: stores.Embedded{Dir: t.TempDir()},
		MongoDB: mongodb.Config{URL: "mongodb://127.0.0.1:1", Timeout: 50 * time.Millisecond}}
	s, err := metadata.Open(t.Context(), cfg, stores.Host{Name: "test"})
	require.ErrorIs(t, err, events.ErrUnavailable)
	require.ErrorContains(t, err, "127.0.0.1:1")
	require.Nil(t, s)
	require.NoFileExists(t, filepath.Join(cfg.Dir, stores.MetadataFile))
}

package messages_test

import (
	"context"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/chat-platform/chat/events"
	"github.com/chat-platform/chat/infra/cassandra"
	"github.com/chat-platform/chat/infra/nats/natstest"
	"github.com/chat-platform/chat/infra/stores"
	"github.com/chat-platform/chat/infra/stores/messages"
	"github.com/chat-platform/chat/infra/stores/storestest"
)

func TestOpen(t *testing.T) {
	storestest.TestOpener(t, storestest.Opener{
		File: "messages.db", Variable: "STORE_MESSAGES",
		Open: func(ctx context.Context, store string, e stores.Embedded) (stores.View, error) {
			return messages.Open(ctx, messages.Config{Store: store, Embedded: e}, stores.Host{})
		},
		Read: func(ctx context.Context, store string, e stores.Embedded) (stores.Opened, error) {
			return messages.OpenReader(ctx, messages.Config{Store: store, Embedded: e}, stores.Host{})
		},
	})
}

func TestTheConfigurationChooses(t *testing.T) {
	cfg := messages.Config{Store: "cassandra", Embedded: stores.Embedded{Dir: t.TempDir()},
		Cassandra: cassandra.Config{Hosts: []string{"127.0.0.1:1"}, ConnectWait: 50 * time.Millisecond}}
	s, err := messages.Open(t.Context(), cfg, stores.Host{Name: "test"})
	require.ErrorIs(t, err, events.ErrUnavailable)
	require.Nil(t, s)
	r, err := messages.OpenReader(t.Context(), cfg, stores.Host{Name: "test"})
	require.ErrorIs(t, err, events.ErrUnavailable)
	require.Nil(t, r)
	require.NoFileExists(t, filepath.Join(cfg.Dir, stores.MessagesFile))
}

// A reader tells which generation it reads, and still cannot write.
func TestAReaderOfGenerations(t *testing.T) {
	cfg := messages.Config{Embedded: stores.Embedded{Dir: t.TempDir()}}
	r, err := messages.OpenReader(t.Context(), cfg, stores.Host{Views: natstest.Open(t)})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, r.Close()) })
	g, ok := r.(interface {
		Generation(ctx context.Context) (int, error)
	})
	require.True(t, ok)
	n, err := g.Generation(t.Context())
	require.NoError(t, err)
	require.Equal(t, 1, n)
	require.NotImplements(t, (*stores.View)(nil), r)
	require.NotImplements(t, (*interface{ Reset(context.Context) error })(nil), r)
}

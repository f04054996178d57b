package start_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/chat-platform/chat/events"
	"github.com/chat-platform/chat/functions/cmd/internal/start"
	"github.com/chat-platform/chat/functions/internal/frontdoor"
	"github.com/chat-platform/chat/infra/nats/natstest"
	"github.com/chat-platform/chat/infra/stores/messages"
	"github.com/chat-platform/chat/infra/stores/metadata"
	"github.com/chat-platform/chat/infra/stores/search"
)

var errDone = errors.New("that was all")

func TestStoresInTheDataFolder(t *testing.T) {
	srv := natstest.Start(t) // which says which generation of a view is live
	dir := filepath.Join(t.TempDir(), "made", "on the way")
	var ping func() error
	code, said := run(t, start.Writer(func(ctx context.Context, p *start.Parts) (*frontdoor.Function, error) {
		m, err := start.Store(ctx, p, "messages", messages.Open)
		require.NoError(t, err)
		_, err = start.Store(ctx, p, "metadata", metadata.OpenReader)
		require.NoError(t, err)
		_, err = start.Store(ctx, p, "search", search.Open)
		require.NoError(t, err)
		ping = func() error { return m.Ping(context.WithoutCancel(ctx)) }
		require.NoError(t, ping())
		return nil, errDone
	}), nil, "DATA_DIR="+dir, "NATS_URL="+srv.ClientURL())
	require.Equal(t, 1, code)
	require.Contains(t, said, errDone.Error())
	require.ErrorIs(t, ping(), events.ErrUnavailable, "closed at the end")
	for _, name := range []string{"messages.db", "metadata.db", "search.db"} {
		require.FileExists(t, filepath.Join(dir, name))
	}
}

func TestAStoreThatCannotBeOpened(t *testing.T) {
	srv := natstest.Start(t)
	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	for _, c := range []struct{ variable, value string }{
		{"DATA_DIR", file},
		{"STORE_METADATA", "postgres"},
		{"MONGODB_TIMEOUT", "soon"},
	} {
		code, said := run(t, start.Writer(func(ctx context.Context, p *start.Parts) (*frontdoor.Function, error) {
			_, err := start.Store(ctx, p, "metadata", metadata.Open)
			return nil, err
		}), nil, c.variable+"="+c.value, "NATS_URL="+srv.ClientURL())
		require.Equal(t, 1, code)
		require.Contains(t, said, c.variable)
		require.Contains(t, said, c.value)
	}
}

package start_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/chat-platform/chat/events"
	"github.com/chat-platform/chat/functions/cmd/internal/start"
	"github.com/chat-platform/chat/functions/internal/frontdoor"
	"github.com/chat-platform/chat/infra/nats/natstest"
	"github.com/chat-platform/chat/infra/stores"
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

// A command starts and is ready while the message view is away, and finds it once
// it is there.
func TestLookupWithoutTheView(t *testing.T) {
	srv := natstest.Start(t)
	var away atomic.Bool
	away.Store(true)
	real := filepath.Join(t.TempDir(), "real")
	open := func(ctx context.Context, cfg messages.Config, host stores.Host) (stores.MessagesReader, error) {
		cfg.Dir = real
		s, err := stores.Switch(ctx, messages.Feed, host, func(ctx context.Context, n int) (stores.Messages, error) {
			if away.Load() {
				return nil, fmt.Errorf("%w: nobody answers", events.ErrUnavailable)
			}
			return messages.OpenGeneration(ctx, cfg, stores.Host{}, n)
		})
		return stores.SwitchingMessages{Switching: s}, err
	}
	opened := make(chan stores.MessagesReader, 1)
	a := begin(t, start.Command(func(ctx context.Context, p *start.Parts) (*frontdoor.Function, error) {
		o, err := start.Lookup(ctx, p, open)
		if err != nil {
			return nil, err
		}
		opened <- o
		return frontdoor.Command(frontdoor.Spec{Name: "test"}, func(context.Context, events.Caller, struct{}) (struct{}, error) {
			return struct{}{}, nil
		}, p.Options...), nil
	}), "OIDC_ISSUER=http://127.0.0.1:1", "DATA_DIR="+t.TempDir(), "NATS_URL="+srv.ClientURL())
	var o stores.MessagesReader
	select {
	case o = <-opened:
	case <-time.After(long):
		require.Fail(t, "it does not begin", a.said.String())
	}
	ready := func() {
		t.Helper()
		require.Eventually(t, func() bool { status, _ := a.ready(t); return status == http.StatusOK }, long, step, a.said.String())
	}
	ready()
	_, err := o.MessagesByID(t.Context(), "ch_a", []events.MessageID{"msg_1"})
	require.ErrorIs(t, err, events.ErrUnavailable)

	away.Store(false)
	require.Eventually(t, func() bool {
		found, err := o.MessagesByID(t.Context(), "ch_a", []events.MessageID{"msg_1"})
		return err == nil && len(found) == 0
	}, long, step)
	ready()
	a.end(t)
	_, err = o.MessagesByID(t.Context(), "ch_a", []events.MessageID{"msg_1"})
	require.ErrorIs(t, err, events.ErrUnavailable, "closed at the end")
}

// What no waiting helps ends the process at once, and one that still waits for the
// view can be ended.
func TestLookupEnds(t *testing.T) {
	srv := natstest.Start(t)
	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	for _, e := range []string{"DATA_DIR=" + file, "STORE_MESSAGES=postgres", "CASSANDRA_TIMEOUT=soon"} {
		code, said := run(t, start.Writer(func(ctx context.Context, p *start.Parts) (*frontdoor.Function, error) {
			_, err := start.Lookup(ctx, p, messages.OpenReader)
			return nil, err
		}), nil, e, "NATS_URL="+srv.ClientURL())
		require.Equal(t, 1, code)
		name, value, _ := strings.Cut(e, "=")
		require.Contains(t, said, name)
		require.Contains(t, said, value)
	}
	code, said := run(t, start.Writer(func(ctx context.Context, p *start.Parts) (*frontdoor.Function, error) {
		_, err := start.Lookup(ctx, p, func(ctx context.Context, _ messages.Config, host stores.Host) (stores.MessagesReader, error) {
			s, err := stores.Switch(ctx, messages.Feed, host, func(ctx context.Context, _ int) (stores.Messages, error) {
				<-ctx.Done()
				return nil, fmt.Errorf("%w: %w", events.ErrUnavailable, ctx.Err())
			})
			return stores.SwitchingMessages{Switching: s}, err
		})
		require.NoError(t, err)
		return nil, errDone
	}), nil, "NATS_URL="+srv.ClientURL())
	require.Equal(t, 1, code)
	require.Contains(t, said, errDone.Error())
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

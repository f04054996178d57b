package start_test

import (
	"context"
	"errors"
	"io"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/chat-platform/chat/events"
	"github.com/chat-platform/chat/functions/cmd/internal/start"
	"github.com/chat-platform/chat/functions/internal/frontdoor"
	"github.com/chat-platform/chat/infra/nats/natstest"
	"github.com/chat-platform/chat/infra/process"
)

// hooks notes the order of a function's life.
type hooks struct {
	order *[]string
	err   error
}

func (h hooks) Start(_ context.Context, environ map[string]string) error {
	*h.order = append(*h.order, "start "+environ["COLOUR"])
	return h.err
}

func (h hooks) Stop(context.Context) error {
	*h.order = append(*h.order, "stop")
	return nil
}

func run(t *testing.T, main func(context.Context, *process.Process) error, signals chan os.Signal, environ ...string) (int, string) {
	t.Helper()
	var said strings.Builder
	code := process.Run("test", process.World{Environ: append(environ, "PORT=0"), Stdout: io.Discard, Stderr: &said, Signals: signals}, main)
	return code, said.String()
}

func writer(h hooks) *frontdoor.Function {
	return frontdoor.Writer(frontdoor.Spec{Name: "test"}, func(context.Context, []events.Event) error { return nil }, frontdoor.WithHooks(h))
}

func TestOrder(t *testing.T) {
	srv := natstest.Start(t)
	var order []string
	signals := make(chan os.Signal, 1)
	signals <- syscall.SIGTERM // it is drained as soon as it serves
	code, said := run(t, start.Writer(func(ctx context.Context, p *start.Parts) (*frontdoor.Function, error) {
		log, err := p.Log(context.WithoutCancel(ctx))
		require.NoError(t, err)
		require.NoError(t, log.Ping(context.WithoutCancel(ctx)))
		for _, name := range []string{"first", "second"} {
			p.Uses(name, func(context.Context) error { return nil }, func() error {
				order = append(order, "close "+name)
				return nil
			})
		}
		return writer(hooks{order: &order}), nil
	}), signals, "NATS_URL="+srv.ClientURL(), "COLOUR=blue")
	require.Equal(t, 0, code, said)
	require.Equal(t, []string{"start blue", "stop", "close second", "close first"}, order)
}

// A command is served, and limited, where there is no Redis any more.
func TestCommandWithoutRedis(t *testing.T) {
	srv := natstest.Start(t)
	signals := make(chan os.Signal, 1)
	signals <- syscall.SIGTERM
	code, said := run(t, start.Command(func(_ context.Context, p *start.Parts) (*frontdoor.Function, error) {
		return frontdoor.Command(frontdoor.Spec{Name: "test"}, func(context.Context, events.Caller, struct{}) (struct{}, error) {
			return struct{}{}, nil
		}, p.Options...), nil
	}), signals, "NATS_URL="+srv.ClientURL(), "OIDC_ISSUER=http://127.0.0.1:1", "REDIS_URL=redis://127.0.0.1:1")
	require.Equal(t, 0, code, said)
	require.Contains(t, said, "rate limits hold per process")
}

// Pages are kept without Redis, and where it does not answer.
func TestPages(t *testing.T) {
	for _, environ := range [][]string{{"CACHE_BYTES=1000"}, {"REDIS_URL=redis://127.0.0.1:1", "CACHE_TTL=1m"}} {
		signals := make(chan os.Signal, 1)
		signals <- syscall.SIGTERM
		code, said := run(t, start.Writer(func(ctx context.Context, p *start.Parts) (*frontdoor.Function, error) {
			pages, err := p.Pages(context.WithoutCancel(ctx))
			require.NoError(t, err)
			require.NotNil(t, pages)
			return frontdoor.Writer(frontdoor.Spec{Name: "test"}, func(context.Context, []events.Event) error { return nil }), nil
		}), signals, environ...)
		require.Equal(t, 0, code, said)
		require.Equal(t, len(environ) == 2, strings.Contains(said, "each process caches by itself"), said)
	}
}

func TestFaults(t *testing.T) {
	broken := errors.New("broken")
	var order []string
	never := func(context.Context, *start.Parts) (*frontdoor.Function, error) { panic("not to be built") }
	for name, c := range map[string]struct {
		main    func(context.Context, *process.Process) error
		environ []string
		said    string
	}{
		"no issuer": {start.Command(never), nil, "OIDC_ISSUER"},
		"rate":      {start.Command(never), []string{"OIDC_ISSUER=http://127.0.0.1:1", "RATE_LIMIT_READ=often"}, "RATE_LIMIT_READ"},
		"age":       {start.Command(never), []string{"OIDC_ISSUER=http://127.0.0.1:1", "TOKEN_MAX_AGE=100h"}, "TOKEN_MAX_AGE"},
		"redis":     {start.Command(never), []string{"OIDC_ISSUER=http://127.0.0.1:1", "REDIS_URL=here"}, "REDIS_URL"},
		"timeout":   {start.Command(never), []string{"OIDC_ISSUER=http://127.0.0.1:1", "REDIS_TIMEOUT=here"}, "REDIS_TIMEOUT"},
		"build":     {start.Writer(func(context.Context, *start.Parts) (*frontdoor.Function, error) { return nil, broken }), nil, "broken"},
		"the log's settings": {start.Writer(func(ctx context.Context, p *start.Parts) (*frontdoor.Function, error) {
			_, err := p.Log(ctx)
			return nil, err
		}), []string{"DEDUP_WINDOW=soon"}, "DEDUP_WINDOW"},
		"cache": {start.Writer(func(ctx context.Context, p *start.Parts) (*frontdoor.Function, error) {
			_, err := p.Pages(ctx)
			return nil, err
		}), []string{"CACHE_BYTES=many"}, "CACHE_BYTES"},
		"the cache's server": {start.Writer(func(ctx context.Context, p *start.Parts) (*frontdoor.Function, error) {
			_, err := p.Pages(ctx)
			return nil, err
		}), []string{"REDIS_URL=here"}, "REDIS_URL"},
		"start hook": {start.Writer(func(context.Context, *start.Parts) (*frontdoor.Function, error) {
			return writer(hooks{order: &order, err: broken}), nil
		}), nil, "broken"},
		"close": {start.Writer(func(_ context.Context, p *start.Parts) (*frontdoor.Function, error) {
			p.Uses("disk", func(context.Context) error { return nil }, func() error { return broken })
			return nil, errors.New("and more")
		}), nil, "close disk: broken"},
	} {
		t.Run(name, func(t *testing.T) {
			code, said := run(t, c.main, make(chan os.Signal), c.environ...)
			require.Equal(t, 1, code)
			require.Contains(t, said, c.said)
		})
	}
}

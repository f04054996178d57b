package frontdoor_test

import (
	"context"
	"errors"
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/chat-platform/chat/events"
	"github.com/chat-platform/chat/functions/internal/frontdoor"
)

type hooked struct {
	environment            map[string]string
	stopped                bool
	ready, alive           bool
	startErr, err, stopErr error
	panicking              bool
}

func (h *hooked) Start(_ context.Context, env map[string]string) error {
	h.environment = env
	return h.startErr
}
func (h *hooked) Stop(context.Context) error { h.stopped = true; return h.stopErr }
func (h *hooked) Ready(ctx context.Context) (bool, error) {
	if h.panicking {
		panic("ready")
	}
	if _, bounded := ctx.Deadline(); !bounded {
		return false, errors.New("no deadline")
	}
	return h.ready, h.err
}
func (h *hooked) Alive(context.Context) (bool, error) { return h.alive, nil }

func TestHooksAndHealth(t *testing.T) {
	h := &hooked{ready: true, alive: true}
	f := frontdoor.Writer(frontdoor.Spec{Name: "store"}, func(context.Context, []events.Event) error { return nil },
		frontdoor.WithHooks(h), frontdoor.WithLogger(silent))
	alone := f.Alone()
	get := func(path string) *http.Response { return do(alone, request("GET", path, "")) }

	assert.Equal(t, "not_ready", problemOf(t, get("/health/readiness")).Code, "not started")
	h.startErr = errors.New("no")
	require.ErrorContains(t, f.Start(t.Context(), nil), "start function store: no")
	assert.Equal(t, 503, get("/health/readiness").StatusCode)
	h.startErr = nil
	require.NoError(t, f.Start(t.Context(), map[string]string{"A": "b"}))
	assert.Equal(t, map[string]string{"A": "b"}, h.environment)

	res := get("/health/readiness")
	assert.Equal(t, 200, res.StatusCode)
	assert.Equal(t, "ok", bodyOf(t, res))
	assert.Equal(t, 200, get("/health/liveness").StatusCode)

	h.ready = false
	assert.Equal(t, 503, get("/health/readiness").StatusCode)
	h.ready, h.err = true, errSecret
	assert.NotContains(t, problemOf(t, get("/health/readiness")).Detail, "secret")
	h.err, h.panicking = nil, true
	assert.Equal(t, 503, get("/health/readiness").StatusCode)
	h.panicking, h.alive = false, false
	assert.Equal(t, "not_alive", problemOf(t, get("/health/liveness")).Code)
	h.alive = true

	require.NoError(t, f.Stop(t.Context()))
	assert.True(t, h.stopped)
	assert.Equal(t, 503, get("/health/readiness").StatusCode, "stopped")
	assert.Equal(t, 200, get("/health/liveness").StatusCode)
	h.stopErr = errors.New("late")
	require.ErrorContains(t, f.Stop(t.Context()), "stop function store: late")
}

func TestAHandlerNeedsNoHooks(t *testing.T) {
	f := greetFunction()
	ready, err := f.Ready(t.Context())
	require.NoError(t, err)
	assert.True(t, ready)
	alive, err := f.Alive(t.Context())
	require.NoError(t, err)
	assert.True(t, alive)
	require.NoError(t, f.Start(t.Context(), nil))
	assert.Equal(t, 200, do(f.Alone(), request("GET", "/health/readiness", "")).StatusCode)
	require.NoError(t, f.Stop(t.Context()))
}

package redis_test

import (
	"bytes"
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/chat-platform/chat/events"
	"github.com/chat-platform/chat/infra/ratelimit"
	"github.com/chat-platform/chat/infra/ratelimit/ratelimittest"
	"github.com/chat-platform/chat/infra/redis"
)

const (
	patience = 30 * time.Second
	step     = 5 * time.Millisecond
)

var (
	alice = ratelimit.Key{Limit: "send", User: "alice"}
	slow  = ratelimit.Rate{Count: 1, Per: time.Hour, Burst: 10}
)

func open(tb testing.TB, cfg redis.Config) *redis.Store {
	tb.Helper()
	if cfg.Timeout == 0 {
		cfg.Timeout = 5 * time.Second // nothing is to be judged by how fast it was
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	s, err := redis.Open(tb.Context(), cfg)
	require.NoError(tb, err)
	tb.Cleanup(func() { require.NoError(tb, s.Close()) })
	return s
}

func remaining(tb testing.TB, s *redis.Store) int {
	tb.Helper()
	a, err := s.Take(tb.Context(), alice, slow, 1)
	require.NoError(tb, err)
	return a.Remaining
}

func eventually(tb testing.TB, is func() bool) {
	tb.Helper()
	require.Eventually(tb, is, patience, step)
}

func TestSuiteOnAFake(t *testing.T) {
	ratelimittest.Run(t, func(t *testing.T) ratelimit.Buckets {
		t.Helper()
		s := open(t, redis.Config{URL: "redis://" + newFake(t).addr})
		t.Cleanup(func() { require.False(t, s.Degraded()) })
		return s
	})
}

// log is read while it is written.
type log struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *log) count(words string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.b.String(), words)
}

func TestAnOutageIsBridgedAndEnds(t *testing.T) {
	f := newFake(t)
	var l log
	reg := prometheus.NewRegistry()
	s := open(t, redis.Config{URL: "redis://" + f.addr, Logger: slog.New(slog.NewTextHandler(&l, nil)), Registerer: reg})
	other := open(t, redis.Config{URL: "redis://" + f.addr, Registerer: reg})
	require.Equal(t, 9, remaining(t, s))
	require.Equal(t, 8, remaining(t, other), "processes count together")
	require.NoError(t, s.Ping(t.Context()))

	f.stop()
	for i := range 5 {
		require.Equal(t, 9-i, remaining(t, s), "the process's own bucket")
	}
	require.True(t, s.Degraded())
	require.Equal(t, 9, remaining(t, other))
	require.ErrorIs(t, s.Ping(t.Context()), events.ErrUnavailable)
	require.Equal(t, 1, l.count("rate limits hold per process"))
	metric := func(name string) float64 {
		families, err := reg.Gather()
		require.NoError(t, err)
		for _, f := range families {
			if f.GetName() == name {
				return f.GetMetric()[0].GetGauge().GetValue() + f.GetMetric()[0].GetCounter().GetValue()
			}
		}
		return -1
	}
	require.Equal(t, 6.0, metric("chat_ratelimit_local_total"))

	f.start()
	eventually(t, func() bool { return !s.Degraded() && !other.Degraded() })
	require.Equal(t, 7, remaining(t, s), "what the server knew")
	require.Equal(t, 6, remaining(t, other))
	require.Equal(t, 1, l.count("rate limits are shared again"))
	require.Zero(t, metric("chat_ratelimit_degraded"))
}

func TestAServerThatAnswersNonsenseIsDown(t *testing.T) {
	for name, reply := range map[string]string{
		"loading":   "-LOADING Redis is loading the dataset in memory\r\n",
		"read only": "-READONLY You can't write against a read only replica.\r\n",
		"one":       "*1\r\n:1\r\n",
		"a word":    "+OK\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			f := newFake(t)
			f.answer(reply)
			s := open(t, redis.Config{URL: "redis://" + f.addr})
			require.True(t, s.Degraded())
			require.Equal(t, 9, remaining(t, s))
			f.answer("")
			eventually(t, func() bool { return !s.Degraded() })
		})
	}
}

func TestNobodyThereAtTheStart(t *testing.T) {
	f := newFake(t)
	f.stop()
	s := open(t, redis.Config{URL: "redis://" + f.addr})
	require.True(t, s.Degraded())
	require.Equal(t, 9, remaining(t, s))
	f.start()
	eventually(t, func() bool { return !s.Degraded() })
}

// A caller who has gone costs neither a connection nor the circuit.
func TestACancelledCallerIsJudgedAllTheSame(t *testing.T) {
	s := open(t, redis.Config{URL: "redis://" + newFake(t).addr})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for i := range 9 {
		a, err := s.Take(ctx, alice, slow, 1)
		require.NoError(t, err)
		require.Equal(t, 9-i, a.Remaining)
	}
	require.False(t, s.Degraded())
}

func TestClosed(t *testing.T) {
	s := open(t, redis.Config{URL: "redis://" + newFake(t).addr})
	require.NoError(t, s.Close())
	require.NoError(t, s.Close())
	require.Equal(t, 9, remaining(t, s))
	require.ErrorIs(t, s.Ping(t.Context()), events.ErrUnavailable)
}

func TestConfigurationThatCannotBe(t *testing.T) {
	dir := t.TempDir()
	empty := filepath.Join(dir, "empty.pem")
	require.NoError(t, os.WriteFile(empty, nil, 0o600))
	missing := filepath.Join(dir, "missing.pem")
	for name, c := range map[string]struct {
		cfg  redis.Config
		said string
	}{
		"scheme":    {redis.Config{URL: "http://u:secret@h"}, "REDIS_URL"},
		"database":  {redis.Config{URL: "redis://u:secret@h/x"}, "REDIS_URL"},
		"url":       {redis.Config{URL: "redis://u:secret@h:\x7f"}, "REDIS_URL: expected"},
		"no tls":    {redis.Config{URL: "redis://h", CA: empty}, "rediss://"},
		"no ca":     {redis.Config{URL: "rediss://h", CA: missing}, "REDIS_TLS_CA"},
		"empty ca":  {redis.Config{URL: "rediss://h", CA: empty}, "REDIS_TLS_CA"},
		"no cert":   {redis.Config{URL: "rediss://h", Cert: missing, Key: missing}, "REDIS_TLS_CERT"},
		"only cert": {redis.Config{URL: "rediss://h", Cert: empty}, "REDIS_TLS_CERT"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := redis.Open(t.Context(), c.cfg)
			require.ErrorContains(t, err, c.said)
			assert.NotContains(t, err.Error(), "secret")
			_, _, err = redis.OpenLimiter(t.Context(), ratelimit.Defaults(), c.cfg)
			require.ErrorContains(t, err, c.said)
		})
	}
}

func TestOpenLimiter(t *testing.T) {
	f := newFake(t)
	limits := ratelimit.Limits{Send: slow}
	caller := events.Caller{User: "alice"}
	for name, c := range map[string]struct {
		limits ratelimit.Limits
		url    string
		want   []int // left, of two processes one after the other
	}{
		"off":        {ratelimit.Limits{}, "redis://" + f.addr, []int{0, 0}},
		"in process": {limits, "", []int{9, 9}},
		"shared":     {limits, "redis://" + f.addr, []int{9, 8}},
	} {
		t.Run(name, func(t *testing.T) {
			for _, want := range c.want {
				l, closing, err := redis.OpenLimiter(t.Context(), c.limits, redis.Config{URL: c.url, Timeout: patience})
				require.NoError(t, err)
				a, err := l.Allow(t.Context(), caller, "send", 1)
				require.NoError(t, err)
				require.True(t, a.Allowed)
				require.Equal(t, want, a.Remaining)
				require.NoError(t, closing())
			}
		})
	}
}

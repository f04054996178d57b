package redis_test

import (
	"bytes"
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/chat-platform/chat/infra/redis"
)

func openCache(tb testing.TB, cfg redis.Config) *redis.Cache {
	tb.Helper()
	if cfg.Timeout == 0 {
		cfg.Timeout = 5 * time.Second // nothing is to be judged by how fast it was
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	c, err := redis.OpenCache(tb.Context(), cfg, time.Minute)
	require.NoError(tb, err)
	tb.Cleanup(func() { require.NoError(tb, c.Close()) })
	return c
}

// testCache is what two processes see of one Redis.
func testCache(t *testing.T, one, other *redis.Cache) {
	t.Helper()
	get := func(c *redis.Cache, key, version, want string, wantMine bool) {
		t.Helper()
		value, mine := c.Get(t.Context(), key, version)
		require.Equal(t, want, string(value))
		require.Equal(t, wantMine, mine)
		if want == "" {
			require.Nil(t, value)
		}
	}
	get(one, "ch_1", "7", "", true)
	get(one, "ch_1", "7", "", false)
	get(other, "ch_1", "7", "", false)
	get(other, "ch_2", "7", "", true)
	get(other, "ch_1", "8", "", true) // another version is another deed

	one.Put(t.Context(), "ch_1", "7", []byte("seven"))
	get(one, "ch_1", "7", "seven", false)
	get(other, "ch_1", "7", "seven", false)
	get(other, "ch_1", "8", "", false)
	other.Put(t.Context(), "ch_1", "8", []byte("ei\x00ght\r\n"))
	get(one, "ch_1", "8", "ei\x00ght\r\n", false)
	get(one, "ch_1", "7", "", true) // one version is kept

	other.Put(t.Context(), "ch_2", "7", nil) // who could not make it
	get(one, "ch_2", "7", "", true)
	require.False(t, one.Degraded())
	require.False(t, other.Degraded())
}

func TestCacheOnAFake(t *testing.T) {
	cfg := redis.Config{URL: "redis://" + newFake(t).addr}
	testCache(t, openCache(t, cfg), openCache(t, cfg))
}

func TestACacheWithoutRedis(t *testing.T) {
	f := newFake(t)
	var said log
	reg := prometheus.NewRegistry()
	c := openCache(t, redis.Config{URL: "redis://" + f.addr, Logger: slog.New(slog.NewTextHandler(&said, nil)), Registerer: reg})
	c.Put(t.Context(), "ch_1", "1", []byte("one"))
	f.stop()
	for range 5 {
		value, mine := c.Get(t.Context(), "ch_1", "1")
		require.Nil(t, value)
		require.True(t, mine, "everybody makes what they need")
		c.Put(t.Context(), "ch_1", "1", []byte("one"))
	}
	require.True(t, c.Degraded())
	require.Equal(t, 1, said.count("each process caches by itself"))
	f.start()
	eventually(t, func() bool { return !c.Degraded() })
	value, _ := c.Get(t.Context(), "ch_1", "1")
	require.Equal(t, "one", string(value))
	require.Equal(t, 1, said.count("the cache is shared again"))
	families, err := reg.Gather()
	require.NoError(t, err)
	require.Len(t, families, 3)

	down := newFake(t)
	down.stop()
	c = openCache(t, redis.Config{URL: "redis://" + down.addr})
	require.True(t, c.Degraded())
}

func TestACacheThatGetsNonsense(t *testing.T) {
	f := newFake(t)
	c := openCache(t, redis.Config{URL: "redis://" + f.addr})
	f.answer("*1\r\n:1\r\n")
	for range 3 {
		value, mine := c.Get(t.Context(), "ch_1", "1")
		require.Nil(t, value)
		require.True(t, mine)
	}
	require.True(t, c.Degraded())
}

// A caller who has gone costs neither a connection nor the circuit.
func TestACachesCallerWhoHasGone(t *testing.T) {
	c := openCache(t, redis.Config{URL: "redis://" + newFake(t).addr})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for i := range 5 {
		c.Put(ctx, "ch_1", "1", bytes.Repeat([]byte("x"), i+1))
		value, _ := c.Get(ctx, "ch_1", "1")
		require.Len(t, value, i+1)
	}
	require.False(t, c.Degraded())
	require.NoError(t, c.Close())
	require.NoError(t, c.Close())
	value, mine := c.Get(ctx, "ch_1", "1")
	require.Nil(t, value)
	require.True(t, mine)
	_, err := redis.OpenCache(t.Context(), redis.Config{URL: "here"}, 0)
	require.ErrorContains(t, err, "REDIS_URL")
}

package load_test

import (
	"bytes"
	"context"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/chat-platform/chat/events"
	"github.com/chat-platform/chat/local/load"
	"github.com/chat-platform/chat/local/platform/platformtest"
)

// small is a load that any machine carries.
func small(url string) load.Config {
	return load.Config{URL: url, Rate: 100, For: time.Second, Warmup: 200 * time.Millisecond, Channels: 2, Listeners: 2, InFlight: 64}
}

func TestLoad(t *testing.T) {
	p := platformtest.Start(t, "")
	var out bytes.Buffer
	r, err := load.Run(t.Context(), small(p.URL), &out)
	require.NoError(t, err)
	assert.InDelta(t, 100, r.Sent, 1, "what the warm-up sends is not counted")
	assert.Zero(t, r.Failed)
	assert.Zero(t, r.Missing)
	assert.Positive(t, r.Rate)
	assert.Equal(t, r.Sent, r.Send.Count)
	assert.Equal(t, 2*r.Sent, r.Delivery.Count, "each listener hears each message")
	for _, l := range []load.Latency{r.Send, r.Delivery} {
		assert.Positive(t, l.P50)
		assert.LessOrEqual(t, l.P50, l.P90)
		assert.LessOrEqual(t, l.P90, l.P99)
		assert.LessOrEqual(t, l.P99, l.Max)
	}
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	require.Len(t, lines, 3)
	assert.Contains(t, lines[0], "0 failed; 2 listeners, 0 deliveries missing")
	assert.Contains(t, lines[1], "send ")
	assert.Contains(t, lines[2], "delivery ")

	t.Run("refused sends are counted", func(t *testing.T) {
		var n atomic.Int64
		url := front(t, p.URL, func(w http.ResponseWriter, r *http.Request) bool {
			refuse := strings.HasSuffix(r.URL.Path, "/messages") && n.Add(1)%4 == 0
			if refuse {
				http.Error(w, "not this one", http.StatusServiceUnavailable)
			}
			return refuse
		})
		cfg := small(url)
		cfg.Warmup, cfg.For, cfg.Listeners = 0, 200*time.Millisecond, 0
		r, err := load.Run(t.Context(), cfg, &out)
		require.NoError(t, err)
		assert.EqualValues(t, 15, r.Sent)
		assert.EqualValues(t, 5, r.Failed)
		assert.Zero(t, r.Missing)
	})
	t.Run("a stalled platform shows", func(t *testing.T) {
		// The first send waits for the fifth: with one request at a time it
		// never would, with two the queue behind it counts.
		var n atomic.Int64
		fifth := make(chan struct{})
		url := front(t, p.URL, func(_ http.ResponseWriter, r *http.Request) bool {
			if strings.HasSuffix(r.URL.Path, "/messages") {
				switch n.Add(1) {
				case 1:
					select {
					case <-fifth:
					case <-r.Context().Done():
					}
				case 5:
					close(fifth)
				}
			}
			return false
		})
		cfg := small(url)
		cfg.Warmup, cfg.For, cfg.Listeners, cfg.InFlight = 0, 200*time.Millisecond, 0, 2
		r, err := load.Run(t.Context(), cfg, &out)
		require.NoError(t, err)
		assert.EqualValues(t, 20, r.Sent)
		assert.GreaterOrEqual(t, r.Send.Max, 30*time.Millisecond, "it was due 40 ms before the fifth")
	})
	t.Run("interrupted", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		url := front(t, p.URL, func(_ http.ResponseWriter, r *http.Request) bool {
			if strings.HasSuffix(r.URL.Path, "/messages") {
				cancel()
			}
			return false
		})
		cfg := small(url)
		cfg.For = 10 * time.Minute
		_, err := load.Run(ctx, cfg, &out)
		require.ErrorIs(t, err, context.Canceled)
	})
	for path, want := range map[string]string{"/v1/channels": "create channel", "/members/me": "join ch_", "/ws": "connect load-listener-0"} {
		t.Run("no "+path, func(t *testing.T) {
			url := front(t, p.URL, func(w http.ResponseWriter, r *http.Request) bool {
				refuse := strings.HasSuffix(r.URL.Path, path)
				if refuse {
					http.Error(w, "closed", http.StatusForbidden)
				}
				return refuse
			})
			_, err := load.Run(t.Context(), small(url), &out)
			require.ErrorContains(t, err, want)
		})
	}
}

// front is a proxy before the platform; first may answer instead.
func front(t *testing.T, to string, first func(http.ResponseWriter, *http.Request) bool) string {
	t.Helper()
	target, err := url.Parse(to)
	require.NoError(t, err)
	proxy := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(target) }}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !first(w, r) {
			proxy.ServeHTTP(w, r)
		}
	}))
	t.Cleanup(srv.Close)
	return srv.URL
}

func TestRefusals(t *testing.T) {
	for name, tt := range map[string]struct {
		change func(*load.Config)
		says   string
	}{
		"another machine":     {func(c *load.Config) { c.URL = "http://192.0.2.1:8080" }, "loopback"},
		"a name":              {func(c *load.Config) { c.URL = "http://chat.example" }, "loopback"},
		"a name like ours":    {func(c *load.Config) { c.URL = "http://localhost.example" }, "loopback"},
		"every interface":     {func(c *load.Config) { c.URL = "http://0.0.0.0:8080" }, "loopback"},
		"no URL":              {func(c *load.Config) { c.URL = "" }, "http://localhost:8080"},
		"no URL at all":       {func(c *load.Config) { c.URL = "://" }, "http://localhost:8080"},
		"another scheme":      {func(c *load.Config) { c.URL = "ftp://localhost" }, "http://localhost:8080"},
		"no rate":             {func(c *load.Config) { c.Rate = 0 }, "-rate is 0, expected 1 to 100000"},
		"too much":            {func(c *load.Config) { c.Rate = 100_001 }, "-rate is 100001"},
		"too long":            {func(c *load.Config) { c.For = time.Hour }, "-for is 1h0m0s, expected 1ms to 10m0s"},
		"no time":             {func(c *load.Config) { c.For = 0 }, "-for is 0s"},
		"warm for too long":   {func(c *load.Config) { c.Warmup = 2 * time.Minute }, "-warmup is 2m0s, expected 0s to 1m0s"},
		"no channel":          {func(c *load.Config) { c.Channels = 0 }, "-channels"},
		"too many channels":   {func(c *load.Config) { c.Channels = 1001 }, "-channels"},
		"too many listeners":  {func(c *load.Config) { c.Listeners = 1001 }, "-listeners"},
		"negative listeners":  {func(c *load.Config) { c.Listeners = -1 }, "-listeners"},
		"nothing in flight":   {func(c *load.Config) { c.InFlight = 0 }, "-in-flight"},
		"too many in flight":  {func(c *load.Config) { c.InFlight = 10_001 }, "-in-flight"},
		"a negative warm-up":  {func(c *load.Config) { c.Warmup = -time.Second }, "-warmup"},
		"a negative duration": {func(c *load.Config) { c.For = -time.Second }, "-for"},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := small("http://127.0.0.1:8080")
			tt.change(&cfg)
			var out bytes.Buffer
			_, err := load.Run(t.Context(), cfg, &out)
			require.ErrorIs(t, err, events.ErrInvalid)
			require.ErrorContains(t, err, tt.says)
			assert.Empty(t, out.String())
		})
	}
}

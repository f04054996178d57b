package client_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/chat-platform/chat/events"
	"github.com/chat-platform/chat/local/client"
)

func TestNewRefuses(t *testing.T) {
	for _, base := range []string{"", "localhost:8080", "ftp://localhost", "http://", "://", "/v1"} {
		_, err := client.New(base, "ann")
		require.ErrorIs(t, err, events.ErrInvalid, base)
		require.ErrorContains(t, err, "http://localhost:8080", base)
	}
}

// fake is a platform with a token endpoint; api answers the rest.
func fake(t *testing.T, lifetime int, api http.HandlerFunc) (c *client.Client, logins *atomic.Int64) {
	t.Helper()
	logins = &atomic.Int64{}
	mux := http.NewServeMux()
	srv := httptest.NewServer(mux)
	t.Cleanup(srv.Close)
	answer := func(w http.ResponseWriter, v any) { _ = json.NewEncoder(w).Encode(v) }
	mux.HandleFunc("GET /v1/config", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, map[string]string{"issuer": srv.URL + "/dev", "client_id": "chat", "websocket_path": "/ws"})
	})
	mux.HandleFunc("GET /dev/.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, map[string]string{"token_endpoint": srv.URL + "/dev/token"})
	})
	mux.HandleFunc("POST /dev/token", func(w http.ResponseWriter, r *http.Request) {
		n := logins.Add(1)
		answer(w, map[string]any{"access_token": fmt.Sprintf("%s-%s%s-%d", r.FormValue("username"), r.FormValue("scope"), r.FormValue("password"), n), "expires_in": lifetime})
	})
	mux.HandleFunc("/", api)
	c, err := client.New(srv.URL+"/", "ann", "chat-import")
	require.NoError(t, err)
	return c, logins
}

func TestLogin(t *testing.T) {
	var seen []string
	api := func(_ http.ResponseWriter, r *http.Request) { seen = append(seen, r.Header.Get("Authorization")) }
	c, logins := fake(t, 600, api)
	assert.Equal(t, "ann", c.User())
	require.NoError(t, c.Join(t.Context(), "ch_1"))
	require.NoError(t, c.Join(t.Context(), "ch_1"))
	bob := c.As("bob")
	assert.Equal(t, "bob", bob.User())
	require.NoError(t, bob.Join(t.Context(), "ch_1"))
	assert.Equal(t, []string{"Bearer ann-chat-import-1", "Bearer ann-chat-import-1", "Bearer bob--2"}, seen, "a token is used again")
	assert.EqualValues(t, 2, logins.Load())

	seen = nil
	secret := c.WithPassword("sesame")
	require.NoError(t, secret.Join(t.Context(), "ch_1"))
	require.NoError(t, secret.As("bob").Join(t.Context(), "ch_1"))
	assert.Equal(t, []string{"Bearer ann-chat-importsesame-3", "Bearer bob-sesame-4"}, seen)

	c, logins = fake(t, 20, api)
	require.NoError(t, c.Join(t.Context(), "ch_1"))
	require.NoError(t, c.Join(t.Context(), "ch_1"))
	assert.EqualValues(t, 2, logins.Load(), "a token that expires soon is not")
}

func TestProblem(t *testing.T) {
	for _, tt := range []struct {
		name      string
		answer    http.HandlerFunc
		want      client.Problem
		temporary bool
	}{
		{"problem+json", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", "7")
			w.WriteHeader(http.StatusServiceUnavailable)
			fmt.Fprint(w, `{"status":503,"title":"Service Unavailable","code":"view_behind","detail":"later","request_id":"r1"}`)
		}, client.Problem{Status: 503, Title: "Service Unavailable", Code: "view_behind", Detail: "later", RequestID: "r1", RetryAfter: 7 * time.Second}, true},
		{"final", func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusForbidden)
			fmt.Fprint(w, `{"status":403,"code":"not_a_member"}`)
		}, client.Problem{Status: 403, Code: "not_a_member"}, false},
		{"what a proxy says", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", "Thu, 01 Jan 2026 00:00:00 GMT")
			http.Error(w, "bad gateway", http.StatusBadGateway)
		}, client.Problem{Status: 502, Detail: "bad gateway"}, true},
		{"a status that lies", func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusTooManyRequests)
			fmt.Fprint(w, `{"status":200}`)
		}, client.Problem{Status: 429}, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c, _ := fake(t, 600, tt.answer)
			status, err := c.Do(t.Context(), http.MethodGet, "/v1/x", nil, nil)
			assert.Equal(t, tt.want.Status, status)
			var p *client.Problem
			require.ErrorAs(t, err, &p)
			assert.Equal(t, tt.want, *p)
			assert.Equal(t, tt.temporary, p.Temporary())
			assert.Contains(t, err.Error(), "GET /v1/x: ")
			assert.Contains(t, err.Error(), tt.want.Detail)
		})
	}
}

func TestFaults(t *testing.T) {
	c, _ := fake(t, 600, func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "not JSON") })
	var out struct{}
	_, err := c.Do(t.Context(), http.MethodGet, "/v1/x", nil, &out)
	require.ErrorContains(t, err, "read the answer")
	_, err = c.Do(t.Context(), http.MethodPost, "/v1/x", func() {}, nil)
	require.ErrorContains(t, err, "POST /v1/x")
	_, err = c.Do(t.Context(), "NO METHOD", "/v1/x", nil, nil)
	require.ErrorContains(t, err, "NO METHOD")

	gone, err := client.New("http://127.0.0.1:1", "ann")
	require.NoError(t, err)
	_, err = gone.Token(t.Context())
	require.ErrorContains(t, err, "log in ann")
	_, _, err = gone.Connect(t.Context(), "")
	require.ErrorContains(t, err, "connect ann")

	// A platform whose issuer is gone.
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, `{"issuer":"http://127.0.0.1:1/dev","websocket_path":"/ws"}`)
	}))
	defer srv.Close()
	c, err = client.New(srv.URL, "ann")
	require.NoError(t, err)
	_, err = c.Search(t.Context(), "x", "", "")
	require.ErrorIs(t, err, events.ErrUnavailable)
}

func TestRetry(t *testing.T) {
	later := fmt.Errorf("send: %w", &client.Problem{Status: 503})
	broken := errors.New("connection reset")
	for _, tt := range []struct {
		name    string
		answers []error // the last one repeats
		calls   int
		err     error
		atLeast time.Duration
	}{
		{"at once", []error{nil}, 1, nil, 0},
		{"after two", []error{later, broken, nil}, 3, nil, 75 * time.Millisecond},
		{"as long as asked", []error{&client.Problem{Status: 429, RetryAfter: 20 * time.Second}, nil}, 2, nil, 20 * time.Second},
		{"a final answer", []error{&client.Problem{Status: 409}}, 1, &client.Problem{Status: 409}, 0},
		{"what can never be", []error{events.Invalid("invalid_url", "url", "no")}, 1, events.ErrInvalid, 0},
		{"for too long", []error{broken}, 0, broken, time.Minute},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				calls, started := 0, time.Now()
				err := client.Retry(t.Context(), time.Minute, func(context.Context) error {
					calls++
					return tt.answers[min(calls, len(tt.answers))-1]
				})
				var p *client.Problem
				switch {
				case errors.As(tt.err, &p):
					assert.Equal(t, tt.err, err)
				default:
					require.ErrorIs(t, err, tt.err)
				}
				if tt.calls > 0 {
					assert.Equal(t, tt.calls, calls)
				} else {
					require.ErrorContains(t, err, "gave up after 1m0s")
					assert.InDelta(t, 20, calls, 10, "pauses grow, but not beyond 5 s")
				}
				assert.GreaterOrEqual(t, time.Since(started), tt.atLeast)
				assert.Less(t, time.Since(started), tt.atLeast+10*time.Second)
			})
		})
	}
	t.Run("until the context ends", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
			defer cancel()
			err := client.Retry(ctx, time.Minute, func(context.Context) error { return broken })
			require.ErrorIs(t, err, context.DeadlineExceeded)
		})
	})
	t.Run("not once it has ended", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		err := client.Retry(ctx, time.Minute, func(context.Context) error { cancel(); return broken })
		require.ErrorIs(t, err, broken)
	})
}

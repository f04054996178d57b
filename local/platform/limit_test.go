package platform_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/chat-platform/chat/local/platform/platformtest"
)

// send posts one message as alice and gives the answer without its body.
func send(t *testing.T, p *platformtest.Platform, token string) *http.Response {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, p.URL+"/v1/channels/ch_general/messages", strings.NewReader(`{"text":"hello"}`))
	require.NoError(t, err)
	req.Header.Set("Authorization", "Bearer "+token)
	req.Header.Set("Content-Type", "application/json")
	res, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	require.NoError(t, res.Body.Close())
	return res
}

func token(t *testing.T, p *platformtest.Platform) string {
	t.Helper()
	alice := newClient(t, p, "alice")
	require.NoError(t, alice.CreateChannel(t.Context(), "ch_general", "General", "talk"))
	raw, err := alice.Token(t.Context())
	require.NoError(t, err)
	return raw
}

func TestNoRateLimitsAmongDevelopers(t *testing.T) {
	p := platformtest.Start(t, "")
	raw := token(t, p)
	for range 300 {
		res := send(t, p, raw)
		require.Equal(t, http.StatusAccepted, res.StatusCode)
		require.Empty(t, res.Header.Get("RateLimit"))
	}
}

// Redis is nowhere to be found, and the limit holds all the same.
func TestRateLimitsOnRequest(t *testing.T) {
	for name, environ := range map[string][]string{
		"in process":       {"RATE_LIMIT_SEND=3/1h"},
		"redis is missing": {"RATE_LIMIT_SEND=3/1h", "REDIS_URL=redis://127.0.0.1:1"},
	} {
		t.Run(name, func(t *testing.T) {
			p := platformtest.Start(t, "", environ...)
			raw := token(t, p)
			for _, left := range []string{"2", "1", "0"} {
				res := send(t, p, raw)
				require.Equal(t, http.StatusAccepted, res.StatusCode)
				assert.Equal(t, `"send";q=3;w=3600`, res.Header.Get("RateLimit-Policy"))
				assert.Regexp(t, `^"send";r=`+left+`;t=\d+$`, res.Header.Get("RateLimit"))
			}
			res := send(t, p, raw)
			require.Equal(t, http.StatusTooManyRequests, res.StatusCode)
			assert.Regexp(t, `^1[12]\d\d$`, res.Header.Get("Retry-After"), "a third of an hour, less what has passed")
			_, err := newClient(t, p, "alice").HistoryAfter(t.Context(), "ch_general", 0, 10)
			require.NoError(t, err, "reading is not limited")
		})
	}
}

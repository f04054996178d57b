package rebuild_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/chat-platform/chat/events"
	"github.com/chat-platform/chat/local/datadir"
	"github.com/chat-platform/chat/local/rebuild"
)

// says is a data folder whose platform is found at url.
func says(t *testing.T, url string) string {
	t.Helper()
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, datadir.Internal), []byte(url+"\n"), 0o600))
	return dir
}

func nothing(rebuild.Report) {}

func TestAsksThePlatform(t *testing.T) {
	s := newStage(t)
	service := rebuild.NewService(t.Context(), quiet, s.rebuilder)
	mux := http.NewServeMux()
	mux.Handle(rebuild.Path, service)
	server := httptest.NewServer(mux)
	defer server.Close()
	dir := says(t, server.URL)

	var done []rebuild.Result
	require.NoError(t, rebuild.Remote(t.Context(), dir, "metadata", func(r rebuild.Report) {
		if r.Result != nil {
			done = append(done, *r.Result)
		}
	}))
	require.Len(t, done, 1)
	assert.Equal(t, "metadata", done[0].View)
	assert.Equal(t, 2, done[0].Generation)
	assert.Equal(t, 2, s.state(t, "metadata").Live)

	err := rebuild.Remote(t.Context(), dir, "everything", nothing)
	require.ErrorIs(t, err, events.ErrInvalid)
	require.ErrorContains(t, err, "everything")

	res, err := http.Get(server.URL + rebuild.Path + "?view=all")
	require.NoError(t, err)
	require.NoError(t, res.Body.Close())
	assert.Equal(t, http.StatusBadRequest, res.StatusCode)

	service.Close()
	require.ErrorContains(t, rebuild.Remote(t.Context(), dir, "metadata", nothing), "the platform ends")
}

func TestWhatThePlatformSays(t *testing.T) {
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()
	require.ErrorIs(t, rebuild.Remote(t.Context(), t.TempDir(), "all", nothing), rebuild.ErrNoPlatform)
	require.ErrorIs(t, rebuild.Remote(t.Context(), says(t, gone.URL), "all", nothing), rebuild.ErrNoPlatform)
	require.ErrorIs(t, rebuild.Remote(t.Context(), says(t, "no url"), "all", nothing), events.ErrInvalid)

	for _, tt := range []struct {
		name   string
		status int
		answer string
		want   string // of the error
		kind   error
	}{
		{"done", 200, `{"done":true}`, "", nil},
		{"refused", 200, `{"error":{"code":"rebuild_under_way","detail":"another one is at it"}}`, "another one is at it", events.ErrConflict},
		{"hangs up", 200, ``, "the same command goes on", events.ErrUnavailable},
		{"hangs up in a line", 200, `{"done"`, "the same command goes on", events.ErrUnavailable},
		{"no JSON", 200, `<html>`, "answer of the platform", nil},
		{"a problem", 400, `{"code":"unknown_view","detail":"no such view"}`, "no such view", events.ErrInvalid},
		{"no problem", 502, `bad gateway`, "502", nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.WriteHeader(tt.status)
				_, _ = w.Write([]byte(tt.answer))
			}))
			defer server.Close()
			err := rebuild.Remote(t.Context(), says(t, server.URL), "all", nothing)
			if tt.want == "" {
				require.NoError(t, err)
				return
			}
			require.ErrorContains(t, err, tt.want)
			if tt.kind != nil {
				require.ErrorIs(t, err, tt.kind)
			}
		})
	}

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	server := httptest.NewServer(http.NotFoundHandler())
	defer server.Close()
	require.ErrorIs(t, rebuild.Remote(ctx, says(t, server.URL), "all", nothing), context.Canceled)
}

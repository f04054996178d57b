package s3_test

import (
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/johannesboyne/gofakes3"
	"github.com/johannesboyne/gofakes3/backend/s3mem"
	"github.com/stretchr/testify/require"

	"github.com/chat-platform/chat/events"
	"github.com/chat-platform/chat/infra/archive/archivetest"
	"github.com/chat-platform/chat/infra/s3"
)

// serve starts a server that speaks S3, in this process and in memory.
func serve(t *testing.T) (*httptest.Server, s3.Config) {
	t.Helper()
	backend := s3mem.New()
	require.NoError(t, backend.CreateBucket("archive"))
	srv := httptest.NewServer(gofakes3.New(backend).Server())
	t.Cleanup(srv.Close)
	return srv, s3.Config{Endpoint: strings.TrimPrefix(srv.URL, "http://"), Region: "eu-central-1", Key: "key", Secret: "secret", Plain: true, PathOnly: true}
}

func TestStore(t *testing.T) {
	_, cfg := serve(t)
	for _, prefix := range []string{"", "chat/log"} {
		t.Run("prefix "+prefix, func(t *testing.T) {
			store, err := s3.Open(t.Context(), cfg, "archive", prefix)
			require.NoError(t, err)
			archivetest.TestStore(t, store)
			b, err := store.Get(t.Context(), "suite/a/one", 5, 0)
			require.NoError(t, err)
			require.Empty(t, b)
		})
	}
}

func TestWhatCannotBeReached(t *testing.T) {
	srv, cfg := serve(t)
	_, err := s3.Open(t.Context(), cfg, "other", "")
	require.ErrorIs(t, err, events.ErrNotFound)
	store, err := s3.Open(t.Context(), cfg, "archive", "")
	require.NoError(t, err)
	srv.Close()
	require.ErrorIs(t, store.Put(t.Context(), "a", []byte("x")), events.ErrUnavailable)
	_, err = store.Get(t.Context(), "a", 0, -1)
	require.ErrorIs(t, err, events.ErrUnavailable)
	require.ErrorIs(t, store.List(t.Context(), "a/", func(string, int64) error { return nil }), events.ErrUnavailable)
	_, err = s3.Open(t.Context(), cfg, "archive", "")
	require.ErrorIs(t, err, events.ErrUnavailable)
	require.NotContains(t, err.Error(), cfg.Secret)
	cfg.Endpoint = "http://not a host/"
	_, err = s3.Open(t.Context(), cfg, "archive", "")
	require.ErrorContains(t, err, "ARCHIVE_S3_ENDPOINT")
}

package segments_test

import (
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/chat-platform/chat/events"
	"github.com/chat-platform/chat/infra/archive"
	"github.com/chat-platform/chat/infra/nats/natstest"
	"github.com/chat-platform/chat/infra/s3"
	"github.com/chat-platform/chat/infra/stores/segments"
)

func TestTheConfigurationChooses(t *testing.T) {
	log := natstest.Open(t)
	none, err := segments.Open(t.Context(), segments.Config{}, log)
	require.NoError(t, err)
	require.Nil(t, none)
	dir := t.TempDir()
	for _, url := range []string{filepath.Join(dir, "a"), "file://" + filepath.Join(dir, "b"), "nats://segments", "nats://segments/"} {
		a, err := segments.Open(t.Context(), segments.Config{URL: url}, log)
		require.NoError(t, err, url)
		b := archive.NewBuilder("M", "e", 1)
		data, ix, err := b.Finish(1, nil)
		require.NoError(t, err)
		_, err = a.Add(t.Context(), data, ix)
		require.NoError(t, err, url)
	}
	require.DirExists(t, filepath.Join(dir, "a", "M"))
	require.DirExists(t, filepath.Join(dir, "b", "M"))
	require.NoError(t, log.Range(t.Context(), events.StreamMessages, nil, 1, 5, nil))
	_, err = segments.Open(t.Context(), segments.Config{URL: "s3://bucket/prefix", S3: s3.Config{Endpoint: "127.0.0.1:1", Key: "k", Secret: "s", Plain: true}}, log)
	require.ErrorIs(t, err, events.ErrUnavailable)
	require.ErrorContains(t, err, "ARCHIVE_URL")
	for _, url := range []string{"ftp://x", "s3://", "nats://", "nats://a/b", "file://host/x", "s3://%zz"} {
		_, err := segments.Open(t.Context(), segments.Config{URL: url}, log)
		require.ErrorContains(t, err, "ARCHIVE_URL", url)
	}
}

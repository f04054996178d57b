//go:build integration

package s3_test

import (
	"bytes"
	"crypto/rand"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/chat-platform/chat/events"
	"github.com/chat-platform/chat/infra/archive/archivetest"
	"github.com/chat-platform/chat/infra/s3"
	"github.com/chat-platform/chat/infra/s3/s3test"
	"github.com/chat-platform/chat/infra/servertest"
)

func TestMain(m *testing.M) { servertest.Main(m) }

func TestStoreOnARealServer(t *testing.T) {
	cfg, bucket := s3test.Bucket(t)
	for _, prefix := range []string{"", "chat/log"} {
		t.Run("prefix "+prefix, func(t *testing.T) {
			store, err := s3.Open(t.Context(), cfg, bucket, prefix)
			require.NoError(t, err)
			archivetest.TestStore(t, store)
		})
	}
}

// One answer of the service lists a thousand objects at most.
func TestALongListing(t *testing.T) {
	cfg, bucket := s3test.Bucket(t)
	store, err := s3.Open(t.Context(), cfg, bucket, "chat")
	require.NoError(t, err)
	for i := range 1_050 {
		require.NoError(t, store.Put(t.Context(), fmt.Sprintf("MESSAGES/x/%d", i), []byte("1")))
	}
	n := 0
	require.NoError(t, store.List(t.Context(), "MESSAGES/x/", func(name string, size int64) error {
		require.True(t, strings.HasPrefix(name, "MESSAGES/x/"))
		require.Equal(t, int64(1), size)
		n++
		return nil
	}))
	require.Equal(t, 1_050, n)
}

func TestWhatARealServerRefuses(t *testing.T) {
	cfg, bucket := s3test.Bucket(t)
	_, err := s3.Open(t.Context(), cfg, "another-"+bucket[10:], "")
	require.ErrorIs(t, err, events.ErrNotFound)
	cfg.Secret = "not-the-secret"
	_, err = s3.Open(t.Context(), cfg, bucket, "")
	require.ErrorIs(t, err, events.ErrUnavailable)
	require.NotContains(t, err.Error(), cfg.Secret)
}

// What a killed server had acknowledged is there when it is back, and nothing of
// what it had not.
func TestAServerThatIsKilled(t *testing.T) {
	srv := servertest.Start(t, servertest.ProductS3)
	cfg, bucket := s3test.BucketAt(t, srv.Address())
	store, err := s3.Open(t.Context(), cfg, bucket, "")
	require.NoError(t, err)
	segment := make([]byte, 20<<20)
	_, _ = rand.Read(segment)
	require.NoError(t, store.Put(t.Context(), "a/1", segment))
	under := make(chan error, 1)
	go func() { under <- store.Put(t.Context(), "a/2", segment) }()
	srv.Kill(t)
	whole := <-under == nil // it was fast enough
	require.ErrorIs(t, store.Put(t.Context(), "a/3", segment), events.ErrUnavailable)
	_, err = store.Get(t.Context(), "a/1", 0, -1)
	require.ErrorIs(t, err, events.ErrUnavailable)

	srv.Restart(t)
	var got []byte
	require.Eventually(t, func() bool {
		got, err = store.Get(t.Context(), "a/1", 0, -1)
		return err == nil
	}, time.Minute, 10*time.Millisecond)
	require.True(t, bytes.Equal(segment, got))
	require.NoError(t, store.List(t.Context(), "a/", func(name string, size int64) error {
		require.Equal(t, int64(len(segment)), size, name)
		require.NotEqual(t, "a/3", name)
		whole = whole && name != "a/2"
		return nil
	}))
	require.False(t, whole, "a/2 was acknowledged and is not there")
}

package platform_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/chat-platform/chat/infra/nats/natstest"
	"github.com/chat-platform/chat/local/platform/platformtest"
)

// A platform begins before its log does, and serves once it is there.
func TestALogThatComesLater(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	port := ln.Addr().(*net.TCPAddr).Port
	require.NoError(t, ln.Close())
	srv := natstest.Start(t)
	srv.Shutdown()
	ask := func(path string) (int, string) {
		res, err := http.Get(fmt.Sprintf("http://127.0.0.1:%d%s", port, path))
		if err != nil {
			return 0, ""
		}
		defer res.Body.Close()
		b, _ := io.ReadAll(res.Body)
		return res.StatusCode, string(b)
	}
	come := make(chan struct{})
	go func() {
		defer close(come)
		for end := time.Now().Add(waitLong); time.Now().Before(end); {
			if status, body := ask("/health/readiness"); status == http.StatusServiceUnavailable && strings.Contains(body, `"log":"is being opened"`) {
				status, body = ask("/v1/channels")
				assert.Equal(t, http.StatusServiceUnavailable, status)
				assert.Contains(t, body, `"code":"starting"`)
				assert.NoError(t, srv.Restart())
				return
			}
		}
		t.Error("it is not ready, and does not say so")
	}()
	p := platformtest.Start(t, "", fmt.Sprint("PORT=", port), "LISTEN_ADDRESS=127.0.0.1", "NATS_URL="+strings.Replace(srv.ClientURL(), "://", "://ann:secret@", 1))
	<-come
	alice := newClient(t, p, "alice")
	require.NoError(t, alice.CreateChannel(t.Context(), "ch_x", "X", ""))
	require.Contains(t, p.Output(), "no connection yet")
	require.NotContains(t, p.Output(), "secret")
}

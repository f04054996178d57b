//go:build integration

package start_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/chat-platform/chat/functions/cmd/internal/start"
	"github.com/chat-platform/chat/infra/nats/natstest"
	"github.com/chat-platform/chat/infra/servertest"
)

func TestMain(m *testing.M) { servertest.Main(m) }

// A function begins before its store does, and serves once it is there.
func TestAStoreThatComesLater(t *testing.T) {
	log := natstest.Start(t)
	store := servertest.Start(t, servertest.ProductMongoDB)
	store.Stop(t)
	a := begin(t, start.Writer(lists), "NATS_URL="+log.ClientURL(), "STORE_METADATA=mongodb", "MONGODB_URL="+store.Address(), "MONGODB_TIMEOUT=2s")
	require.Eventually(t, func() bool {
		status, body := a.ready(t)
		return status == http.StatusServiceUnavailable && strings.Contains(body, "metadata")
	}, long, step)
	require.Contains(t, []string{"starting", "unavailable"}, a.refuses(t))
	require.Eventually(t, func() bool { return strings.Contains(a.said.String(), "the metadata view cannot be used") }, long, step)
	store.Restart(t)
	a.serves(t)
	a.end(t)
}

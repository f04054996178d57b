//go:build integration

package platform_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/chat-platform/chat/infra/keycloak/keycloaktest"
)

// watcherBinary is the command identity, built for the test.
type watcherBinary struct {
	path string
	env  []string
}

func buildWatcher(t testing.TB, r *keycloaktest.Realm, natsURL string) watcherBinary {
	t.Helper()
	path := filepath.Join(t.TempDir(), "identity")
	out, err := exec.CommandContext(t.Context(), "go", "build", "-o", path, "../../longrunning/cmd/identity").CombinedOutput()
	require.NoError(t, err, "%s", out)
	return watcherBinary{path, append(os.Environ(), "PORT=0", "LISTEN_ADDRESS=127.0.0.1", "NATS_URL="+natsURL,
		"OIDC_ISSUER="+r.Issuer, "CHAT_WATCHER_SECRET="+keycloaktest.WatcherSecret)}
}

// watcherProcess is a watcher that runs until it is killed.
type watcherProcess struct {
	cmd *exec.Cmd
	out bytes.Buffer
}

// start runs it, until the test ends at the latest.
func (b watcherBinary) start(t testing.TB, environ ...string) (*watcherProcess, error) {
	w := &watcherProcess{cmd: exec.CommandContext(t.Context(), b.path)}
	w.cmd.Env = slices.Concat(b.env, environ)
	w.cmd.Stdout, w.cmd.Stderr = &w.out, &w.out
	return w, w.cmd.Start()
}

// kill ends it as kill -9 does.
func (w *watcherProcess) kill() {
	_ = w.cmd.Process.Kill() // it is gone already, perhaps
	_ = w.cmd.Wait()         // by the signal
}

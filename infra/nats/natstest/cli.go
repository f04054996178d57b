//go:build integration

package natstest

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// natsTool is the version of the nats command that the documentation names.
const natsTool = "github.com/nats-io/natscli/nats@v0.5.1"

// CLI is the path of the nats command: $NATS_CLI, or built from its module.
func CLI(t testing.TB) string {
	t.Helper()
	if path := os.Getenv("NATS_CLI"); path != "" {
		return path
	}
	dir := t.TempDir()
	c := exec.CommandContext(t.Context(), "go", "install", natsTool)
	c.Env, c.Dir = append(os.Environ(), "GOBIN="+dir, "GOFLAGS=-mod=mod", "CGO_ENABLED=0"), dir
	if out, err := c.CombinedOutput(); err != nil {
		t.Fatalf("build %s: %v: %s", natsTool, err, out)
	}
	return filepath.Join(dir, "nats")
}

// Run runs the nats command against a server.
func Run(t testing.TB, cli, url string, args ...string) {
	t.Helper()
	c := exec.CommandContext(t.Context(), cli, append([]string{"--server", url}, args...)...) //nolint:gosec // the tool and its arguments are the test's own
	out, err := c.CombinedOutput()
	t.Logf("nats %v: %.300s", args, out)
	if err != nil {
		t.Fatalf("nats %v: %v", args, err)
	}
}

// Package natstest gives tests a real log: an embedded server on the test's own
// temporary folder, gone when the test ends. As in service, NATS_PARTITIONS in the
// environment (t.Setenv) divides MESSAGES; so any test can be run again on
// partitions.
package natstest

import (
	"log/slog"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/chat-platform/chat/infra/nats"
	"github.com/chat-platform/chat/infra/nats/embedded"
)

// patience bounds every answer of the server: a busy machine may take long.
const patience = time.Minute

// Open starts a server and connects to it.
func Open(t testing.TB) *nats.Log {
	t.Helper()
	return Connect(t, Start(t))
}

// Start runs a server with a free TCP port, to which any number of logs may
// connect, and whose Shutdown and Restart tests may call.
func Start(t testing.TB) *embedded.Server {
	t.Helper()
	srv, err := embedded.Start(embedded.Config{Dir: t.TempDir(), Port: -1, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(srv.Shutdown)
	return srv
}

// Connect opens a log on the server, by an in-process connection.
func Connect(t testing.TB, srv *embedded.Server) *nats.Log {
	t.Helper()
	return connect(t, nats.Config{InProcess: srv})
}

// ConnectTCP opens a log on the server over a socket, as processes do.
func ConnectTCP(t testing.TB, srv *embedded.Server) *nats.Log {
	t.Helper()
	return connect(t, nats.Config{URL: srv.ClientURL()})
}

func connect(t testing.TB, cfg nats.Config) *nats.Log {
	t.Helper()
	if v := os.Getenv("NATS_PARTITIONS"); v != "" {
		n, err := strconv.Atoi(v)
		if err != nil {
			t.Fatal(err)
		}
		cfg.Partitions = n
	}
	cfg.Name = t.Name()
	cfg.Logger = slog.New(slog.DiscardHandler)
	cfg.ConnectWait, cfg.AckWait, cfg.RequestTimeout = patience, patience, patience
	log, err := nats.Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = log.Close() })
	return log
}

package embedded_test

import (
	"bufio"
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/chat-platform/chat/events"
	"github.com/chat-platform/chat/infra/nats"
	"github.com/chat-platform/chat/infra/nats/embedded"
)

var quiet = slog.New(slog.DiscardHandler)

func event(n int) events.Event {
	return events.Event{ID: fmt.Sprintf("evt_%d", n), Source: "/test", Type: events.TypeMessageSent, Subject: "messages.send.ch_a", Data: []byte(`{}`)}
}

func open(t *testing.T, dir string) (*embedded.Server, *nats.Log) {
	t.Helper()
	srv, err := embedded.Start(embedded.Config{Dir: dir, Logger: quiet})
	require.NoError(t, err)
	t.Cleanup(srv.Shutdown)
	log, err := nats.Open(t.Context(), nats.Config{InProcess: srv, Logger: quiet})
	require.NoError(t, err)
	t.Cleanup(func() { _ = log.Close() })
	return srv, log
}

func TestMain(m *testing.M) {
	if dir := os.Getenv("EMBEDDED_TEST_PUBLISH"); dir != "" {
		publishForEver(dir)
	}
	os.Exit(m.Run())
}

// publishForEver prints every number that the log has acknowledged.
func publishForEver(dir string) {
	srv, err := embedded.Start(embedded.Config{Dir: dir})
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	log, err := nats.Open(context.Background(), nats.Config{InProcess: srv})
	for n := 0; err == nil; n++ {
		if _, err = log.Publish(context.Background(), event(n)); err == nil {
			fmt.Println(n)
		}
	}
	fmt.Println(err)
	os.Exit(1)
}

func TestFolderKeepsEverything(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "made", "for", "it")
	srv, log := open(t, dir)
	assert.Empty(t, srv.ClientURL(), "no port is open")
	assert.Equal(t, dir, srv.Dir())
	for i := range 10 {
		_, err := log.Publish(t.Context(), event(i))
		require.NoError(t, err)
	}
	epoch, err := log.Epoch(t.Context())
	require.NoError(t, err)
	require.NoError(t, log.Close())
	srv.Shutdown()
	srv.Shutdown()
	_, err = srv.InProcessConn()
	assert.ErrorIs(t, err, net.ErrClosed)

	_, log = open(t, dir)
	ack, err := log.Publish(t.Context(), event(3))
	require.NoError(t, err)
	assert.Equal(t, events.Ack{Stream: events.StreamMessages, Seq: 4, Duplicate: true}, ack)
	last, err := log.LastSequence(t.Context(), events.StreamMessages)
	require.NoError(t, err)
	assert.EqualValues(t, 10, last)
	same, err := log.Epoch(t.Context())
	require.NoError(t, err)
	assert.Equal(t, epoch, same)
}

// A process killed in the middle of publishing has lost nothing that it was
// told is stored.
func TestKill(t *testing.T) {
	dir := t.TempDir()
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), "EMBEDDED_TEST_PUBLISH="+dir)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	acked := -1
	lines := bufio.NewScanner(out)
	for acked < 3000 && lines.Scan() {
		acked, err = strconv.Atoi(lines.Text())
		require.NoError(t, err, lines.Text())
	}
	require.NoError(t, cmd.Process.Kill())
	for lines.Scan() { // what it had still said
		if n, err := strconv.Atoi(lines.Text()); err == nil && n == acked+1 { // the last line may be cut short
			acked = n
		}
	}
	require.Error(t, cmd.Wait())
	require.GreaterOrEqual(t, acked, 3000)

	_, log := open(t, dir)
	n := 0
	require.NoError(t, log.Range(t.Context(), events.StreamMessages, nil, 1, 1<<40, func(e events.Event) error {
		require.Equal(t, fmt.Sprintf("evt_%d", n), e.ID)
		n++
		return nil
	}))
	assert.Greater(t, n, acked, "acknowledged events are missing")
	ack, err := log.Publish(t.Context(), event(acked))
	require.NoError(t, err)
	assert.Equal(t, events.Ack{Stream: events.StreamMessages, Seq: uint64(acked) + 1, Duplicate: true}, ack)
}

func TestStartRefuses(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	_, err := embedded.Start(embedded.Config{Dir: filepath.Join(file, "folder"), Logger: quiet})
	assert.ErrorContains(t, err, file)
	_, err = embedded.Start(embedded.Config{})
	assert.Error(t, err)

	dir := t.TempDir()
	open(t, dir)
	_, err = embedded.Start(embedded.Config{Dir: dir, Logger: quiet})
	require.ErrorContains(t, err, dir)
	assert.ErrorContains(t, err, "another process uses the folder")

	taken, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer taken.Close()
	port := taken.Addr().(*net.TCPAddr).Port
	_, err = embedded.Start(embedded.Config{Dir: t.TempDir(), Port: port, Logger: quiet})
	assert.ErrorContains(t, err, strconv.Itoa(port))
}

func TestSyncAlwaysAndPort(t *testing.T) {
	srv, err := embedded.Start(embedded.Config{Dir: t.TempDir(), Port: -1, SyncAlways: true, Logger: quiet})
	require.NoError(t, err)
	defer srv.Shutdown()
	url := srv.ClientURL()
	log, err := nats.Open(t.Context(), nats.Config{URL: url, Logger: quiet})
	require.NoError(t, err)
	_, err = log.Publish(t.Context(), event(1))
	require.NoError(t, err)
	require.NoError(t, log.Close())
	require.NoError(t, srv.Restart())
	assert.Equal(t, url, srv.ClientURL(), "a restart keeps the port")
}

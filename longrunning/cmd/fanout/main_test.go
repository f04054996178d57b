package main

import (
	"bytes"
	"os"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/chat-platform/chat/infra/nats/natstest"
	"github.com/chat-platform/chat/infra/process"
)

// output is written to by the process and read by the test.
type output struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String()
}

func TestRunsUntilASignal(t *testing.T) {
	srv := natstest.Start(t)
	var out output
	signals := make(chan os.Signal, 1)
	code := make(chan int, 1)
	go func() {
		code <- process.Run("fanout", process.World{
			Environ: []string{"NATS_URL=" + srv.ClientURL(), "PORT=0", "LISTEN_ADDRESS=127.0.0.1", "FANOUT_ID=f1"},
			Stdout:  &out, Stderr: &out, Signals: signals,
		}, run)
	}()
	require.Eventually(t, func() bool { return bytes.Contains([]byte(out.String()), []byte("fanout: ready")) }, time.Minute, 10*time.Millisecond)
	signals <- syscall.SIGTERM
	require.Zero(t, <-code, out.String())
}

func TestNamesTheVariableThatIsWrong(t *testing.T) {
	for _, v := range []string{"many", "65"} {
		var out output
		require.Equal(t, 1, process.Run("fanout", process.World{
			Environ: []string{"FANOUT_MAX_INSTANCES=" + v}, Stdout: &out, Stderr: &out,
		}, run))
		require.Contains(t, out.String(), "FANOUT_MAX_INSTANCES is")
	}
}

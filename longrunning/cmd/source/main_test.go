package main

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/chat-platform/chat/events"
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

func TestCarriesEventsUntilASignal(t *testing.T) {
	srv := natstest.Start(t)
	log := natstest.Connect(t, srv)
	_, err := log.Publish(t.Context(), events.Event{ID: "evt_1", Source: "/test", Type: events.TypeMessageSent, Subject: "messages.send.ch_a", Data: []byte(`{}`)})
	require.NoError(t, err)
	arrived := make(chan string, 1)
	sink := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { arrived <- r.Header.Get("Content-Type") }))
	defer sink.Close()
	var out output
	signals := make(chan os.Signal, 1)
	code := make(chan int, 1)
	go func() {
		code <- process.Run("source", process.World{
			Environ: []string{"NATS_URL=" + srv.ClientURL(), "PORT=0", "LISTEN_ADDRESS=127.0.0.1",
				"SOURCE_STREAM=MESSAGES", "SOURCE_CONSUMER=writer", "K_SINK=" + sink.URL},
			Stdout: &out, Stderr: &out, Signals: signals,
		}, run)
	}()
	select {
	case contentType := <-arrived:
		require.Equal(t, events.ContentTypeBatch, contentType)
	case <-time.After(time.Minute):
		require.Fail(t, "no event arrived", out.String())
	}
	signals <- syscall.SIGTERM
	require.Zero(t, <-code, out.String())
}

func TestNamesTheVariableThatIsWrong(t *testing.T) {
	for _, env := range []string{"SOURCE_IN_FLIGHT=many", "SOURCE_MODE=bulk", "K_SINK=writer"} {
		name, _, _ := strings.Cut(env, "=")
		var out output
		require.Equal(t, 1, process.Run("source", process.World{
			Environ: []string{"SOURCE_STREAM=MESSAGES", "SOURCE_CONSUMER=writer", "K_SINK=http://writer", env}, Stdout: &out, Stderr: &out,
		}, run))
		require.Contains(t, out.String(), name+" is")
	}
}

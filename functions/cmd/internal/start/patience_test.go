package start_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/chat-platform/chat/events"
	"github.com/chat-platform/chat/functions/cmd/internal/start"
	"github.com/chat-platform/chat/functions/internal/frontdoor"
	"github.com/chat-platform/chat/infra/nats/natstest"
	"github.com/chat-platform/chat/infra/process"
	"github.com/chat-platform/chat/infra/stores/metadata"
)

const (
	long = time.Minute
	step = 10 * time.Millisecond
)

// alone is a function's process under test.
type alone struct {
	url     string
	said    output
	signals chan os.Signal
	code    chan int
}

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

var listening = regexp.MustCompile(`listening.*address=(\S+)`)

// begin runs a function and returns once it listens.
func begin(t *testing.T, main func(context.Context, *process.Process) error, environ ...string) *alone {
	t.Helper()
	a := &alone{signals: make(chan os.Signal, 1), code: make(chan int, 1)}
	go func() {
		a.code <- process.Run("test", process.World{
			Environ: append(environ, "PORT=0", "LISTEN_ADDRESS=127.0.0.1", "LOG_LEVEL=DEBUG"), Stdout: io.Discard, Stderr: &a.said, Signals: a.signals,
		}, main)
	}()
	require.Eventually(t, func() bool {
		m := listening.FindStringSubmatch(a.said.String())
		if m != nil {
			a.url = "http://" + m[1]
		}
		return m != nil
	}, long, step, a.said.String())
	return a
}

func (a *alone) end(t *testing.T) {
	t.Helper()
	a.signals <- syscall.SIGTERM
	select {
	case code := <-a.code:
		require.Zero(t, code, a.said.String())
	case <-time.After(long):
		require.Fail(t, "it does not end", a.said.String())
	}
}

// ready tells what readiness says.
func (a *alone) ready(t *testing.T) (int, string) {
	t.Helper()
	res, err := http.Get(a.url + "/health/readiness")
	require.NoError(t, err)
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	return res.StatusCode, string(b)
}

// refuses checks that a request is refused for now, and gives the problem's code.
func (a *alone) refuses(t *testing.T) string {
	t.Helper()
	res := a.post(t)
	defer res.Body.Close()
	require.Equal(t, http.StatusServiceUnavailable, res.StatusCode)
	require.Equal(t, "application/problem+json", res.Header.Get("Content-Type"))
	require.NotEmpty(t, res.Header.Get("Retry-After"))
	var p struct{ Code string }
	require.NoError(t, json.NewDecoder(res.Body).Decode(&p))
	return p.Code
}

// post hands it an event.
func (a *alone) post(t *testing.T) *http.Response {
	t.Helper()
	res, err := http.Post(a.url+"/", events.ContentTypeStructured, strings.NewReader(
		`{"specversion":"1.0","id":"evt_1","source":"/test","type":"test","subject":"channels.ch_a","sequence":"1","data":{}}`))
	require.NoError(t, err)
	return res
}

// serves waits until it is ready and takes an event.
func (a *alone) serves(t *testing.T) {
	t.Helper()
	require.Eventually(t, func() bool { status, _ := a.ready(t); return status == http.StatusOK }, long, step, a.said.String())
	res := a.post(t)
	defer res.Body.Close()
	require.Equal(t, 2, res.StatusCode/100)
}

// lists is a writer that reads the metadata view.
func lists(ctx context.Context, p *start.Parts) (*frontdoor.Function, error) {
	m, err := start.Store(ctx, p, "metadata", metadata.Open)
	if err != nil {
		return nil, err
	}
	return frontdoor.Writer(frontdoor.Spec{Name: "test", Type: "test"}, func(ctx context.Context, _ []events.Event) error {
		_, err := m.PublicChannels(ctx, "", 10)
		return err
	}, p.Options...), nil
}

// A function begins before its log does, and serves once it is there.
func TestALogThatComesLater(t *testing.T) {
	srv := natstest.Start(t)
	srv.Shutdown()
	a := begin(t, start.Writer(lists), "NATS_URL="+srv.ClientURL(), "DATA_DIR="+t.TempDir())
	require.Eventually(t, func() bool {
		status, body := a.ready(t)
		return status == http.StatusServiceUnavailable && strings.Contains(body, `"log":"is being opened"`)
	}, long, step)
	require.Equal(t, "starting", a.refuses(t))
	require.NoError(t, srv.Restart())
	a.serves(t)
	a.end(t)
}

// It is not ready, and says why, while its view is of another log.
func TestAViewOfAnotherLog(t *testing.T) {
	dir := t.TempDir()
	for i, serves := range []bool{true, false} {
		srv := natstest.Start(t)
		a := begin(t, start.Writer(lists), "NATS_URL="+srv.ClientURL(), "DATA_DIR="+dir)
		if serves {
			a.serves(t)
			a.end(t)
			continue
		}
		require.Eventually(t, func() bool { _, body := a.ready(t); return strings.Contains(body, "chat rebuild metadata") }, long, step, fmt.Sprint(i))
		require.Contains(t, a.said.String(), "is of another log")
		require.Equal(t, "view_of_another_log", a.refuses(t))
		a.end(t)
	}
}

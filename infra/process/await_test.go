package process_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/chat-platform/chat/events"
	"github.com/chat-platform/chat/infra/process"
)

// waiting starts a process that waits for something until it is there, and gives
// its base URL.
func waiting(t *testing.T, away *atomic.Pointer[error]) (*running, string) {
	t.Helper()
	addr := make(chan string, 1)
	r := start(func(ctx context.Context, p *process.Process) error {
		ln, err := p.Listen(ctx, "127.0.0.1")
		if err != nil {
			return err
		}
		addr <- ln.Addr().String()
		word, err := process.Await(ctx, p, "store", func(context.Context) (string, error) {
			if err := away.Load(); err != nil {
				return "", *err
			}
			return "hello", nil
		})
		if err != nil {
			return fmt.Errorf("open store: %w", err)
		}
		return p.Serve(ctx, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, word) }))
	}, "PORT=0")
	return r, "http://" + <-addr
}

func TestAwait(t *testing.T) {
	var away atomic.Pointer[error]
	nobody := fmt.Errorf("%w: nobody answers", events.ErrUnavailable)
	away.Store(&nobody)
	r, url := waiting(t, &away)
	require.Eventually(t, func() bool {
		code, body := get(t, url+"/health/readiness")
		return code == 503 && body == `{"checks":{"store":"unavailable: nobody answers"},"status":"unavailable"}`+"\n"
	}, time.Minute, 5*time.Millisecond, "readiness says what is waited for")
	code, _ := get(t, url+"/health/liveness")
	require.Equal(t, 200, code)
	code, body := get(t, url+"/metrics")
	require.Equal(t, 200, code)
	require.Contains(t, body, "go_goroutines")

	res, err := http.Post(url+"/v1/messages", "application/json", nil)
	require.NoError(t, err)
	defer res.Body.Close()
	require.Equal(t, 503, res.StatusCode)
	require.Equal(t, "application/problem+json", res.Header.Get("Content-Type"))
	require.Equal(t, "1", res.Header.Get("Retry-After"))
	var problem map[string]any
	require.NoError(t, json.NewDecoder(res.Body).Decode(&problem))
	require.Equal(t, "starting", problem["code"])
	require.Equal(t, res.Header.Get("X-Request-Id"), problem["request_id"])

	away.Store(nil)
	require.Eventually(t, func() bool { code, body := get(t, url+"/"); return code == 200 && body == "hello" }, time.Minute, 5*time.Millisecond)
	require.Eventually(t, func() bool { // as the handler says, which knows this path too
		code, body := get(t, url+"/health/readiness")
		return code == 200 && body == "hello"
	}, time.Minute, 5*time.Millisecond)
	require.Contains(t, r.stderr.String(), "store is away, will try again")
	require.Contains(t, r.stderr.String(), "store is there")
	r.signals <- syscall.SIGTERM
	require.Equal(t, 0, r.exit(t))
}

// What no waiting helps ends the process, and whoever waits can be ended.
func TestAwaitEnds(t *testing.T) {
	var away atomic.Pointer[error]
	odd, nobody := errors.New("STORE_URL is odd"), fmt.Errorf("%w: nobody answers", events.ErrUnavailable)
	away.Store(&odd)
	r, url := waiting(t, &away)
	require.Equal(t, 1, r.exit(t))
	require.Contains(t, r.stderr.String(), "chatd: open store: STORE_URL is odd\n")
	_, err := http.Get(url)
	require.Error(t, err, "nobody listens any more") // refused, or reset where the kernel still had the socket

	away.Store(&nobody)
	r, _ = waiting(t, &away)
	r.signals <- syscall.SIGTERM
	require.Equal(t, 0, r.exit(t))

	taken, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer taken.Close()
	r = start(func(ctx context.Context, p *process.Process) error {
		_, err := process.Await(ctx, p, "store", func(context.Context) (io.Reader, error) { return nil, nil })
		return err
	}, fmt.Sprintf("PORT=%d", taken.Addr().(*net.TCPAddr).Port), "LISTEN_ADDRESS=127.0.0.1")
	require.Equal(t, 1, r.exit(t))
	require.Contains(t, r.stderr.String(), "in use by another process")
}

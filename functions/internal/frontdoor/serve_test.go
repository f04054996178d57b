package frontdoor_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/chat-platform/chat/events"
	"github.com/chat-platform/chat/functions/internal/frontdoor"
)

// logged is a log to look into.
type logged struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *logged) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(b)
}

func (l *logged) logger(level slog.Level) *slog.Logger {
	return slog.New(slog.NewJSONHandler(l, &slog.HandlerOptions{Level: level}))
}

func (l *logged) lines(t *testing.T) (lines []map[string]any) {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	for line := range strings.Lines(l.buf.String()) {
		var m map[string]any
		require.NoError(t, json.Unmarshal([]byte(line), &m))
		lines = append(lines, m)
	}
	return lines
}

func TestRequestID(t *testing.T) {
	var seen string
	f := frontdoor.Command(greetSpec, func(ctx context.Context, _ events.Caller, _ greet) (greeting, error) {
		seen = frontdoor.RequestID(ctx)
		return greeting{status: 200}, nil
	}, frontdoor.WithVerifier(tokens{}), frontdoor.WithLogger(silent)).Alone()
	for name, c := range map[string]struct {
		id    string
		taken bool
	}{
		"taken":       {"a b~" + strings.Repeat("x", 124), true},
		"too long":    {strings.Repeat("x", 129), false},
		"unprintable": {"a\x01", false},
		"not ASCII":   {"é", false},
		"none":        {"", false},
	} {
		t.Run(name, func(t *testing.T) {
			res := do(f, request("POST", greetings, "", "X-Request-Id", c.id))
			got := res.Header.Get("X-Request-Id")
			assert.Equal(t, c.taken, got == c.id)
			assert.Equal(t, seen, got)
			assert.NotEmpty(t, got)
		})
	}
	assert.NotEqual(t, do(f, request("POST", greetings, "")).Header.Get("X-Request-Id"), do(f, request("POST", greetings, "")).Header.Get("X-Request-Id"))
	assert.Empty(t, frontdoor.RequestID(t.Context()))
}

type badAnswer struct{}

func (badAnswer) MarshalJSON() ([]byte, error) { panic("marshal") }

type badError struct{}

func (*badError) Error() string { panic("error") }

func TestWhatGoesWrongInsideIsA500LoggedOnce(t *testing.T) {
	for name, handle := range map[string]func(context.Context, events.Caller, greet) (any, error){
		"an error":        func(context.Context, events.Caller, greet) (any, error) { return nil, errSecret },
		"a panic":         func(context.Context, events.Caller, greet) (any, error) { panic("secret") },
		"a nil fault":     func(context.Context, events.Caller, greet) (any, error) { var f *events.Fault; return nil, f },
		"a broken error":  func(context.Context, events.Caller, greet) (any, error) { return nil, &badError{} },
		"a broken answer": func(context.Context, events.Caller, greet) (any, error) { return badAnswer{}, nil },
	} {
		t.Run(name, func(t *testing.T) {
			log := &logged{}
			f := frontdoor.Command(greetSpec, handle, frontdoor.WithVerifier(tokens{}), frontdoor.WithLogger(log.logger(slog.LevelInfo))).Alone()
			event := structured("1", greetSpec.Type, `{}`)
			for form, r := range map[string]*http.Request{
				"rest":  request("POST", greetings, "", "X-Request-Id", "r1"),
				"event": request("POST", "/", event, "Content-Type", "application/cloudevents+json", "X-Request-Id", "r1"),
			} {
				log.buf.Reset()
				p := problemOf(t, do(f, r))
				assert.Equal(t, 500, p.Status, form)
				assert.Equal(t, "internal", p.Code, form)
				assert.NotContains(t, p.Detail, "secret")
				lines := log.lines(t)
				require.Len(t, lines, 1, form)
				assert.Equal(t, "ERROR", lines[0]["level"])
				assert.Equal(t, "r1", lines[0]["request_id"])
				assert.Equal(t, "greet", lines[0]["function"])
				assert.EqualValues(t, 500, lines[0]["status"])
				assert.Equal(t, strings.Contains(fmt.Sprint(lines[0]["error"]), "panic"), lines[0]["stack"] != nil)
			}
		})
	}
}

func TestAPanicOfOneCommandLeavesTheOthersOfItsBatch(t *testing.T) {
	log := &logged{}
	f := frontdoor.Command(greetSpec, func(_ context.Context, _ events.Caller, req greet) (greeting, error) {
		if req.Text == "boom" {
			panic("boom")
		}
		return greeting{Text: req.Text}, nil
	}, frontdoor.WithVerifier(tokens{}), frontdoor.WithLogger(log.logger(slog.LevelInfo))).Alone()
	body := "[" + structured("1", greetSpec.Type, `{"text":"boom"}`) + "," + structured("2", greetSpec.Type, `{"text":"b"}`) + "]"
	res := do(f, request("POST", "/", body, "Content-Type", "application/cloudevents-batch+json"))
	require.Equal(t, 200, res.StatusCode)
	es, err := events.ParseBatch([]byte(bodyOf(t, res)))
	require.NoError(t, err)
	assert.Equal(t, greetSpec.Type+".problem", es[0].Type)
	assert.Equal(t, greetSpec.Type+".answer", es[1].Type)
	lines := log.lines(t)
	require.Len(t, lines, 1)
	assert.Equal(t, "1", lines[0]["event_id"])
	assert.Contains(t, lines[0]["stack"], "serve_test.go")
}

func TestAbortedConnectionsStayAborted(t *testing.T) {
	f := frontdoor.Writer(frontdoor.Spec{Name: "store"}, func(context.Context, []events.Event) error { panic(http.ErrAbortHandler) }, frontdoor.WithLogger(silent)).Alone()
	assert.PanicsWithValue(t, http.ErrAbortHandler, func() {
		do(f, request("POST", "/", structured("1", "a", `{}`), "Content-Type", "application/cloudevents+json"))
	})
}

func TestAccessLog(t *testing.T) {
	log := &logged{}
	f := greetFunction(frontdoor.WithLogger(log.logger(slog.LevelDebug))).Alone()
	do(f, request("POST", greetings, `{"text":"hi"}`, "Content-Type", "application/json", "Authorization", "Bearer u-secret"))
	do(f, request("POST", "/", "["+structured("1", greetSpec.Type, `{}`)+"]", "Content-Type", "application/cloudevents-batch+json"))
	do(f, request("POST", greetings, ``))
	lines := log.lines(t)
	require.Len(t, lines, 3)
	assert.Equal(t, "DEBUG", lines[0]["level"])
	assert.Equal(t, "rest", lines[0]["mode"])
	assert.EqualValues(t, 202, lines[0]["status"])
	assert.NotContains(t, log.buf.String(), "u-secret")
	assert.EqualValues(t, 1, lines[1]["events"])
	assert.EqualValues(t, 400, lines[2]["status"])
	assert.NotEmpty(t, lines[2]["error"])
}

func TestTimeLimit(t *testing.T) {
	for name, give := range map[string]func(context.Context) error{
		"its own error":  func(ctx context.Context) error { return ctx.Err() },
		"a driver error": func(context.Context) error { return errors.New("i/o timeout") },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				begin := time.Now()
				f := frontdoor.Writer(frontdoor.Spec{Name: "store"}, func(ctx context.Context, _ []events.Event) error {
					<-ctx.Done()
					return give(ctx)
				}, frontdoor.WithLogger(silent)).Alone()
				res := do(f, request("POST", "/", structured("1", "a", `{}`), "Content-Type", "application/cloudevents+json"))
				p := problemOf(t, res)
				assert.Equal(t, 503, p.Status)
				assert.Equal(t, "timeout", p.Code)
				assert.Equal(t, "1", res.Header.Get("Retry-After"))
				assert.Equal(t, frontdoor.DefaultTimeout, time.Since(begin))
			})
		})
	}
}

func TestRequestsInFlightAreBounded(t *testing.T) {
	entered, leave := make(chan struct{}), make(chan struct{})
	log := &logged{}
	f := frontdoor.Writer(frontdoor.Spec{Name: "store", MaxInFlight: 2}, func(context.Context, []events.Event) error {
		entered <- struct{}{}
		<-leave
		return nil
	}, frontdoor.WithLogger(log.logger(slog.LevelInfo))).Alone()
	post := func() *http.Response {
		return do(f, request("POST", "/", structured("1", "a", `{}`), "Content-Type", "application/cloudevents+json"))
	}
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() { assert.Equal(t, 200, post().StatusCode) })
	}
	<-entered
	<-entered
	res := post()
	p := problemOf(t, res)
	assert.Equal(t, 503, p.Status)
	assert.Equal(t, "overloaded", p.Code)
	assert.Equal(t, "1", res.Header.Get("Retry-After"))
	assert.Empty(t, log.lines(t), "a refusal costs no line")
	close(leave)
	wg.Wait()
	wg.Go(func() { assert.Equal(t, 200, post().StatusCode) })
	<-entered
	wg.Wait()
}

func TestABodyThatNeverComes(t *testing.T) {
	spec := greetSpec
	spec.Timeout = 30 * time.Millisecond
	server := httptest.NewServer(frontdoor.Command(spec, handleGreet, frontdoor.WithVerifier(tokens{}), frontdoor.WithLogger(silent)).Alone())
	defer server.Close()
	for name, c := range map[string]struct {
		body string
		done bool
		code string
	}{
		"stalls": {`{"text`, false, "body_timeout"},
		"breaks": {`{"text`, true, "body_incomplete"},
	} {
		t.Run(name, func(t *testing.T) {
			conn, err := net.Dial("tcp", server.Listener.Addr().String())
			require.NoError(t, err)
			defer conn.Close()
			_, err = fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer u1\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n%s", greetings, c.body)
			require.NoError(t, err)
			if c.done {
				require.NoError(t, conn.(*net.TCPConn).CloseWrite())
			}
			answer, err := io.ReadAll(conn)
			require.NoError(t, err)
			if !c.done {
				assert.Contains(t, string(answer), "408 Request Timeout")
			}
			assert.Contains(t, string(answer), c.code)
		})
	}
}

func TestGoneClientsAreNoErrors(t *testing.T) {
	log := &logged{}
	f := frontdoor.Writer(frontdoor.Spec{Name: "store"}, func(ctx context.Context, _ []events.Event) error {
		<-ctx.Done()
		return fmt.Errorf("put: %w", ctx.Err())
	}, frontdoor.WithLogger(log.logger(slog.LevelDebug))).Alone()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	do(f, request("POST", "/", structured("1", "a", `{}`), "Content-Type", "application/cloudevents+json").WithContext(ctx))
	lines := log.lines(t)
	require.Len(t, lines, 1)
	assert.EqualValues(t, 499, lines[0]["status"])
	assert.Equal(t, "DEBUG", lines[0]["level"])
}

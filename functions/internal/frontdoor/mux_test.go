package frontdoor_test

import (
	"bufio"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/chat-platform/chat/events"
	"github.com/chat-platform/chat/functions/internal/frontdoor"
)

func TestMuxRefusesWithProblems(t *testing.T) {
	store := frontdoor.Writer(frontdoor.Spec{Name: "store"}, func(context.Context, []events.Event) error { return nil }, frontdoor.WithLogger(silent))
	m := frontdoor.NewMux(greetFunction(), store)
	m.HandleFunc("GET /own", func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "mine", http.StatusNotFound) })
	m.HandleFunc("GET /tree/", func(w http.ResponseWriter, _ *http.Request) {})
	for _, c := range []struct {
		method, target string
		status         int
		code, allow    string
	}{
		{"GET", "/nowhere", 404, "route_not_found", ""},
		{"POST", "/", 404, "route_not_found", ""},
		{"GET", "/health/liveness", 404, "route_not_found", ""},
		{"GET", greetings, 405, "method_not_allowed", "POST"},
		{"GET", "/functions/store", 405, "method_not_allowed", "POST"},
		{"DELETE", "/own", 405, "method_not_allowed", "GET, HEAD"},
	} {
		t.Run(c.method+" "+c.target, func(t *testing.T) {
			res := do(m, request(c.method, c.target, "", "X-Request-Id", "r1"))
			p := problemOf(t, res)
			assert.Equal(t, c.status, p.Status)
			assert.Equal(t, c.code, p.Code)
			assert.Equal(t, "r1", p.RequestID)
			assert.Equal(t, c.allow, res.Header.Get("Allow"))
		})
	}
	res := do(m, request("GET", "/own", ""))
	assert.Equal(t, 404, res.StatusCode)
	assert.Equal(t, "mine", bodyOf(t, res))
	assert.Equal(t, "/tree/", do(m, request("GET", "/tree", "")).Header.Get("Location"))
	assert.Equal(t, 200, do(m, request("POST", "/functions/store", structured("1", "a", `{}`), "Content-Type", "application/cloudevents+json")).StatusCode)

	outer := frontdoor.NewMux()
	outer.Handle("/", m)
	assert.Equal(t, "route_not_found", problemOf(t, do(outer, request("GET", "/nowhere", ""))).Code)
	assert.Equal(t, "route_not_found", problemOf(t, do(frontdoor.NotFound, request("GET", "/"+strings.Repeat("x", 300), ""))).Code)
}

func TestMuxLetsSocketsAndStreamsThrough(t *testing.T) {
	m := frontdoor.NewMux()
	m.HandleFunc("/ws", func(w http.ResponseWriter, _ *http.Request) {
		conn, rw, err := w.(http.Hijacker).Hijack()
		if !assert.NoError(t, err) {
			return
		}
		defer conn.Close()
		_, _ = rw.WriteString("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nraw")
		_ = rw.Flush()
	})
	m.HandleFunc("/stream", func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, "first\n")
		w.(http.Flusher).Flush()
		assert.NoError(t, http.NewResponseController(w).EnableFullDuplex())
		<-r.Context().Done()
	})
	server := httptest.NewServer(m)
	defer server.Close()
	res, err := http.Get(server.URL + "/ws")
	require.NoError(t, err)
	defer res.Body.Close()
	assert.Equal(t, "raw", bodyOf(t, res))

	res, err = http.Get(server.URL + "/stream")
	require.NoError(t, err)
	defer res.Body.Close()
	line, err := bufio.NewReader(res.Body).ReadString('\n')
	require.NoError(t, err)
	assert.Equal(t, "first\n", line)
}

func TestCORS(t *testing.T) {
	f := greetFunction(frontdoor.WithOrigins("https://App.example/")).Alone()
	preflight := func(h http.Handler, origin string) *http.Response {
		return do(h, request("OPTIONS", greetings, "", "Origin", origin, "Access-Control-Request-Method", "POST"))
	}
	res := preflight(f, "https://app.example")
	assert.Equal(t, http.StatusNoContent, res.StatusCode)
	assert.Equal(t, "https://app.example", res.Header.Get("Access-Control-Allow-Origin"))
	assert.Contains(t, res.Header.Get("Access-Control-Allow-Methods"), "PUT")
	assert.Contains(t, res.Header.Get("Access-Control-Allow-Headers"), "Idempotency-Key")
	assert.NotEmpty(t, res.Header.Get("Access-Control-Max-Age"))
	assert.Equal(t, "Origin", res.Header.Get("Vary"))

	for _, origin := range []string{"https://evil.example", "null"} {
		res = preflight(f, origin)
		assert.Empty(t, res.Header.Get("Access-Control-Allow-Origin"))
		assert.Empty(t, res.Header.Get("Access-Control-Allow-Methods"))
	}

	res = do(f, request("POST", greetings, "", "Origin", "https://app.example"))
	assert.Equal(t, 400, res.StatusCode)
	assert.Equal(t, "https://app.example", res.Header.Get("Access-Control-Allow-Origin"))
	assert.Contains(t, res.Header.Get("Access-Control-Expose-Headers"), "Retry-After")
	assert.Empty(t, do(f, request("POST", greetings, "", "Origin", "https://evil.example")).Header.Get("Access-Control-Allow-Origin"))

	all := frontdoor.CORS([]string{"*"}, frontdoor.NewMux(greetFunction()))
	assert.Equal(t, "https://any.example", preflight(all, "https://any.example").Header.Get("Access-Control-Allow-Origin"))
	assert.Equal(t, 405, preflight(frontdoor.CORS(nil, frontdoor.NewMux(greetFunction())), "https://any.example").StatusCode)
	assert.Equal(t, 405, do(all, request("OPTIONS", greetings, "")).StatusCode)
}

package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/chat-platform/chat/events"
	"github.com/chat-platform/chat/functions/cmd/internal/start"
	"github.com/chat-platform/chat/infra/nats/natstest"
	"github.com/chat-platform/chat/infra/process"
	"github.com/chat-platform/chat/local/issuer"
)

// The function as its process runs it: environment, log over a socket, tokens of
// a real issuer, a store on disk, a signal to end it.
func TestProcess(t *testing.T) {
	srv := natstest.Start(t)
	log := natstest.Connect(t, srv)
	publish := func(typ, subject string, payload any) {
		data, err := json.Marshal(payload)
		require.NoError(t, err)
		_, err = log.Publish(t.Context(), events.Event{ID: "evt_" + subject, Source: "/test", Type: typ, Subject: subject, Data: data})
		require.NoError(t, err)
	}
	publish(events.TypeChannelCreated, events.ChannelSubject("ch_1"), events.ChannelCreated{ID: "ch_1", Name: "One", Visibility: events.Public, CreatedBy: "ann"})
	publish(events.TypeMemberJoined, events.MemberSubject("ch_1", "ann"), events.MemberJoined{ChannelID: "ch_1", UserID: "ann", Role: events.RoleOwner})

	issuerURL := serveIssuer(t)
	p := run(t, "NATS_URL="+srv.ClientURL(), "OIDC_ISSUER="+issuerURL, "DATA_DIR="+t.TempDir())

	ready := request(t, "GET", p.url+"/health/readiness", "", "")
	require.Equal(t, 200, ready.StatusCode)
	require.Equal(t, 200, request(t, "GET", p.url+"/metrics", "", "").StatusCode)

	const path, body = "/v1/channels/ch_1/messages", `{"text":"hello","client_id":"5b0f6a0e-3a5c-4a53-9d3c-0c1f2f6f1a02"}`
	require.Equal(t, 401, request(t, "POST", p.url+path, "", body).StatusCode)

	token, err := issuer.PasswordToken(t.Context(), http.DefaultClient, issuerURL, "ann")
	require.NoError(t, err)
	sent := request(t, "POST", p.url+path, token.AccessToken, body)
	require.Equal(t, 202, sent.StatusCode)
	var answer struct{ Seq uint64 }
	require.NoError(t, json.NewDecoder(sent.Body).Decode(&answer))

	e, err := log.BySequence(t.Context(), events.StreamMessages, answer.Seq)
	require.NoError(t, err)
	m, err := events.MessageOf(e)
	require.NoError(t, err)
	require.Equal(t, "hello", m.Text)
	require.Equal(t, events.UserID("ann"), m.AuthorID)

	require.Equal(t, 200, request(t, "POST", p.url+path, token.AccessToken, body).StatusCode, "the same again")
	event := `{"specversion":"1.0","id":"1","source":"/test","type":"chat.command.sendmessage.v1","data":{"channel_id":"ch_1","text":"by event"}}`
	require.Equal(t, 200, request(t, "POST", p.url+"/", token.AccessToken, event).StatusCode)

	require.Equal(t, 0, p.interrupt(t))
}

type running struct {
	url     string
	signals chan os.Signal
	code    chan int
}

func (p running) interrupt(t *testing.T) int {
	t.Helper()
	p.signals <- syscall.SIGTERM
	select {
	case code := <-p.code:
		return code
	case <-time.After(time.Minute):
		t.Fatal("the process does not end")
		return 0
	}
}

// run runs main's function with an environment, on a free port.
func run(t *testing.T, environ ...string) running {
	t.Helper()
	r, w := io.Pipe()
	p := running{signals: make(chan os.Signal, 2), code: make(chan int, 1)}
	go func() {
		p.code <- process.Run("sendmessage", process.World{
			Environ: append(environ, "PORT=0"), Stdout: io.Discard, Stderr: w, Signals: p.signals,
		}, start.Command(build))
		_ = w.Close()
	}()
	port := make(chan string, 1)
	go func() {
		lines := bufio.NewScanner(r)
		for lines.Scan() {
			if m := regexp.MustCompile(`listening.*:(\d+)`).FindStringSubmatch(lines.Text()); m != nil {
				port <- m[1]
			}
		}
		_, _ = io.Copy(io.Discard, r)
	}()
	select {
	case n := <-port:
		p.url = "http://127.0.0.1:" + n
	case code := <-p.code:
		t.Fatalf("exit code %d", code)
	case <-time.After(time.Minute):
		t.Fatal("the process does not listen")
	}
	return p
}

func serveIssuer(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	iss, err := issuer.New(issuer.Config{BaseURL: fmt.Sprintf("http://%s", ln.Addr()), Listener: ln.Addr(), Dir: t.TempDir()})
	require.NoError(t, err)
	s := &httptest.Server{Listener: ln, Config: &http.Server{Handler: iss.Handler(), ReadHeaderTimeout: time.Second}}
	s.Start()
	t.Cleanup(s.Close)
	return iss.URL()
}

func request(t *testing.T, method, url, token, body string) *http.Response {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	require.NoError(t, err)
	req.Header.Set("Content-Type", "application/json")
	if strings.Contains(body, "specversion") {
		req.Header.Set("Content-Type", events.ContentTypeStructured)
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	t.Cleanup(func() { _ = resp.Body.Close() })
	return resp
}

package platform_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/chat-platform/chat/events"
	"github.com/chat-platform/chat/infra/nats/natstest"
	"github.com/chat-platform/chat/infra/process"
	"github.com/chat-platform/chat/local/client"
	"github.com/chat-platform/chat/local/datadir"
	"github.com/chat-platform/chat/local/platform"
	"github.com/chat-platform/chat/local/platform/platformtest"
)

func newClient(t *testing.T, p *platformtest.Platform, user string) *client.Client {
	t.Helper()
	c, err := client.New(p.URL, user)
	require.NoError(t, err)
	return c
}

// next reads frames until the next event of a sent message.
func next(t *testing.T, s *client.Socket) (client.Frame, events.MessageSent) {
	t.Helper()
	for {
		f, err := s.Next(t.Context())
		require.NoError(t, err)
		if f.Op == "event" && f.Type == events.TypeMessageSent {
			var m events.MessageSent
			require.NoError(t, json.Unmarshal(f.Data, &m))
			return f, m
		}
	}
}

func TestTwoPeopleTalk(t *testing.T) { twoPeopleTalk(t) }

// A log that others run: the platform starts no server, and all else is as ever.
func TestALogElsewhere(t *testing.T) {
	srv := natstest.Start(t)
	dir := twoPeopleTalk(t, "NATS_URL="+srv.ClientURL())
	assert.NoDirExists(t, filepath.Join(dir, datadir.Log))

	p := platformtest.Start(t, dir, "NATS_URL="+srv.ClientURL())
	assert.Contains(t, p.Output(), "NATS       "+srv.ClientURL()+"\n")
	code, out := run(t, "PORT=0", "DATA_DIR="+dir, "NATS_URL="+srv.ClientURL())
	assert.Equal(t, 1, code)
	assert.Contains(t, out, dir, "the data folder is one platform's all the same")
}

// twoPeopleTalk is the whole flow: two people, one channel, live, history,
// search, a dropped connection, a restart. It gives the data folder.
func twoPeopleTalk(t *testing.T, environ ...string) string {
	t.Helper()
	p := platformtest.Start(t, "", environ...)
	alice, bob := newClient(t, p, "alice"), newClient(t, p, "bob")
	require.NoError(t, alice.CreateChannel(t.Context(), "ch_general", "General", "talk"))

	_, err := bob.Send(t.Context(), "ch_general", "let me in", events.NewClientID())
	var problem *client.Problem
	require.ErrorAs(t, err, &problem)
	assert.Equal(t, http.StatusForbidden, problem.Status)
	assert.Equal(t, "not_a_member", problem.Code)
	assert.NotEmpty(t, problem.RequestID)

	socket, ready, err := bob.Connect(t.Context(), "")
	require.NoError(t, err)
	require.Equal(t, "ready", ready.Op)
	require.NoError(t, bob.Join(t.Context(), "ch_general"))

	id := events.NewClientID()
	first, err := alice.Send(t.Context(), "ch_general", "hello bob 😀", id)
	require.NoError(t, err)
	frame, message := next(t, socket)
	assert.Equal(t, first.Seq, frame.Seq)
	assert.Equal(t, first.ID, message.ID)
	assert.Equal(t, "hello bob 😀", message.Text)
	assert.Empty(t, message.ClientID, "the client id is the author's alone")

	again, err := alice.Send(t.Context(), "ch_general", "hello bob 😀", id)
	require.NoError(t, err)
	assert.Equal(t, first.ID, again.ID)
	assert.Equal(t, first.Seq, again.Seq)
	_, err = alice.Send(t.Context(), "ch_general", "something else", id)
	require.ErrorAs(t, err, &problem)
	assert.Equal(t, http.StatusUnprocessableEntity, problem.Status)

	// Bob's connection drops; what he missed comes when he resumes.
	socket.Drop()
	missed, err := alice.Send(t.Context(), "ch_general", "are you there?", events.NewClientID())
	require.NoError(t, err)
	var seen []uint64 // replayed before "resumed", or live after it
	socket, resumed, err := bob.Resume(t.Context(), frame.Cursor, func(f client.Frame) { seen = append(seen, f.Seq) })
	require.NoError(t, err)
	defer socket.Drop()
	require.Equal(t, "resumed", resumed.Op)
	require.Len(t, seen, resumed.Replayed)
	if resumed.Replayed == 0 {
		frame, _ = next(t, socket)
		seen = append(seen, frame.Seq)
	}
	assert.Equal(t, []uint64{missed.Seq}, seen)

	page, err := bob.HistoryAfter(t.Context(), "ch_general", 0, 100)
	require.NoError(t, err)
	require.Len(t, page.Messages, 2)
	assert.Equal(t, []uint64{first.Seq, missed.Seq}, []uint64{page.Messages[0].Seq, page.Messages[1].Seq})

	require.Eventually(t, func() bool {
		found, err := bob.Search(t.Context(), "are you", "", "")
		return err == nil && found.IndexedThrough >= missed.Seq && len(found.Hits) == 1
	}, waitLong, waitStep)

	require.Zero(t, p.Stop(t), "SIGTERM drains and exits 0: %s", p.Output())
	p = platformtest.Start(t, p.Dir, environ...)
	bob = newClient(t, p, "bob")
	page, err = bob.HistoryAfter(t.Context(), "ch_general", 0, 100)
	require.NoError(t, err)
	require.Len(t, page.Messages, 2, "data survives a restart")
	require.Zero(t, p.Stop(t))
	return p.Dir
}

func TestRoutes(t *testing.T) {
	p := platformtest.Start(t, "", "CORS_ORIGINS=https://app.example")
	get := func(method, path string) (*http.Response, string) {
		req, err := http.NewRequestWithContext(t.Context(), method, p.URL+path, nil)
		require.NoError(t, err)
		req.Header.Set("Origin", "https://app.example")
		res, err := http.DefaultClient.Do(req)
		require.NoError(t, err)
		defer res.Body.Close()
		b, err := io.ReadAll(res.Body)
		require.NoError(t, err)
		return res, string(b)
	}
	require.Eventually(t, func() bool {
		res, _ := get("GET", "/health/readiness")
		return res.StatusCode == http.StatusOK
	}, waitLong, waitStep)
	for _, tt := range []struct {
		method, path string
		status       int
		holds        string
	}{
		{"GET", "/", 200, "<html"},
		{"GET", "/v1/config", 200, `"websocket_path":"/ws"`},
		{"GET", "/v1/channels", 401, `"code":"token_missing"`},
		{"GET", "/v1/nonsense", 404, `"code":`},
		{"DELETE", "/v1/channels", 405, `"code":`},
		{"POST", "/functions/messagewriter", 404, `"status":404`},
		{"GET", "/health/liveness", 200, "ok"},
		{"GET", "/health/readiness", 200, "ok"},
		{"GET", "/metrics", 200, "chat_process_info"},
		{"GET", "/dev/.well-known/openid-configuration", 200, "token_endpoint"},
	} {
		res, body := get(tt.method, tt.path)
		assert.Equal(t, tt.status, res.StatusCode, "%s %s: %s", tt.method, tt.path, body)
		assert.Contains(t, body, tt.holds, "%s %s", tt.method, tt.path)
	}
	res, _ := get("GET", "/v1/config")
	assert.Equal(t, "https://app.example", res.Header.Get("Access-Control-Allow-Origin"))
}

// run starts a platform that is not expected to come up.
func run(t *testing.T, environ ...string) (int, string) {
	t.Helper()
	var out bytes.Buffer
	code := process.Run("chat", process.World{Args: []string{"run"}, Environ: environ, Stdout: &out, Stderr: &out}, platform.Run)
	return code, out.String()
}

func TestRefusals(t *testing.T) {
	ln, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer ln.Close()
	_, taken, err := net.SplitHostPort(ln.Addr().String())
	require.NoError(t, err)
	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))

	for _, tt := range []struct {
		name    string
		environ []string
		want    string
	}{
		{"a port in use", []string{"PORT=" + taken, "DATA_DIR=" + t.TempDir()}, taken},
		{"a data folder that cannot be", []string{"PORT=0", "DATA_DIR=" + filepath.Join(file, "data")}, file},
		{"an address that the network reaches", []string{"PORT=0", "LISTEN_ADDRESS=0.0.0.0", "DATA_DIR=" + t.TempDir()}, "OIDC_ISSUER"},
		{"a public URL that is none", []string{"PORT=0", "PUBLIC_URL=here", "DATA_DIR=" + t.TempDir()}, "PUBLIC_URL"},
		{"a rate that is none", []string{"PORT=0", "RATE_LIMIT_SEND=often", "DATA_DIR=" + t.TempDir()}, "RATE_LIMIT_SEND"},
		{"a Redis that is none", []string{"PORT=0", "RATE_LIMIT_SEND=5/1s", "REDIS_URL=here", "DATA_DIR=" + t.TempDir()}, "REDIS_URL"},
		{"a NATS port that is none", []string{"PORT=0", "NATS_PORT=70000", "DATA_DIR=" + t.TempDir()}, "NATS_PORT"},
		{"a NATS port of another's log", []string{"PORT=0", "NATS_PORT=-1", "NATS_URL=nats://127.0.0.1:1", "DATA_DIR=" + t.TempDir()}, "NATS_URL"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			code, out := run(t, tt.environ...)
			assert.Equal(t, 1, code)
			assert.Contains(t, out, tt.want)
			assert.NotContains(t, out, "secret")
			assert.Equal(t, 1, strings.Count(strings.TrimSpace(out), "\n")+1, "one line says it: %s", out)
		})
	}
}

func TestOneDataFolderOnePlatform(t *testing.T) {
	p := platformtest.Start(t, "")
	code, out := run(t, "PORT=0", "DATA_DIR="+p.Dir)
	assert.Equal(t, 1, code)
	assert.Contains(t, out, p.Dir)
}

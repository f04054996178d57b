package notification_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/stretchr/testify/require"

	"github.com/chat-platform/chat/infra/nats/natstest"
	"github.com/chat-platform/chat/longrunning/notification"
)

func TestHandshake(t *testing.T) {
	log := natstest.Open(t)
	startFanout(t, log, "f1")
	i := startInstance(t, log, notification.Config{HeartbeatInterval: 25 * time.Second, IdentifyTimeout: 10 * time.Second})
	c := &client{t: t}
	conn, _, err := websocket.Dial(t.Context(), i.url+"/ws", nil)
	require.NoError(t, err)
	defer conn.CloseNow()
	c.conn = conn
	o := c.next()
	require.Equal(t, op{Op: "hello", Interval: 25_000, Timeout: 10_000, SessionMS: 10_000}, o)
	c.say("heartbeat")
	require.Equal(t, op{Op: "heartbeat_ack"}, c.next(), "without a session there is no cursor")
	c.say("identify", "token", "alice")
	o = c.next()
	require.Equal(t, "ready", o.Op)
	require.Equal(t, "alice", o.User)
	require.NotEmpty(t, o.Session)
	require.NotEmpty(t, o.Cursor)
	c.say("heartbeat")
	require.NotEmpty(t, c.next().Cursor)
	c.say("reauthenticate", "token", "alice/1h")
	require.NoError(t, conn.Ping(c.pumped()))
	require.NoError(t, conn.Close(websocket.StatusNormalClosure, "bye"))
}

// pumped reads in the background, as a ping needs it.
func (c *client) pumped() context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	c.t.Cleanup(cancel)
	go func() {
		for {
			if _, _, err := c.conn.Read(ctx); err != nil {
				return
			}
		}
	}()
	return ctx
}

func TestWhatClosesASession(t *testing.T) {
	log := natstest.Open(t)
	startFanout(t, log, "f1")
	i := startInstance(t, log, notification.Config{MaxMessageBytes: 1000})
	for name, test := range map[string]struct {
		user   string // identified first
		raw    string
		binary bool
		code   int
		reason string
	}{
		"bad JSON":                 {raw: `{"op":`, code: 4500, reason: "bad JSON"},
		"not an object":            {raw: `[]`, code: 4500, reason: "bad JSON"},
		"no op":                    {raw: `{}`, code: 4500, reason: "op is missing"},
		"unknown op":               {raw: `{"op":"subscribe"}`, code: 4500, reason: `"subscribe"`},
		"long unknown op":          {raw: `{"op":"` + strings.Repeat("é", 400) + `"}`, code: 4500, reason: "unknown op"},
		"no token":                 {raw: `{"op":"identify"}`, code: 4500, reason: "token is missing"},
		"no cursor":                {raw: `{"op":"resume","token":"alice"}`, code: 4500, reason: "cursor is missing"},
		"identified twice":         {user: "alice", raw: `{"op":"identify","token":"alice"}`, code: 4500, reason: "identified already"},
		"bad token":                {raw: `{"op":"identify","token":"bad"}`, code: 4501, reason: "token_invalid"},
		"bad token on resume":      {raw: `{"op":"resume","token":"bad","cursor":"x"}`, code: 4501, reason: "token_invalid"},
		"expired token":            {raw: `{"op":"identify","token":"alice/-1s"}`, code: 4501, reason: "token_expired"},
		"issuer down":              {raw: `{"op":"identify","token":"down"}`, code: 4005, reason: "verified"},
		"reauthenticate too early": {raw: `{"op":"reauthenticate","token":"alice"}`, code: 4500, reason: "not identified"},
		"another user's token":     {user: "alice", raw: `{"op":"reauthenticate","token":"bob"}`, code: 4501, reason: "another user"},
		"bad new token":            {user: "alice", raw: `{"op":"reauthenticate","token":"bad"}`, code: 4501, reason: "token_invalid"},
		"too long":                 {raw: strings.Repeat("x", 1001), code: 1009, reason: "1000 bytes"},
		"binary":                   {raw: `{"op":"heartbeat"}`, binary: true, code: 1003, reason: "binary"},
		"not UTF-8":                {raw: "{\"op\":\"\xff\"}", code: 1007, reason: "UTF-8"},
	} {
		t.Run(name, func(t *testing.T) {
			c := dial(t, i)
			if test.user != "" {
				c.say("identify", "token", test.user)
				require.Equal(t, "ready", c.next().Op)
			}
			kind := websocket.MessageText
			if test.binary {
				kind = websocket.MessageBinary
			}
			require.NoError(t, c.conn.Write(t.Context(), kind, []byte(test.raw)))
			code, reason := c.closed()
			require.Equal(t, test.code, code, reason)
			require.Contains(t, reason, test.reason)
		})
	}
	t.Run("an issuer that is down does not end a session", func(t *testing.T) {
		c, _ := identify(t, i, "alice")
		c.say("reauthenticate", "token", "down")
		c.say("heartbeat")
		require.Equal(t, "heartbeat_ack", c.next().Op)
	})
}

func TestInvalidSession(t *testing.T) {
	log := natstest.Open(t)
	f := startFanout(t, log, "f1")
	i := startInstance(t, log, notification.Config{})
	other := natstest.Open(t)
	startFanout(t, other, "f1")
	_, foreign := identify(t, startInstance(t, other, notification.Config{}), "alice")
	join(t, log, "ch_a", "alice")
	send(t, log, "ch_a", "bob", "1")
	f.settle()
	_, mine := identify(t, i, "alice")
	for name, test := range map[string]struct{ cursor, reason string }{
		"another log":  {foreign, "cursor_of_another_log"},
		"not base64":   {"%%%", "cursor_malformed"},
		"another form": {"Zm9v", "cursor_malformed"},
		"cut off":      {mine[:len(mine)-4], "cursor_malformed"},
		"long":         {strings.Repeat("A", 500), "cursor_malformed"},
		"ahead":        {notification.CursorAhead(t, mine), "cursor_ahead_of_log"},
	} {
		t.Run(name, func(t *testing.T) {
			c := dial(t, i)
			c.say("resume", "token", "alice", "cursor", test.cursor)
			require.Equal(t, op{Op: "invalid_session", Reason: test.reason}, c.next())
			c.say("identify", "token", "alice")
			require.Equal(t, "ready", c.next().Op, "the same socket goes on")
			seq := send(t, log, "ch_a", "bob", "2")
			require.Equal(t, seq, c.next().Seq)
		})
	}
}

func TestTimeouts(t *testing.T) {
	log := natstest.Open(t)
	startFanout(t, log, "f1")
	t.Run("not identified", func(t *testing.T) {
		i := startInstance(t, log, notification.Config{IdentifyTimeout: 30 * time.Millisecond})
		code, _ := dial(t, i).closed()
		require.Equal(t, 4003, code)
	})
	t.Run("no heartbeat", func(t *testing.T) {
		i := startInstance(t, log, notification.Config{HeartbeatInterval: 20 * time.Millisecond, HeartbeatTimeout: 200 * time.Millisecond})
		c := dial(t, i)
		c.say("identify", "token", "alice")
		code, _ := c.closed()
		require.Equal(t, 4002, code)
	})
	t.Run("token expires", func(t *testing.T) {
		i := startInstance(t, log, notification.Config{HeartbeatTimeout: 20 * time.Millisecond})
		c := dial(t, i)
		c.say("identify", "token", "alice/1500ms")
		code, _ := c.closed()
		require.Equal(t, 4004, code)
	})
	t.Run("no fan-out", func(t *testing.T) {
		lone := natstest.Open(t)
		f := startFanout(t, lone, "f1")
		i := startInstance(t, lone, notification.Config{StartTimeout: 50 * time.Millisecond})
		f.set(func() { f.mute = true })
		c := dial(t, i)
		c.say("identify", "token", "alice")
		code, _ := c.closed()
		require.Equal(t, 4005, code)
	})
}

func TestFragmentsAndPings(t *testing.T) {
	log := natstest.Open(t)
	startFanout(t, log, "f1")
	i := startInstance(t, log, notification.Config{})
	c := dial(t, i)
	w, err := c.conn.Writer(t.Context(), websocket.MessageText)
	require.NoError(t, err)
	for _, part := range []string{`{"op":"iden`, `tify","tok`, `en":"alice"}`} { // each a fragment: flushed
		_, err = io.WriteString(w, part+strings.Repeat(" ", 5000))
		require.NoError(t, err)
	}
	require.NoError(t, w.Close())
	code, reason := c.closed()
	require.Equal(t, 4500, code, "blanks inside the words")
	require.Contains(t, reason, "unknown op")

	c = dial(t, i)
	w, err = c.conn.Writer(t.Context(), websocket.MessageText)
	require.NoError(t, err)
	for _, part := range []string{`{"op":"identify",`, `"token":`, `"alice"}`} {
		_, err = io.WriteString(w, part+strings.Repeat(" ", 5000))
		require.NoError(t, err)
	}
	require.NoError(t, w.Close())
	require.Equal(t, "ready", c.next().Op)
}

func TestUpgradeIsRefused(t *testing.T) {
	log := natstest.Open(t)
	startFanout(t, log, "f1")
	i := startInstance(t, log, notification.Config{Origins: []string{"https://chat.example.com"}})
	get := func(url string, header http.Header) (int, string) {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
		require.NoError(t, err)
		r.Header = header
		resp, err := http.DefaultClient.Do(r)
		require.NoError(t, err)
		defer resp.Body.Close()
		var p struct{ Code string }
		b, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		if strings.HasPrefix(resp.Header.Get("Content-Type"), "application/problem+json") {
			require.NoError(t, json.Unmarshal(b, &p))
		}
		return resp.StatusCode, p.Code
	}
	status, code := get(i.url+"/ws", http.Header{})
	require.Equal(t, http.StatusUpgradeRequired, status)
	require.Equal(t, "upgrade_required", code)
	status, _ = get(i.url+"/other", http.Header{})
	require.Equal(t, http.StatusNotFound, status)
	status, _ = get(i.url+"/ws", http.Header{"Upgrade": {"websocket"}})
	require.Equal(t, http.StatusBadRequest, status)
	for origin, allowed := range map[string]bool{
		"https://chat.example.com": true, "https://CHAT.example.com": true, i.url: true,
		"https://evil.example.com": false, "null": false, "https://chat.example.com.evil.com": false,
	} {
		conn, resp, err := websocket.Dial(t.Context(), i.url+"/ws", &websocket.DialOptions{HTTPHeader: http.Header{"Origin": {origin}}})
		if allowed {
			require.NoError(t, err, origin)
			require.NoError(t, conn.CloseNow())
			continue
		}
		require.Error(t, err, origin)
		require.Equal(t, http.StatusForbidden, resp.StatusCode)
	}
	i.stop()
	require.ErrorContains(t, i.Ready(t.Context()), "drains")
}

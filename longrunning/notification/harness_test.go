package notification_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/chat-platform/chat/events"
	natslog "github.com/chat-platform/chat/infra/nats"
	"github.com/chat-platform/chat/longrunning/notification"
)

// patience bounds every wait; each ends as soon as what it waits for is there.
const patience = time.Minute

// verifier takes "user", "user#login" or "user/seconds to live" for a token.
type verifier struct{}

func (verifier) Verify(_ context.Context, token string) (events.Caller, error) {
	user, life, _ := strings.Cut(token, "/")
	user, login, _ := strings.Cut(user, "#")
	switch user {
	case "bad":
		return events.Caller{}, events.NewFault(events.ErrUnauthenticated, "token_invalid", "", "bad token")
	case "down":
		return events.Caller{}, fmt.Errorf("issuer: %w", events.ErrUnavailable)
	}
	c := events.Caller{User: events.UserID(user), Session: login, Issued: time.Now()}
	if life != "" {
		d, err := time.ParseDuration(life)
		if err != nil {
			return c, err
		}
		c.Expires = time.Now().Add(d)
	}
	return c, nil
}

type instance struct {
	*notification.Service
	url  string
	stop func() // ends Run and waits for it
}

func startInstance(tb testing.TB, log *natslog.Log, cfg notification.Config) *instance {
	tb.Helper()
	return startOn(tb, log, log.Bus(), cfg)
}

func startOn(tb testing.TB, log notification.Log, bus notification.Bus, cfg notification.Config) *instance {
	tb.Helper()
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.DrainSpread == 0 {
		cfg.DrainSpread = 50 * time.Millisecond
	}
	for _, bound := range []*time.Duration{&cfg.HeartbeatInterval, &cfg.IdentifyTimeout, &cfg.StartTimeout, &cfg.WriteTimeout, &cfg.CloseTimeout} {
		if *bound == 0 {
			*bound = patience // whoever tests nothing of time must not be cut off on a busy machine
		}
	}
	s := notification.New(log, bus, verifier{}, cfg)
	srv := httptest.NewServer(s.Handler())
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	i := &instance{Service: s, url: srv.URL}
	stopped := false
	i.stop = func() {
		if !stopped {
			stopped = true
			cancel()
			require.NoError(tb, <-done)
			srv.Close()
		}
	}
	tb.Cleanup(i.stop)
	require.Eventually(tb, func() bool { return s.Ready(tb.Context()) == nil }, patience, 5*time.Millisecond)
	return i
}

// op is anything that the server says.
type op struct {
	Op        string `json:"op"`
	User      string `json:"user_id"`
	Session   string `json:"session_id"`
	Cursor    string `json:"cursor"`
	Reason    string `json:"reason"`
	Replayed  int    `json:"replayed"`
	Limited   []lim  `json:"limited"`
	All       bool   `json:"limited_all"`
	Type      string `json:"type"`
	Stream    string `json:"stream"`
	Channel   string `json:"channel_id"`
	Seq       uint64 `json:"seq"`
	Prev      uint64 `json:"prev"`
	Trace     string `json:"traceparent"`
	Time      time.Time
	Interval  int64           `json:"heartbeat_interval_ms"`
	Timeout   int64           `json:"heartbeat_timeout_ms"`
	SessionMS int64           `json:"session_timeout_ms"`
	Data      json.RawMessage `json:"data"`
}

type lim struct {
	Channel string `json:"channel_id"`
	From    uint64 `json:"from_seq"`
}

func (o op) text(tb testing.TB) string {
	tb.Helper()
	var m events.MessageSent
	require.NoError(tb, json.Unmarshal(o.Data, &m))
	return m.Text
}

type client struct {
	t    testing.TB
	conn *websocket.Conn
}

func dial(tb testing.TB, i *instance) *client {
	tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	conn, _, err := websocket.Dial(ctx, "ws"+strings.TrimPrefix(i.url, "http")+"/ws", nil)
	require.NoError(tb, err)
	conn.SetReadLimit(-1)
	tb.Cleanup(func() { _ = conn.CloseNow() })
	c := &client{tb, conn}
	require.Equal(tb, "hello", c.next().Op)
	return c
}

func (c *client) say(op string, fields ...string) {
	c.t.Helper()
	m := map[string]string{"op": op}
	for i := 0; i < len(fields); i += 2 {
		m[fields[i]] = fields[i+1]
	}
	b, err := json.Marshal(m)
	require.NoError(c.t, err)
	c.raw(string(b))
}

func (c *client) raw(s string) {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	require.NoError(c.t, c.conn.Write(ctx, websocket.MessageText, []byte(s)))
}

func (c *client) read() (op, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	_, b, err := c.conn.Read(ctx)
	if err != nil {
		return op{}, err
	}
	var o op
	if err := json.Unmarshal(b, &o); err != nil {
		return o, fmt.Errorf("%s: %w", b, err)
	}
	return o, nil
}

func (c *client) next() op {
	c.t.Helper()
	o, err := c.read()
	require.NoError(c.t, err)
	return o
}

// closed reads until the server closes, and gives its code and reason.
func (c *client) closed() (code int, reason string) {
	c.t.Helper()
	for {
		_, err := c.read()
		var ce websocket.CloseError
		if errors.As(err, &ce) {
			return int(ce.Code), ce.Reason
		}
		require.NoError(c.t, err)
	}
}

func identify(tb testing.TB, i *instance, user string) (*client, string) {
	tb.Helper()
	c := dial(tb, i)
	c.say("identify", "token", user)
	o := c.next()
	require.Equal(tb, "ready", o.Op)
	require.Equal(tb, strings.FieldsFunc(user, func(r rune) bool { return r == '/' || r == '#' })[0], o.User)
	return c, o.Cursor
}

// resume reads the replay, too.
func resume(tb testing.TB, i *instance, user, cursor string) (*client, []op, op) {
	tb.Helper()
	c := dial(tb, i)
	c.say("resume", "token", user, "cursor", cursor)
	var replay []op
	for {
		o := c.next()
		if o.Op != "event" {
			return c, replay, o
		}
		replay = append(replay, o)
	}
}

func publish(tb testing.TB, log *natslog.Log, e events.Event) uint64 {
	tb.Helper()
	ack, err := log.Publish(context.Background(), e)
	require.NoError(tb, err)
	return ack.Seq
}

func event(kind, subject, channel string, payload any) events.Event {
	data, err := json.Marshal(payload)
	if err != nil {
		panic(err)
	}
	return events.Event{ID: "evt_" + uuid.NewString(), Source: "/test", Type: kind, Subject: subject,
		PartitionKey: channel, Time: time.Now().UTC(), Data: data}
}

func message(channel, author, text string) events.Event {
	c, a := events.ChannelID(channel), events.UserID(author)
	id := events.NewClientID()
	return event(events.TypeMessageSent, events.MessageSubject(c), channel, events.MessageSent{
		ID: events.NewMessageID(a, c, id), ChannelID: c, AuthorID: a, Text: text, SentAt: time.Now().UTC(), ClientID: id})
}

func send(tb testing.TB, log *natslog.Log, channel, author, text string) uint64 {
	tb.Helper()
	return publish(tb, log, message(channel, author, text))
}

func join(tb testing.TB, log *natslog.Log, channel, user string) uint64 {
	tb.Helper()
	c, u := events.ChannelID(channel), events.UserID(user)
	return publish(tb, log, event(events.TypeMemberJoined, events.MemberSubject(c, u), channel,
		events.MemberJoined{ChannelID: c, UserID: u, Role: events.RoleMember, At: time.Now().UTC()}))
}

func leave(tb testing.TB, log *natslog.Log, channel, user string) uint64 {
	tb.Helper()
	c, u := events.ChannelID(channel), events.UserID(user)
	return publish(tb, log, event(events.TypeMemberLeft, events.MemberSubject(c, u), channel,
		events.MemberLeft{ChannelID: c, UserID: u, At: time.Now().UTC()}))
}

package notification_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"testing"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"
	"github.com/stretchr/testify/require"

	"github.com/chat-platform/chat/events"
	natslog "github.com/chat-platform/chat/infra/nats"
	"github.com/chat-platform/chat/longrunning/internal/link"
)

// memory is a log and a bus without a server, for what must be measured or timed
// alone: every user is a member of one channel, and frames are what push is
// given.
type memory struct {
	channel string
	mu      sync.Mutex
	name    string
	frames  func(natslog.BusMessage)
	id      link.ID
	number  uint64
	pos     link.Positions
}

func (m *memory) Range(_ context.Context, stream string, filters []string, from, to uint64, f func(events.Event) error) error {
	if stream != events.StreamMetadata || len(filters) != 1 || from > 1 || to < 1 {
		return nil
	}
	var user string
	if _, err := fmt.Sscanf(filters[0], "members.*.%s", &user); err != nil {
		return err
	}
	data, err := json.Marshal(events.MemberJoined{ChannelID: events.ChannelID(m.channel), UserID: events.UserID(user), Role: events.RoleMember})
	if err != nil {
		return err
	}
	return f(events.Event{ID: "e", Source: "/test", Type: events.TypeMemberJoined, Subject: "members." + m.channel + "." + user, Sequence: 1, Data: data})
}

func (m *memory) LastBefore(context.Context, []string, uint64) (map[string]uint64, error) {
	return map[string]uint64{}, nil
}

func (m *memory) FirstSequence(context.Context, string) (uint64, error) { return 1, nil }

func (m *memory) ReadSnapshot(context.Context, string) ([]byte, error) { return nil, nil }

func (m *memory) WriteSnapshot(context.Context, string, []byte) error { return nil }

func (m *memory) LastSequence(context.Context, string) (uint64, error) { return 1, nil }

func (m *memory) Epoch(context.Context) (string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return "memory" + m.name, nil
}

// replace makes it another log, and breaks the link.
func (m *memory) replace(name string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.name = name
	m.number++
}

func (m *memory) Subscribe(_, _ string, f func(natslog.BusMessage)) (func(), error) {
	m.frames = f
	return func() {}, nil
}

func (m *memory) Request(_ context.Context, _ string, data []byte) ([]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	r, err := link.ParseRequest(data)
	if err != nil {
		return nil, err
	}
	m.pos.Metadata = 1
	if a, ok := r.(link.Attach); ok {
		m.id, m.number = a.Link, 0
	}
	go m.push(nil) // a tick, so that the link stays alive
	return link.Answer{FanOut: "f", Positions: m.pos}.Append(nil), nil
}

// push sends a frame of messages to the channel.
func (m *memory) push(texts []string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	f := link.Frame{Link: m.id, Number: m.number + 1}
	m.number++
	for _, text := range texts {
		e := message(m.channel, "bob", text)
		m.pos.Messages++
		e.Sequence = m.pos.Messages
		f.Events = append(f.Events, link.Item{Event: e, Stream: events.StreamMessages, Prev: e.Sequence - 1})
	}
	f.After = m.pos
	m.frames(natslog.BusMessage{Data: f.Append(nil)})
}

// plug is a client that costs next to nothing.
type plug struct {
	net.Conn
	r *bufio.Reader
}

func newPlug(tb testing.TB, conn net.Conn, user string) *plug {
	tb.Helper()
	_, err := io.WriteString(conn, "GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
	require.NoError(tb, err)
	p := &plug{conn, bufio.NewReaderSize(conn, 1024)}
	resp, err := http.ReadResponse(p.r, nil)
	require.NoError(tb, err)
	require.NoError(tb, resp.Body.Close())
	require.Equal(tb, http.StatusSwitchingProtocols, resp.StatusCode)
	require.Equal(tb, "hello", p.next(tb).Op)
	p.say(tb, fmt.Sprintf(`{"op":"identify","token":%q}`, user))
	require.Equal(tb, "ready", p.next(tb).Op)
	return p
}

func (p *plug) say(tb testing.TB, text string) {
	tb.Helper()
	require.NoError(tb, ws.WriteFrame(p.Conn, ws.MaskFrameInPlace(ws.NewTextFrame([]byte(text)))))
}

func (p *plug) next(tb testing.TB) op {
	tb.Helper()
	b, _, err := wsutil.ReadServerData(struct {
		io.Reader
		io.Writer
	}{p.r, p.Conn})
	require.NoError(tb, err)
	var o op
	require.NoError(tb, json.Unmarshal(b, &o))
	return o
}

package client

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/coder/websocket"

	"github.com/chat-platform/chat/events"
)

// Frame is what the platform says on a WebSocket.
type Frame struct {
	Op        string           `json:"op"`
	Type      string           `json:"type"`
	ChannelID events.ChannelID `json:"channel_id"`
	Seq       uint64           `json:"seq"`
	Prev      uint64           `json:"prev"`
	Cursor    string           `json:"cursor"`
	Replayed  int              `json:"replayed"`
	Limited   []Limited        `json:"limited"`     // channels of which not everything was replayed
	LimitAll  bool             `json:"limited_all"` // nothing was: too much had come
	Reason    string           `json:"reason"`
	Heartbeat int              `json:"heartbeat_interval_ms"`
	Data      json.RawMessage  `json:"data"`
}

// Limited is a channel that was too far behind: what comes from FromSeq on is to
// be read from its history.
type Limited struct {
	ChannelID events.ChannelID `json:"channel_id"`
	FromSeq   uint64           `json:"from_seq"`
}

// Socket is an identified WebSocket session. It is for one reading goroutine.
type Socket struct {
	conn   *websocket.Conn
	cancel context.CancelFunc
}

// Connect opens a WebSocket and identifies, or resumes where cursor is not
// empty. Heartbeats are sent until the socket is closed. The frame is the
// platform's "ready", "resumed" or "invalid_session"; what is replayed before it is
// passed over.
func (c *Client) Connect(ctx context.Context, cursor string) (*Socket, Frame, error) {
	return c.Resume(ctx, cursor, func(Frame) {})
}

// Resume is Connect with what is replayed given to f, in order.
func (c *Client) Resume(ctx context.Context, cursor string, f func(Frame)) (*Socket, Frame, error) {
	fail := func(err error) (*Socket, Frame, error) {
		return nil, Frame{}, fmt.Errorf("connect %s: %w", c.user, err)
	}
	token, err := c.Token(ctx)
	if err != nil {
		return fail(err)
	}
	p, err := c.Platform(ctx)
	if err != nil {
		return fail(err)
	}
	at := *c.base
	at.Scheme, at.Path = "ws"+at.Scheme[len("http"):], p.WebSocketPath
	conn, _, err := websocket.Dial(ctx, at.String(), nil) //nolint:bodyclose // the library closes it
	if err != nil {
		return fail(err)
	}
	conn.SetReadLimit(16 << 20)
	beating, cancel := context.WithCancel(context.WithoutCancel(ctx))
	s := &Socket{conn: conn, cancel: cancel}
	hello, err := s.Next(ctx)
	if err != nil {
		s.Close()
		return fail(err)
	}
	op := map[string]string{"op": "identify", "token": token}
	if cursor != "" {
		op["op"], op["cursor"] = "resume", cursor
	}
	if err := s.write(ctx, op); err != nil {
		s.Close()
		return fail(err)
	}
	ready, err := s.Next(ctx)
	for err == nil && ready.Op != "ready" && ready.Op != "resumed" && ready.Op != "invalid_session" {
		f(ready)
		ready, err = s.Next(ctx)
	}
	if err != nil {
		s.Close()
		return fail(err)
	}
	go s.beat(beating, time.Duration(hello.Heartbeat)*time.Millisecond)
	return s, ready, nil
}

// Next waits for the next frame.
func (s *Socket) Next(ctx context.Context) (Frame, error) {
	_, b, err := s.conn.Read(ctx)
	if err != nil {
		return Frame{}, fmt.Errorf("read the socket: %w", err)
	}
	var f Frame
	if err := json.Unmarshal(b, &f); err != nil {
		return Frame{}, fmt.Errorf("read the socket: %w", err)
	}
	return f, nil
}

func (s *Socket) write(ctx context.Context, op map[string]string) error {
	b, err := json.Marshal(op)
	if err != nil {
		return fmt.Errorf("write the socket: %w", err)
	}
	return s.conn.Write(ctx, websocket.MessageText, b)
}

func (s *Socket) beat(ctx context.Context, every time.Duration) {
	if every <= 0 {
		every = 25 * time.Second
	}
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			if s.write(ctx, map[string]string{"op": "heartbeat"}) != nil {
				return
			}
		}
	}
}

// Close ends the session; the platform sees a normal closure.
func (s *Socket) Close() {
	s.cancel()
	_ = s.conn.Close(websocket.StatusNormalClosure, "")
}

// Drop cuts the connection without a word, as a network does.
func (s *Socket) Drop() {
	s.cancel()
	_ = s.conn.CloseNow()
}

package notification

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"

	"github.com/gobwas/ws"

	"github.com/chat-platform/chat/events"
)

// Close codes. A client comes back after 4000 to 4499 and stays away after 4500
// to 4999.
const (
	CloseGoingAway       ws.StatusCode = 4000 // the instance drains: resume elsewhere
	CloseSlow            ws.StatusCode = 4001 // the client did not keep up: resume
	CloseHeartbeat       ws.StatusCode = 4002 // no heartbeat came: resume
	CloseNotIdentified   ws.StatusCode = 4003 // neither identify nor resume came in time
	CloseTokenExpired    ws.StatusCode = 4004 // get a new token, then resume
	CloseUnavailable     ws.StatusCode = 4005 // the log, the fan-out or the issuer can't be reached: resume later
	CloseProtocolError   ws.StatusCode = 4500 // an op that can't be read, or at the wrong time
	CloseUnauthenticated ws.StatusCode = 4501 // the token is missing, not good, or another user's
	CloseSignedOut       ws.StatusCode = 4502 // the user was disabled, deleted or logged out, the reason says which: log in
)

// Ops of the client.
const (
	opIdentify       = "identify"
	opResume         = "resume"
	opHeartbeat      = "heartbeat"
	opReauthenticate = "reauthenticate"
)

// request is an op of the client. Fields that are not known are ignored, so
// that newer clients can talk to older instances.
type request struct {
	Op     string `json:"op"`
	Token  string `json:"token"`
	Cursor string `json:"cursor"`
}

// parseRequest reads an op. Its errors are reasons of a close frame.
func parseRequest(b []byte) (request, error) {
	var r request
	if err := json.Unmarshal(b, &r); err != nil {
		return request{}, fmt.Errorf("bad JSON: %w", err)
	}
	switch r.Op {
	case opIdentify, opResume, opReauthenticate:
		if r.Token == "" {
			return request{}, fmt.Errorf("%s: token is missing", r.Op)
		}
		if r.Op == opResume && r.Cursor == "" {
			return request{}, fmt.Errorf("%s: cursor is missing", r.Op)
		}
	case opHeartbeat:
	case "":
		return request{}, errors.New("op is missing")
	default:
		return request{}, fmt.Errorf("unknown op %.40q", r.Op)
	}
	return r, nil
}

// limit names a channel of which a replay left events out, from from_seq on.
type limit struct {
	Channel events.ChannelID `json:"channel_id"`
	From    uint64           `json:"from_seq"`
}

// answer is an op of the server other than an event.
type answer struct {
	Op                string  `json:"op"`
	HeartbeatInterval int64   `json:"heartbeat_interval_ms,omitempty"`
	HeartbeatTimeout  int64   `json:"heartbeat_timeout_ms,omitempty"`
	SessionTimeout    int64   `json:"session_timeout_ms,omitempty"`
	User              string  `json:"user_id,omitempty"`
	Session           string  `json:"session_id,omitempty"`
	Cursor            string  `json:"cursor,omitempty"`
	Replayed          *int    `json:"replayed,omitempty"`
	Limited           []limit `json:"limited,omitempty"`
	LimitedAll        bool    `json:"limited_all,omitempty"`
	Reason            string  `json:"reason,omitempty"`
}

// frame is the op as a whole WebSocket frame.
func (a answer) frame() []byte {
	b := beginFrame(128)
	j, err := json.Marshal(a)
	if err != nil {
		panic(err) // strings and numbers only
	}
	return endFrame(append(b, j...))
}

func hello(c Config) []byte {
	return answer{Op: "hello", HeartbeatInterval: c.HeartbeatInterval.Milliseconds(),
		HeartbeatTimeout: c.HeartbeatTimeout.Milliseconds(), SessionTimeout: c.IdentifyTimeout.Milliseconds()}.frame()
}

func heartbeatAck(c *cursor, e epoch) []byte {
	b := append(beginFrame(96), `{"op":"heartbeat_ack"`...)
	if c != nil {
		b = append(b, `,"cursor":"`...)
		b = append(c.append(b, e), '"')
	}
	return endFrame(append(b, '}'))
}

// maxHeader is the longest header of a frame from the server, which masks nothing.
const maxHeader = 10

// beginFrame makes room for a header and about size bytes of payload.
func beginFrame(size int) []byte { return make([]byte, maxHeader, maxHeader+size) }

// endFrame puts the header of a text frame in front of what was appended to
// beginFrame's buffer, and gives both.
func endFrame(b []byte) []byte {
	n := len(b) - maxHeader
	first := byte(0x80) | byte(ws.OpText)
	switch {
	case n < 126:
		b = b[maxHeader-2:]
		b[1] = byte(n)
	case n < 1<<16:
		b = b[maxHeader-4:]
		b[1], b[2], b[3] = 126, byte(n>>8), byte(n)
	default:
		b = b[maxHeader-10:]
		b[1] = 127
		for i := range 8 {
			b[2+i] = byte(uint64(n) >> (56 - 8*i))
		}
	}
	b[0] = first
	return b
}

// closeFrame is a close frame; reasons are cut to what fits.
func closeFrame(code ws.StatusCode, reason string) []byte {
	if limit := ws.MaxControlFramePayloadSize - 2; len(reason) > limit {
		for limit > 0 && reason[limit]&0xc0 == 0x80 { // not inside a rune
			limit--
		}
		reason = reason[:limit]
	}
	return ws.MustCompileFrame(ws.NewCloseFrame(ws.NewCloseFrameBody(code, reason)))
}

// appendText appends s as a JSON string.
func appendText(b []byte, s string) []byte {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c >= 0x7f || c == '"' || c == '\\' {
			j, err := json.Marshal(s)
			if err != nil {
				panic(err) // a string always has a JSON form
			}
			return append(b, j...)
		}
	}
	b = append(b, '"')
	b = append(b, s...)
	return append(b, '"')
}

func appendNumber(b []byte, name string, n uint64) []byte {
	b = append(b, name...)
	return strconv.AppendUint(b, n, 10)
}

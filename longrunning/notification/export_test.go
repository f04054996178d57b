package notification

import (
	"encoding/base64"
	"encoding/binary"
	"testing"

	"github.com/chat-platform/chat/events"
	"github.com/chat-platform/chat/longrunning/internal/link"
)

// CursorAhead moves a cursor a million messages on.
func CursorAhead(tb testing.TB, s string) string {
	tb.Helper()
	b, err := base64.RawURLEncoding.DecodeString(s)
	if err != nil {
		tb.Fatal(err)
	}
	e := epoch(binary.BigEndian.Uint64(b[len(b)-8:]))
	c, err := parseCursor(s, e)
	if err != nil {
		tb.Fatal(err)
	}
	c.at.Messages += 1_000_000
	return string(c.append(nil, e))
}

// ParseCursor gives what is in a cursor, and the cursor written anew.
func ParseCursor(s string, log string) (at link.Positions, base uint64, again string, err error) {
	e := epochOf(log)
	c, err := parseCursor(s, e)
	return c.at, c.base, string(c.append(nil, e)), err
}

// NewCursor writes a cursor.
func NewCursor(at link.Positions, base uint64, log string) string {
	return string(cursor{at, base}.append(nil, epochOf(log)))
}

// ParseRequest reads an op of a client.
func ParseRequest(b []byte) (op, token, cursor string, err error) {
	r, err := parseRequest(b)
	return r.Op, r.Token, r.Cursor, err
}

// ReadPayload splits an event's data.
var ReadPayload = readPayload

// Author, Own and Others are the parts of a payload.
func (p payload) Parts() (author string, own, others []byte) { return p.author, p.own, p.others }

// CloseFrame is a close frame.
var CloseFrame = closeFrame

// Keys is how many keys have sessions or had them until lately.
func (s *Service) Keys() int { return s.hub.size() }

// NewSnapshot writes a snapshot of memberships.
func NewSnapshot(seq uint64, id string, channels ...events.ChannelID) []byte {
	s := snapshot{last: eventID{seq, id}, channels: channels}
	return s.append(nil)
}

// ParseSnapshot reads a snapshot and writes it anew.
func ParseSnapshot(b []byte) (again []byte, err error) {
	s, err := parseSnapshot(b)
	return s.append(nil), err
}

package sqlite

import (
	"database/sql/driver"
	"encoding/base32"
	"encoding/hex"
	"strings"

	"github.com/google/uuid"

	"github.com/chat-platform/chat/events"
)

// Identities of the usual form are kept as the 16 bytes that they stand for,
// half the size of their text; all others as text.

const messagePrefix = "msg_"

var base32Encoding = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

func packMessageID(id events.MessageID) driver.Value {
	if b, ok := messageIDBytes(id); ok {
		return b
	}
	if id == "" {
		return nil
	}
	return string(id)
}

func messageIDBytes(id events.MessageID) ([]byte, bool) {
	rest, ok := strings.CutPrefix(string(id), messagePrefix)
	if !ok || len(rest) != 26 {
		return nil, false
	}
	b := make([]byte, 17)
	n, err := base32Encoding.Decode(b, []byte(rest))
	// 26 characters have two bits more than 16 bytes; where they are not zero,
	// the bytes alone don't tell the id.
	if err != nil || n != 16 || strings.IndexByte("aeimquy4", rest[25]) < 0 {
		return nil, false
	}
	return b[:16], true
}

func unpackMessageID(v any) events.MessageID {
	switch v := v.(type) {
	case []byte:
		b := make([]byte, 0, len(messagePrefix)+26)
		return events.MessageID(base32Encoding.AppendEncode(append(b, messagePrefix...), v))
	case string:
		return events.MessageID(v)
	}
	return ""
}

func packClientID(id events.ClientID) driver.Value {
	if id == "" {
		return nil
	}
	if u, err := uuid.Parse(string(id)); err == nil && len(id) == 36 && u.String() == string(id) {
		return u[:]
	}
	return string(id)
}

func unpackClientID(v any) events.ClientID {
	switch v := v.(type) {
	case []byte:
		if u, err := uuid.FromBytes(v); err == nil {
			return events.ClientID(u.String())
		}
	case string:
		return events.ClientID(v)
	}
	return ""
}

// appendKey appends what the SQL expression keyExpr turns back into the id as
// it is kept.
func appendKey(b []byte, id events.MessageID) []byte {
	if k, ok := messageIDBytes(id); ok {
		return hex.AppendEncode(append(b, 'x'), k)
	}
	return append(append(b, 't'), id...)
}

const keyExpr = "iif(substr(j.value, 1, 1) = 'x', unhex(substr(j.value, 2)), substr(j.value, 2))"

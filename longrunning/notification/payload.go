package notification

import (
	"bytes"
	"encoding/json"
	"unicode/utf8"

	"github.com/chat-platform/chat/events"
)

// payload is what the service needs to know of an event's data: whose message
// it is, and the data with and without the idempotency key, which is its
// author's alone.
type payload struct {
	author string // author_id, or ""
	own    []byte // as it came, valid JSON and UTF-8
	others []byte // without client_id; own itself where there is none
}

// readPayload checks and splits an event's data. Its errors match
// events.ErrInvalid. It costs about two nanoseconds a byte, once an event.
func readPayload(e events.Event) (payload, error) {
	data := e.Data
	if len(data) == 0 {
		data = []byte("{}")
	}
	if !json.Valid(data) {
		return payload{}, events.Invalid("invalid_payload", "data", "payload of %s %s is not JSON", e.Type, e.ID)
	}
	if !utf8.Valid(data) {
		data = bytes.ToValidUTF8(data, []byte("\uFFFD"))
	}
	p := payload{own: data, others: data}
	var others []byte
	keys := 0
	members(data, func(m member) {
		switch key(data[m.key:m.colon]) {
		case "author_id":
			if json.Unmarshal(data[m.value:m.end], &p.author) != nil {
				p.author = "" // not a string: nobody's
			}
		case "client_id":
			keys++
			return
		}
		if others == nil {
			others = make([]byte, 0, len(data))
		}
		others = append(append(others, ','), data[m.key:m.end]...)
	})
	if keys > 0 {
		p.others = []byte("{}")
		if len(others) > 0 {
			others[0] = '{'
			others = append(others, '}')
			p.others = others
		}
	}
	return p, nil
}

// key is the text of a member's key.
func key(quoted []byte) string {
	if bytes.IndexByte(quoted, '\\') < 0 {
		return string(quoted[1 : len(quoted)-1])
	}
	var s string
	if json.Unmarshal(quoted, &s) != nil {
		return "" // can't be: the whole is valid
	}
	return s
}

// member is where a member of an object stands: its key with quotes from key to
// colon, its value from value to end.
type member struct{ key, colon, value, end int }

// members calls f with each member of the object in data, which must be valid
// JSON; anything but an object has none.
func members(data []byte, f func(member)) {
	i := skipSpace(data, 0)
	if i >= len(data) || data[i] != '{' {
		return
	}
	for i = skipSpace(data, i+1); i < len(data) && data[i] == '"'; {
		var m member
		m.key = i
		m.colon = skipValue(data, i)
		m.value = skipSpace(data, skipSpace(data, m.colon)+1)
		m.end = skipValue(data, m.value)
		f(m)
		if i = skipSpace(data, m.end); i >= len(data) || data[i] != ',' {
			return
		}
		i = skipSpace(data, i+1)
	}
}

func skipSpace(b []byte, i int) int {
	for i < len(b) && (b[i] == ' ' || b[i] == '\t' || b[i] == '\n' || b[i] == '\r') {
		i++
	}
	return i
}

// skipValue gives the end of the value that begins at i in valid JSON.
func skipValue(b []byte, i int) int {
	depth := 0
	for ; i < len(b); i++ {
		switch b[i] {
		case '"':
			for i++; i < len(b) && b[i] != '"'; i++ {
				if b[i] == '\\' {
					i++
				}
			}
			if depth == 0 {
				return min(i+1, len(b))
			}
		case '{', '[':
			depth++
		case '}', ']':
			if depth--; depth == 0 {
				return i + 1
			} else if depth < 0 { // the end of the object around a number
				return i
			}
		case ',', ' ', '\t', '\n', '\r', ':':
			if depth == 0 {
				return i
			}
		}
	}
	return len(b)
}

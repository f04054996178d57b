package events

import (
	"encoding/binary"
	"encoding/json"
)

// scanner walks over JSON. Its methods return false where the text is not what
// RFC 8259 allows, with i near the place.
type scanner struct {
	b []byte
	i int
}

// maxDepth of nested arrays and objects, as encoding/json has it.
const maxDepth = 10_000

func (s *scanner) broken() *Fault {
	return Invalid("invalid_event", "", "CloudEvent: not JSON at byte %d", s.i)
}

func (s *scanner) space() {
	for s.i < len(s.b) {
		switch s.b[s.i] {
		case ' ', '\t', '\r', '\n':
			s.i++
		default:
			return
		}
	}
}

func (s *scanner) take(c byte) bool {
	if s.i < len(s.b) && s.b[s.i] == c {
		s.i++
		return true
	}
	return false
}

// attribute reads a string, or null, which leaves dst alone.
func (s *scanner) attribute(dst *string, like string) bool {
	if s.i < len(s.b) && s.b[s.i] == 'n' {
		return s.literal("null")
	}
	t, ok := s.text(like)
	if ok {
		*dst = t
	}
	return ok
}

// text reads a string. One that equals like is like, and so costs no memory.
func (s *scanner) text(like string) (string, bool) {
	begin := s.i
	plain, ok := s.str()
	if !ok {
		return "", false
	}
	if !plain {
		var t string
		err := json.Unmarshal(s.b[begin:s.i], &t)
		return t, err == nil
	}
	raw := s.b[begin+1 : s.i-1]
	if string(raw) == like {
		return like, true
	}
	return string(raw), true
}

// key reads the name of a member.
func (s *scanner) key() ([]byte, bool) {
	begin := s.i
	plain, ok := s.str()
	if !ok {
		return nil, false
	}
	if plain {
		return s.b[begin+1 : s.i-1], true
	}
	var k string
	err := json.Unmarshal(s.b[begin:s.i], &k)
	return []byte(k), err == nil
}

const (
	ones  = 0x0101010101010101
	highs = 0x8080808080808080
)

// str passes over a string; plain means that it says what its bytes are: ASCII
// without an escape.
func (s *scanner) str() (plain, ok bool) {
	if !s.take('"') {
		return false, false
	}
	plain = true
	b, i := s.b, s.i
	for {
		// Eight bytes at a time while none is a quote, a backslash or a control.
		for i+8 <= len(b) {
			x := binary.LittleEndian.Uint64(b[i:])
			q, e := x^(ones*'"'), x^(ones*'\\')
			if ((q-ones)&^q|(e-ones)&^e|(x-ones*' ')&^x)&highs != 0 {
				break
			}
			if x&highs != 0 {
				plain = false
			}
			i += 8
		}
		if i >= len(b) {
			s.i = i
			return false, false
		}
		switch c := b[i]; {
		case c == '"':
			s.i = i + 1
			return plain, true
		case c == '\\':
			plain = false
			n := escape(b[i+1:])
			if n == 0 {
				s.i = i
				return false, false
			}
			i += 1 + n
		case c < ' ':
			s.i = i
			return false, false
		default:
			if c >= 0x80 {
				plain = false
			}
			i++
		}
	}
}

// escape is the length of what follows a backslash, or 0.
func escape(b []byte) int {
	if len(b) == 0 {
		return 0
	}
	switch b[0] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return 1
	case 'u':
		if len(b) < 5 {
			return 0
		}
		for _, c := range b[1:5] {
			if (c < '0' || c > '9') && (c < 'a' || c > 'f') && (c < 'A' || c > 'F') {
				return 0
			}
		}
		return 5
	}
	return 0
}

// value passes over any value.
func (s *scanner) value(depth int) bool {
	if s.i >= len(s.b) || depth > maxDepth {
		return false
	}
	switch c := s.b[s.i]; c {
	case '"':
		_, ok := s.str()
		return ok
	case '{':
		return s.object(depth + 1)
	case '[':
		return s.array(depth + 1)
	case 't':
		return s.literal("true")
	case 'f':
		return s.literal("false")
	case 'n':
		return s.literal("null")
	default:
		return (c == '-' || c >= '0' && c <= '9') && s.number()
	}
}

func (s *scanner) object(depth int) bool {
	s.i++
	if s.space(); s.take('}') {
		return true
	}
	for {
		s.space()
		if _, ok := s.str(); !ok {
			return false
		}
		if s.space(); !s.take(':') {
			return false
		}
		if s.space(); !s.value(depth) {
			return false
		}
		s.space()
		if s.take('}') {
			return true
		}
		if !s.take(',') {
			return false
		}
	}
}

func (s *scanner) array(depth int) bool {
	s.i++
	if s.space(); s.take(']') {
		return true
	}
	for {
		if s.space(); !s.value(depth) {
			return false
		}
		s.space()
		if s.take(']') {
			return true
		}
		if !s.take(',') {
			return false
		}
	}
}

func (s *scanner) literal(want string) bool {
	if len(s.b)-s.i < len(want) || string(s.b[s.i:s.i+len(want)]) != want {
		return false
	}
	s.i += len(want)
	return true
}

// number passes over a number: -?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?
func (s *scanner) number() bool {
	s.take('-')
	if !s.take('0') && !s.digits() {
		return false
	}
	if s.take('.') && !s.digits() {
		return false
	}
	if s.take('e') || s.take('E') {
		if !s.take('+') {
			s.take('-')
		}
		return s.digits()
	}
	return true
}

func (s *scanner) digits() bool {
	begin := s.i
	for s.i < len(s.b) && s.b[s.i] >= '0' && s.b[s.i] <= '9' {
		s.i++
	}
	return s.i > begin
}

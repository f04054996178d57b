package archive

import (
	"encoding/binary"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/chat-platform/chat/events"
)

// Message is a message of a stream, as it was stored.
type Message struct {
	Sequence uint64
	Time     time.Time // when the stream stored it, to the nanosecond
	Subject  string
	Header   map[string][]string // names as they were written
	Data     []byte
}

// size is about what the message takes in its stream.
func (m Message) size() int {
	n := len(m.Subject) + len(m.Data) + 32
	for k, vs := range m.Header {
		for _, v := range vs {
			n += len(k) + len(v) + 4
		}
	}
	return n
}

// appendRecord writes a message: lengths before strings, everything a varint,
// sequence and time as differences to the message before, headers by name.
func appendRecord(b []byte, m Message, before Message) []byte {
	b = binary.AppendUvarint(b, m.Sequence-before.Sequence)
	b = binary.AppendVarint(b, m.Time.UnixNano()-before.Time.UnixNano())
	b = appendString(b, m.Subject)
	b = binary.AppendUvarint(b, uint64(len(m.Header)))
	for _, k := range slices.Sorted(maps.Keys(m.Header)) {
		b = appendString(b, k)
		b = binary.AppendUvarint(b, uint64(len(m.Header[k])))
		for _, v := range m.Header[k] {
			b = appendString(b, v)
		}
	}
	return appendString(b, m.Data)
}

func appendString[S string | []byte](b []byte, s S) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

// ErrDamaged is the kind of errors that say that a segment is not what was
// written. They name it.
var ErrDamaged = fmt.Errorf("%w: the archive is damaged", events.ErrUnavailable)

// epochStart is the message before a block's first.
var epochStart = Message{Time: time.Unix(0, 0)}

// records reads what appendRecord wrote, and calls f for each.
func records(b []byte, f func(Message) error) error {
	r := reader{b: b}
	for before := epochStart; len(r.b) > 0; {
		m := Message{Sequence: before.Sequence + r.uvarint(), Time: time.Unix(0, before.Time.UnixNano()+r.varint()).UTC(), Subject: string(r.bytes())}
		if names := r.count(2); names > 0 {
			m.Header = make(map[string][]string, names)
			for range names {
				k := string(r.bytes())
				vs := make([]string, r.count(1))
				for i := range vs {
					vs[i] = string(r.bytes())
				}
				m.Header[k] = vs
			}
		}
		m.Data = r.bytes()
		if r.bad || m.Sequence <= before.Sequence {
			return fmt.Errorf("%w: the record after message %d", ErrDamaged, before.Sequence)
		}
		if err := f(m); err != nil {
			return err
		}
		before = m
	}
	return nil
}

// reader takes values off the front; once something is wrong it gives zeroes.
type reader struct {
	b   []byte
	bad bool
}

func (r *reader) uvarint() uint64 {
	v, n := binary.Uvarint(r.b)
	if n <= 0 {
		r.fail()
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *reader) varint() int64 {
	v, n := binary.Varint(r.b)
	if n <= 0 {
		r.fail()
		return 0
	}
	r.b = r.b[n:]
	return v
}

// count reads a number of things that take at least size bytes each.
func (r *reader) count(size int) int {
	n := r.uvarint()
	if n > uint64(len(r.b)/size) {
		r.fail()
		return 0
	}
	return int(n)
}

func (r *reader) bytes() []byte {
	n := r.uvarint()
	if n > uint64(len(r.b)) {
		r.fail()
		return nil
	}
	v := r.b[:n:n]
	r.b = r.b[n:]
	return v
}

func (r *reader) fail() { r.b, r.bad = nil, true }

package link

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// ErrMalformed is matched by every error of a decoder.
var ErrMalformed = errors.New("malformed link data")

const version = 1

// Kinds, the first byte of everything.
const (
	kindFrame    = 'F'
	kindAttach   = 'A'
	kindInterest = 'I'
	kindDetach   = 'D'
	kindAnswer   = 'R'
)

// reader takes values off the front of b; after the first fault it gives zeros.
type reader struct {
	b   []byte
	err error
}

func (r *reader) fail(format string, args ...any) {
	if r.err == nil {
		r.err = fmt.Errorf("%w: %s", ErrMalformed, fmt.Sprintf(format, args...))
	}
	r.b = nil
}

func (r *reader) take(n uint64) []byte {
	if n > uint64(len(r.b)) {
		r.fail("%d bytes announced, %d left", n, len(r.b))
		return nil
	}
	p := r.b[:n:n]
	r.b = r.b[n:]
	return p
}

func (r *reader) byte() byte {
	if p := r.take(1); p != nil {
		return p[0]
	}
	return 0
}

func (r *reader) uint32() uint32 {
	if p := r.take(4); p != nil {
		return binary.BigEndian.Uint32(p)
	}
	return 0
}

func (r *reader) uint64() uint64 {
	if p := r.take(8); p != nil {
		return binary.BigEndian.Uint64(p)
	}
	return 0
}

func (r *reader) uvarint() uint64 {
	v, n := binary.Uvarint(r.b)
	if n <= 0 {
		r.fail("length is cut off or too long")
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *reader) string() string { return string(r.take(r.uvarint())) }

// head checks the kind and version.
func (r *reader) head(kind byte) {
	if k := r.byte(); k != kind {
		r.fail("kind %q, expected %q", k, kind)
	} else if v := r.byte(); v != version {
		r.fail("version %d, expected %d", v, version)
	}
}

// end checks that nothing is left over and gives the first fault.
func (r *reader) end() error {
	if r.err == nil && len(r.b) > 0 {
		r.fail("%d bytes left over", len(r.b))
	}
	return r.err
}

func appendString(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

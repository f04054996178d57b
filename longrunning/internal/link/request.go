package link

import (
	"encoding/binary"
	"iter"
)

// Bounds of one Interest; [Interests] cuts more keys into several.
const (
	MaxKeys     = 10_000  // keys of one Interest, added and removed together
	MaxKeyBytes = 512_000 // bytes of them, with their lengths
)

// Request is what an instance asks of a fan-out: [Attach], [Interest] or [Detach].
// Each is answered with an [Answer].
type Request interface {
	Append(b []byte) []byte // appends the encoded request to b
}

// Attach asks for a link, on [AttachSubject].
type Attach struct {
	Link     ID     // made by the instance, never used before
	Instance string // frames go to NotifySubject(Instance)
}

// Interest changes the keys of a link, removals first, on [InterestSubject]. It is
// a set: adding what is there and removing what is not are fine. Without keys it is
// the heartbeat. Positions in the answer hold for all added keys.
type Interest struct {
	Link        ID
	Add, Remove []string
}

// Detach ends a link, on [InterestSubject].
type Detach struct{ Link ID }

// Append appends the encoded request to b.
func (a Attach) Append(b []byte) []byte {
	b = append(b, kindAttach, version)
	b = binary.BigEndian.AppendUint64(b, uint64(a.Link))
	return appendString(b, a.Instance)
}

// Append appends the encoded request to b.
func (i Interest) Append(b []byte) []byte {
	b = append(b, kindInterest, version)
	b = binary.BigEndian.AppendUint64(b, uint64(i.Link))
	for _, keys := range [][]string{i.Add, i.Remove} {
		b = binary.AppendUvarint(b, uint64(len(keys)))
		for _, k := range keys {
			b = appendString(b, k)
		}
	}
	return b
}

// Append appends the encoded request to b.
func (d Detach) Append(b []byte) []byte {
	return binary.BigEndian.AppendUint64(append(b, kindDetach, version), uint64(d.Link))
}

// ParseRequest reads any of the requests. Keys are copies.
func ParseRequest(b []byte) (Request, error) {
	if len(b) == 0 {
		return nil, ErrMalformed
	}
	r := reader{b: b}
	r.head(b[0])
	id := ID(r.uint64())
	var request Request
	switch b[0] {
	case kindAttach:
		request = Attach{Link: id, Instance: r.string()}
	case kindInterest:
		add := r.keys(MaxKeys)
		request = Interest{Link: id, Add: add, Remove: r.keys(MaxKeys - len(add))}
	case kindDetach:
		request = Detach{Link: id}
	default:
		r.fail("kind %q is no request", b[0])
	}
	if id == 0 {
		r.fail("no link id")
	}
	if err := r.end(); err != nil {
		return nil, err
	}
	return request, nil
}

func (r *reader) keys(limit int) []string {
	n := r.uvarint()
	if n > uint64(limit) || n > uint64(len(r.b)) {
		r.fail("%d keys announced in %d bytes, %d allowed", n, len(r.b), limit)
	}
	if r.err != nil || n == 0 {
		return nil
	}
	keys := make([]string, n)
	for i := range keys {
		keys[i] = r.string()
	}
	return keys
}

// Interests cuts a change of any size into requests within the bounds, at least
// one, removals first. The positions of the last answer hold for all of them.
func Interests(id ID, add, remove []string) iter.Seq[Interest] {
	return func(yield func(Interest) bool) {
		for first := true; first || len(add)+len(remove) > 0; first = false {
			i := Interest{Link: id}
			keys, bytes := 0, 0
			i.Remove, remove = cut(remove, &keys, &bytes)
			i.Add, add = cut(add, &keys, &bytes)
			if !yield(i) {
				return
			}
		}
	}
}

// cut takes from the front what the bounds allow, one key at least in each request.
func cut(from []string, keys, bytes *int) (taken, rest []string) {
	n := 0
	for n < len(from) && *keys < MaxKeys && (*keys == 0 || *bytes+len(from[n])+3 <= MaxKeyBytes) {
		*keys++
		*bytes += len(from[n]) + 3
		n++
	}
	return from[:n:n], from[n:]
}

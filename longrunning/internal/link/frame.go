package link

import "encoding/binary"

// Positions are a sequence of each stream; the package comment says what they
// mean where.
type Positions struct {
	Messages uint64 // in the MESSAGES stream
	Metadata uint64 // in the METADATA stream
}

// Frame is what a fan-out sends to an instance: one NATS message, however many
// users it is for.
type Frame struct {
	Link   ID
	Number uint64    // 1, 2, 3 … on this link
	Last   bool      // the fan-out ends the link with this frame: attach again, at once
	After  Positions // of the link, once this frame is delivered
	Events []Item    // none in a tick
}

// HeaderSize is the length of a frame without events, in bytes.
const HeaderSize = 2 + 1 + 4 + 8 + 8 + 8 + 8

// MaxFrame is the most bytes that a frame may have: NATS's default maximum payload.
const MaxFrame = 1 << 20

const flagLast = 1

// PutHeader writes the frame's header into the first [HeaderSize] bytes of b for
// count events, which [AppendItem] has put or will put behind it. f.Events is not
// looked at: a fan-out encodes an event once, for all instances.
func PutHeader(b []byte, f Frame, count int) {
	_ = b[HeaderSize-1]
	b[0], b[1], b[2] = kindFrame, version, 0
	if f.Last {
		b[2] = flagLast
	}
	binary.BigEndian.PutUint32(b[3:], uint32(count))
	binary.BigEndian.PutUint64(b[7:], uint64(f.Link))
	binary.BigEndian.PutUint64(b[15:], f.Number)
	binary.BigEndian.PutUint64(b[23:], f.After.Messages)
	binary.BigEndian.PutUint64(b[31:], f.After.Metadata)
}

// Append appends the whole frame to b.
func (f Frame) Append(b []byte) []byte {
	start := len(b)
	b = append(b, make([]byte, HeaderSize)...)
	for i := range f.Events {
		b = AppendItem(b, &f.Events[i])
	}
	PutHeader(b[start:], f, len(f.Events))
	return b
}

// ParseFrame reads a frame. The events' data alias b. It costs one allocation and
// one more an event.
func ParseFrame(b []byte) (Frame, error) {
	r := reader{b: b}
	r.head(kindFrame)
	flags := r.byte()
	if flags&^flagLast != 0 {
		r.fail("unknown flags %#x", flags)
	}
	count := r.uint32()
	f := Frame{Link: ID(r.uint64()), Number: r.uint64(), Last: flags&flagLast != 0,
		After: Positions{Messages: r.uint64(), Metadata: r.uint64()}}
	if uint64(count)*minItem > uint64(len(r.b)) {
		r.fail("%d events announced in %d bytes", count, len(r.b))
	}
	if r.err == nil && count > 0 {
		f.Events = make([]Item, count)
		for i := range f.Events {
			r.item(&f.Events[i])
		}
	}
	if err := r.end(); err != nil {
		return Frame{}, err
	}
	return f, nil
}

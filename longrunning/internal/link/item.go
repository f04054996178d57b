package link

import (
	"encoding/binary"
	"time"

	"github.com/chat-platform/chat/events"
)

// Item is an event on a link. Its place in its stream is Event.Sequence.
type Item struct {
	Event  events.Event
	Stream string // events.StreamMessages or events.StreamMetadata
	Prev   uint64 // sequence of the channel's event before this one; 0: this is its first. Only in MESSAGES
}

// Seq is the event's sequence in its stream.
func (it *Item) Seq() uint64 { return it.Event.Sequence }

const (
	streamMessages = 1
	streamMetadata = 2

	attributes = 6                               // strings of an event
	minItem    = 1 + 8 + 8 + 12 + attributes + 1 // bytes of an event without any content
	noTime     = 1<<32 - 1                       // in place of the nanoseconds: the event has no time
)

// AppendItem appends the event to b: stream, sequence, prev, seconds and
// nanoseconds of its time, the lengths of its attributes, these, and its data with
// their length.
func AppendItem(b []byte, it *Item) []byte {
	e := &it.Event
	stream := byte(streamMessages)
	if it.Stream == events.StreamMetadata {
		stream = streamMetadata
	}
	b = append(b, stream)
	b = binary.BigEndian.AppendUint64(b, e.Sequence)
	b = binary.BigEndian.AppendUint64(b, it.Prev)
	if e.Time.IsZero() {
		b = binary.BigEndian.AppendUint64(b, 0)
		b = binary.BigEndian.AppendUint32(b, noTime)
	} else {
		b = binary.BigEndian.AppendUint64(b, uint64(e.Time.Unix()))
		b = binary.BigEndian.AppendUint32(b, uint32(e.Time.Nanosecond()))
	}
	texts := [attributes]string{e.ID, e.Source, e.Type, e.Subject, e.PartitionKey, e.TraceParent}
	for _, s := range texts {
		b = binary.AppendUvarint(b, uint64(len(s)))
	}
	for _, s := range texts {
		b = append(b, s...)
	}
	b = binary.AppendUvarint(b, uint64(len(e.Data)))
	return append(b, e.Data...)
}

// item reads an event: its attributes are parts of one string, its data alias the
// input.
func (r *reader) item(it *Item) {
	switch s := r.byte(); s {
	case streamMessages:
		it.Stream = events.StreamMessages
	case streamMetadata:
		it.Stream = events.StreamMetadata
	default:
		r.fail("stream %d", s)
	}
	it.Event.Sequence = r.uint64()
	it.Prev = r.uint64()
	seconds, nanos := int64(r.uint64()), r.uint32()
	if nanos != noTime {
		if nanos > 999_999_999 {
			r.fail("%d nanoseconds in a second", nanos)
		}
		it.Event.Time = time.Unix(seconds, int64(nanos)).UTC()
	}
	var ends [attributes]uint64
	total, left := uint64(0), uint64(len(r.b))
	for i := range ends {
		n := r.uvarint()
		if n > left { // also keeps the sum from wrapping round
			r.fail("attribute of %d bytes announced, %d left", n, len(r.b))
			return
		}
		total += n
		ends[i] = total
	}
	text := string(r.take(total))
	data := r.take(r.uvarint())
	if r.err != nil {
		return
	}
	e := &it.Event
	e.ID, e.Source = text[:ends[0]], text[ends[0]:ends[1]]
	e.Type, e.Subject = text[ends[1]:ends[2]], text[ends[2]:ends[3]]
	e.PartitionKey, e.TraceParent = text[ends[3]:ends[4]], text[ends[4]:ends[5]]
	if len(data) > 0 {
		e.Data = data
	}
}

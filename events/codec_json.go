package events

import (
	"bytes"
	"encoding/base64"
	"errors"
	"strconv"
	"time"
	"unicode/utf8"
)

// The JSON codec is written by hand, since every message crosses it twice on
// its way to the views: about five times as fast as encoding/json. Tests hold
// it against encoding/json and the SDK.

// AppendJSON appends the event in structured mode to b. Data that is no JSON
// document is an error, and leaves b as it was.
func (e Event) AppendJSON(b []byte) ([]byte, error) {
	before := len(b)
	b = append(b, `{"specversion":"`+SpecVersion+`","id":`...)
	b = appendString(b, e.ID)
	b = append(b, `,"source":`...)
	b = appendString(b, e.Source)
	b = append(b, `,"type":`...)
	b = appendString(b, e.Type)
	if e.Subject != "" {
		b = append(b, `,"subject":`...)
		b = appendString(b, e.Subject)
	}
	if !e.Time.IsZero() {
		b = append(b, `,"time":"`...)
		b = append(e.Time.UTC().AppendFormat(b, time.RFC3339Nano), '"')
	}
	b = append(b, `,"datacontenttype":"`+ContentTypeJSON+`"`...)
	if e.PartitionKey != "" {
		b = append(b, `,"partitionkey":`...)
		b = appendString(b, e.PartitionKey)
	}
	if e.TraceParent != "" {
		b = append(b, `,"traceparent":`...)
		b = appendString(b, e.TraceParent)
	}
	if e.Sequence != 0 {
		b = append(b, `,"sequence":"`...)
		b = append(b, FormatSequence(e.Sequence)...)
		b = append(b, '"')
	}
	if len(e.Data) > 0 {
		if at, ok := validJSON(e.Data); !ok {
			return b[:before], Invalid("invalid_event", "data", "data of CloudEvent %q is not JSON at byte %d", e.ID, at)
		}
		b = append(b, `,"data":`...)
		b = append(b, e.Data...)
	}
	return append(b, '}'), nil
}

// AppendBatch appends the events as a batch to b.
func AppendBatch(b []byte, es []Event) ([]byte, error) {
	before := len(b)
	b = append(b, '[')
	for i, e := range es {
		if i > 0 {
			b = append(b, ',')
		}
		var err error
		if b, err = e.AppendJSON(b); err != nil {
			return b[:before], err
		}
	}
	return append(b, ']'), nil
}

// ParseJSON reads one event in structured mode. The event is valid if the
// error, which matches [ErrInvalid], is nil. Its Data is a part of b.
func ParseJSON(b []byte) (Event, error) {
	s := scanner{b: b}
	e, err := s.event(&Event{})
	if err != nil {
		return Event{}, err
	}
	if s.space(); s.i != len(b) {
		return Event{}, Invalid("invalid_event", "", "structured CloudEvent: more follows it at byte %d", s.i)
	}
	return e, nil
}

// ParseBatch reads a batch: a JSON array of one or more events, each valid if
// the error, which matches [ErrInvalid], is nil. A single event's fault comes as
// [Faults] with its index. The events' Data are parts of b.
func ParseBatch(b []byte) ([]Event, error) {
	s := scanner{b: b}
	if s.space(); !s.take('[') {
		return nil, Invalid("invalid_event", "", "CloudEvents batch: not a JSON array")
	}
	if s.space(); s.take(']') {
		return nil, Invalid("invalid_event", "", "CloudEvents batch is empty, expected one event or more")
	}
	var es []Event
	last := &Event{}
	for {
		e, err := s.event(last)
		if err != nil {
			f := Invalid(err.Code, err.Field, "event %d of the batch: %s", len(es), err.Detail)
			return nil, Faults{{Index: len(es), Fault: f}}
		}
		if es == nil {
			es = make([]Event, 0, min(len(b)/max(s.i, 1)+1, 4096)) // as if all were as long as the first
		}
		es = append(es, e)
		last = &es[len(es)-1]
		s.space()
		if s.take(',') {
			continue
		}
		if !s.take(']') {
			return nil, Invalid("invalid_event", "", "CloudEvents batch: not JSON at byte %d", s.i)
		}
		if s.space(); s.i != len(b) {
			return nil, Invalid("invalid_event", "", "CloudEvents batch: more follows it at byte %d", s.i)
		}
		return es, nil
	}
}

// event reads one event. Events that follow each other have much in common, so
// strings equal to those of the last one are shared with it.
func (s *scanner) event(last *Event) (Event, *Fault) {
	var e Event
	if s.space(); !s.take('{') {
		return e, s.broken()
	}
	var (
		version, encoded string // encoded is data_base64
		stamp, seq       string
	)
	s.space()
	for more := !s.take('}'); more; {
		s.space()
		key, ok := s.key()
		if !ok {
			return e, s.broken()
		}
		if s.space(); !s.take(':') {
			return e, s.broken()
		}
		s.space()
		known := true
		switch string(key) {
		case "specversion":
			ok = s.attribute(&version, SpecVersion)
		case "id":
			ok = s.attribute(&e.ID, "")
		case "source":
			ok = s.attribute(&e.Source, last.Source)
		case "type":
			ok = s.attribute(&e.Type, last.Type)
		case "subject":
			ok = s.attribute(&e.Subject, last.Subject)
		case "partitionkey":
			ok = s.attribute(&e.PartitionKey, last.PartitionKey)
		case "traceparent":
			ok = s.attribute(&e.TraceParent, last.TraceParent)
		case "time":
			ok = s.attribute(&stamp, "")
		case "sequence":
			if s.i < len(s.b) && s.b[s.i] >= '0' && s.b[s.i] <= '9' { // an extension may be an integer
				begin := s.i
				ok = s.number()
				seq = string(s.b[begin:s.i])
			} else {
				ok = s.attribute(&seq, "")
			}
		case "data_base64":
			ok = s.attribute(&encoded, "")
		case "data":
			begin := s.i
			ok = s.value(0)
			e.Data = s.b[begin:s.i:s.i]
		default:
			known = false
			ok = s.value(0)
		}
		if !ok {
			if known {
				return e, Invalid("invalid_event", string(key), "the CloudEvent's %s is not as expected at byte %d", key, s.i)
			}
			return e, s.broken()
		}
		s.space()
		if s.take('}') {
			break
		}
		if !s.take(',') {
			return e, s.broken()
		}
	}
	if version != SpecVersion {
		return e, Invalid("invalid_event", "specversion", "CloudEvents specversion is %q, expected %q", version, SpecVersion)
	}
	if encoded != "" {
		d, err := base64.StdEncoding.DecodeString(encoded)
		if err != nil {
			return e, Invalid("invalid_event", "data_base64", "CloudEvent %q: data_base64: %v", e.ID, err)
		}
		e.Data = d
	}
	return e, e.complete(stamp, seq)
}

// complete fills in what is text on the wire, and validates.
func (e *Event) complete(stamp, seq string) *Fault {
	if stamp != "" {
		t, err := time.Parse(time.RFC3339Nano, stamp)
		if err != nil {
			return Invalid("invalid_event", "time", "CloudEvent time %q is not RFC 3339", stamp)
		}
		e.Time = t
	}
	if seq != "" {
		n, err := strconv.ParseUint(seq, 10, 64)
		if err != nil {
			return Invalid("invalid_event", "sequence", "CloudEvent sequence %q is not a decimal number", seq)
		}
		e.Sequence = n
	}
	var f *Fault
	errors.As(e.Validate(), &f)
	return f
}

const hexDigits = "0123456789abcdef"

// appendString appends s as a JSON string. Bytes that are not UTF-8 become
// U+FFFD.
func appendString(b []byte, s string) []byte {
	b = append(b, '"')
	begin := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c >= ' ' && c != '"' && c != '\\' && c < utf8.RuneSelf {
			i++
			continue
		}
		if c >= utf8.RuneSelf {
			r, n := utf8.DecodeRuneInString(s[i:])
			if r == utf8.RuneError && n == 1 {
				b = append(append(b, s[begin:i]...), "\ufffd"...)
				begin = i + 1
			}
			i += n
			continue
		}
		b = append(b, s[begin:i]...)
		switch c {
		case '"', '\\':
			b = append(b, '\\', c)
		default:
			b = append(b, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
		}
		i++
		begin = i
	}
	return append(append(b, s[begin:]...), '"')
}

// validJSON tells whether b is one JSON document, or where it ceases to be.
func validJSON(b []byte) (at int, ok bool) {
	s := scanner{b: bytes.TrimRight(b, " \t\r\n")}
	s.space()
	return s.i, s.value(0) && s.i == len(s.b)
}

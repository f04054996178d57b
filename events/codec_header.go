package events

import (
	"strings"
	"time"
)

// Header names of the CloudEvents binary mode. NATS headers are case-sensitive
// and the binding's prefix is lower-case; HTTP canonicalises by itself.
const (
	headerContentType  = "content-type"
	headerSpecVersion  = "ce-specversion"
	headerID           = "ce-id"
	headerSource       = "ce-source"
	headerType         = "ce-type"
	headerSubject      = "ce-subject"
	headerTime         = "ce-time"
	headerPartitionKey = "ce-partitionkey"
	headerTraceParent  = "ce-traceparent"
	headerSequence     = "ce-sequence"
)

// Header writes the event's attributes as headers of a message in binary mode,
// keys in lower case, values percent-encoded as the HTTP and NATS bindings of
// CloudEvents want them; the body is e.Data. It fits nats.Header, and
// http.Header by way of its Set.
func (e Event) Header() map[string][]string {
	h := make(map[string][]string, 10)
	h[headerSpecVersion] = []string{SpecVersion}
	h[headerID] = []string{encodeHeader(e.ID)}
	h[headerSource] = []string{encodeHeader(e.Source)}
	h[headerType] = []string{encodeHeader(e.Type)}
	h[headerContentType] = []string{ContentTypeJSON}
	if e.Subject != "" {
		h[headerSubject] = []string{encodeHeader(e.Subject)}
	}
	if !e.Time.IsZero() {
		h[headerTime] = []string{e.Time.UTC().Format(time.RFC3339Nano)}
	}
	if e.PartitionKey != "" {
		h[headerPartitionKey] = []string{encodeHeader(e.PartitionKey)}
	}
	if e.TraceParent != "" {
		h[headerTraceParent] = []string{encodeHeader(e.TraceParent)}
	}
	if e.Sequence != 0 {
		h[headerSequence] = []string{FormatSequence(e.Sequence)}
	}
	return h
}

// FromHeader reads an event in binary mode: get looks a header up by its
// lower-case name (http.Header.Get does, and so does a nats.Header's Get).
// Values are percent-decoded; a percent sign that begins no escape stands for
// itself. The event is valid if the error is nil, and its Data is data.
func FromHeader(get func(string) string, data []byte) (Event, error) {
	if v := get(headerSpecVersion); v != SpecVersion {
		return Event{}, Invalid("invalid_event", "specversion", "CloudEvents specversion is %q, expected %q", v, SpecVersion)
	}
	e := Event{
		ID: decodeHeader(get(headerID)), Source: decodeHeader(get(headerSource)),
		Type: decodeHeader(get(headerType)), Subject: decodeHeader(get(headerSubject)),
		PartitionKey: decodeHeader(get(headerPartitionKey)), TraceParent: decodeHeader(get(headerTraceParent)), Data: data,
	}
	if s := get(headerTime); s != "" {
		t, err := time.Parse(time.RFC3339Nano, s)
		if err != nil {
			return Event{}, Invalid("invalid_event", "time", "CloudEvent time %q is not RFC 3339", s)
		}
		e.Time = t
	}
	if s := get(headerSequence); s != "" {
		seq, err := ParseSequence(s)
		if err != nil {
			return Event{}, err
		}
		e.Sequence = seq
	}
	return e, e.Validate()
}

// verbatim tells whether a byte may stand in a header value as it is.
func verbatim(c byte) bool { return c > ' ' && c <= '~' && c != '"' && c != '%' }

func encodeHeader(s string) string {
	for i := range len(s) {
		if !verbatim(s[i]) {
			return escapeHeader(s, i)
		}
	}
	return s
}

func escapeHeader(s string, from int) string {
	const upper = "0123456789ABCDEF"
	b := append(make([]byte, 0, len(s)+8), s[:from]...)
	for i := from; i < len(s); i++ {
		if c := s[i]; verbatim(c) {
			b = append(b, c)
		} else {
			b = append(b, '%', upper[c>>4], upper[c&15])
		}
	}
	return string(b)
}

func decodeHeader(s string) string {
	at := strings.IndexByte(s, '%')
	if at < 0 {
		return s
	}
	b := append(make([]byte, 0, len(s)), s[:at]...)
	for i := at; i < len(s); i++ {
		if s[i] == '%' && i+2 < len(s) && nibble(s[i+1]) < 16 && nibble(s[i+2]) < 16 {
			b = append(b, nibble(s[i+1])<<4|nibble(s[i+2]))
			i += 2
		} else {
			b = append(b, s[i])
		}
	}
	return strings.ToValidUTF8(string(b), "\ufffd")
}

// nibble is the value of a hexadecimal digit, or 16.
func nibble(c byte) byte {
	switch {
	case c >= '0' && c <= '9':
		return c - '0'
	case c >= 'a' && c <= 'f':
		return c - 'a' + 10
	case c >= 'A' && c <= 'F':
		return c - 'A' + 10
	}
	return 16
}

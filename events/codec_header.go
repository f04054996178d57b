package events

import "time"

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
// keys in lower case; the body is e.Data. It fits nats.Header, and http.Header
// by way of its Set.
func (e Event) Header() map[string][]string {
	h := make(map[string][]string, 10)
	h[headerSpecVersion] = []string{SpecVersion}
	h[headerID] = []string{e.ID}
	h[headerSource] = []string{e.Source}
	h[headerType] = []string{e.Type}
	h[headerContentType] = []string{ContentTypeJSON}
	if e.Subject != "" {
		h[headerSubject] = []string{e.Subject}
	}
	if !e.Time.IsZero() {
		h[headerTime] = []string{e.Time.UTC().Format(time.RFC3339Nano)}
	}
	if e.PartitionKey != "" {
		h[headerPartitionKey] = []string{e.PartitionKey}
	}
	if e.TraceParent != "" {
		h[headerTraceParent] = []string{e.TraceParent}
	}
	if e.Sequence != 0 {
		h[headerSequence] = []string{FormatSequence(e.Sequence)}
	}
	return h
}

// FromHeader reads an event in binary mode: get looks a header up by its
// lower-case name (http.Header.Get does, and so does a nats.Header's Get). The
// event is valid if the error is nil.
func FromHeader(get func(string) string, data []byte) (Event, error) {
	if v := get(headerSpecVersion); v != SpecVersion {
		return Event{}, Invalid("invalid_event", "specversion", "CloudEvents specversion is %q, expected %q", v, SpecVersion)
	}
	e := Event{
		ID: get(headerID), Source: get(headerSource), Type: get(headerType), Subject: get(headerSubject),
		PartitionKey: get(headerPartitionKey), TraceParent: get(headerTraceParent), Data: data,
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

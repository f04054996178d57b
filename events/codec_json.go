package events

import (
	"encoding/base64"
	"encoding/json"
	"time"
)

type wire struct {
	SpecVersion  string          `json:"specversion"`
	ID           string          `json:"id"`
	Source       string          `json:"source"`
	Type         string          `json:"type"`
	Subject      string          `json:"subject,omitempty"`
	Time         string          `json:"time,omitempty"`
	ContentType  string          `json:"datacontenttype,omitempty"`
	PartitionKey string          `json:"partitionkey,omitempty"`
	TraceParent  string          `json:"traceparent,omitempty"`
	Sequence     string          `json:"sequence,omitempty"`
	Data         json.RawMessage `json:"data,omitempty"`
	DataBase64   string          `json:"data_base64,omitempty"`
}

// AppendJSON appends the event in structured mode to b.
func (e Event) AppendJSON(b []byte) ([]byte, error) {
	w := wire{SpecVersion: SpecVersion, ID: e.ID, Source: e.Source, Type: e.Type, Subject: e.Subject,
		ContentType: ContentTypeJSON, PartitionKey: e.PartitionKey, TraceParent: e.TraceParent, Data: e.Data}
	if !e.Time.IsZero() {
		w.Time = e.Time.UTC().Format(time.RFC3339Nano)
	}
	if e.Sequence != 0 {
		w.Sequence = FormatSequence(e.Sequence)
	}
	j, err := json.Marshal(w)
	if err != nil {
		return b, Invalid("invalid_event", "data", "CloudEvent %s: %v", e.ID, err)
	}
	return append(b, j...), nil
}

// AppendBatch appends the events as a batch to b.
func AppendBatch(b []byte, es []Event) ([]byte, error) {
	b = append(b, '[')
	for i, e := range es {
		if i > 0 {
			b = append(b, ',')
		}
		var err error
		if b, err = e.AppendJSON(b); err != nil {
			return b, err
		}
	}
	return append(b, ']'), nil
}

// ParseJSON reads one event in structured mode. The event is valid if the
// error, which matches [ErrInvalid], is nil.
func ParseJSON(b []byte) (Event, error) {
	var w wire
	if err := json.Unmarshal(b, &w); err != nil {
		return Event{}, Invalid("invalid_event", "", "structured CloudEvent: %v", err)
	}
	return w.event()
}

// ParseBatch reads a batch: a JSON array of one or more events, each valid if
// the error, which matches [ErrInvalid], is nil.
func ParseBatch(b []byte) ([]Event, error) {
	var ws []wire
	if err := json.Unmarshal(b, &ws); err != nil {
		return nil, Invalid("invalid_event", "", "CloudEvents batch: %v", err)
	}
	if len(ws) == 0 {
		return nil, Invalid("invalid_event", "", "CloudEvents batch is empty, expected one event or more")
	}
	es := make([]Event, len(ws))
	for i, w := range ws {
		var err error
		if es[i], err = w.event(); err != nil {
			return nil, Invalid("invalid_event", "", "event %d of the batch: %v", i, err)
		}
	}
	return es, nil
}

func (w wire) event() (Event, error) {
	if w.SpecVersion != SpecVersion {
		return Event{}, Invalid("invalid_event", "specversion", "CloudEvents specversion is %q, expected %q", w.SpecVersion, SpecVersion)
	}
	e := Event{ID: w.ID, Source: w.Source, Type: w.Type, Subject: w.Subject,
		PartitionKey: w.PartitionKey, TraceParent: w.TraceParent, Data: w.Data}
	if w.DataBase64 != "" {
		d, err := base64.StdEncoding.DecodeString(w.DataBase64)
		if err != nil {
			return Event{}, Invalid("invalid_event", "data_base64", "CloudEvent %q: data_base64: %v", w.ID, err)
		}
		e.Data = d
	}
	if w.Time != "" {
		t, err := time.Parse(time.RFC3339Nano, w.Time)
		if err != nil {
			return Event{}, Invalid("invalid_event", "time", "CloudEvent time %q is not RFC 3339", w.Time)
		}
		e.Time = t
	}
	if w.Sequence != "" {
		seq, err := ParseSequence(w.Sequence)
		if err != nil {
			return Event{}, err
		}
		e.Sequence = seq
	}
	return e, e.Validate()
}

package nats

import (
	"context"
	"strings"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"go.opentelemetry.io/otel/trace"

	"github.com/chat-platform/chat/events"
)

// headroom is what a dead letter adds to an event, so that whatever the log
// took it can also take as a dead letter.
const headroom = 4 << 10

// message writes an event in binary mode. An event without a trace parent gets
// that of the context's span.
func (l *Log) message(ctx context.Context, e events.Event) (*nats.Msg, error) {
	if err := check(e); err != nil {
		return nil, err
	}
	if size := int64(len(e.Data) + len(e.ID) + len(e.Source) + len(e.Type) + len(e.Subject) + len(e.PartitionKey)); size+headroom > l.nc.MaxPayload() {
		return nil, events.NewFault(events.ErrTooLarge, "event_too_large", "", "event %s has %d bytes, at most %d are taken", e.ID, size, l.nc.MaxPayload()-headroom)
	}
	e.Sequence = 0 // the stream gives it
	if e.TraceParent == "" {
		e.TraceParent = traceParent(ctx)
	}
	h := e.Header()
	h[jetstream.MsgIDHeader] = []string{e.ID}
	return &nats.Msg{Subject: e.Subject, Header: h, Data: e.Data}, nil
}

func check(e events.Event) error {
	if err := e.Validate(); err != nil {
		return err
	}
	if events.StreamOf(e.Subject) == "" || strings.ContainsAny(e.Subject, "*> ") || strings.Contains(e.Subject, "..") || strings.HasSuffix(e.Subject, ".") {
		return events.Invalid("invalid_subject", "subject", "event %s: %q is not a subject of the log", e.ID, e.Subject)
	}
	for _, s := range [...]string{e.ID, e.Source, e.Type, e.Subject, e.PartitionKey, e.TraceParent} {
		for i := range len(s) {
			if s[i] < ' ' || s[i] == 0x7f {
				return events.Invalid("invalid_event", "", "event %q: attribute %q holds a control character", e.ID, s)
			}
		}
	}
	return nil
}

// traceParent is the W3C form of the context's span, or "".
func traceParent(ctx context.Context) string {
	sc := trace.SpanContextFromContext(ctx)
	if !sc.IsValid() {
		return ""
	}
	return "00-" + sc.TraceID().String() + "-" + sc.SpanID().String() + "-" + sc.TraceFlags().String()
}

// event reads a message in binary mode, or in structured mode if its content
// type says so.
func event(h nats.Header, data []byte, subject string, seq uint64) (events.Event, error) {
	var e events.Event
	var err error
	if strings.HasPrefix(h.Get("content-type"), events.ContentTypeStructured) {
		e, err = events.ParseJSON(data)
	} else {
		e, err = events.FromHeader(h.Get, data)
	}
	if err != nil {
		return events.Event{}, err
	}
	if e.Subject == "" {
		e.Subject = subject
	}
	e.Sequence = seq
	return e, nil
}

// skip tells people about a message that readers of many pass over.
func (l *Log) skip(stream, subject string, seq uint64, err error) {
	l.metrics.skipped(stream)
	l.log.Warn("log: message is not a CloudEvent, passed over", "stream", stream, "subject", subject, "sequence", seq, "error", err)
}

package frontdoor

import (
	"context"
	"encoding/hex"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"github.com/chat-platform/chat/events"
)

var tracer = otel.Tracer("github.com/chat-platform/chat/functions/internal/frontdoor")

// maxLinks bounds the links of a batch's span to its events' traces.
const maxLinks = 32

// startSpan continues the trace that the request's headers name, or begins one.
func startSpan(ctx context.Context, x *exchange) (context.Context, trace.Span) {
	if x.r != nil {
		if h := x.r.Header["Traceparent"]; len(h) == 1 {
			ctx = propagation.TraceContext{}.Extract(ctx, propagation.HeaderCarrier(x.r.Header))
		} else if h := x.r.Header["Ce-Traceparent"]; len(h) == 1 {
			ctx = remote(ctx, h[0])
		}
	}
	ctx, span := tracer.Start(ctx, x.f.spec.Name, serverSpan...)
	if span.IsRecording() {
		span.SetAttributes(attribute.String("chat.mode", x.mode.String()), attribute.String("chat.request_id", x.id))
		if x.r != nil {
			span.SetAttributes(attribute.String("http.request.method", x.r.Method), attribute.String("http.route", x.r.Pattern))
		}
	}
	return ctx, span
}

var serverSpan = []trace.SpanStartOption{trace.WithSpanKind(trace.SpanKindServer)}

func endSpan(span trace.Span, status int, err error) {
	defer span.End()
	if !span.IsRecording() {
		return
	}
	span.SetAttributes(attribute.Int("http.response.status_code", status))
	if status >= 500 {
		span.SetStatus(codes.Error, "")
		if err != nil {
			span.RecordError(err)
		}
	}
}

// remote puts the span of a traceparent into ctx, if it is one.
func remote(ctx context.Context, traceparent string) context.Context {
	return propagation.TraceContext{}.Extract(ctx, propagation.MapCarrier{"traceparent": traceparent})
}

// link ties a batch's span to the traces of its events.
func link(span trace.Span, batch []events.Event) {
	if !span.IsRecording() {
		return
	}
	n := 0
	for _, e := range batch {
		if e.TraceParent == "" {
			continue
		}
		sc := trace.SpanContextFromContext(remote(context.Background(), e.TraceParent))
		if sc.IsValid() {
			span.AddLink(trace.Link{SpanContext: sc, Attributes: []attribute.KeyValue{attribute.String("cloudevents.event_id", e.ID)}})
			if n++; n == maxLinks {
				return
			}
		}
	}
}

// TraceParent is the W3C trace context of ctx, to put into an event that is
// about to be published, or "" outside of a trace.
func TraceParent(ctx context.Context) string {
	sc := trace.SpanContextFromContext(ctx)
	if !sc.IsValid() {
		return ""
	}
	id, span := sc.TraceID(), sc.SpanID()
	var b [55]byte
	copy(b[:], "00-")
	hex.Encode(b[3:35], id[:])
	b[35] = '-'
	hex.Encode(b[36:52], span[:])
	copy(b[52:], "-00")
	if sc.IsSampled() {
		b[54] = '1'
	}
	return string(b[:])
}

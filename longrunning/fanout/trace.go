package fanout

import (
	"context"
	"strings"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/propagation"

	"github.com/chat-platform/chat/events"
)

var tracer = otel.Tracer("github.com/chat-platform/chat/longrunning/fanout")

// spans are those of a batch's sampled events: begun when the event is routed,
// ended when the batch is sent.
type spans struct{ ends []func() }

// start begins a span if the event's trace is sampled, and makes it the parent of
// what the instance does.
func (s *spans) start(e *events.Event) {
	if !strings.HasSuffix(e.TraceParent, "-01") {
		return
	}
	carrier := propagation.MapCarrier{"traceparent": e.TraceParent}
	ctx := propagation.TraceContext{}.Extract(context.Background(), carrier)
	ctx, span := tracer.Start(ctx, "fanout")
	propagation.TraceContext{}.Inject(ctx, carrier)
	e.TraceParent = carrier["traceparent"]
	s.ends = append(s.ends, func() { span.End() })
}

func (s *spans) end() {
	for _, end := range s.ends {
		end()
	}
}

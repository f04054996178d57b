package frontdoor

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"time"

	"github.com/chat-platform/chat/events"
)

// statusGone is logged and counted where the client went away before the
// answer; nobody gets to see it.
const statusGone = 499

// done counts, traces and logs what became of the request.
func (x *exchange) done(err error) {
	took := time.Since(x.begin)
	status := x.status
	if err != nil && x.parent.Err() != nil && errors.Is(err, context.Canceled) {
		status = statusGone
	}
	x.f.metrics.observe(x.mode, status, took, x.events)
	endSpan(x.span, status, err)

	level := slog.LevelDebug
	// A line for each refusal would add to the overload; the counter tells it.
	if status >= http.StatusInternalServerError && !errors.Is(err, errOverloaded) {
		level = slog.LevelError
	}
	if !x.f.log.Enabled(x.ctx, level) {
		return
	}
	attrs := make([]slog.Attr, 0, 8)
	attrs = append(attrs, slog.String("mode", x.mode.String()), slog.Int("status", status),
		slog.Duration("took", took), slog.String("request_id", x.id))
	if x.events > 0 {
		attrs = append(attrs, slog.Int("events", x.events))
	}
	if sc := x.span.SpanContext(); sc.IsValid() {
		attrs = append(attrs, slog.String("trace_id", sc.TraceID().String()))
	}
	attrs = append(attrs, errorAttrs(err)...)
	x.f.log.LogAttrs(x.ctx, level, "request", attrs...)
}

// logItem logs the failure of one command of a batch, whose request succeeds.
func (x *exchange) logItem(e events.Event, status int, err error) {
	attrs := append([]slog.Attr{slog.String("event_id", e.ID), slog.Int("status", status), slog.String("request_id", x.id)}, errorAttrs(err)...)
	x.f.log.LogAttrs(x.ctx, slog.LevelError, "command of a batch", attrs...)
}

func errorAttrs(err error) []slog.Attr {
	if err == nil {
		return nil
	}
	attrs := []slog.Attr{slog.Any("error", err)}
	if stack := stackOf(err); stack != "" {
		attrs = append(attrs, slog.String("stack", stack))
	}
	return attrs
}

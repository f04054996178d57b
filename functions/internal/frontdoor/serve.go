package frontdoor

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"time"

	"github.com/chat-platform/chat/events"
	"go.opentelemetry.io/otel/trace"
)

// exchange is one request on its way to its answer.
type exchange struct {
	f      *Function
	w      http.ResponseWriter
	r      *http.Request
	ctx    context.Context
	mode   mode
	id     string
	span   trace.Span
	status int // of the answer; 0 until there is one
}

// serve does what all requests have in common around answer, which either has
// answered or returns an error.
func (f *Function) serve(w http.ResponseWriter, r *http.Request, m mode, answer func(*exchange) error) {
	begin := time.Now()
	x := &exchange{f: f, w: w, r: r, mode: m, id: requestID(r)}
	w.Header()["X-Request-Id"] = []string{x.id}

	if n := f.inFlight.Add(1); n > int64(f.spec.MaxInFlight) {
		f.inFlight.Add(-1)
		x.ctx, x.span = r.Context(), trace.SpanFromContext(r.Context())
		x.done(begin, x.refuse(errOverloaded))
		return
	}
	f.metrics.inFlight.Inc()
	defer func() {
		f.metrics.inFlight.Dec()
		f.inFlight.Add(-1)
	}()

	ctx, cancel := context.WithTimeout(r.Context(), f.spec.Timeout)
	defer cancel()
	x.ctx, x.span = startSpan(withRequestID(ctx, x.id), f, r)
	defer x.span.End()

	err := x.guard(answer)
	if err != nil {
		err = x.refuse(err)
	}
	x.done(begin, err)
}

var errOverloaded = events.NewFault(events.ErrUnavailable, "overloaded", "", "too many requests are being worked on; try again later")

// guard runs answer and turns a panic into an error, but for the one that
// aborts a connection on purpose.
func (x *exchange) guard(answer func(*exchange) error) (err error) {
	defer func() {
		if v := recover(); v != nil {
			if v == http.ErrAbortHandler { //nolint:errorlint // a sentinel, compared as net/http does
				panic(v)
			}
			err = &panicError{v, debug.Stack()}
		}
	}()
	if headerBytes(x.r.Header) > maxHeader {
		return errHeaders
	}
	return answer(x)
}

var errHeaders = &statusFault{http.StatusRequestHeaderFieldsTooLarge,
	events.NewFault(events.ErrTooLarge, "headers_too_large", "", "the headers are larger than %d bytes", maxHeader)}

func headerBytes(h http.Header) (n int) {
	for k, vs := range h {
		for _, v := range vs {
			n += len(k) + len(v)
		}
	}
	return n
}

// panicError is a panic of a handler.
type panicError struct {
	value any
	stack []byte
}

func (p *panicError) Error() string { return fmt.Sprintf("panic: %v", p.value) }

// invoke calls the command's handler.
func (x *exchange) invoke(ctx context.Context, caller events.Caller, in input) (answer any, err error) {
	defer func() {
		if v := recover(); v != nil {
			if v == http.ErrAbortHandler { //nolint:errorlint // as in guard
				panic(v)
			}
			err = &panicError{v, debug.Stack()}
		}
	}()
	answer, err = x.f.command(ctx, caller, in)
	return answer, late(ctx, err)
}

// late makes an error of a driver that gave up because the time was over what
// it is.
func late(ctx context.Context, err error) error {
	if err != nil && ctx.Err() != nil && StatusOf(err) == http.StatusInternalServerError {
		return fmt.Errorf("%w: %w", ctx.Err(), err)
	}
	return err
}

func (x *exchange) readBody(buf []byte) ([]byte, error) {
	return readBody(x.w, x.r, buf, x.f.spec.MaxBody, x.f.spec.Timeout)
}

// answerJSON answers with v.
func (x *exchange) answerJSON(status int, v any) error {
	if status == http.StatusNoContent {
		x.w.Header()["Cache-Control"] = noStore
		x.w.WriteHeader(status)
		x.status = status
		return nil
	}
	e := getEncoder()
	defer e.put()
	if err := e.encode(v); err != nil {
		return fmt.Errorf("encode the answer of %s: %w", x.f.spec.Name, err)
	}
	x.status = status
	e.send(x.w, status, contentJSON)
	return nil
}

// refuse answers with the problem that err makes, unless there is an answer
// already, and returns err.
func (x *exchange) refuse(err error) error {
	if x.status != 0 {
		return err
	}
	p := ProblemOf(x.id, err)
	if x.f.write != nil && p.Status < http.StatusInternalServerError {
		p.Detail = err.Error() // a writer's answers go to the source, and on to the dead letter
	}
	x.status = p.Status
	writeProblem(x.w, p, err)
	return err
}

// statusGone is logged and counted where the client went away before the
// answer; nobody gets to see it.
const statusGone = 499

// done counts, traces and logs what became of the request.
func (x *exchange) done(begin time.Time, err error) {
	took := time.Since(begin)
	status := x.status
	if err != nil && x.r.Context().Err() != nil && errors.Is(err, context.Canceled) {
		status = statusGone
	}
	x.f.metrics.observe(x.mode, status, took)
	endSpan(x.span, status, err)

	level := slog.LevelDebug
	if status >= 500 && err != error(errOverloaded) { // one line a refusal would add to the load; the counter tells
		level = slog.LevelError
	}
	if !x.f.log.Enabled(x.ctx, level) {
		return
	}
	attrs := make([]slog.Attr, 0, 8)
	attrs = append(attrs, slog.String("mode", x.mode.String()), slog.String("method", x.r.Method), slog.Int("status", status),
		slog.Duration("took", took), slog.String("request_id", x.id))
	if sc := x.span.SpanContext(); sc.IsValid() {
		attrs = append(attrs, slog.String("trace_id", sc.TraceID().String()))
	}
	if err != nil {
		attrs = append(attrs, slog.Any("error", err))
		if stack := stackOf(err); stack != "" {
			attrs = append(attrs, slog.String("stack", stack))
		}
	}
	x.f.log.LogAttrs(x.ctx, level, "request", attrs...)
}

// stackOf is the stack of the panic that err is, or "".
func stackOf(err error) string {
	var p *panicError
	if errors.As(err, &p) {
		return string(p.stack)
	}
	return ""
}

package frontdoor

import (
	"context"
	"errors"
	"net/http"
	"time"

	"go.opentelemetry.io/otel/trace"

	"github.com/chat-platform/chat/events"
)

// exchange is one request on its way to its answer.
type exchange struct {
	f      *Function
	w      http.ResponseWriter // nil in func-go's form
	r      *http.Request       // nil in func-go's form
	parent context.Context     // ends when the client has gone
	ctx    context.Context     // the handler's: ends with the time limit too
	mode   mode
	id     string
	span   trace.Span
	begin  time.Time
	status int // of the answer; 0 until there is one
	events int // that came, CloudEvents only
}

// serve does what all requests have in common around answer, which either has
// answered or returns an error.
func (f *Function) serve(w http.ResponseWriter, r *http.Request, m mode, answer func(*exchange) error) {
	x := &exchange{f: f, w: w, r: r, parent: r.Context(), mode: m, id: requestID(r.Header), begin: time.Now()}
	w.Header()["X-Request-Id"] = []string{x.id}
	err := x.run(func(x *exchange) error {
		if headerBytes(r.Header) > maxHeader {
			return errHeaders
		}
		return answer(x)
	})
	x.done(err)
}

// run calls answer within the function's limits, and refuses the request with
// the error that comes back.
func (x *exchange) run(answer func(*exchange) error) error {
	f := x.f
	if f.inFlight.Add(1) > int64(f.spec.MaxInFlight) {
		f.inFlight.Add(-1)
		x.ctx, x.span = x.parent, trace.SpanFromContext(context.Background())
		return x.refuse(errOverloaded)
	}
	defer f.inFlight.Add(-1)
	f.metrics.inFlight.Inc()
	defer f.metrics.inFlight.Dec()

	ctx, cancel := context.WithTimeout(x.parent, f.spec.Timeout)
	defer cancel()
	x.ctx, x.span = startSpan(withRequestID(ctx, x.id), x)

	err := late(x.ctx, x.protect(answer))
	if err == nil {
		return nil
	}
	// An error is a handler's own code, and may panic too.
	refused := x.protect(func(x *exchange) error {
		_ = err.Error() // the log's call must not be the first
		return x.refuse(err)
	})
	if p := (*panicError)(nil); x.status == 0 && errors.As(refused, &p) {
		return x.refuse(p)
	}
	return refused
}

var errOverloaded = events.NewFault(events.ErrUnavailable, "overloaded", "", "too many requests are being worked on; try again later")

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

// invoke calls the command's handler.
func (x *exchange) invoke(caller events.Caller, in input) (answer any, err error) {
	err = x.protect(func(x *exchange) (err error) {
		answer, err = x.f.command(x, caller, in)
		return err
	})
	return answer, late(x.ctx, err)
}

func (x *exchange) readBody(buf []byte) ([]byte, error) {
	return readBody(x.w, x.r, buf, x.f.spec.MaxBody, x.f.spec.Timeout)
}

// answer sends what e holds.
func (x *exchange) answer(e *encoder, status int, contentType []string) error {
	x.status = status
	e.send(x.w, status, contentType)
	return nil
}

// answerEmpty sends an answer without a body.
func (x *exchange) answerEmpty(status int) error {
	x.status = status
	h := x.w.Header()
	h["Cache-Control"] = noStore
	h["X-Content-Type-Options"] = noSniff
	if status != http.StatusNoContent {
		h["Content-Length"] = zero
	}
	x.w.WriteHeader(status)
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
	if x.w != nil {
		writeProblem(x.w, p, err)
	}
	return err
}

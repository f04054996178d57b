package cassandra

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"github.com/chat-platform/chat/events"
	"github.com/chat-platform/chat/infra/observability/collector"
)

var tracer = otel.Tracer("github.com/chat-platform/chat/infra/cassandra")

// The operations that make missing tables anew.
const (
	writing  = "put_messages"
	claiming = "claim"
)

// call runs f: traced, measured, and its error given a kind and the words.
func (s *Store) call(ctx context.Context, operation string, f func(context.Context) error, words string, args ...any) error {
	start := time.Now()
	traced, span := tracer.Start(ctx, "cassandra."+operation, trace.WithSpanKind(trace.SpanKindClient))
	defer span.End()
	err := ctx.Err()
	if s.closed.Load() {
		err = errClosed
	}
	if err == nil {
		err = f(traced)
	}
	if isMissing(err) {
		err = fmt.Errorf("%w: %w", events.ErrUnavailable, err)
		if operation == writing || operation == claiming {
			s.recreate(ctx)
		}
	}
	if err != nil {
		err = fail(err, words, args...)
		span.SetStatus(codes.Error, result(err))
	}
	s.seconds.WithLabelValues(operation, result(err)).Observe(time.Since(start).Seconds())
	return err
}

// newSeconds is shared by all stores of a process that use the same registerer.
func newSeconds(r prometheus.Registerer) *prometheus.HistogramVec {
	return collector.Register(r, prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: "chat_cassandra_seconds", Help: "Time of calls of the Cassandra messages store, by operation and result.",
		Buckets: []float64{250e-6, 500e-6, 1e-3, 2.5e-3, 5e-3, 10e-3, 25e-3, 50e-3, 100e-3, 250e-3, 1, 5, 10},
	}, []string{"operation", "result"}))
}

// result is an error's kind as a label.
func result(err error) string {
	switch {
	case err == nil:
		return "ok"
	case errors.Is(err, context.Canceled):
		return "cancelled"
	case errors.Is(err, events.ErrUnavailable):
		return "unavailable"
	case errors.Is(err, events.ErrInvalid), errors.Is(err, events.ErrTooLarge):
		return "invalid"
	}
	return "other"
}

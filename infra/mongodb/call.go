package mongodb

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.mongodb.org/mongo-driver/v2/mongo/readpref"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"github.com/chat-platform/chat/events"
	"github.com/chat-platform/chat/infra/observability/collector"
)

var tracer = otel.Tracer("github.com/chat-platform/chat/infra/mongodb")

// operation is what a method does: for metrics and for people.
type operation struct{ label, words string }

var (
	opOpen           = operation{"open", "open"}
	opPing           = operation{"ping", "ping"}
	opReset          = operation{"reset", "reset"}
	opDrop           = operation{"drop", "drop"}
	opClaim          = operation{"claim", "claim"}
	opEmpty          = operation{"empty", "look"}
	opChecksums      = operation{"checksums", "checksum metadata"}
	opPutChannels    = operation{"put_channels", "write channels"}
	opPutMembers     = operation{"put_members", "write members"}
	opChannelByID    = operation{"channel_by_id", "read channel "}
	opPublicChannels = operation{"public_channels", "list public channels"}
	opChannelsOf     = operation{"channels_of", "list channels of "}
	opMembersOf      = operation{"members_of", "list members of "}
)

// call runs f: traced, measured, and its error given a kind and a place.
func (s *Store) call(ctx context.Context, op operation, subject string, f func(context.Context) error) error {
	start := time.Now()
	traced, span := tracer.Start(ctx, "mongodb."+op.label, trace.WithSpanKind(trace.SpanKindClient))
	defer span.End()
	err := errClosed
	if !s.closed.Load() {
		if err = s.there(traced, op); err == nil {
			err = f(traced)
		}
	}
	if err != nil {
		err = kindOf(ctx, err, s.closed.Load())
	}
	if err == nil || errors.Is(err, events.ErrUnavailable) {
		s.away.Store(err != nil)
	}
	s.metrics.seconds.WithLabelValues(op.label, result(err)).Observe(time.Since(start).Seconds())
	if err == nil {
		return nil
	}
	if !errors.Is(err, events.ErrNotFound) {
		span.SetStatus(codes.Error, result(err))
	}
	return fmt.Errorf("%s%s in metadata store %s: %w", op.words, subject, s.db.Name(), err)
}

// awayTimeout is how long a call waits for a primary that the one before has
// waited for in vain.
const awayTimeout = time.Second

// there asks for a sign of life, shortly, where the last call got none: an
// election is waited for once and not by every call of an outage.
func (s *Store) there(ctx context.Context, op operation) error {
	if !s.away.Load() || op == opPing {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, awayTimeout)
	defer cancel()
	return s.client.Ping(ctx, readpref.Primary())
}

// metrics are shared by all stores of a process that use the same registerer.
type metrics struct {
	seconds *prometheus.HistogramVec
	stale   prometheus.Counter
}

func newMetrics(r prometheus.Registerer) *metrics {
	return &metrics{
		seconds: collector.Register(r, prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "chat_mongodb_seconds", Help: "Time of calls of the MongoDB metadata store, by operation and result.",
			Buckets: []float64{250e-6, 500e-6, 1e-3, 2.5e-3, 5e-3, 10e-3, 25e-3, 50e-3, 100e-3, 250e-3, 1, 5, 10},
		}, []string{"operation", "result"})),
		stale: collector.Register(r, prometheus.NewCounter(prometheus.CounterOpts{
			Name: "chat_mongodb_stale_total", Help: "Records that changed nothing, since a newer one or the same was there.",
		})),
	}
}

// result is an error's kind as a label.
func result(err error) string {
	switch {
	case err == nil:
		return "ok"
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, events.ErrUnavailable):
		return "cancelled"
	case errors.Is(err, events.ErrUnavailable):
		return "unavailable"
	case errors.Is(err, events.ErrNotFound):
		return "not_found"
	case errors.Is(err, events.ErrInvalid):
		return "invalid"
	}
	return "other"
}

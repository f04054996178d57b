package nats

import (
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/chat-platform/chat/events"
	"github.com/chat-platform/chat/infra/observability/collector"
)

// metrics are shared by all logs of a process that use the same registerer.
type metrics struct {
	publishSeconds prometheus.Histogram
	publishErrors  *prometheus.CounterVec
	skippedTotal   *prometheus.CounterVec
}

func newMetrics(r prometheus.Registerer) *metrics {
	return &metrics{
		publishSeconds: collector.Register(r, prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "chat_log_publish_seconds", Help: "Time from publish to the log's acknowledgement.",
			Buckets: []float64{25e-6, 50e-6, 100e-6, 250e-6, 500e-6, 1e-3, 2.5e-3, 5e-3, 10e-3, 25e-3, 50e-3, 100e-3, 250e-3, 1, 5},
		})),
		publishErrors: collector.Register(r, prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "chat_log_publish_errors_total", Help: "Publishes that the log did not take, by kind of error.",
		}, []string{"kind"})),
		skippedTotal: collector.Register(r, prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "chat_log_skipped_total", Help: "Messages that are not CloudEvents and were passed over by a reader.",
		}, []string{"stream"})),
	}
}

func (m *metrics) published(start time.Time, err error) {
	if err == nil {
		m.publishSeconds.Observe(time.Since(start).Seconds())
		return
	}
	kind := "other"
	switch err = translate(err); {
	case errors.Is(err, events.ErrUnavailable):
		kind = "unavailable"
	case errors.Is(err, events.ErrConflict):
		kind = "conflict"
	case errors.Is(err, events.ErrTooLarge):
		kind = "too_large"
	case errors.Is(err, events.ErrInvalid):
		kind = "invalid"
	}
	m.publishErrors.WithLabelValues(kind).Inc()
}

func (m *metrics) skipped(stream string) { m.skippedTotal.WithLabelValues(stream).Inc() }

package source

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/chat-platform/chat/infra/observability/collector"
)

// metrics of one source; those of a process share their collectors and differ
// in the label "consumer".
type metrics struct {
	delivered, retried, dead, redriven prometheus.Counter
	inFlight, held, lag                prometheus.Gauge
	request                            prometheus.Observer
}

func newMetrics(r prometheus.Registerer, consumer string) *metrics {
	counter := func(name, help string) prometheus.Counter {
		return collector.Register(r, prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, []string{"consumer"})).WithLabelValues(consumer)
	}
	gauge := func(name, help string) prometheus.Gauge {
		return collector.Register(r, prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: name, Help: help}, []string{"consumer"})).WithLabelValues(consumer)
	}
	return &metrics{
		delivered: counter("chat_source_delivered_total", "Events that the sink took."),
		retried:   counter("chat_source_retried_total", "Times that a channel's next event has to wait for another attempt."),
		dead:      counter("chat_source_dead_total", "Events that were put into the dead letters."),
		redriven:  counter("chat_source_redriven_total", "Dead letters whose event the sink took in the end."),
		inFlight:  gauge("chat_source_requests_in_flight", "Requests to the sink under way."),
		held:      gauge("chat_source_held_events", "Events fetched and neither delivered nor dead."),
		lag:       gauge("chat_source_lag_events", "Events that wait in the log, not fetched yet."),
		request: collector.Register(r, prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "chat_source_request_seconds", Help: "Duration of a request to the sink.",
			Buckets: []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60}}, []string{"consumer"})).WithLabelValues(consumer),
	}
}

package redis

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/chat-platform/chat/infra/observability/collector"
)

// metrics are those of one purpose.
type metrics struct {
	took     prometheus.Histogram
	without  prometheus.Counter
	degraded prometheus.Gauge
}

// names of the metrics, and what two of them mean.
type names struct{ took, without, withoutHelp, degraded, degradedHelp string }

func newMetrics(reg prometheus.Registerer, n names) *metrics {
	return &metrics{
		took: collector.Register(reg, prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: n.took, Help: "Time of a call to Redis, failed ones included.",
			Buckets: []float64{.0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1},
		})),
		without:  collector.Register(reg, prometheus.NewCounter(prometheus.CounterOpts{Name: n.without, Help: n.withoutHelp})),
		degraded: collector.Register(reg, prometheus.NewGauge(prometheus.GaugeOpts{Name: n.degraded, Help: n.degradedHelp})),
	}
}

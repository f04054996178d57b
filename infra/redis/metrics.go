package redis

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/chat-platform/chat/infra/observability/collector"
)

type metrics struct {
	took     prometheus.Histogram
	local    prometheus.Counter
	degraded prometheus.Gauge
}

func newMetrics(reg prometheus.Registerer) *metrics {
	return &metrics{
		took: collector.Register(reg, prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "chat_ratelimit_redis_seconds",
			Help:    "Time of a call to Redis, failed ones included.",
			Buckets: []float64{.0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1},
		})),
		local: collector.Register(reg, prometheus.NewCounter(prometheus.CounterOpts{
			Name: "chat_ratelimit_local_total",
			Help: "Calls judged by the process alone, because Redis did not answer.",
		})),
		degraded: collector.Register(reg, prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "chat_ratelimit_degraded",
			Help: "1 while rate limits hold per process instead of for all.",
		})),
	}
}

type cacheMetrics struct {
	took     prometheus.Histogram
	without  prometheus.Counter
	degraded prometheus.Gauge
}

func newCacheMetrics(reg prometheus.Registerer) *cacheMetrics {
	return &cacheMetrics{
		took: collector.Register(reg, prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "chat_cache_redis_seconds",
			Help:    "Time of a call to Redis, failed ones included.",
			Buckets: []float64{.0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1},
		})),
		without: collector.Register(reg, prometheus.NewCounter(prometheus.CounterOpts{
			Name: "chat_cache_errors_total",
			Help: "Calls to the shared cache that did without it, because Redis did not answer.",
		})),
		degraded: collector.Register(reg, prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "chat_cache_degraded",
			Help: "1 while each process caches by itself.",
		})),
	}
}

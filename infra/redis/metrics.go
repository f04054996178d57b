package redis

import (
	"errors"

	"github.com/prometheus/client_golang/prometheus"
)

type metrics struct {
	took     prometheus.Histogram
	local    prometheus.Counter
	degraded prometheus.Gauge
}

func newMetrics(reg prometheus.Registerer) *metrics {
	return &metrics{
		took: shared(reg, prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "chat_ratelimit_redis_seconds",
			Help:    "Time of a call to Redis, failed ones included.",
			Buckets: []float64{.0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1},
		})),
		local: shared(reg, prometheus.NewCounter(prometheus.CounterOpts{
			Name: "chat_ratelimit_local_total",
			Help: "Calls judged by the process alone, because Redis did not answer.",
		})),
		degraded: shared(reg, prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "chat_ratelimit_degraded",
			Help: "1 while rate limits hold per process instead of for all.",
		})),
	}
}

// shared registers c, or gives the collector that was registered before it.
func shared[C prometheus.Collector](reg prometheus.Registerer, c C) C {
	if reg == nil {
		return c
	}
	var already prometheus.AlreadyRegisteredError
	if err := reg.Register(c); errors.As(err, &already) {
		if there, ok := already.ExistingCollector.(C); ok {
			return there
		}
	}
	return c
}

type cacheMetrics struct {
	took     prometheus.Histogram
	without  prometheus.Counter
	degraded prometheus.Gauge
}

func newCacheMetrics(reg prometheus.Registerer) *cacheMetrics {
	return &cacheMetrics{
		took: shared(reg, prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "chat_cache_redis_seconds",
			Help:    "Time of a call to Redis, failed ones included.",
			Buckets: []float64{.0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1},
		})),
		without: shared(reg, prometheus.NewCounter(prometheus.CounterOpts{
			Name: "chat_cache_errors_total",
			Help: "Calls to the shared cache that did without it, because Redis did not answer.",
		})),
		degraded: shared(reg, prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "chat_cache_degraded",
			Help: "1 while each process caches by itself.",
		})),
	}
}

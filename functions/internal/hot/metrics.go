package hot

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/chat-platform/chat/infra/observability/collector"
)

// metrics are one collector's children: each answer counts once.
type metrics struct{ local, shared, loads, past, waits, faulty prometheus.Counter }

func newMetrics(reg prometheus.Registerer) *metrics {
	pages := collector.Register(reg, prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "chat_history_cache_total",
		Help: "Latest pages: kept in the process, fetched from the shared cache, loaded from the store, past the cache (nothing in the log); waits for another process's load, and entries that could not be read. Those who share a load count once.",
	}, []string{"outcome"}))
	return &metrics{
		local: pages.WithLabelValues("process"), shared: pages.WithLabelValues("shared"),
		loads: pages.WithLabelValues("load"), past: pages.WithLabelValues("past"),
		waits: pages.WithLabelValues("wait"), faulty: pages.WithLabelValues("faulty"),
	}
}

package cutoff

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/chat-platform/chat/infra/observability/collector"
)

type metrics struct {
	received  *prometheus.CounterVec // reason
	forgotten prometheus.Counter
}

func newMetrics(r prometheus.Registerer, s *Set) *metrics {
	m := &metrics{
		received:  prometheus.NewCounterVec(prometheus.CounterOpts{Name: "chat_cutoffs_received_total", Help: "Cut-offs read from the log."}, []string{"reason"}),
		forgotten: prometheus.NewCounter(prometheus.CounterOpts{Name: "chat_cutoffs_forgotten_total", Help: "Cut-offs dropped before their end because there were too many."}),
	}
	if r == nil {
		return m
	}
	m.received = collector.Register(r, m.received)
	m.forgotten = collector.Register(r, m.forgotten)
	collector.Register[prometheus.Collector](r, prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "chat_cutoffs", Help: "Users and sessions whose tokens are refused."},
		func() float64 { return float64(s.size.Load()) }))
	return m
}

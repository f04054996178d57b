package identity

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/chat-platform/chat/infra/observability/collector"
)

type metrics struct {
	told     *prometheus.CounterVec // reason
	failures prometheus.Counter
}

func newMetrics(r prometheus.Registerer, w *Watcher) *metrics {
	m := &metrics{
		told:     prometheus.NewCounterVec(prometheus.CounterOpts{Name: "chat_identity_cutoffs_total", Help: "Cut-offs that this process has put into the log."}, []string{"reason"}),
		failures: prometheus.NewCounter(prometheus.CounterOpts{Name: "chat_identity_failures_total", Help: "Turns in which the issuer or the log could not be reached."}),
	}
	if r == nil {
		return m
	}
	m.told, m.failures = collector.Register(r, m.told), collector.Register(r, m.failures)
	collector.Register[prometheus.Collector](r, prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "chat_identity_age_seconds", Help: "Time since the issuer's events were last read; −1 before the first time."}, func() float64 {
		if at := w.answer.Load(); at != 0 {
			return time.Since(time.Unix(0, at)).Seconds()
		}
		return -1
	}))
	return m
}

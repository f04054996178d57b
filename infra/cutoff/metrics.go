package cutoff

import (
	"errors"

	"github.com/prometheus/client_golang/prometheus"
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
	m.received = register(r, m.received)
	m.forgotten = register(r, m.forgotten)
	register[prometheus.Collector](r, prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "chat_cutoffs", Help: "Users and sessions whose tokens are refused."},
		func() float64 { return float64(s.size.Load()) }))
	return m
}

// register registers a collector, or gives the one that is there already.
func register[C prometheus.Collector](r prometheus.Registerer, c C) C {
	var there prometheus.AlreadyRegisteredError
	if err := r.Register(c); errors.As(err, &there) {
		if old, ok := there.ExistingCollector.(C); ok {
			return old
		}
	}
	return c
}

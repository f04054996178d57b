package collector_test

import (
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/chat-platform/chat/infra/observability/collector"
)

func TestRegister(t *testing.T) {
	counter := func() prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Name: "chat_test_total", Help: "A test."})
	}
	gauge := prometheus.NewGauge(prometheus.GaugeOpts{Name: "chat_test_total", Help: "A test."})
	r := prometheus.NewRegistry()
	first, alone := counter(), counter()
	require.Same(t, first, collector.Register(r, first))
	require.Same(t, first, collector.Register(r, counter()), "the one that was there")
	require.Same(t, alone, collector.Register(nil, alone), "no registerer")
	require.Same(t, gauge, collector.Register[prometheus.Gauge](r, gauge), "of another kind: used, not shown")
	found, err := r.Gather()
	require.NoError(t, err)
	require.Len(t, found, 1)
}

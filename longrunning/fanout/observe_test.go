package fanout_test

import (
	"log/slog"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/chat-platform/chat/infra/nats/natstest"
	"github.com/chat-platform/chat/longrunning/fanout"
	"github.com/chat-platform/chat/longrunning/internal/link"
)

// value is a counter or gauge of the fan-out, summed over its other labels.
func value(t *testing.T, reg prometheus.Gatherer, name, instance string) float64 {
	t.Helper()
	families, err := reg.Gather()
	require.NoError(t, err)
	sum := 0.0
	for _, f := range families {
		for _, m := range f.GetMetric() {
			for _, l := range m.GetLabel() {
				if f.GetName() == name && l.GetName() == "instance" && l.GetValue() == instance {
					sum += m.GetCounter().GetValue() + m.GetGauge().GetValue()
				}
			}
		}
	}
	return sum
}

func TestMetrics(t *testing.T) {
	log := natstest.Open(t)
	reg := prometheus.NewRegistry()
	start(t, log, fanout.Config{ID: "f1", Registerer: reg, LagEvery: 10 * time.Millisecond, MaxInstances: 2})
	one, two := newPeer(t, log, "one"), newPeer(t, log, "two")
	one.attach()
	two.attach()
	one.add("ch_a", "ch_b", "user:ann")
	two.add("ch_a")
	publish(t, log, sent("ch_a", `{}`))
	seq := publish(t, log, sent("ch_b", `{}`))
	one.reach(link.Positions{Messages: seq})
	two.reach(link.Positions{Messages: seq})

	require.Eventually(t, func() bool { return value(t, reg, "chat_fanout_deliveries_total", "f1") == 3 }, patience, 5*time.Millisecond)
	require.Equal(t, 2.0, value(t, reg, "chat_fanout_events_total", "f1"))
	require.GreaterOrEqual(t, value(t, reg, "chat_fanout_frames_total", "f1"), 3.0)
	require.Equal(t, 2.0, value(t, reg, "chat_fanout_instances", "f1"))
	require.Equal(t, 3.0, value(t, reg, "chat_fanout_keys", "f1"))
	require.Positive(t, value(t, reg, "chat_fanout_table_bytes", "f1"))
	require.Eventually(t, func() bool { return value(t, reg, "chat_fanout_lag", "f1") == 0 }, patience, 5*time.Millisecond)

	// A second one in the process, and the first one once more, collide with nothing.
	start(t, log, fanout.Config{ID: "f2", Registerer: reg})
	fanout.New(log, fanout.Config{ID: "f1", Registerer: reg, Logger: slog.New(slog.DiscardHandler)})
	three := newPeer(t, log, "three")
	three.attach()
	require.Equal(t, "f2", three.fanout, "f1 is full")
	require.Eventually(t, func() bool { return value(t, reg, "chat_fanout_instances", "f2") == 1 }, patience, 5*time.Millisecond)
	two.request(link.Detach{Link: two.link()})
	require.Equal(t, 1.0, value(t, reg, "chat_fanout_instances", "f1"))
	require.Equal(t, 1.0, value(t, reg, "chat_fanout_links_ended_total", "f1"))
}

func TestSampledTracesGoThrough(t *testing.T) {
	spans := tracetest.NewSpanRecorder()
	before := otel.GetTracerProvider()
	otel.SetTracerProvider(trace.NewTracerProvider(trace.WithSpanProcessor(spans)))
	t.Cleanup(func() { otel.SetTracerProvider(before) })

	log := natstest.Open(t)
	start(t, log, fanout.Config{})
	p := newPeer(t, log, "one")
	p.attach()
	p.add("ch_a")
	const sampled, unsampled = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", "00-4bf92f3577b34da6a3ce929d0e0e4737-00f067aa0ba902b7-00"
	for _, parent := range []string{sampled, unsampled, ""} {
		e := sent("ch_a", `{}`)
		e.TraceParent = parent
		publish(t, log, e)
	}
	items := p.reach(link.Positions{Messages: 3})
	require.Len(t, items, 3)
	require.Regexp(t, "^00-4bf92f3577b34da6a3ce929d0e0e4736-[0-9a-f]{16}-01$", items[0].Event.TraceParent)
	require.NotEqual(t, sampled, items[0].Event.TraceParent)
	require.Equal(t, unsampled, items[1].Event.TraceParent)
	require.Empty(t, items[2].Event.TraceParent)
	require.Eventually(t, func() bool { return len(spans.Ended()) == 1 }, patience, 5*time.Millisecond)
	span := spans.Ended()[0]
	require.Equal(t, "fanout", span.Name())
	require.Equal(t, "00f067aa0ba902b7", span.Parent().SpanID().String())
}

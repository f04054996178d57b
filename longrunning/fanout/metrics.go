package fanout

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/chat-platform/chat/infra/observability/collector"
)

type metrics struct {
	events     *prometheus.CounterVec // read, by stream
	frames     prometheus.Counter
	deliveries prometheus.Counter
	unsent     prometheus.Counter
	ended      *prometheus.CounterVec // links, by reason
	age        prometheus.Histogram
	instances  prometheus.Gauge
	keys       prometheus.Gauge
	bytes      prometheus.Gauge
	lag        *prometheus.GaugeVec // by stream
}

// newMetrics labels everything with the fan-out's id, so that several can live in
// one process.
func newMetrics(r prometheus.Registerer, id string) *metrics {
	if r != nil {
		r = prometheus.WrapRegistererWith(prometheus.Labels{"instance": id}, r)
	}
	counter := func(name, help string) prometheus.Counter {
		return collector.Register(r, prometheus.NewCounter(prometheus.CounterOpts{Name: name, Help: help}))
	}
	gauge := func(name, help string) prometheus.Gauge {
		return collector.Register(r, prometheus.NewGauge(prometheus.GaugeOpts{Name: name, Help: help}))
	}
	return &metrics{
		events: collector.Register(r, prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "chat_fanout_events_total", Help: "Events read from the log and routed, by stream."}, []string{"stream"})),
		frames:     counter("chat_fanout_frames_total", "Frames sent to instances, ticks included."),
		deliveries: counter("chat_fanout_deliveries_total", "Events sent, counted once for each instance."),
		unsent:     counter("chat_fanout_unsent_frames_total", "Frames that could not be sent; their links show a hole."),
		ended: collector.Register(r, prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "chat_fanout_links_ended_total", Help: "Links that ended, by reason."}, []string{"reason"})),
		age: collector.Register(r, prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "chat_fanout_age_seconds", Help: "Age of the oldest event of a batch when the batch has been sent.",
			Buckets: []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 5}})),
		instances: gauge("chat_fanout_instances", "Instances attached."),
		keys:      gauge("chat_fanout_keys", "Keys in the routing table."),
		bytes:     gauge("chat_fanout_table_bytes", "Memory of the routing table."),
		lag: collector.Register(r, prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "chat_fanout_lag", Help: "Events in the log that are not routed yet, by stream."}, []string{"stream"})),
	}
}

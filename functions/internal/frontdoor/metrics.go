package frontdoor

import (
	"strconv"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/chat-platform/chat/infra/observability/collector"
)

// mode is the form in which a request came.
type mode int

const (
	modeREST mode = iota
	modeBinary
	modeStructured
	modeBatch
	modeFunc
	modeUnknown // on the CloudEvents route, but none
	modes
)

var modeNames = [modes]string{"rest", "binary", "structured", "batch", "func", "unknown"}

func (m mode) String() string { return modeNames[m] }

// metrics are a function's own children of the shared collectors.
type metrics struct {
	function string
	requests *prometheus.CounterVec
	inFlight prometheus.Gauge
	events   prometheus.Counter
	took     [modes]atomic.Pointer[prometheus.Observer]
	counters [modes][len(commonStatuses)]atomic.Pointer[prometheus.Counter]
	duration *prometheus.HistogramVec
}

// commonStatuses have their counters kept at hand, since looking one up by
// label costs more than the rest of the metrics.
var commonStatuses = [...]int{200, 202, 400, 401, 403, 404, 429, 503}

func newMetrics(reg prometheus.Registerer, function string) *metrics {
	return &metrics{
		function: function,
		requests: collector.Register(reg, prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "chat_function_requests_total",
			Help: "Requests to functions, by the form in which they came and the status of the answer (499: the client had gone).",
		}, []string{"function", "mode", "status"})),
		duration: collector.Register(reg, prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "chat_function_duration_seconds",
			Help:    "Time from a request's arrival to its answer.",
			Buckets: []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10},
		}, []string{"function", "mode"})),
		events: collector.Register(reg, prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "chat_function_events_total",
			Help: "CloudEvents that came to functions, each one of a batch.",
		}, []string{"function"})).WithLabelValues(function),
		inFlight: collector.Register(reg, prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "chat_function_in_flight",
			Help: "Requests being worked on.",
		}, []string{"function"})).WithLabelValues(function),
	}
}

func (m *metrics) observe(md mode, status int, took time.Duration, events int) {
	if events > 0 {
		m.events.Add(float64(events))
	}
	m.counter(md, status).Inc()
	o := m.took[md].Load()
	if o == nil {
		fresh := m.duration.WithLabelValues(m.function, md.String())
		o = &fresh
		m.took[md].Store(o)
	}
	(*o).Observe(took.Seconds())
}

func (m *metrics) counter(md mode, status int) prometheus.Counter {
	for i, s := range commonStatuses {
		if s != status {
			continue
		}
		if c := m.counters[md][i].Load(); c != nil {
			return *c
		}
		c := m.requests.WithLabelValues(m.function, md.String(), strconv.Itoa(status))
		m.counters[md][i].Store(&c)
		return c
	}
	return m.requests.WithLabelValues(m.function, md.String(), strconv.Itoa(status))
}

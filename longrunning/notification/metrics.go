package notification

import (
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/chat-platform/chat/infra/observability/collector"
)

type metrics struct {
	deliveries prometheus.Counter
	latency    prometheus.Observer
	writes     prometheus.Counter
	dropped    prometheus.Counter
	replayed   prometheus.Counter
	members    prometheus.Counter
	refilled   prometheus.Counter
	unreadable prometheus.Counter
	attaches   prometheus.Counter
	closes     *prometheus.CounterVec
	starts     *prometheus.HistogramVec
}

// newMetrics registers the instance's metrics under its label, or nowhere.
func newMetrics(cfg Config, s *Service) *metrics {
	r := registry{cfg.Registerer, prometheus.Labels{"instance": cfg.Instance}}
	r.gauge("sockets", "Open WebSockets.", func() float64 {
		s.mu.Lock()
		defer s.mu.Unlock()
		return float64(len(s.sessions))
	})
	r.gauge("keys", "Channels and users that the fan-out is asked for.", func() float64 { return float64(s.hub.size()) })
	r.gauge("attached", "Whether there is a link to a fan-out.", func() float64 {
		if s.attached.Load() {
			return 1
		}
		return 0
	})
	return &metrics{
		deliveries: r.counter("deliveries_total", "Events written to sockets."),
		writes:     r.counter("writes_total", "Writes to sockets; one may carry several events."),
		dropped:    r.counter("queue_dropped_total", "Frames dropped with the queue of a slow client."),
		replayed:   r.counter("replayed_total", "Events sent from the log to sessions that resumed."),
		members:    r.counter("memberships_read_total", "Events of their users' memberships that sessions read of the log as they began."),
		refilled:   r.counter("refilled_total", "Events read from the log after a lost link."),
		unreadable: r.counter("unreadable_total", "Events passed over because nobody could read them."),
		attaches:   r.counter("attaches_total", "Links made to a fan-out."),
		latency: collector.Register(r.Registerer, prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: r.name("delivery_seconds"), ConstLabels: r.labels,
			Help:    "From an event's time to the end of the write that carried it, the oldest event of each write.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30},
		})),
		closes: collector.Register(r.Registerer, prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: r.name("closes_total"), ConstLabels: r.labels,
			Help: "Sockets closed, by the code that this side sent; \"client\" where the client began, \"broken\" without any.",
		}, []string{"code"})),
		starts: collector.Register(r.Registerer, prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: r.name("start_seconds"), ConstLabels: r.labels, Help: "From identify or resume to live, by op and result.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30},
		}, []string{"op", "result"})),
	}
}

// delivered counts the events of a finished write; oldest is when the first of
// them was made.
func (m *metrics) delivered(n int, oldest int64) {
	if n == 0 {
		return
	}
	m.deliveries.Add(float64(n))
	m.latency.Observe(max(0, time.Duration(time.Now().UnixNano()-oldest).Seconds()))
}

func (m *metrics) close(code closeCode) {
	label := "client"
	switch {
	case code == 0:
		label = "broken"
	case code >= CloseGoingAway && code <= CloseUnavailable, code == CloseProtocolError, code == CloseUnauthenticated,
		code >= 1002 && code <= 1009:
		label = strconv.Itoa(int(code))
	}
	m.closes.WithLabelValues(label).Inc()
}

func (m *metrics) start(op, result string, since time.Time) {
	m.starts.WithLabelValues(op, result).Observe(time.Since(since).Seconds())
}

type registry struct {
	prometheus.Registerer
	labels prometheus.Labels
}

func (r registry) name(s string) string { return "chat_notification_" + s }

func (r registry) counter(name, help string) prometheus.Counter {
	return collector.Register(r.Registerer, prometheus.NewCounter(prometheus.CounterOpts{Name: r.name(name), Help: help, ConstLabels: r.labels}))
}

func (r registry) gauge(name, help string, f func() float64) {
	collector.Register(r.Registerer, prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: r.name(name), Help: help, ConstLabels: r.labels}, f))
}

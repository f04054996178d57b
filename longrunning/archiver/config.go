package archiver

import (
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/chat-platform/chat/infra/observability/collector"
)

// Config says how large segments are, and what stays in the stream at least.
// Zero values of the first four mean their defaults.
type Config struct {
	Interval      time.Duration `env:"ARCHIVE_INTERVAL" envDefault:"1m"`            // between two rounds; not less than a query may take
	SegmentEvents int           `env:"ARCHIVE_SEGMENT_EVENTS" envDefault:"50000"`   // a segment has no more
	SegmentBytes  int64         `env:"ARCHIVE_SEGMENT_BYTES" envDefault:"67108864"` // about, uncompressed; it is made in memory
	SegmentAge    time.Duration `env:"ARCHIVE_SEGMENT_AGE" envDefault:"1h"`         // an event waits no longer for others

	KeepAge      time.Duration `env:"ARCHIVE_KEEP_AGE"`      // younger events stay
	KeepMessages uint64        `env:"ARCHIVE_KEEP_MESSAGES"` // so many of the last events stay
	KeepBytes    uint64        `env:"ARCHIVE_KEEP_BYTES"`    // so many bytes of the stream stay

	Consumers []string `env:"ARCHIVE_CONSUMERS" envDefault:"message-writer,search-writer"` // of MESSAGES, that must exist before anything is taken away

	Logger     *slog.Logger          `env:"-"` // slog's default if nil
	Registerer prometheus.Registerer `env:"-"` // no metrics if nil
	Now        func() time.Time      `env:"-"` // time.Now if nil
}

func (c Config) withDefaults() Config {
	if c.Interval == 0 {
		c.Interval = time.Minute
	}
	if c.SegmentEvents == 0 {
		c.SegmentEvents = 50_000
	}
	if c.SegmentBytes == 0 {
		c.SegmentBytes = 64 << 20
	}
	if c.SegmentAge == 0 {
		c.SegmentAge = time.Hour
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	return c
}

// Validate tells what is wrong, by the variables' names.
func (c Config) Validate() error {
	c = c.withDefaults()
	var errs []error
	need := func(ok bool, format string, args ...any) {
		if !ok {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	need(c.Interval > 0, "ARCHIVE_INTERVAL is %v, expected a positive duration", c.Interval)
	need(c.SegmentEvents > 0, "ARCHIVE_SEGMENT_EVENTS is %d, expected a positive number", c.SegmentEvents)
	need(c.SegmentBytes > 0 && c.SegmentBytes <= 1<<30, "ARCHIVE_SEGMENT_BYTES is %d, expected 1 to %d", c.SegmentBytes, 1<<30)
	need(c.SegmentAge > 0, "ARCHIVE_SEGMENT_AGE is %v, expected a positive duration", c.SegmentAge)
	need(c.KeepAge >= 0, "ARCHIVE_KEEP_AGE is %v, expected a duration", c.KeepAge)
	return errors.Join(errs...)
}

// trims tells whether anything is ever to be taken away.
func (c Config) trims() bool { return c.KeepAge > 0 || c.KeepMessages > 0 || c.KeepBytes > 0 }

type metrics struct {
	segments, events, raw, compressed *prometheus.CounterVec
	failures                          *prometheus.CounterVec
	waiting, first                    *prometheus.GaugeVec
}

func newMetrics(r prometheus.Registerer) *metrics {
	counter := func(name, help string) *prometheus.CounterVec {
		return collector.Register(r, prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, []string{"stream"}))
	}
	gauge := func(name, help string) *prometheus.GaugeVec {
		return collector.Register(r, prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: name, Help: help}, []string{"stream"}))
	}
	return &metrics{
		segments:   counter("chat_archive_segments_total", "Segments written."),
		events:     counter("chat_archive_events_total", "Events in them."),
		raw:        counter("chat_archive_raw_bytes_total", "About what they took in the stream."),
		compressed: counter("chat_archive_bytes_total", "What they take in the archive."),
		failures:   counter("chat_archive_failures_total", "Rounds that ended with an error."),
		waiting:    gauge("chat_archive_waiting_events", "Events in the stream that are in no segment yet."),
		first:      gauge("chat_archive_first_sequence", "Sequence at which the stream itself begins."),
	}
}

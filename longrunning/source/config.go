package source

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// Mode is how events travel to the sink.
type Mode string

// Batch packs many events in one request (application/cloudevents-batch+json);
// Single sends each by itself, in binary mode, for sinks that know only what
// CloudEvents and Knative promise.
const (
	Batch  Mode = "batch"
	Single Mode = "single"
)

// Share is a part of a stream's partitions: "0/3", "1/3" and "2/3" are all of them
// together. Of processes that have shares each, no two handle a channel.
type Share string

func (s Share) parse() (share, of int, err error) {
	if s == "" {
		return 0, 0, nil
	}
	a, b, ok := strings.Cut(string(s), "/")
	if ok {
		if share, err = strconv.Atoi(a); err == nil {
			of, err = strconv.Atoi(b)
		}
	}
	if !ok || err != nil || of < 1 || share < 0 || share >= of {
		return 0, 0, fmt.Errorf("SOURCE_SHARE is %q, expected i/n with i from 0 to n-1", s)
	}
	return share, of, nil
}

// Order is what the source keeps of the log's order.
type Order string

// OrderOfChannel is for sinks that want the events of a channel one after the
// other; so a channel has one request under way at a time. OrderNone is for sinks
// that commute and whose answers take long: a busy channel then has as many under
// way as InFlight allows.
const (
	OrderOfChannel Order = "channel"
	OrderNone      Order = "none"
)

// Config binds one consumer to one sink. Zero values of the numbers mean their
// defaults.
type Config struct {
	Stream    string   `env:"SOURCE_STREAM,required"`
	Consumer  string   `env:"SOURCE_CONSUMER,required"` // durable; also names the dead letters
	Filters   []string `env:"SOURCE_FILTERS"`           // subjects, separated by commas; none: the whole stream
	Share     Share    `env:"SOURCE_SHARE"`             // i/n: of the stream's partitions, only those whose number mod n is i; all if empty
	Sink      string   `env:"K_SINK,required"`          // URL, as a SinkBinding injects it
	Overrides string   `env:"K_CE_OVERRIDES"`           // {"extensions":{"name":"value"}}, added to every event
	CACerts   string   `env:"K_CA_CERTS"`               // PEM, trusted in addition to the system's

	Mode          Mode          `env:"SOURCE_MODE" envDefault:"batch"`
	Order         Order         `env:"SOURCE_ORDER" envDefault:"channel"`
	InFlight      int           `env:"SOURCE_IN_FLIGHT" envDefault:"4"`            // requests at once
	MaxBatch      int           `env:"SOURCE_MAX_BATCH" envDefault:"500"`          // events a request
	MaxBatchBytes int           `env:"SOURCE_MAX_BATCH_BYTES" envDefault:"786432"` // of a request's body, unless one event alone has more
	MaxPending    int           `env:"SOURCE_MAX_PENDING" envDefault:"5000"`       // events held
	AckWait       time.Duration `env:"SOURCE_ACK_WAIT" envDefault:"10s"`           // after a crash, what was held comes again so much later
	MaxAttempts   int           `env:"SOURCE_MAX_ATTEMPTS" envDefault:"8"`
	BackoffBase   time.Duration `env:"SOURCE_BACKOFF_BASE" envDefault:"100ms"`
	BackoffCap    time.Duration `env:"SOURCE_BACKOFF_CAP" envDefault:"30s"` // between attempts at what the sink refuses
	OutageCap     time.Duration `env:"SOURCE_OUTAGE_CAP" envDefault:"5s"`   // while the sink, or the log, is away: how soon it goes on after that
	Timeout       time.Duration `env:"SOURCE_TIMEOUT" envDefault:"60s"`     // of a request
	DrainWait     time.Duration `env:"SOURCE_DRAIN_WAIT" envDefault:"15s"`  // for requests under way when Run is to end
}

func (c Config) withDefaults() Config {
	for _, d := range []struct {
		v *int
		d int
	}{{&c.InFlight, 4}, {&c.MaxBatch, 500}, {&c.MaxBatchBytes, 768 << 10}, {&c.MaxPending, 5000}, {&c.MaxAttempts, 8}} {
		if *d.v == 0 {
			*d.v = d.d
		}
	}
	for _, d := range []struct {
		v *time.Duration
		d time.Duration
	}{{&c.AckWait, 10 * time.Second}, {&c.BackoffBase, 100 * time.Millisecond}, {&c.BackoffCap, 30 * time.Second}, {&c.OutageCap, 5 * time.Second}, {&c.Timeout, time.Minute}, {&c.DrainWait, 15 * time.Second}} {
		if *d.v == 0 {
			*d.v = d.d
		}
	}
	if c.Mode == "" {
		c.Mode = Batch
	}
	if c.Order == "" {
		c.Order = OrderOfChannel
	}
	if c.Mode == Single {
		c.MaxBatch = 1
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
	need(c.Stream != "", "SOURCE_STREAM is empty, expected a stream's name")
	need(c.Consumer != "", "SOURCE_CONSUMER is empty, expected a name for the durable consumer")
	u, err := url.Parse(c.Sink)
	need(err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Host != "", "K_SINK is %q, expected a URL like http://writer/", c.Sink)
	need(c.Mode == Batch || c.Mode == Single, "SOURCE_MODE is %q, expected %q or %q", c.Mode, Batch, Single)
	need(c.Order == OrderOfChannel || c.Order == OrderNone, "SOURCE_ORDER is %q, expected %q or %q", c.Order, OrderOfChannel, OrderNone)
	for name, v := range map[string]int{"SOURCE_IN_FLIGHT": c.InFlight, "SOURCE_MAX_BATCH": c.MaxBatch, "SOURCE_MAX_BATCH_BYTES": c.MaxBatchBytes,
		"SOURCE_MAX_PENDING": c.MaxPending, "SOURCE_MAX_ATTEMPTS": c.MaxAttempts} {
		need(v > 0, "%s is %d, expected a positive number", name, v)
	}
	for name, v := range map[string]time.Duration{"SOURCE_ACK_WAIT": c.AckWait, "SOURCE_BACKOFF_BASE": c.BackoffBase,
		"SOURCE_BACKOFF_CAP": c.BackoffCap, "SOURCE_OUTAGE_CAP": c.OutageCap, "SOURCE_TIMEOUT": c.Timeout, "SOURCE_DRAIN_WAIT": c.DrainWait} {
		need(v > 0, "%s is %v, expected a positive duration", name, v)
	}
	_, err = c.extensions()
	_, _, bad := c.Share.parse()
	return errors.Join(append(errs, err, bad)...)
}

var extensionName = regexp.MustCompile(`^[a-z0-9]{1,20}$`)

// reserved are the attributes that an override may not touch.
var reserved = map[string]bool{"specversion": true, "id": true, "source": true, "type": true, "subject": true, "time": true,
	"datacontenttype": true, "dataschema": true, "data": true, "database64": true, "sequence": true, "partitionkey": true, "traceparent": true}

func (c Config) extensions() (map[string]string, error) {
	if c.Overrides == "" {
		return nil, nil
	}
	var o struct {
		Extensions map[string]string `json:"extensions"`
	}
	if err := json.Unmarshal([]byte(c.Overrides), &o); err != nil {
		return nil, fmt.Errorf(`K_CE_OVERRIDES is %q, expected JSON like {"extensions":{"name":"value"}}: %w`, c.Overrides, err)
	}
	for name := range o.Extensions {
		if !extensionName.MatchString(name) || reserved[name] {
			return nil, fmt.Errorf("K_CE_OVERRIDES has the extension %q, expected 1 to 20 of a-z 0-9, and none of the attributes that events have already", name)
		}
	}
	return o.Extensions, nil
}

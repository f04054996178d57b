// Package load sends messages to a running platform at a steady rate and
// measures two latencies: from the moment when a message was due until its
// receipt (send), and from the same moment until each listener's WebSocket has
// it (delivery). Due times do not wait for slow answers, so that a stall of the
// platform shows in full (no coordinated omission; see HdrHistogram's notes).
//
// It is bounded in rate and time, and refuses addresses that are not loopback.
package load

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"golang.org/x/sync/errgroup"

	"github.com/chat-platform/chat/events"
	"github.com/chat-platform/chat/local/client"
)

// Config says how much.
type Config struct {
	URL       string
	Password  string        // of the speaker and the listeners, where the platform's issuer wants one
	Rate      int           // messages a second, 1 to 100,000
	For       time.Duration // at most 10 minutes
	Channels  int           // messages go round them
	Listeners int           // WebSocket clients; each is in every channel
	InFlight  int           // requests at once; beyond it sends wait, and the wait counts
	Warmup    time.Duration // sent but not measured
}

func (c Config) validate() error {
	u, err := url.Parse(c.URL)
	if err != nil || u.Hostname() == "" || u.Scheme != "http" && u.Scheme != "https" {
		return events.Invalid("invalid_url", "url", "URL %q is not like http://localhost:8080", c.URL)
	}
	if ip := net.ParseIP(u.Hostname()); u.Hostname() != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return events.Invalid("not_loopback", "url", "URL %q: load is sent to loopback addresses only", c.URL)
	}
	for _, b := range []struct {
		name      string
		n, lo, hi int
	}{
		{"rate", c.Rate, 1, 100_000}, {"channels", c.Channels, 1, 1000},
		{"listeners", c.Listeners, 0, 1000}, {"in-flight", c.InFlight, 1, 10_000},
	} {
		if b.n < b.lo || b.n > b.hi {
			return events.Invalid("out_of_range", b.name, "-%s is %d, expected %d to %d", b.name, b.n, b.lo, b.hi)
		}
	}
	for _, b := range []struct {
		name      string
		d, lo, hi time.Duration
	}{
		{"for", c.For, time.Millisecond, 10 * time.Minute}, {"warmup", c.Warmup, 0, time.Minute},
	} {
		if b.d < b.lo || b.d > b.hi {
			return events.Invalid("out_of_range", b.name, "-%s is %s, expected %s to %s", b.name, b.d, b.lo, b.hi)
		}
	}
	return nil
}

// Latency is a distribution.
type Latency struct {
	Count              int64
	P50, P90, P99, Max time.Duration
}

// Result is what was measured after the warm-up.
type Result struct {
	Sent, Failed   int64
	Rate           float64 // messages accepted a second
	Send, Delivery Latency
	Missing        int64 // deliveries that never came
}

type run struct {
	cfg      Config
	clients  []*client.Client // the speaker of each channel
	channels []events.ChannelID
	measured atomic.Int64 // unix nanoseconds from which on it counts

	mu             sync.Mutex
	send, delivery *hdrhistogram.Histogram
	sent, failed   atomic.Int64
	delivered      atomic.Int64
}

// Run makes channels of its own, sends, measures, and prints a line for each
// latency to out.
func Run(ctx context.Context, cfg Config, out io.Writer) (Result, error) {
	if err := cfg.validate(); err != nil {
		return Result{}, err
	}
	owner, err := client.New(cfg.URL, "load-speaker")
	if err != nil {
		return Result{}, err
	}
	owner = owner.WithPassword(cfg.Password)
	r := &run{cfg: cfg, send: hdrhistogram.New(1, int64(time.Minute/time.Microsecond), 3), delivery: hdrhistogram.New(1, int64(time.Minute/time.Microsecond), 3)}
	for range cfg.Channels {
		id := events.NewChannelID()
		if err := owner.CreateChannel(ctx, id, "load "+string(id), ""); err != nil {
			return Result{}, fmt.Errorf("create channel %s: %w", id, err)
		}
		r.channels, r.clients = append(r.channels, id), append(r.clients, owner)
	}
	stop, err := r.listen(ctx, owner)
	if err != nil {
		return Result{}, err
	}
	defer stop()
	began := time.Now().Add(cfg.Warmup)
	r.measured.Store(began.UnixNano())
	if err := errors.Join(r.speak(ctx), ctx.Err()); err != nil {
		return Result{}, fmt.Errorf("load: %w", err)
	}
	took := time.Since(began)
	r.settle(ctx)
	res := r.result(took)
	fmt.Fprintf(out, "%d messages in %s: %.0f/s, %d failed; %d listeners, %d deliveries missing\n", res.Sent, took.Round(time.Millisecond), res.Rate, res.Failed, cfg.Listeners, res.Missing)
	for _, l := range []struct {
		name string
		Latency
	}{{"send", res.Send}, {"delivery", res.Delivery}} {
		fmt.Fprintf(out, "%-9s n=%-8d p50 %-9s p90 %-9s p99 %-9s max %s\n", l.name, l.Count, l.P50, l.P90, l.P99, l.Max)
	}
	return res, nil
}

// payload is the text of a message: when it was due.
type payload struct {
	Due int64 `json:"due"`
}

// listen connects the listeners, who join all channels, and gives what stops
// them.
func (r *run) listen(ctx context.Context, owner *client.Client) (func(), error) {
	ctx, cancel := context.WithCancel(ctx)
	var reading sync.WaitGroup
	stop := func() { cancel(); reading.Wait() }
	for i := range r.cfg.Listeners {
		listener := owner.As(fmt.Sprintf("load-listener-%d", i))
		for _, ch := range r.channels {
			if err := listener.Join(ctx, ch); err != nil {
				stop()
				return nil, fmt.Errorf("join %s: %w", ch, err)
			}
		}
		socket, _, err := listener.Connect(ctx, "")
		if err != nil {
			stop()
			return nil, err
		}
		reading.Go(func() {
			defer socket.Drop()
			for {
				frame, err := socket.Next(ctx)
				if err != nil {
					return
				}
				r.arrived(frame)
			}
		})
	}
	return stop, nil
}

func (r *run) arrived(frame client.Frame) {
	if frame.Op != "event" || frame.Type != events.TypeMessageSent {
		return
	}
	now := time.Now()
	var m events.MessageSent
	var p payload
	if json.Unmarshal(frame.Data, &m) != nil || json.Unmarshal([]byte(m.Text), &p) != nil || p.Due < r.measured.Load() {
		return
	}
	r.delivered.Add(1)
	r.mu.Lock()
	_ = r.delivery.RecordValue(now.Sub(time.Unix(0, p.Due)).Microseconds())
	r.mu.Unlock()
}

// speak sends at the rate until the time is over, and waits for the answers.
func (r *run) speak(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(r.cfg.InFlight)
	pause := time.Duration(float64(time.Second) / float64(r.cfg.Rate))
	total := int(float64(r.cfg.Rate) * (r.cfg.Warmup + r.cfg.For).Seconds())
	start := time.Now()
	for i := range total {
		due := start.Add(time.Duration(i) * pause)
		if wait := time.Until(due); wait > 0 {
			select {
			case <-ctx.Done():
				return group.Wait()
			case <-time.After(wait):
			}
		}
		if ctx.Err() != nil {
			break
		}
		group.Go(func() error {
			text, err := json.Marshal(payload{Due: due.UnixNano()})
			if err != nil {
				return err
			}
			n := i % len(r.channels)
			_, err = r.clients[n].Send(ctx, r.channels[n], string(text), events.NewClientID())
			r.answered(due, err == nil)
			return nil
		})
	}
	return group.Wait()
}

// answered counts one send; those of the warm-up do not count.
func (r *run) answered(due time.Time, accepted bool) {
	switch {
	case due.UnixNano() < r.measured.Load():
	case !accepted:
		r.failed.Add(1)
	default:
		r.sent.Add(1)
		r.mu.Lock()
		_ = r.send.RecordValue(time.Since(due).Microseconds())
		r.mu.Unlock()
	}
}

// settle waits, at most 10 s, until everything sent has been delivered.
func (r *run) settle(ctx context.Context) {
	end := time.After(10 * time.Second)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for r.delivered.Load() < r.sent.Load()*int64(r.cfg.Listeners) {
		select {
		case <-ctx.Done():
			return
		case <-end:
			return
		case <-tick.C:
		}
	}
}

func (r *run) result(took time.Duration) Result {
	r.mu.Lock()
	defer r.mu.Unlock()
	latency := func(h *hdrhistogram.Histogram) Latency {
		at := func(q float64) time.Duration { return time.Duration(h.ValueAtQuantile(q)) * time.Microsecond }
		return Latency{Count: h.TotalCount(), P50: at(50), P90: at(90), P99: at(99), Max: time.Duration(h.Max()) * time.Microsecond}
	}
	return Result{
		Sent: r.sent.Load(), Failed: r.failed.Load(), Rate: float64(r.sent.Load()) / took.Seconds(),
		Send: latency(r.send), Delivery: latency(r.delivery),
		Missing: r.sent.Load()*int64(r.cfg.Listeners) - r.delivered.Load(),
	}
}

package source

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/chat-platform/chat/events"
	"github.com/chat-platform/chat/infra/nats"
)

// Log is what the source needs of the log; *nats.Log is one.
type Log interface {
	Consumer(ctx context.Context, cfg nats.ConsumerConfig) (*nats.Consumer, error)
	PublishDead(ctx context.Context, d *nats.Delivery, why nats.DeadReason) error
	Discard(ctx context.Context, deadLetter uint64) error
	Ping(ctx context.Context) error
}

// Options are what callers differ in beyond the environment.
type Options struct {
	Logger     *slog.Logger          // slog.Default if nil
	Registerer prometheus.Registerer // no metrics if nil
	Transport  http.RoundTripper     // to the sink; a tuned one with keep-alive if nil
}

// Source is one binding of a consumer to a sink.
type Source struct {
	log     Log
	cfg     Config
	sink    *sink
	logger  *slog.Logger
	metrics *metrics
	warned  atomic.Int64 // when, in Unix nanoseconds
}

// New checks the configuration.
func New(log Log, cfg Config, o Options) (*Source, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("source %s: %w", cfg.Consumer, err)
	}
	cfg = cfg.withDefaults()
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	sink, err := newSink(cfg, o.Transport)
	if err != nil {
		return nil, fmt.Errorf("source %s: %w", cfg.Consumer, err)
	}
	return &Source{log: log, cfg: cfg, sink: sink, logger: o.Logger.With("source", cfg.Consumer), metrics: newMetrics(o.Registerer, cfg.Consumer)}, nil
}

// Run carries events until ctx ends. It then finishes the requests under way
// (for DrainWait at most), gives back what it holds beyond them, and returns nil
// once nothing of it runs any more. A log that cannot be reached makes it wait;
// it returns an error only where waiting cannot help, such as a consumer that
// the log refuses.
func (s *Source) Run(ctx context.Context) error {
	consumer, err := s.open(ctx)
	if err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return fmt.Errorf("source %s: %w", s.cfg.Consumer, err)
	}
	defer s.sink.close()
	newDispatcher(s, consumer).run(ctx)
	// The acknowledgements are on their way; see them arrive.
	flush, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
	defer cancel()
	if err := s.log.Ping(flush); err != nil {
		s.logger.Warn("source: acknowledgements may be lost, their events will come again", "error", err)
	}
	return nil
}

// open makes the consumer, as soon as the log lets it.
func (s *Source) open(ctx context.Context) (*nats.Consumer, error) {
	share, of, err := s.cfg.Share.parse()
	if err != nil {
		return nil, err
	}
	cfg := nats.ConsumerConfig{Stream: s.cfg.Stream, Name: s.cfg.Consumer, Filters: s.cfg.Filters, AckWait: s.cfg.AckWait,
		MaxAckPending: 4 * s.cfg.MaxPending, // for a few processes
		Share:         share, Shares: of}
	for n := 0; ; n++ {
		c, err := s.log.Consumer(ctx, cfg)
		if err == nil || !errors.Is(err, events.ErrUnavailable) {
			return c, err
		}
		s.logger.Warn("source: the log is not available, will try again", "error", err)
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(s.backoff(n, true)):
		}
	}
}

// backoff is the wait after the n-th failure in a row (from 0): exponential,
// full jitter. Where somebody is away that ends sooner: nothing is spared by a
// longer wait, and everything waits for it to end.
func (s *Source) backoff(n int, away bool) time.Duration {
	most := s.cfg.BackoffCap
	if away {
		most = min(most, s.cfg.OutageCap)
	}
	if n < 40 {
		if d := s.cfg.BackoffBase << n; d > 0 && d>>n == s.cfg.BackoffBase {
			most = min(d, most)
		}
	}
	return time.Duration(rand.Int64N(int64(most))) + 1
}

// warn logs what may happen for every request, once a second at most.
func (s *Source) warn(msg string, args ...any) {
	now, last := time.Now().UnixNano(), s.warned.Load()
	if now-last >= int64(time.Second) && s.warned.CompareAndSwap(last, now) {
		s.logger.Warn(msg, args...)
	}
}

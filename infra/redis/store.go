package redis

import (
	"context"
	_ "embed" // the script
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/chat-platform/chat/events"
	"github.com/chat-platform/chat/infra/ratelimit"
)

//go:embed take.lua
var source string

var script = redis.NewScript(source)

// Store keeps the buckets of rate limits, for any number of goroutines.
type Store struct {
	client  *redis.Client
	local   *ratelimit.Local
	prefix  string
	timeout time.Duration
	metrics *metrics
	circuit *circuit
}

var silence sync.Once

// quiet is for the driver's own log: this package logs what matters, once.
type quiet struct{}

func (quiet) Printf(context.Context, string, ...any) {}

// Open connects. A Redis that cannot be reached is no error, only a
// configuration that cannot be right: the store begins with the buckets of this
// process and goes on looking.
func Open(ctx context.Context, cfg Config) (*Store, error) {
	silence.Do(func() { redis.SetLogger(quiet{}) })
	cfg = cfg.withDefaults()
	opts, err := cfg.options()
	if err != nil {
		return nil, err
	}
	s := &Store{
		client: redis.NewClient(opts), local: ratelimit.NewLocal(), prefix: cfg.Prefix + "limit:",
		timeout: cfg.Timeout, metrics: newMetrics(cfg.Registerer),
	}
	log := cfg.Logger.With("redis", opts.Addr)
	s.circuit = newCircuit(cfg.PoolSize, s.probe, func(degraded bool, err error) {
		if degraded {
			s.metrics.degraded.Inc()
			log.Warn("rate limits hold per process: redis does not answer", "error", err)
			return
		}
		s.metrics.degraded.Dec()
		log.Info("rate limits are shared again")
	})
	if err := s.probe(ctx); err != nil {
		s.circuit.trip(err)
	}
	return s, nil
}

// Take uses units of a bucket. It never fails: where Redis does not answer, the
// bucket of this process does.
func (s *Store) Take(ctx context.Context, key ratelimit.Key, rate ratelimit.Rate, cost int) (events.Allowance, error) {
	if s.circuit.enter() {
		begin := time.Now()
		a, err := s.take(ctx, s.prefix+key.Limit+":"+string(key.User), rate, cost)
		s.metrics.took.Observe(time.Since(begin).Seconds())
		s.circuit.leave(err)
		if err == nil {
			return a, nil
		}
	}
	s.metrics.local.Inc()
	return s.local.Take(ctx, key, rate, cost)
}

var errReply = errors.New("the script's reply is not two numbers")

// take runs the script. It ends by its own time limit, not by the caller's: a
// caller that has gone must not cost a connection.
func (s *Store) take(ctx context.Context, key string, rate ratelimit.Rate, cost int) (events.Allowance, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.timeout)
	defer cancel()
	interval, quota, need, use := rate.Script(cost)
	reply, err := script.Run(ctx, s.client, []string{key}, interval, quota, need, use, max(quota, ratelimit.MaxCost)).Int64Slice()
	if err != nil {
		return events.Allowance{}, fmt.Errorf("take %d of %s: %w: %w", use, key, events.ErrUnavailable, err)
	}
	if len(reply) != 2 {
		return events.Allowance{}, fmt.Errorf("take %d of %s: %w: %w", use, key, events.ErrUnavailable, errReply)
	}
	return rate.Allowance(reply[1], reply[0] == 1, cost), nil
}

// probe takes from a bucket of its own: a server that answers but takes no
// writes would not do.
func (s *Store) probe(ctx context.Context) error {
	_, err := s.take(ctx, s.prefix+"probe", ratelimit.Rate{Count: 1, Per: time.Second, Burst: 1}, 1)
	return err
}

// Ping tells whether Redis takes writes; events.ErrUnavailable if not.
func (s *Store) Ping(ctx context.Context) error { return s.probe(ctx) }

// Degraded tells whether limits hold per process only.
func (s *Store) Degraded() bool { return s.circuit.open() }

// Close ends the probe and closes the connections. Later calls are judged by the
// buckets of this process.
func (s *Store) Close() error {
	s.circuit.close()
	if err := s.client.Close(); err != nil && !errors.Is(err, redis.ErrClosed) {
		return fmt.Errorf("close redis: %w", err)
	}
	return nil
}

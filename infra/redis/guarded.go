package redis

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

// guarded is a connection that is left alone while Redis does not answer.
type guarded struct {
	client  *redis.Client
	prefix  string // of its keys
	timeout time.Duration
	metrics *metrics
	circuit *circuit
}

// purpose is what a connection is for.
type purpose struct {
	keys       string // the end of its keys' prefix
	metrics    names
	lost, back string // what is said when Redis is away, and when it is there again
}

var silence sync.Once

// quiet is for the driver's own log: this package logs what matters, once.
type quiet struct{}

func (quiet) Printf(context.Context, string, ...any) {}

// connect fills g. A Redis that cannot be reached is no error, only a
// configuration that cannot be right. probe has to write: a server that answers
// but takes no writes would not do.
func (g *guarded) connect(ctx context.Context, cfg Config, p purpose, probe func(context.Context) error) error {
	silence.Do(func() { redis.SetLogger(quiet{}) })
	cfg = cfg.withDefaults()
	opts, err := cfg.options()
	if err != nil {
		return err
	}
	*g = guarded{client: redis.NewClient(opts), prefix: cfg.Prefix + p.keys, timeout: cfg.Timeout, metrics: newMetrics(cfg.Registerer, p.metrics)}
	log := cfg.Logger.With("redis", opts.Addr)
	g.circuit = newCircuit(cfg.PoolSize, probe, func(degraded bool, err error) {
		if degraded {
			g.metrics.degraded.Inc()
			log.Warn(p.lost+": redis does not answer", "error", err)
			return
		}
		g.metrics.degraded.Dec()
		log.Info(p.back)
	})
	if err := probe(ctx); err != nil {
		g.circuit.trip(err)
	}
	return nil
}

// call tells whether f was called and succeeded. It is bounded by its own time
// limit, not by the caller's: a caller that has gone must not cost a connection.
func (g *guarded) call(ctx context.Context, f func(context.Context) error) bool {
	if !g.circuit.enter() {
		g.metrics.without.Inc()
		return false
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), g.timeout)
	defer cancel()
	begin := time.Now()
	err := f(ctx)
	g.metrics.took.Observe(time.Since(begin).Seconds())
	g.circuit.leave(err)
	if err != nil {
		g.metrics.without.Inc()
	}
	return err == nil
}

// Degraded tells whether Redis is done without, because it does not answer.
func (g *guarded) Degraded() bool { return g.circuit.open() }

// Close ends the probe and closes the connections. Later calls do without Redis.
func (g *guarded) Close() error {
	g.circuit.close()
	if err := g.client.Close(); err != nil && !errors.Is(err, redis.ErrClosed) {
		return fmt.Errorf("close redis: %w", err)
	}
	return nil
}

package redis

import (
	"context"
	_ "embed" // the scripts
	"errors"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/chat-platform/chat/events"
)

var (
	//go:embed get.lua
	getSource string
	//go:embed put.lua
	putSource string

	getScript = redis.NewScript(getSource)
	putScript = redis.NewScript(putSource)
)

// lease is for how long others leave the making of a value to whoever was told
// to make it, unless it is there before.
const lease = 2 * time.Second

// Cache keeps values with a version that processes share, for any number of
// goroutines. Where Redis does not answer, it keeps nothing and lets everybody
// make what they need. Each call is one round trip.
type Cache struct {
	client  *redis.Client
	prefix  string
	timeout time.Duration
	ttl     time.Duration
	metrics *cacheMetrics
	circuit *circuit
}

// OpenCache connects; values are kept for ttl. A Redis that cannot be reached is
// no error, only a configuration that cannot be right.
func OpenCache(ctx context.Context, cfg Config, ttl time.Duration) (*Cache, error) {
	cfg = cfg.withDefaults()
	opts, err := cfg.options()
	if err != nil {
		return nil, err
	}
	if ttl <= 0 {
		ttl = 10 * time.Minute
	}
	silence.Do(func() { redis.SetLogger(quiet{}) })
	c := &Cache{
		client: redis.NewClient(opts), prefix: cfg.Prefix + "cache:", timeout: cfg.Timeout, ttl: ttl,
		metrics: newCacheMetrics(cfg.Registerer),
	}
	log := cfg.Logger.With("redis", opts.Addr)
	c.circuit = newCircuit(cfg.PoolSize, c.probe, func(degraded bool, err error) {
		if degraded {
			c.metrics.degraded.Inc()
			log.Warn("each process caches by itself: redis does not answer", "error", err)
			return
		}
		c.metrics.degraded.Dec()
		log.Info("the cache is shared again")
	})
	if err := c.probe(ctx); err != nil {
		c.circuit.trip(err)
	}
	return c, nil
}

// Get gives what is kept under the key if it has that version. If not, mine
// tells whether the caller is the one to make it.
func (c *Cache) Get(ctx context.Context, key, version string) (value []byte, mine bool) {
	mine = true
	c.call(ctx, func(ctx context.Context) (err error) {
		value, mine, err = c.get(ctx, key, version)
		return err
	})
	return value, mine
}

// Put keeps a value instead of any other under its key. Without a value it
// leaves the making to somebody else.
func (c *Cache) Put(ctx context.Context, key, version string, value []byte) {
	c.call(ctx, func(ctx context.Context) error { return c.put(ctx, key, version, value) })
}

// call bounds a call by its own time limit, not by the caller's: a caller that
// has gone must not cost a connection.
func (c *Cache) call(ctx context.Context, f func(context.Context) error) {
	if !c.circuit.enter() {
		c.metrics.without.Inc()
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), c.timeout)
	defer cancel()
	begin := time.Now()
	err := f(ctx)
	c.metrics.took.Observe(time.Since(begin).Seconds())
	c.circuit.leave(err)
	if err != nil {
		c.metrics.without.Inc()
	}
}

// keys are in one slot of a Redis cluster.
func (c *Cache) keys(key, version string) []string {
	k := c.prefix + "{" + key + "}"
	return []string{k, k + ":" + version}
}

func (c *Cache) get(ctx context.Context, key, version string) ([]byte, bool, error) {
	reply, err := getScript.Run(ctx, c.client, c.keys(key, version), version, lease.Milliseconds()).Result()
	if err == nil {
		switch r := reply.(type) {
		case string:
			return []byte(r), false, nil
		case int64:
			return nil, r == 1, nil
		}
		err = errCached
	}
	return nil, true, fmt.Errorf("get %s: %w: %w", key, events.ErrUnavailable, err)
}

func (c *Cache) put(ctx context.Context, key, version string, value []byte) error {
	if err := putScript.Run(ctx, c.client, c.keys(key, version), version, value, c.ttl.Milliseconds()).Err(); err != nil {
		return fmt.Errorf("put %s: %w: %w", key, events.ErrUnavailable, err)
	}
	return nil
}

var errCached = errors.New("the script's reply is neither a value nor a number")

// probe writes: a server that answers but takes no writes would not do.
func (c *Cache) probe(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	return c.put(ctx, "probe", "0", []byte("0"))
}

// Degraded tells whether nothing is shared because Redis does not answer.
func (c *Cache) Degraded() bool { return c.circuit.open() }

// Close ends the probe and closes the connections. Later calls find nothing.
func (c *Cache) Close() error {
	c.circuit.close()
	if err := c.client.Close(); err != nil && !errors.Is(err, redis.ErrClosed) {
		return fmt.Errorf("close redis: %w", err)
	}
	return nil
}

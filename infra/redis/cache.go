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
	guarded
	ttl time.Duration
}

var caching = purpose{
	keys: "cache:", lost: "each process caches by itself", back: "the cache is shared again",
	metrics: names{
		took:    "chat_cache_redis_seconds",
		without: "chat_cache_errors_total", withoutHelp: "Calls to the shared cache that did without it, because Redis did not answer.",
		degraded: "chat_cache_degraded", degradedHelp: "1 while each process caches by itself.",
	},
}

// OpenCache connects; values are kept for ttl. A Redis that cannot be reached is
// no error, only a configuration that cannot be right.
func OpenCache(ctx context.Context, cfg Config, ttl time.Duration) (*Cache, error) {
	if ttl <= 0 {
		ttl = 10 * time.Minute
	}
	c := &Cache{ttl: ttl}
	if err := c.connect(ctx, cfg, caching, c.probe); err != nil {
		return nil, err
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

func (c *Cache) probe(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	return c.put(ctx, "probe", "0", []byte("0"))
}

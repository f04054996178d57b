package redis

import (
	"context"
	_ "embed" // the script
	"errors"
	"fmt"
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
	guarded
	local *ratelimit.Local
}

var limiting = purpose{
	keys: "limit:", lost: "rate limits hold per process", back: "rate limits are shared again",
	metrics: names{
		took:    "chat_ratelimit_redis_seconds",
		without: "chat_ratelimit_local_total", withoutHelp: "Calls judged by the process alone, because Redis did not answer.",
		degraded: "chat_ratelimit_degraded", degradedHelp: "1 while rate limits hold per process instead of for all.",
	},
}

// Open connects. A Redis that cannot be reached is no error, only a
// configuration that cannot be right: the store begins with the buckets of this
// process and goes on looking.
func Open(ctx context.Context, cfg Config) (*Store, error) {
	s := &Store{local: ratelimit.NewLocal()}
	if err := s.connect(ctx, cfg, limiting, s.probe); err != nil {
		return nil, err
	}
	return s, nil
}

// Take uses units of a bucket. It never fails: where Redis does not answer, the
// bucket of this process does.
func (s *Store) Take(ctx context.Context, key ratelimit.Key, rate ratelimit.Rate, cost int) (a events.Allowance, err error) {
	if s.call(ctx, func(ctx context.Context) (err error) {
		a, err = s.take(ctx, s.prefix+key.Limit+":"+string(key.User), rate, cost)
		return err
	}) {
		return a, nil
	}
	return s.local.Take(ctx, key, rate, cost)
}

var errReply = errors.New("the script's reply is not two numbers")

// take runs the script.
func (s *Store) take(ctx context.Context, key string, rate ratelimit.Rate, cost int) (events.Allowance, error) {
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

// probe takes from a bucket of its own.
func (s *Store) probe(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	_, err := s.take(ctx, s.prefix+"probe", ratelimit.Rate{Count: 1, Per: time.Second, Burst: 1}, 1)
	return err
}

// Ping tells whether Redis takes writes; events.ErrUnavailable if not.
func (s *Store) Ping(ctx context.Context) error { return s.probe(ctx) }

package redis

import (
	"context"

	"github.com/chat-platform/chat/infra/ratelimit"
)

// OpenLimiter gives the limiter that a configuration asks for: with buckets in
// Redis where it names one and something is limited at all, else in the process.
// The function given back closes it.
func OpenLimiter(ctx context.Context, limits ratelimit.Limits, cfg Config) (*ratelimit.Limiter, func() error, error) {
	if cfg.URL == "" || limits.Off() {
		return ratelimit.New(limits, ratelimit.NewLocal()), func() error { return nil }, nil
	}
	s, err := Open(ctx, cfg)
	if err != nil {
		return nil, nil, err
	}
	return ratelimit.New(limits, s), s.Close, nil
}

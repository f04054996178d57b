package ratelimittest_test

import (
	"testing"

	"github.com/chat-platform/chat/infra/ratelimit"
	"github.com/chat-platform/chat/infra/ratelimit/ratelimittest"
)

func TestSuite(t *testing.T) {
	ratelimittest.Run(t, func(*testing.T) ratelimit.Buckets { return ratelimit.NewLocal() })
}

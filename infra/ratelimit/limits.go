package ratelimit

import (
	"context"
	"strings"
	"time"

	"github.com/chat-platform/chat/events"
)

// Limits is how often one user may do what. The zero value limits nothing.
type Limits struct {
	Send   Rate `env:"RATE_LIMIT_SEND"`   // messages, however they are sent: one by one or in batches
	Change Rate `env:"RATE_LIMIT_CHANGE"` // each other command
	Read   Rate `env:"RATE_LIMIT_READ"`   // each query
	Import Rate `env:"RATE_LIMIT_IMPORT"` // instead of those above, for holders of the role chat-import
}

// Defaults is for a platform that people use: generous to them and their bots,
// in the way of whoever floods it. Imports pass.
func Defaults() Limits {
	return Limits{
		Send:   Rate{Count: 50, Per: time.Second, Burst: 200},
		Change: Rate{Count: 50, Per: time.Second, Burst: 200},
		Read:   Rate{Count: 200, Per: time.Second, Burst: 400},
	}
}

// Off tells whether nothing is limited.
func (l Limits) Off() bool { return l == Limits{} }

// of gives the rate of a route and the limit's name. A route is "send", or
// "read/…", or anything else, which changes something.
func (l Limits) of(caller events.Caller, route string) (string, Rate) {
	if caller.Has(events.RoleImport) {
		return "import/" + route, l.Import
	}
	switch kind, _, _ := strings.Cut(route, "/"); kind {
	case "send":
		return route, l.Send
	case "read":
		return route, l.Read
	}
	return route, l.Change
}

// Key names a bucket. Limit holds no colon.
type Key struct {
	Limit string
	User  events.UserID
}

// Buckets keep how much of each quota is used. A bucket that nobody has touched
// is full. They may lose a bucket, to the user's favour, and never fail because
// of what a key holds. The cost is at least 1.
type Buckets interface {
	Take(ctx context.Context, key Key, rate Rate, cost int) (events.Allowance, error)
}

// Limiter applies limits to callers.
type Limiter struct {
	limits  Limits
	buckets Buckets
}

// New gives a limiter whose quotas are kept in buckets.
func New(limits Limits, buckets Buckets) *Limiter { return &Limiter{limits, buckets} }

// Allow uses cost units of what the caller has for the route.
func (l *Limiter) Allow(ctx context.Context, caller events.Caller, route string, cost int) (events.Allowance, error) {
	name, rate := l.limits.of(caller, route)
	if rate.Off() {
		return events.Allowance{Allowed: true}, nil
	}
	a, err := l.buckets.Take(ctx, Key{name, caller.User}, rate, cost)
	a.Limit = name
	return a, err
}

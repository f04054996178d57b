package frontdoor

import (
	"context"
	"log/slog"
	"strconv"
	"time"

	"github.com/chat-platform/chat/events"
)

// Limiter says how often a caller may call. limit is the spec's Limit, cost at
// least 1. An error lets the call pass: a limiter that is broken is no reason to
// refuse people.
type Limiter interface {
	Allow(ctx context.Context, caller events.Caller, limit string, cost int) (events.Allowance, error)
}

// costOf is what a call uses of its limit. One that cannot be read costs too.
func costOf(req any, fault error) int {
	if c, ok := req.(interface{ Cost() int }); ok && fault == nil {
		return max(1, c.Cost())
	}
	return 1
}

// admit lets a call pass, or gives the refusal. Either way the answer's headers
// tell what is left, in a batch what the last command has left.
func (x *exchange) admit(caller events.Caller, cost int) error {
	f := x.f
	if f.limiter == nil {
		return nil
	}
	a, err := f.limiter.Allow(x.ctx, caller, f.spec.Limit, cost)
	if err != nil {
		if x.ctx.Err() == nil && !f.blind.Swap(true) {
			f.log.LogAttrs(x.ctx, slog.LevelError, "rate limits are off", slog.Any("error", err))
		}
		return nil
	}
	if f.blind.Load() && f.blind.Swap(false) {
		f.log.LogAttrs(x.ctx, slog.LevelInfo, "rate limits are on again")
	}
	if a.Limit == "" {
		return nil
	}
	if x.w != nil {
		h := x.w.Header()
		h["Ratelimit-Policy"] = []string{policy(a)}
		h["Ratelimit"] = []string{limit(a)}
	}
	if a.Allowed {
		return nil
	}
	return &overLimit{a.RetryAfter, events.NewFault(events.ErrRateLimited, "rate_limited", "",
		"the limit %q is used up: %d of %d are left, this call takes %d; try again in %d s",
		a.Limit, a.Remaining, a.Quota, cost, seconds(a.RetryAfter))}
}

// overLimit is a refusal that knows when the call would be taken.
type overLimit struct {
	after time.Duration
	*events.Fault
}

func (o *overLimit) Unwrap() error { return o.Fault }

// RetryAfter is for the header of that name.
func (o *overLimit) RetryAfter() time.Duration { return o.after }

// policy is the field RateLimit-Policy of draft-ietf-httpapi-ratelimit-headers:
// q units in w seconds. A window shorter than that is told as a second.
func policy(a events.Allowance) string {
	b := append(make([]byte, 0, 48), '"')
	b = append(append(b, a.Limit...), `";q=`...)
	b = append(strconv.AppendInt(b, int64(a.Quota), 10), ";w="...)
	return string(strconv.AppendInt(b, max(1, seconds(a.Window)), 10))
}

// limit is the field RateLimit of the same draft: r units are left, and in t
// seconds there are more.
func limit(a events.Allowance) string {
	b := append(make([]byte, 0, 48), '"')
	b = append(append(b, a.Limit...), `";r=`...)
	b = strconv.AppendInt(b, int64(a.Remaining), 10)
	if a.Reset > 0 {
		b = strconv.AppendInt(append(b, ";t="...), seconds(a.Reset), 10)
	}
	return string(b)
}

// seconds rounds up.
func seconds(d time.Duration) int64 { return int64((d + time.Second - 1) / time.Second) }

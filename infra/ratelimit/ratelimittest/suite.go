// Package ratelimittest is the conformance suite of rate limits' buckets,
// wherever they are kept.
//
// Buckets may live by a clock that no test can set, so the suite uses rates that
// give nothing back while it runs, and waits for those that do.
package ratelimittest

import (
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/chat-platform/chat/events"
	"github.com/chat-platform/chat/infra/ratelimit"
)

// slow gives nothing back within a test.
var slow = ratelimit.Rate{Count: 1, Per: time.Hour, Burst: 10}

var alice = ratelimit.Key{Limit: "send", User: "alice"}

func take(tb testing.TB, b ratelimit.Buckets, k ratelimit.Key, r ratelimit.Rate, cost int) events.Allowance {
	tb.Helper()
	a, err := b.Take(tb.Context(), k, r, cost)
	require.NoError(tb, err)
	return a
}

// Run tests buckets that open makes, empty ones each time.
func Run(t *testing.T, open func(t *testing.T) ratelimit.Buckets) {
	t.Helper()
	for name, test := range map[string]func(*testing.T, ratelimit.Buckets){
		"a burst and then no more":       burst,
		"costs":                          costs,
		"more than the whole quota":      debt,
		"keys do not touch":              keys,
		"any key":                        anyKey,
		"what was used comes back":       refill,
		"a refusal costs nothing":        refusal,
		"all at once get the quota":      race,
		"a rate may change":              change,
		"a day's limit of a single call": once,
	} {
		t.Run(name, func(t *testing.T) { test(t, open(t)) })
	}
}

func burst(t *testing.T, b ratelimit.Buckets) {
	t.Helper()
	for i := 1; i <= 10; i++ {
		a := take(t, b, alice, slow, 1)
		require.True(t, a.Allowed, "call %d", i)
		require.Equal(t, 10, a.Quota)
		require.Equal(t, 10*time.Hour, a.Window)
		require.Equal(t, 10-i, a.Remaining)
		require.Zero(t, a.RetryAfter)
		about(t, time.Hour, a.Reset)
	}
	a := take(t, b, alice, slow, 1)
	require.False(t, a.Allowed)
	require.Zero(t, a.Remaining)
	about(t, time.Hour, a.Reset)
	about(t, time.Hour, a.RetryAfter)
}

// about allows for the time since the test began.
func about(t *testing.T, want, got time.Duration) {
	t.Helper()
	require.LessOrEqual(t, got, want)
	require.Greater(t, got, want-time.Minute)
}

func costs(t *testing.T, b ratelimit.Buckets) {
	t.Helper()
	require.Equal(t, 3, take(t, b, alice, slow, 7).Remaining)
	a := take(t, b, alice, slow, 5)
	require.False(t, a.Allowed)
	require.Equal(t, 3, a.Remaining)
	about(t, 2*time.Hour, a.RetryAfter)
	about(t, time.Hour, a.Reset)
	a = take(t, b, alice, slow, 3)
	require.True(t, a.Allowed)
	require.Zero(t, a.Remaining)
}

func debt(t *testing.T, b ratelimit.Buckets) {
	t.Helper()
	a := take(t, b, alice, slow, 25)
	require.True(t, a.Allowed, "nothing was missing")
	require.Zero(t, a.Remaining)
	about(t, 16*time.Hour, a.Reset)
	a = take(t, b, alice, slow, 1)
	require.False(t, a.Allowed)
	about(t, 16*time.Hour, a.RetryAfter)
	a = take(t, b, alice, slow, 25)
	require.False(t, a.Allowed)
	about(t, 25*time.Hour, a.RetryAfter)

	bob := ratelimit.Key{Limit: "send", User: "bob"}
	take(t, b, bob, slow, 1)
	a = take(t, b, bob, slow, 25)
	require.False(t, a.Allowed, "something was missing")
	about(t, time.Hour, a.RetryAfter)

	carol := ratelimit.Key{Limit: "send", User: "carol"}
	require.True(t, take(t, b, carol, slow, 1_000_000).Allowed)
	about(t, 991*time.Hour, take(t, b, carol, slow, 1).RetryAfter)
}

func keys(t *testing.T, b ratelimit.Buckets) {
	t.Helper()
	others := []ratelimit.Key{{Limit: "read/x", User: "alice"}, {Limit: "send", User: "bob"}, {Limit: "read/x", User: "a:b"}, {Limit: "read", User: "x:a:b"}}
	take(t, b, alice, slow, 10)
	for _, k := range others {
		require.Equal(t, 9, take(t, b, k, slow, 1).Remaining, "%v", k)
	}
	require.False(t, take(t, b, alice, slow, 1).Allowed)
}

func anyKey(t *testing.T, b ratelimit.Buckets) {
	t.Helper()
	for _, user := range []string{"a b", "{tag}", "名前", "\r\n$3\r\nDEL", strings.Repeat("ü", events.MaxUserIDLength/2)} {
		k := ratelimit.Key{Limit: "send", User: events.UserID(user)}
		require.Equal(t, 9, take(t, b, k, slow, 1).Remaining)
		require.Equal(t, 8, take(t, b, k, slow, 1).Remaining, "%q is found again", user)
	}
}

func refill(t *testing.T, b ratelimit.Buckets) {
	t.Helper()
	quick := ratelimit.Rate{Count: 20, Per: time.Second, Burst: 2}
	a := take(t, b, alice, quick, 2)
	require.True(t, a.Allowed)
	require.Equal(t, 100*time.Millisecond, a.Window)
	require.LessOrEqual(t, a.Reset, 50*time.Millisecond)
	require.Eventually(t, func() bool { return take(t, b, alice, quick, 1).Allowed }, 10*time.Second, time.Millisecond)
	// Left alone, it is full, and no fuller than that.
	require.Eventually(t, func() bool { return take(t, b, alice, quick, 2).Allowed }, 10*time.Second, 200*time.Millisecond)
	require.Zero(t, take(t, b, alice, quick, 2).Remaining)
}

func refusal(t *testing.T, b ratelimit.Buckets) {
	t.Helper()
	take(t, b, alice, slow, 8)
	first := take(t, b, alice, slow, 3)
	for range 100 {
		a := take(t, b, alice, slow, 3)
		require.False(t, a.Allowed)
		require.LessOrEqual(t, a.RetryAfter, first.RetryAfter)
	}
	require.True(t, take(t, b, alice, slow, 2).Allowed)
}

func race(t *testing.T, b ratelimit.Buckets) {
	t.Helper()
	var allowed atomic.Int64
	var callers sync.WaitGroup
	many := ratelimit.Rate{Count: 1, Per: time.Hour, Burst: 50}
	for range 16 {
		callers.Go(func() {
			for range 20 {
				a, err := b.Take(t.Context(), alice, many, 1)
				assert.NoError(t, err)
				if a.Allowed {
					allowed.Add(1)
				}
			}
		})
	}
	callers.Wait()
	require.EqualValues(t, 50, allowed.Load())
}

func change(t *testing.T, b ratelimit.Buckets) {
	t.Helper()
	take(t, b, alice, slow, 10) // ten hours behind
	wider := ratelimit.Rate{Count: 1, Per: time.Hour, Burst: 20}
	require.Equal(t, 9, take(t, b, alice, wider, 1).Remaining)
	lower := ratelimit.Rate{Count: 10, Per: time.Second, Burst: 10}
	require.False(t, take(t, b, alice, lower, 1).Allowed)
	about(t, 100*time.Second, take(t, b, alice, lower, 1).RetryAfter.Round(time.Second)) // not eleven hours
}

func once(t *testing.T, b ratelimit.Buckets) {
	t.Helper()
	daily := ratelimit.Rate{Count: 1, Per: 24 * time.Hour, Burst: 1}
	a := take(t, b, alice, daily, 1)
	require.True(t, a.Allowed)
	require.Equal(t, 24*time.Hour, a.Window)
	about(t, 24*time.Hour, take(t, b, alice, daily, 1).RetryAfter)
}

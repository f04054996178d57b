package ratelimit_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/chat-platform/chat/events"
	"github.com/chat-platform/chat/infra/ratelimit"
	"github.com/chat-platform/chat/infra/ratelimit/ratelimittest"
)

func TestLocal(t *testing.T) {
	ratelimittest.Run(t, func(*testing.T) ratelimit.Buckets { return ratelimit.NewLocal() })
}

func TestParseRate(t *testing.T) {
	for text, want := range map[string]ratelimit.Rate{
		"off":                        {},
		"50/1s":                      {Count: 50, Per: time.Second, Burst: 50},
		"50/s":                       {Count: 50, Per: time.Second, Burst: 50},
		" 50/1s  burst 200 ":         {Count: 50, Per: time.Second, Burst: 200},
		"1/24h burst 1":              {Count: 1, Per: 24 * time.Hour, Burst: 1},
		"1000000/s burst 1000000":    {Count: 1_000_000, Per: time.Second, Burst: 1_000_000},
		"100/1m30s burst 10":         {Count: 100, Per: 90 * time.Second, Burst: 10},
		"3/500ms burst 7":            {Count: 3, Per: 500 * time.Millisecond, Burst: 7},
		"":                           {Count: -1},
		"on":                         {Count: -1},
		"50":                         {Count: -1},
		"50/":                        {Count: -1},
		"/1s":                        {Count: -1},
		"50/1s burst":                {Count: -1},
		"50/1s burst 0":              {Count: -1},
		"50/1s at 10":                {Count: -1},
		"50/1s burst x":              {Count: -1},
		"0/1s":                       {Count: -1},
		"-5/1s":                      {Count: -1},
		"5/-1s":                      {Count: -1},
		"5/0s":                       {Count: -1},
		"5/25h":                      {Count: -1},
		"5/4us":                      {Count: -1}, // more than one in a microsecond
		"1/1h burst 1000":            {Count: -1}, // 42 days
		"1000001/s":                  {Count: -1},
		"99999999999999999999999/1s": {Count: -1},
	} {
		t.Run(text, func(t *testing.T) {
			var got ratelimit.Rate
			err := got.UnmarshalText([]byte(text))
			if want.Count < 0 {
				require.ErrorContains(t, err, "expected ")
				return
			}
			require.NoError(t, err)
			require.Equal(t, want, got)
			again, err := ratelimit.ParseRate(got.String())
			require.NoError(t, err)
			require.Equal(t, want, again)
		})
	}
}

func FuzzParseRate(f *testing.F) {
	for _, s := range []string{"off", "50/1s burst 200", "1/24h", "x/y burst z"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		r, err := ratelimit.ParseRate(s)
		if err != nil || r.Off() {
			return
		}
		a, err := ratelimit.NewLocal().Take(t.Context(), ratelimit.Key{}, r, 1)
		if err != nil || !a.Allowed || a.Remaining != r.Burst-1 || a.Window <= 0 || a.Reset <= 0 {
			t.Fatalf("%q: %v: %+v %v", s, r, a, err)
		}
	})
}

// clock is set by hand.
type clock struct{ time.Time }

func (c *clock) now() time.Time { return c.Time }

func (c *clock) pass(d time.Duration) { c.Time = c.Add(d) }

func newClock() *clock { return &clock{time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)} }

func TestTheRateHoldsToTheMicrosecond(t *testing.T) {
	c := newClock()
	l := ratelimit.NewLocal(ratelimit.WithClock(c.now))
	key := ratelimit.Key{Limit: "send", User: "alice"}
	rate := ratelimit.Rate{Count: 50, Per: time.Second, Burst: 4}
	take := func(cost int) events.Allowance {
		a, err := l.Take(t.Context(), key, rate, cost)
		require.NoError(t, err)
		return a
	}
	require.Equal(t, events.Allowance{Allowed: true, Quota: 4, Window: 80 * time.Millisecond, Remaining: 0, Reset: 20 * time.Millisecond}, take(4))
	c.pass(20*time.Millisecond - time.Microsecond)
	require.Equal(t, events.Allowance{Quota: 4, Window: 80 * time.Millisecond, Reset: time.Microsecond, RetryAfter: time.Microsecond}, take(1))
	c.pass(time.Microsecond)
	require.True(t, take(1).Allowed)
	require.False(t, take(1).Allowed)
	c.pass(59 * time.Millisecond)
	require.Equal(t, events.Allowance{Quota: 4, Window: 80 * time.Millisecond, Remaining: 2, Reset: time.Millisecond, RetryAfter: time.Millisecond}, take(3))

	// In the long run it is the rate, whatever the pattern.
	allowed := 0
	for range 10_000 {
		c.pass(time.Millisecond)
		if take(1).Allowed {
			allowed++
		}
	}
	require.InDelta(t, 500, allowed, 4)
	c.pass(-time.Hour)
	require.LessOrEqual(t, take(1).RetryAfter, 20*time.Second, "a clock that goes back does not lock people out for as long")
}

func TestMemoryIsBounded(t *testing.T) {
	c := newClock()
	l := ratelimit.NewLocal(ratelimit.WithClock(c.now), ratelimit.WithKeys(640))
	quick := ratelimit.Rate{Count: 1, Per: time.Second, Burst: 2}
	take := func(name string, cost int) events.Allowance {
		a, err := l.Take(t.Context(), ratelimit.Key{Limit: "send", User: events.UserID(name)}, quick, cost)
		require.NoError(t, err)
		return a
	}
	for i := range 10_000 {
		require.True(t, take(fmt.Sprint("user", i), 1).Allowed)
	}
	require.Equal(t, 640, l.Len())

	// Whoever has used most is forgotten last.
	l = ratelimit.NewLocal(ratelimit.WithClock(c.now), ratelimit.WithKeys(64*8))
	require.True(t, take("flooder", 1000).Allowed)
	for i := range 10_000 {
		take(fmt.Sprint("user", i), 1)
	}
	require.False(t, take("flooder", 1).Allowed)

	// What is full again goes with the next newcomers.
	c.pass(2 * time.Hour)
	for i := range 1000 {
		take(fmt.Sprint("late", i%200), 1)
		c.pass(time.Minute)
	}
	require.Less(t, l.Len(), 200)
}

func TestLimits(t *testing.T) {
	rate := func(n int) ratelimit.Rate { return ratelimit.Rate{Count: n, Per: time.Hour, Burst: n} }
	limits := ratelimit.Limits{Send: rate(1), Change: rate(2), Read: rate(3), Import: rate(4)}
	person := events.Caller{User: "u"}
	importer := events.Caller{User: "u", Roles: []string{"other", events.RoleImport}}
	l := ratelimit.New(limits, ratelimit.NewLocal())
	for _, c := range []struct {
		caller events.Caller
		route  string
		name   string
		quota  int
	}{
		{person, "send", "send", 1},
		{person, "read/history", "read/history", 3},
		{person, "read/search", "read/search", 3},
		{person, "change/join", "change/join", 2},
		{person, "anything", "anything", 2},
		{importer, "send", "import/send", 4},
		{importer, "read/history", "import/read/history", 4},
	} {
		a, err := l.Allow(t.Context(), c.caller, c.route, 1)
		require.NoError(t, err)
		require.Equal(t, c.name, a.Limit)
		require.True(t, a.Allowed, "each has its own")
		require.Equal(t, c.quota, a.Quota)
		require.Equal(t, c.quota-1, a.Remaining)
	}
	a, err := l.Allow(t.Context(), person, "send", 1)
	require.NoError(t, err)
	require.False(t, a.Allowed)
}

func TestOff(t *testing.T) {
	require.True(t, ratelimit.Limits{}.Off())
	require.False(t, ratelimit.Defaults().Off())
	for _, c := range []struct {
		limits ratelimit.Limits
		caller events.Caller
	}{
		{ratelimit.Limits{}, events.Caller{User: "u"}},
		{ratelimit.Defaults(), events.Caller{User: "u", Roles: []string{events.RoleImport}}},
	} {
		l := ratelimit.New(c.limits, nil)
		for range 1000 {
			a, err := l.Allow(t.Context(), c.caller, "send", 1000)
			require.NoError(t, err)
			require.Equal(t, events.Allowance{Allowed: true}, a)
		}
	}
}

func BenchmarkLocal(b *testing.B) {
	limits := ratelimit.New(ratelimit.Defaults(), ratelimit.NewLocal())
	callers := make([]events.Caller, 10_000)
	for i := range callers {
		callers[i] = events.Caller{User: events.UserID(fmt.Sprintf("f3c2a1d0-0000-4000-8000-%012d", i)), Roles: []string{"chat-user"}}
	}
	b.Run("serial", func(b *testing.B) {
		b.ReportAllocs()
		i := 0
		for b.Loop() {
			if _, err := limits.Allow(b.Context(), callers[i%len(callers)], "send", 1); err != nil {
				b.Fatal(err)
			}
			i++
		}
	})
	b.Run("parallel", func(b *testing.B) {
		b.ReportAllocs()
		b.RunParallel(func(pb *testing.PB) {
			for i := 0; pb.Next(); i++ {
				_, _ = limits.Allow(b.Context(), callers[i%len(callers)], "send", 1)
			}
		})
	})
}

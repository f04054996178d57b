package frontdoor_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	cehttp "github.com/cloudevents/sdk-go/v2/protocol/http"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/chat-platform/chat/events"
	"github.com/chat-platform/chat/functions/internal/frontdoor"
)

// limiter notes its calls and answers what it is told to.
type limiter struct {
	calls []string
	left  int // calls beyond are refused
	err   error
	none  bool
}

func (l *limiter) Allow(_ context.Context, caller events.Caller, limit string, cost int) (events.Allowance, error) {
	l.calls = append(l.calls, string(caller.User)+" "+limit+" "+strings.Repeat("|", cost))
	if l.err != nil || l.none {
		return events.Allowance{Allowed: true}, l.err
	}
	a := events.Allowance{Limit: limit, Quota: 200, Window: 4 * time.Second, Reset: 20 * time.Millisecond}
	if a.Allowed = l.left >= cost; a.Allowed {
		l.left -= cost
	} else {
		a.RetryAfter = 1001 * time.Millisecond
	}
	a.Remaining = l.left
	return a, nil
}

// many costs as many units as it has items.
type many struct {
	Items []string `json:"items"`
}

func (m many) Cost() int { return len(m.Items) }

func manyFunction(spec frontdoor.Spec, l frontdoor.Limiter, opts ...frontdoor.Option) *frontdoor.Function {
	return frontdoor.Command(spec, func(context.Context, events.Caller, many) (struct{}, error) { return struct{}{}, nil },
		append([]frontdoor.Option{frontdoor.WithVerifier(tokens{}), frontdoor.WithLogger(silent), frontdoor.WithLimiter(l)}, opts...)...)
}

var manySpec = frontdoor.Spec{Name: "many", Method: "POST", Path: "/many", Type: "many.v1"}

func TestRateLimitIsToldAndKept(t *testing.T) {
	l := &limiter{left: 3}
	f := manyFunction(manySpec, l).Alone()
	post := func(body string) *http.Response {
		return do(f, request("POST", "/many", body, "Content-Type", "application/json"))
	}
	res := post(`{"items":["a","b"]}`)
	require.Equal(t, 200, res.StatusCode)
	assert.Equal(t, `"change/many";q=200;w=4`, res.Header.Get("RateLimit-Policy"))
	assert.Equal(t, `"change/many";r=1;t=1`, res.Header.Get("RateLimit"))
	assert.Empty(t, res.Header.Get("Retry-After"))

	res = post(`{"items":["a","b"]}`)
	require.Equal(t, http.StatusTooManyRequests, res.StatusCode)
	assert.Equal(t, `"change/many";q=200;w=4`, res.Header.Get("RateLimit-Policy"))
	assert.Equal(t, `"change/many";r=1;t=1`, res.Header.Get("RateLimit"))
	assert.Equal(t, "2", res.Header.Get("Retry-After"), "rounded up")
	p := problemOf(t, res)
	assert.Equal(t, "rate_limited", p.Code)
	assert.Equal(t, `the limit "change/many" is used up: 1 of 200 are left, this call takes 2; try again in 2 s`, p.Detail)

	res = post(`{"items":`)
	require.Equal(t, 400, res.StatusCode, "what cannot be read costs too")
	assert.Equal(t, `"change/many";r=0;t=1`, res.Header.Get("RateLimit"))
	require.Equal(t, http.StatusTooManyRequests, post(`{"items":`).StatusCode)
	require.Equal(t, http.StatusTooManyRequests, post(``).StatusCode)
	assert.Equal(t, []string{"u1 change/many ||", "u1 change/many ||", "u1 change/many |", "u1 change/many |", "u1 change/many |"}, l.calls)
}

func TestRateLimitOfEveryForm(t *testing.T) {
	get := manySpec
	get.Method, get.Name = "GET", "look"
	send := manySpec
	send.Limit = "send"
	for limit, spec := range map[string]frontdoor.Spec{"read/look": get, "send": send, "change/many": manySpec, "change/event": {Name: "event", Type: "many.v1"}} {
		t.Run(limit, func(t *testing.T) {
			l := &limiter{left: 1}
			f := manyFunction(spec, l)
			require.Equal(t, limit, f.Spec().Limit)
			event := structured("1", "many.v1", `{"items":["a"]}`)
			post := func() *http.Response {
				return do(f.Alone(), request("POST", "/", event, "Content-Type", "application/cloudevents+json"))
			}
			res := post()
			require.Equal(t, 200, res.StatusCode)
			require.Equal(t, `"`+limit+`";r=0;t=1`, res.Header.Get("RateLimit"))
			res = post()
			require.Equal(t, 429, res.StatusCode)
			require.Equal(t, "2", res.Header.Get("Retry-After"))
		})
	}
}

// Each command of a batch is judged by itself.
func TestRateLimitInABatch(t *testing.T) {
	l := &limiter{left: 2}
	f := manyFunction(manySpec, l).Alone()
	one := structured("1", "many.v1", `{"items":["a"]}`)
	res := do(f, request("POST", "/", "["+one+","+one+","+one+"]", "Content-Type", "application/cloudevents-batch+json"))
	require.Equal(t, 200, res.StatusCode)
	es, err := events.ParseBatch([]byte(bodyOf(t, res)))
	require.NoError(t, err)
	require.Equal(t, []string{"many.v1.answer", "many.v1.answer", "many.v1.problem"}, []string{es[0].Type, es[1].Type, es[2].Type})
	var p frontdoor.Problem
	require.NoError(t, json.Unmarshal(es[2].Data, &p))
	require.Equal(t, "rate_limited", p.Code)
	require.Equal(t, 429, p.Status)
	require.Equal(t, `"change/many";r=0;t=1`, res.Header.Get("RateLimit"), "as the last one left it")
}

func TestRateLimitInTheFormOfFuncGo(t *testing.T) {
	f := manyFunction(frontdoor.Spec{Name: "many"}, &limiter{})
	ctx := cehttp.WithRequestDataAtContext(t.Context(), request("POST", "/", ""))
	e := sdkEvent(t)
	require.NoError(t, e.SetData("application/json", many{Items: []string{"a"}}))
	_, err := f.Handle(ctx, e)
	var result *cehttp.Result
	require.ErrorAs(t, err, &result)
	require.Equal(t, 429, result.StatusCode)
}

func TestNoLimitNoHeaders(t *testing.T) {
	for name, f := range map[string]*frontdoor.Function{"none": manyFunction(manySpec, &limiter{none: true}), "no limiter": greetFunction()} {
		t.Run(name, func(t *testing.T) {
			res := do(f.Alone(), request("POST", "/", structured("1", f.Spec().Type, `{}`), "Content-Type", "application/cloudevents+json"))
			assert.Empty(t, res.Header.Values("RateLimit"))
			assert.Empty(t, res.Header.Values("RateLimit-Policy"))
		})
	}
	l := &limiter{left: 9}
	for _, r := range []*http.Request{
		request("POST", "/many", `{}`, "Authorization", "Bearer bad"),
		request("POST", "/many", `{}`, "Content-Type", "text/plain"),
	} {
		do(manyFunction(manySpec, l).Alone(), r)
	}
	assert.Empty(t, l.calls, "refused before")
}

// A limiter that fails lets calls pass, and is logged once until it works again.
func TestABrokenLimiterRefusesNobody(t *testing.T) {
	var log bytes.Buffer
	l := &limiter{left: 9, err: errors.New("no connection")}
	f := manyFunction(manySpec, l, frontdoor.WithLogger(slog.New(slog.NewTextHandler(&log, nil)))).Alone()
	post := func(n int) {
		for range n {
			require.Equal(t, 200, do(f, request("POST", "/many", "")).StatusCode)
		}
	}
	post(3)
	l.err = nil
	post(3)
	l.err = errors.New("again")
	post(3)
	assert.Equal(t, 2, strings.Count(log.String(), "rate limits are off"), log.String())
	assert.Equal(t, 1, strings.Count(log.String(), "rate limits are on again"))
	assert.Contains(t, log.String(), "no connection")
	assert.Contains(t, log.String(), "function=many")
}

func TestShortWindowsAndFullQuotas(t *testing.T) {
	f := manyFunction(manySpec, fixed{Limit: "x", Allowed: true, Quota: 5, Remaining: 5, Window: 100 * time.Millisecond}).Alone()
	res := do(f, request("POST", "/many", ""))
	assert.Equal(t, `"x";q=5;w=1`, res.Header.Get("RateLimit-Policy"))
	assert.Equal(t, `"x";r=5`, res.Header.Get("RateLimit"))
}

type fixed events.Allowance

func (f fixed) Allow(context.Context, events.Caller, string, int) (events.Allowance, error) {
	return events.Allowance(f), nil
}

func TestLimitsNameHasToFitItsHeader(t *testing.T) {
	assert.Panics(t, func() { manyFunction(frontdoor.Spec{Name: "many", Limit: `a"b`}, &limiter{}) })
}

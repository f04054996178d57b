package frontdoor_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/chat-platform/chat/events"
	"github.com/chat-platform/chat/functions/internal/frontdoor"
)

func TestRESTTakes(t *testing.T) {
	f := greetFunction().Alone()
	for _, c := range []struct {
		name, target, body string
		headers            []string
		want               string
	}{
		{"query, header and path", greetings + "?limit=5&before=18446744073709551615&loud=true", `{"text":"hi"}`,
			[]string{"Idempotency-Key", "k 1"}, `{"channel":"ch_a","user":"u1","text":"hi","client_id":"k 1","limit":5,"before":18446744073709551615,"loud":true}`},
		{"the same in body and path", greetings, `{"text":"hi","channel_id":"ch_a"}`, nil, `{"channel":"ch_a","user":"u1","text":"hi"}`},
		{"charset and case", greetings, ` {"text":"hi"} ` + "\r\n", []string{"Content-Type", "Application/JSON; charset=UTF-8"}, `{"channel":"ch_a","user":"u1","text":"hi"}`},
		{"an escaped path", "/v1/channels/a%2Fb/greetings", `{"text":"hi"}`, nil, `{"channel":"a/b","user":"u1","text":"hi"}`},
		{"bearer in any case", greetings, `{"text":"hi"}`, []string{"Authorization", "bearer  u2 "}, `{"channel":"ch_a","user":"u2","text":"hi"}`},
	} {
		t.Run(c.name, func(t *testing.T) {
			res := do(f, request("POST", c.target, c.body, append([]string{"Content-Type", "application/json"}, c.headers...)...))
			assert.Equal(t, http.StatusAccepted, res.StatusCode)
			assert.Equal(t, c.want, bodyOf(t, res))
		})
	}
}

func TestRESTRefuses(t *testing.T) {
	f := greetFunction().Alone()
	long := `{"text":"` + strings.Repeat("x", 4096) + `"}`
	for _, c := range []struct {
		name, target, body string
		headers            []string
		status             int
		errors             string // field=code, …
	}{
		{"nothing", greetings, ``, nil, 400, "text=empty_message"},
		{"another field", greetings, `{"text":"a","txt":"b"}`, nil, 400, "txt=unknown_field"},
		{"two documents", greetings, `{"text":"a"}{"text":"b"}`, nil, 400, "=invalid_json"},
		{"trailing bracket", greetings, `{"text":"a"}]`, nil, 400, "=invalid_json"},
		{"no JSON", greetings, `{"text":`, nil, 400, "=invalid_json"},
		{"a syntax error", greetings, `{"text":"a",}`, nil, 400, "=invalid_json"},
		{"an array", greetings, `[]`, nil, 400, "=invalid_json"},
		{"null", greetings, `null`, nil, 400, "=invalid_json"},
		{"bad UTF-8", greetings, "{\"text\":\"\xff\"}", nil, 400, "=invalid_json"},
		{"a number for a text", greetings, `{"text":5}`, nil, 400, "text=invalid_type"},
		{"a number too large", greetings, `{"text":"a","before":-1}`, nil, 400, "before=invalid_type"},
		{"no time", greetings, `{"text":"a","at":"noon"}`, nil, 400, "=invalid_time"},
		{"another channel in the body", greetings, `{"text":"a","channel_id":"ch_b"}`, nil, 400, "channel_id=ambiguous_field"},
		{"another key in the body", greetings, `{"text":"a","client_id":"1"}`, []string{"Idempotency-Key", "2"}, 400, "client_id=ambiguous_field"},
		{"unknown parameters", greetings + "?zoo=1&abc=2", `{"text":"a"}`, nil, 400, "abc=unknown_parameter, zoo=unknown_parameter"},
		{"a repeated parameter", greetings + "?limit=1&limit=1", `{"text":"a"}`, nil, 400, "limit=repeated_parameter"},
		{"wrong values", greetings + "?limit=x&before=-1&loud=maybe", `{"text":"a"}`, nil, 400, "before=invalid_query, limit=invalid_query, loud=invalid_query"},
		{"an empty value", greetings + "?limit=", `{"text":"a"}`, nil, 400, "limit=invalid_query"},
		{"a malformed query", greetings + "?limit=%zz", `{"text":"a"}`, nil, 400, "=invalid_query"},
		{"several faults", greetings + "?limit=x&zoo=1", `{"txt":"a"}`, nil, 400, "txt=unknown_field, limit=invalid_query, zoo=unknown_parameter"},
		{"no content type", greetings, `{"text":"a"}`, []string{"Content-Type", ""}, 415, ""},
		{"a form", greetings, `text=a`, []string{"Content-Type", "application/x-www-form-urlencoded"}, 415, ""},
		{"another charset", greetings, `{"text":"a"}`, []string{"Content-Type", "application/json; charset=latin1"}, 415, ""},
		{"a malformed content type", greetings, `{"text":"a"}`, []string{"Content-Type", "application/json; charset"}, 415, ""},
		{"too large", greetings, long, nil, 413, ""},
		{"headers too large", greetings, `{"text":"a"}`, []string{"X-Long", strings.Repeat("x", 40_000)}, 431, ""},
		{"no token", greetings, `{"text":"a"}`, []string{"Authorization", ""}, 401, ""},
		{"a bad token", greetings, `{"text":"a"}`, []string{"Authorization", "Bearer bad"}, 401, ""},
		{"another scheme", greetings, `{"text":"a"}`, []string{"Authorization", "Basic dTpw"}, 401, ""},
		{"an empty token", greetings, `{"text":"a"}`, []string{"Authorization", "Bearer "}, 401, ""},
		{"the issuer is down", greetings, `{"text":"a"}`, []string{"Authorization", "Bearer down"}, 503, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := problemOf(t, do(f, request("POST", c.target, c.body, append([]string{"Content-Type", "application/json"}, c.headers...)...)))
			assert.Equal(t, c.status, p.Status)
			var got []string
			for _, e := range p.Errors {
				got = append(got, e.Field+"="+e.Code)
				assert.Nil(t, e.Index)
				assert.NotEmpty(t, e.Detail)
			}
			assert.Equal(t, c.errors, strings.Join(got, ", "), "%+v", p)
		})
	}
}

func TestABodyOfUnknownLengthIsBoundedToo(t *testing.T) {
	f := greetFunction().Alone()
	r := request("POST", greetings, `{"text":"`+strings.Repeat("x", 5000)+`"}`, "Content-Type", "application/json")
	r.ContentLength = -1
	res := do(f, r)
	assert.Equal(t, "body_too_large", problemOf(t, res).Code)
	assert.Equal(t, "close", res.Header.Get("Connection"))

	r = request("POST", greetings, `{"text":"`+strings.Repeat("x", 4000)+`"}`, "Content-Type", "application/json")
	r.ContentLength = -1
	assert.Equal(t, http.StatusAccepted, do(f, r).StatusCode)
}

func TestChallenge(t *testing.T) {
	f := greetFunction().Alone()
	assert.Equal(t, `Bearer realm="chat"`, do(f, request("POST", greetings, "", "Authorization", "")).Header.Get("WWW-Authenticate"))
	assert.Equal(t, `Bearer realm="chat", error="invalid_token"`, do(f, request("POST", greetings, "", "Authorization", "Bearer bad")).Header.Get("WWW-Authenticate"))

	r := request("POST", greetings, "")
	r.Header.Add("Authorization", "Bearer u2")
	assert.Equal(t, 401, do(f, r).StatusCode)

	nobody := frontdoor.Command(greetSpec, handleGreet, frontdoor.WithLogger(silent)).Alone()
	assert.Equal(t, 401, do(nobody, request("POST", greetings, "")).StatusCode)
}

func TestRepeatedHeader(t *testing.T) {
	r := request("POST", greetings, `{"text":"a"}`, "Content-Type", "application/json", "Idempotency-Key", "1")
	r.Header.Add("Idempotency-Key", "2")
	assert.Equal(t, "repeated_header", problemOf(t, do(greetFunction().Alone(), r)).Code)
}

type page struct {
	Limit int32 `query:"limit"`
}

func TestQueryFunction(t *testing.T) {
	f := frontdoor.Command(frontdoor.Spec{Name: "list", Method: "GET", Path: "/v1/things"}, func(_ context.Context, _ events.Caller, req page) (map[string]any, error) {
		return map[string]any{"limit": req.Limit}, nil
	}, frontdoor.WithVerifier(tokens{}), frontdoor.WithLogger(silent)).Alone()
	res := do(f, request("GET", "/v1/things?limit=7", ""))
	assert.Equal(t, 200, res.StatusCode)
	assert.Equal(t, `{"limit":7}`, bodyOf(t, res))
	assert.Equal(t, "unexpected_body", problemOf(t, do(f, request("GET", "/v1/things", "{}", "Content-Type", "application/json"))).Code)
	assert.Equal(t, "limit=invalid_query", func() string {
		e := problemOf(t, do(f, request("GET", "/v1/things?limit=2147483648"+strings.Repeat("0", 100), ""))).Errors[0]
		return e.Field + "=" + e.Code
	}())
	assert.Equal(t, 200, do(f, request("HEAD", "/v1/things", "")).StatusCode)
}

type nothing struct{}

func (nothing) StatusCode() int { return http.StatusNoContent }

func TestAnswers(t *testing.T) {
	spec := frontdoor.Spec{Name: "x", Method: "DELETE", Path: "/x"}
	opts := []frontdoor.Option{frontdoor.WithVerifier(tokens{}), frontdoor.WithLogger(silent)}
	res := do(frontdoor.Command(spec, func(context.Context, events.Caller, struct{}) (nothing, error) { return nothing{}, nil }, opts...).Alone(), request("DELETE", "/x", ""))
	assert.Equal(t, http.StatusNoContent, res.StatusCode)
	assert.Empty(t, bodyOf(t, res))
	assert.Equal(t, "no-store", res.Header.Get("Cache-Control"))

	spec.Status = http.StatusCreated
	res = do(frontdoor.Command(spec, func(context.Context, events.Caller, struct{}) (string, error) { return "é&", nil }, opts...).Alone(), request("DELETE", "/x", ""))
	assert.Equal(t, http.StatusCreated, res.StatusCode)
	assert.Equal(t, `"é&"`, bodyOf(t, res))

	res = do(frontdoor.Command(spec, func(context.Context, events.Caller, struct{}) (func(), error) { return func() {}, nil }, opts...).Alone(), request("DELETE", "/x", ""))
	assert.Equal(t, "internal", problemOf(t, res).Code)
}

func TestWhatCannotWorkPanicsWhenItIsMade(t *testing.T) {
	type badKind struct {
		At []string `query:"at"`
	}
	type badPath struct {
		C string `path:"c"`
	}
	type hidden struct {
		_ string `query:"c"`
	}
	ok := frontdoor.Spec{Name: "x", Method: "GET", Path: "/x"}
	for name, f := range map[string]func(){
		"no name":        func() { frontdoor.Writer(frontdoor.Spec{}, nil) },
		"a bad name":     func() { frontdoor.Writer(frontdoor.Spec{Name: "a b"}, nil) },
		"path, method":   func() { frontdoor.Writer(frontdoor.Spec{Name: "x", Path: "/x"}, nil) },
		"relative path":  func() { frontdoor.Writer(frontdoor.Spec{Name: "x", Path: "x", Method: "GET"}, nil) },
		"negative limit": func() { frontdoor.Writer(frontdoor.Spec{Name: "x", MaxBody: -1}, nil) },
		"kind": func() {
			frontdoor.Command(ok, func(context.Context, events.Caller, badKind) (int, error) { return 0, nil })
		},
		"path tag": func() {
			frontdoor.Command(ok, func(context.Context, events.Caller, badPath) (int, error) { return 0, nil })
		},
		"unexported": func() {
			frontdoor.Command(ok, func(context.Context, events.Caller, hidden) (int, error) { return 0, nil })
		},
		"no struct": func() {
			frontdoor.Command(ok, func(context.Context, events.Caller, int) (int, error) { return 0, nil })
		},
	} {
		assert.Panics(t, f, name)
	}
}

func TestDecoderIsReusedCleanly(t *testing.T) {
	f := greetFunction().Alone()
	for i := range 200 {
		text := strings.Repeat("x", i*7)
		res := do(f, request("POST", greetings, fmt.Sprintf(`{"text":"t%s"}`, text), "Content-Type", "application/json"))
		require.Equal(t, http.StatusAccepted, res.StatusCode)
		require.Contains(t, bodyOf(t, res), `"t`+text+`"`)
		if i%3 == 0 {
			require.Equal(t, 400, do(f, request("POST", greetings, `{"text":"a"} x`, "Content-Type", "application/json")).StatusCode)
		}
	}
}

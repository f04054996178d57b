package frontdoor_test

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/chat-platform/chat/events"
	"github.com/chat-platform/chat/functions/internal/frontdoor"
)

// greet is the command of these tests.
type greet struct {
	ChannelID events.ChannelID `json:"channel_id" path:"channel"`
	Text      string           `json:"text"`
	ClientID  string           `json:"client_id" header:"Idempotency-Key"`
	Limit     *int             `json:"limit" query:"limit"`
	Before    uint64           `json:"before" query:"before"`
	Loud      bool             `json:"loud" query:"loud"`
	At        time.Time        `json:"at"`
}

type greeting struct {
	Channel  events.ChannelID `json:"channel"`
	User     events.UserID    `json:"user"`
	Text     string           `json:"text"`
	ClientID string           `json:"client_id,omitempty"`
	Limit    int              `json:"limit,omitempty"`
	Before   uint64           `json:"before,omitempty"`
	Loud     bool             `json:"loud,omitempty"`
	status   int
}

func (g greeting) StatusCode() int { return g.status }

var greetSpec = frontdoor.Spec{
	Name: "greet", Summary: "Says hello.", Method: "POST", Path: "/v1/channels/{channel}/greetings",
	Type: "chat.command.greet.v1", MaxBody: 4096,
}

func handleGreet(_ context.Context, caller events.Caller, req greet) (greeting, error) {
	if req.Text == "" {
		return greeting{}, events.ErrEmptyMessage
	}
	g := greeting{Channel: req.ChannelID, User: caller.User, Text: req.Text, ClientID: req.ClientID, Before: req.Before, Loud: req.Loud, status: http.StatusAccepted}
	if req.Limit != nil {
		g.Limit = *req.Limit
	}
	return g, nil
}

// tokens is a Verifier: the token is the user.
type tokens struct{}

func (tokens) Verify(_ context.Context, raw string) (events.Caller, error) {
	switch raw {
	case "bad":
		return events.Caller{}, events.NewFault(events.ErrUnauthenticated, "token_invalid", "", "the token is not valid")
	case "down":
		return events.Caller{}, events.NewFault(events.ErrUnavailable, "issuer_unavailable", "", "the issuer cannot be reached")
	}
	return events.Caller{User: events.UserID(raw), Name: raw}, nil
}

var silent = slog.New(slog.DiscardHandler)

func greetFunction(opts ...frontdoor.Option) *frontdoor.Function {
	return frontdoor.Command(greetSpec, handleGreet, append([]frontdoor.Option{frontdoor.WithVerifier(tokens{}), frontdoor.WithLogger(silent)}, opts...)...)
}

// request makes a POST as user u1; headers come in pairs.
func request(method, target, body string, headers ...string) *http.Request {
	r := httptest.NewRequest(method, target, strings.NewReader(body))
	r.Header.Set("Authorization", "Bearer u1")
	for i := 0; i < len(headers); i += 2 {
		if headers[i+1] == "" {
			r.Header.Del(headers[i])
		} else {
			r.Header.Set(headers[i], headers[i+1])
		}
	}
	return r
}

func do(h http.Handler, r *http.Request) *http.Response {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Result()
}

func bodyOf(t *testing.T, res *http.Response) string {
	t.Helper()
	b, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	return strings.TrimSuffix(string(b), "\n")
}

// problemOf reads a problem and checks what all problems share.
func problemOf(t *testing.T, res *http.Response) frontdoor.Problem {
	t.Helper()
	assert.Equal(t, "application/problem+json", res.Header.Get("Content-Type"))
	assert.Equal(t, "no-store", res.Header.Get("Cache-Control"))
	assert.Equal(t, "nosniff", res.Header.Get("X-Content-Type-Options"))
	var p frontdoor.Problem
	require.NoError(t, json.Unmarshal([]byte(bodyOf(t, res)), &p))
	assert.Equal(t, "about:blank", p.Type)
	assert.Equal(t, res.StatusCode, p.Status)
	assert.Equal(t, http.StatusText(res.StatusCode), p.Title)
	assert.NotEmpty(t, p.Code)
	assert.NotEmpty(t, p.Detail)
	assert.Equal(t, res.Header.Get("X-Request-Id"), p.RequestID)
	assert.NotEmpty(t, p.RequestID)
	return p
}

const greetings = "/v1/channels/ch_a/greetings"

func TestRESTCommand(t *testing.T) {
	res := do(greetFunction().Alone(), request("POST", greetings, `{"text":"hi <b>"}`, "Content-Type", "application/json", "X-Request-Id", "abc"))
	assert.Equal(t, http.StatusAccepted, res.StatusCode)
	assert.Equal(t, `{"channel":"ch_a","user":"u1","text":"hi <b>"}`, bodyOf(t, res))
	assert.Equal(t, "application/json", res.Header.Get("Content-Type"))
	assert.Equal(t, "no-store", res.Header.Get("Cache-Control"))
	assert.Equal(t, "nosniff", res.Header.Get("X-Content-Type-Options"))
	assert.Equal(t, "abc", res.Header.Get("X-Request-Id"))
}

func TestFunctionTellsItsSpec(t *testing.T) {
	f := greetFunction()
	assert.Equal(t, "greet", f.Name())
	assert.Equal(t, frontdoor.DefaultTimeout, f.Spec().Timeout)
	assert.Equal(t, http.StatusOK, f.Spec().Status)
}

package frontdoor_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/chat-platform/chat/events"
	"github.com/chat-platform/chat/functions/internal/frontdoor"
)

type busy struct{ error }

func (busy) RetryAfter() time.Duration { return 2500 * time.Millisecond }
func (b busy) Unwrap() error           { return b.error }

var errSecret = errors.New("dial tcp 10.0.0.7: secret")

// rows is the table error → status, every row of it.
var rows = []struct {
	name       string
	err        error
	status     int
	code       string
	retryAfter string
}{
	{"invalid", fmt.Errorf("x: %w: %w", events.ErrInvalid, errSecret), 400, "invalid", ""},
	{"invalid fault", fmt.Errorf("x: %w", events.ErrEmptyMessage), 400, "empty_message", ""},
	{"faults", events.Faults{{Index: 1, Fault: events.ErrMessageTooLong}}, 400, "message_too_long", ""},
	{"no faults", events.Faults{}, 400, "invalid", ""},
	{"unauthenticated", events.ErrUnauthenticated, 401, "unauthenticated", ""},
	{"forbidden", events.ErrNotMember, 403, "not_a_member", ""},
	{"too large", events.ErrTooLarge, 413, "too_large", ""},
	{"unsupported", events.ErrUnsupported, 415, "unsupported_media_type", ""},
	{"mismatch", events.ErrMismatch, 422, "idempotency_mismatch", ""},
	{"permanent", events.Permanent(errSecret), 422, "unprocessable", ""},
	{"permanent of what is retried", events.Permanent(fmt.Errorf("x: %w", events.ErrUnavailable)), 422, "unprocessable", ""},
	{"not found", events.ErrChannelNotFound, 404, "channel_not_found", ""},
	{"conflict", events.ErrConflict, 409, "conflict", ""},
	{"rate limited", busy{events.ErrRateLimited}, 429, "rate_limited", "3"},
	{"unavailable", fmt.Errorf("%w: %w", events.ErrUnavailable, errSecret), 503, "unavailable", "1"},
	{"deadline", fmt.Errorf("read: %w", context.DeadlineExceeded), 503, "timeout", "1"},
	{"cancelled", context.Canceled, 503, "cancelled", "1"},
	{"anything else", errSecret, 500, "internal", ""},
}

func TestEveryRowOfTheErrorTable(t *testing.T) {
	assert.Equal(t, http.StatusOK, frontdoor.StatusOf(nil))
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			assert.Equal(t, row.status, frontdoor.StatusOf(row.err))
			command := frontdoor.Command(greetSpec, func(context.Context, events.Caller, greet) (greeting, error) { return greeting{}, row.err },
				frontdoor.WithVerifier(tokens{}), frontdoor.WithLogger(silent)).Alone()
			writer := frontdoor.Writer(frontdoor.Spec{Name: "store"}, func(context.Context, []events.Event) error { return row.err }, frontdoor.WithLogger(silent)).Alone()
			event := structured("1", greetSpec.Type, `{}`)
			for form, res := range map[string]*http.Response{
				"rest":   do(command, request("POST", greetings, "")),
				"event":  do(command, request("POST", "/", event, "Content-Type", "application/cloudevents+json")),
				"writer": do(writer, request("POST", "/", event, "Content-Type", "application/cloudevents+json")),
			} {
				p := problemOf(t, res)
				assert.Equal(t, row.status, res.StatusCode, form)
				assert.Equal(t, row.code, p.Code, form)
				assert.Equal(t, row.retryAfter, res.Header.Get("Retry-After"), form)
				assert.Equal(t, row.status == 401, res.Header.Get("WWW-Authenticate") != "", form)
				if form != "writer" || row.status >= 500 {
					assert.NotContains(t, p.Detail, "secret", form)
				}
			}
			res := do(command, request("POST", "/", "["+event+"]", "Content-Type", "application/cloudevents-batch+json"))
			require.Equal(t, 200, res.StatusCode)
			es, err := events.ParseBatch([]byte(bodyOf(t, res)))
			require.NoError(t, err)
			assert.Equal(t, "chat.command.greet.v1.problem", es[0].Type)
			assert.Contains(t, string(es[0].Data), fmt.Sprintf(`"code":%q`, row.code))
			assert.NotContains(t, string(es[0].Data), "secret")
		})
	}
}

func TestAWritersProblemSaysWhatAPersonNeedsAtTheDeadLetter(t *testing.T) {
	writer := frontdoor.Writer(frontdoor.Spec{Name: "store"}, func(context.Context, []events.Event) error {
		return events.Permanent(errors.New("store message msg_1: no such column"))
	}, frontdoor.WithLogger(silent)).Alone()
	p := problemOf(t, do(writer, request("POST", "/", structured("1", "a", `{}`), "Content-Type", "application/cloudevents+json")))
	assert.Equal(t, "store message msg_1: no such column", p.Detail)
}

func TestProblemErrors(t *testing.T) {
	p := frontdoor.ProblemOf("r", events.Faults{{Index: -1, Fault: events.ErrEmptyMessage}, {Index: 0, Fault: events.Invalid("c", "f", "d")}})
	b, err := json.Marshal(p)
	require.NoError(t, err)
	assert.JSONEq(t, `{"type":"about:blank","title":"Bad Request","status":400,"code":"empty_message","request_id":"r",
		"detail":"message text cannot be empty: 1 to 50000 characters (and 1 more faults)","errors":[
		{"field":"text","code":"empty_message","detail":"message text cannot be empty: 1 to 50000 characters"},
		{"field":"f","code":"c","detail":"d","index":0}]}`, string(b))

	many := make(events.Faults, 250)
	for i := range many {
		many[i] = events.ItemFault{Index: i, Fault: events.ErrEmptyMessage}
	}
	p = frontdoor.ProblemOf("r", many)
	require.Len(t, p.Errors, 101)
	assert.Equal(t, "more_faults", p.Errors[100].Code)
	assert.Contains(t, p.Errors[100].Detail, "150")

	assert.Nil(t, frontdoor.ProblemOf("r", events.ErrNotMember).Errors)
}

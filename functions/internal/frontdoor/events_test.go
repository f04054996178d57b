package frontdoor_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"testing"

	"github.com/chat-platform/chat/events"
	"github.com/chat-platform/chat/functions/internal/frontdoor"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func structured(id, typ, data string) string {
	return fmt.Sprintf(`{"specversion":"1.0","id":%q,"source":"/t","type":%q,"subject":"s.1","datacontenttype":"application/json","data":%s}`, id, typ, data)
}

func TestCommandAnswersInTheModeOfTheRequest(t *testing.T) {
	const data = `{"channel_id":"ch_b","text":"hi","limit":3}`
	want := events.EventID("chat.command.greet.v1.answer", "/t", "e1")
	f := greetFunction().Alone()
	for _, target := range []string{"/", "/functions/greet"} {
		t.Run("binary "+target, func(t *testing.T) {
			res := do(f, request("POST", target, data, "Content-Type", "application/json; charset=utf-8",
				"Ce-Specversion", "1.0", "Ce-Id", "e1", "Ce-Source", "/t", "Ce-Type", "chat.command.greet.v1", "Ce-Subject", "s.1"))
			require.Equal(t, 200, res.StatusCode)
			e, err := events.FromHeader(res.Header.Get, []byte(bodyOf(t, res)))
			require.NoError(t, err)
			checkGreeting(t, e, want)
		})
		t.Run("structured "+target, func(t *testing.T) {
			res := do(f, request("POST", target, structured("e1", "chat.command.greet.v1", data), "Content-Type", "application/cloudevents+json; charset=UTF-8"))
			require.Equal(t, 200, res.StatusCode)
			assert.Equal(t, "application/cloudevents+json", res.Header.Get("Content-Type"))
			e, err := events.ParseJSON([]byte(bodyOf(t, res)))
			require.NoError(t, err)
			checkGreeting(t, e, want)
		})
		t.Run("batch "+target, func(t *testing.T) {
			body := "[" + structured("e1", "chat.command.greet.v1", data) + "," + structured("e2", "chat.command.greet.v1", `{"channel_id":"ch_b"}`) +
				"," + structured("e3", "other.v1", `{}`) + "]"
			res := do(f, request("POST", target, body, "Content-Type", "application/cloudevents-batch+json; charset=utf-8", "X-Request-Id", "r1"))
			require.Equal(t, 200, res.StatusCode)
			assert.Equal(t, "application/cloudevents-batch+json", res.Header.Get("Content-Type"))
			es, err := events.ParseBatch([]byte(bodyOf(t, res)))
			require.NoError(t, err)
			require.Len(t, es, 3)
			checkGreeting(t, es[0], want)
			for i, code := range map[int]string{1: "empty_message", 2: "unexpected_type"} {
				assert.Equal(t, "chat.command.greet.v1.problem", es[i].Type)
				var p frontdoor.Problem
				require.NoError(t, json.Unmarshal(es[i].Data, &p))
				assert.Equal(t, code, p.Code)
				assert.Equal(t, 400, p.Status)
				assert.Equal(t, "r1", p.RequestID)
			}
		})
	}
}

func checkGreeting(t *testing.T, e events.Event, id string) {
	t.Helper()
	assert.Equal(t, id, e.ID)
	assert.Equal(t, "chat.command.greet.v1.answer", e.Type)
	assert.Equal(t, "/functions/greet", e.Source)
	assert.Equal(t, "s.1", e.Subject)
	assert.False(t, e.Time.IsZero())
	assert.JSONEq(t, `{"channel":"ch_b","user":"u1","text":"hi","limit":3}`, string(e.Data))
}

func TestWriterTakesOneOrMany(t *testing.T) {
	var got []string
	f := frontdoor.Writer(frontdoor.Spec{Name: "store", Types: []string{"a.v1", "b.v1"}}, func(_ context.Context, batch []events.Event) error {
		got = got[:0]
		for _, e := range batch {
			got = append(got, e.ID+string(e.Data))
		}
		return nil
	}, frontdoor.WithLogger(silent)).Alone()
	post := func(body, contentType string, headers ...string) *http.Response {
		return do(f, request("POST", "/", body, append([]string{"Authorization", "", "Content-Type", contentType}, headers...)...))
	}

	res := post("["+structured("1", "a.v1", "{}")+","+structured("2", "b.v1", `[1]`)+"]", "application/cloudevents-batch+json")
	assert.Equal(t, 200, res.StatusCode)
	assert.Empty(t, bodyOf(t, res))
	assert.Equal(t, []string{"1{}", "2[1]"}, got)

	assert.Equal(t, 200, post(structured("3", "a.v1", "3"), "application/cloudevents+json").StatusCode)
	assert.Equal(t, []string{"33"}, got)

	res = post(`{"x":1}`, "application/json", "Ce-Specversion", "1.0", "Ce-Id", "4", "Ce-Source", "/t", "Ce-Type", "b.v1")
	assert.Equal(t, 200, res.StatusCode)
	assert.Equal(t, []string{`4{"x":1}`}, got)

	p := problemOf(t, post("["+structured("1", "a.v1", "{}")+","+structured("2", "c.v1", `{}`)+"]", "application/cloudevents-batch+json"))
	assert.Equal(t, 400, p.Status)
	assert.Equal(t, "unexpected_type", p.Code)
	require.Len(t, p.Errors, 1)
	assert.Equal(t, 1, *p.Errors[0].Index)
	assert.Contains(t, p.Detail, `"c.v1"`)

	assert.Equal(t, "invalid_event", problemOf(t, post("[]", "application/cloudevents-batch+json")).Code)
	assert.Equal(t, 415, problemOf(t, post("{}", "application/json")).Status)
}

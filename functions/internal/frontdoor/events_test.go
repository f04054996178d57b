package frontdoor_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/chat-platform/chat/events"
	"github.com/chat-platform/chat/functions/internal/frontdoor"
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

func TestEventsRefused(t *testing.T) {
	command := greetFunction().Alone()
	writer := frontdoor.Writer(frontdoor.Spec{Name: "store", Type: "a.v1"}, func(context.Context, []events.Event) error { return nil }, frontdoor.WithLogger(silent)).Alone()
	good := structured("1", "a.v1", `{}`)
	binary := []string{"Ce-Specversion", "1.0", "Ce-Id", "1", "Ce-Source", "/t", "Ce-Type", "a.v1"}
	for _, c := range []struct {
		name, contentType, body string
		headers                 []string
		status                  int
		code                    string
	}{
		{"plain JSON", "application/json", `{}`, nil, 415, "not_a_cloudevent"},
		{"no content type", "", `{}`, nil, 415, "not_a_cloudevent"},
		{"text in binary mode", "text/plain", `x`, binary, 415, "not_a_cloudevent"},
		{"another format", "application/cloudevents+avro", `x`, binary, 415, "not_a_cloudevent"},
		{"another JSON format", "application/cloudevents-stream+json", `x`, binary, 415, "not_a_cloudevent"},
		{"another charset", "application/cloudevents-batch+json; charset=utf-16", `[` + good + `]`, nil, 415, "not_a_cloudevent"},
		{"malformed content type", "application/cloudevents+json;;=", good, nil, 415, "not_a_cloudevent"},
		{"an old version", "application/json", `{}`, []string{"Ce-Specversion", "0.3", "Ce-Id", "1", "Ce-Source", "/t", "Ce-Type", "a.v1"}, 400, "invalid_event"},
		{"binary without id", "application/json", `{}`, []string{"Ce-Specversion", "1.0", "Ce-Source", "/t", "Ce-Type", "a.v1"}, 400, "invalid_event"},
		{"structured without id", "application/cloudevents+json", structured("", "a.v1", `{}`), nil, 400, "invalid_event"},
		{"structured, no JSON", "application/cloudevents+json", `{`, nil, 400, "invalid_event"},
		{"structured, a batch", "application/cloudevents+json", `[` + good + `]`, nil, 400, "invalid_event"},
		{"an empty batch", "application/cloudevents-batch+json", `[]`, nil, 400, "invalid_event"},
		{"a batch, one event", "application/cloudevents-batch+json", good, nil, 400, "invalid_event"},
		{"one of a batch without id", "application/cloudevents-batch+json", `[` + good + `,` + structured("", "a.v1", `{}`) + `]`, nil, 400, "invalid_event"},
		{"another type", "application/cloudevents+json", structured("1", "b.v1", `{}`), nil, 400, "unexpected_type"},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, f := range []http.Handler{command, writer} {
				p := problemOf(t, do(f, request("POST", "/", c.body, append([]string{"Content-Type", c.contentType}, c.headers...)...)))
				assert.Equal(t, c.status, p.Status)
				assert.Equal(t, c.code, p.Code)
			}
		})
	}

	p := problemOf(t, do(writer, request("POST", "/", `[`+good+`,`+structured("", "a.v1", `{}`)+`]`, "Content-Type", "application/cloudevents-batch+json")))
	require.Len(t, p.Errors, 1)
	assert.Equal(t, 1, *p.Errors[0].Index)

	event := structured("1", greetSpec.Type, `{"text":"a"}`)
	p = problemOf(t, do(command, request("POST", "/", event, "Content-Type", "application/cloudevents+json", "Authorization", "")))
	assert.Equal(t, "token_missing", p.Code)
	p = problemOf(t, do(command, request("POST", "/", structured("1", greetSpec.Type, `{"txt":"a"}`), "Content-Type", "application/cloudevents+json")))
	assert.Equal(t, "unknown_field", p.Code)
	p = problemOf(t, do(command, request("POST", "/", event+strings.Repeat(" ", 5000), "Content-Type", "application/cloudevents+json")))
	assert.Equal(t, "body_too_large", p.Code)
}

func TestCommandBatchIsBounded(t *testing.T) {
	spec := greetSpec
	spec.MaxBody = 1 << 20
	f := frontdoor.Command(spec, handleGreet, frontdoor.WithVerifier(tokens{}), frontdoor.WithLogger(silent)).Alone()
	one := structured("1", spec.Type, `{"text":"a"}`)
	batch := func(n int) string { return "[" + strings.TrimSuffix(strings.Repeat(one+",", n), ",") + "]" }
	assert.Equal(t, 200, do(f, request("POST", "/", batch(frontdoor.MaxCommandBatch), "Content-Type", "application/cloudevents-batch+json")).StatusCode)
	p := problemOf(t, do(f, request("POST", "/", batch(frontdoor.MaxCommandBatch+1), "Content-Type", "application/cloudevents-batch+json")))
	assert.Equal(t, "batch_too_large", p.Code)
}

func TestAWriterWithoutTypesTakesAny(t *testing.T) {
	f := frontdoor.Writer(frontdoor.Spec{Name: "any"}, func(context.Context, []events.Event) error { return nil }, frontdoor.WithLogger(silent)).Alone()
	assert.Equal(t, 200, do(f, request("POST", "/", structured("1", "whatever", `{}`), "Content-Type", "application/cloudevents+json")).StatusCode)
}

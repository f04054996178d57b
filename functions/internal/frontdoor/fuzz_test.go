package frontdoor_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/chat-platform/chat/events"
	"github.com/chat-platform/chat/functions/internal/frontdoor"
)

// checkAnswer wants a success or a problem of 4xx, nothing between.
func checkAnswer(t *testing.T, res *http.Response) {
	t.Helper()
	b, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	if res.StatusCode < 300 {
		return
	}
	var p frontdoor.Problem
	require.NoError(t, json.Unmarshal(b, &p), "%s", b)
	require.Equal(t, res.StatusCode, p.Status)
	require.GreaterOrEqual(t, p.Status, 400)
	require.Less(t, p.Status, 500, "%+v", p)
	require.NotEmpty(t, p.Code)
	require.NotEmpty(t, p.RequestID)
}

func FuzzREST(f *testing.F) {
	f.Add(`{"text":"hi"}`, "limit=1&before=2&loud=true", "application/json", "key")
	f.Add(`{"text":"hi","at":"2026-01-02T03:04:05Z","limit":1e3}`, "limit=%zz", "application/json; charset=utf-8", "")
	f.Add("{\"text\":\"\xff\\ud800\"} ", "a;b", "text/plain;", "\x00")
	f.Add(`{"channel_id":"b"}{`, "limit=99999999999999999999", "", "")
	alone := greetFunction().Alone()
	f.Fuzz(func(t *testing.T, body, query, contentType, key string) {
		r := request("POST", greetings, body, "Content-Type", contentType, "Idempotency-Key", key)
		r.URL.RawQuery = query
		checkAnswer(t, do(alone, r))
	})
}

func FuzzCloudEvents(f *testing.F) {
	const batch, single = "application/cloudevents-batch+json", "application/cloudevents+json"
	f.Add("["+structured("1", greetSpec.Type, `{"text":"a"}`)+"]", batch, "", "", "")
	f.Add(structured("1", greetSpec.Type, `{"text":1}`), single+"; charset=utf-8", "", "", "")
	f.Add(`{"text":"a"}`, "application/json", "1", "2026-01-02T03:04:05Z", "7")
	f.Add(`[]`, batch, "%41%", "noon", "x")
	f.Add(`{"specversion":"1.0","id":"\u0000","source":"s","type":"chat.command.greet.v1","data_base64":"e30="}`, single, "", "", "")
	command := greetFunction().Alone()
	writer := frontdoor.Writer(frontdoor.Spec{Name: "store"}, func(_ context.Context, batch []events.Event) error {
		for _, e := range batch {
			if err := e.Validate(); err != nil {
				panic(err)
			}
		}
		if len(batch) == 0 {
			panic("no event")
		}
		return nil
	}, frontdoor.WithLogger(silent)).Alone()
	f.Fuzz(func(t *testing.T, body, contentType, id, at, seq string) {
		for _, h := range []http.Handler{command, writer} {
			checkAnswer(t, do(h, request("POST", "/", body, "Content-Type", contentType, "Ce-Specversion", "1.0", "Ce-Id", id, "Ce-Source", "/t",
				"Ce-Type", greetSpec.Type, "Ce-Time", at, "Ce-Sequence", seq)))
		}
	})
}

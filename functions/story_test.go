package functions_test

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/chat-platform/chat/events"
	"github.com/chat-platform/chat/functions"
	"github.com/chat-platform/chat/infra/nats"
	"github.com/chat-platform/chat/infra/nats/natstest"
	"github.com/chat-platform/chat/infra/sqlite"
)

// byName takes the token for the user's name.
type byName struct{}

func (byName) Verify(_ context.Context, token string) (events.Caller, error) {
	return events.Caller{User: events.UserID(token), Name: token}, nil
}

// world is all functions on a real log and real stores, and no source: the
// views stay behind until deliver is called.
type world struct {
	t                *testing.T
	log              *nats.Log
	public, internal http.Handler
}

func newWorld(t *testing.T) *world {
	t.Helper()
	dir := t.TempDir()
	messages, err := sqlite.OpenMessages(t.Context(), filepath.Join(dir, "messages.db"))
	require.NoError(t, err)
	metadata, err := sqlite.OpenMetadata(t.Context(), filepath.Join(dir, "metadata.db"))
	require.NoError(t, err)
	search, err := sqlite.OpenSearch(t.Context(), filepath.Join(dir, "search.db"))
	require.NoError(t, err)
	t.Cleanup(func() {
		require.NoError(t, messages.Close())
		require.NoError(t, metadata.Close())
		require.NoError(t, search.Close())
	})
	log := natstest.Open(t)
	return &world{t: t, log: log,
		public: functions.NewMux(functions.Public(functions.Deps{Log: log, Messages: messages, Metadata: metadata, Index: search,
			Serving: functions.Serving{Verifier: byName{}}})...),
		internal: functions.NewMux(functions.Writers(functions.Stores{Messages: messages, Metadata: metadata, Search: search})...),
	}
}

// call makes a request as a user and gives the status and the decoded answer.
func (w *world) call(user, method, path, body string) (int, map[string]any) {
	w.t.Helper()
	r := httptest.NewRequestWithContext(w.t.Context(), method, path, strings.NewReader(body))
	r.Header.Set("Authorization", "Bearer "+user)
	r.Header.Set("Content-Type", events.ContentTypeJSON)
	rec := httptest.NewRecorder()
	w.public.ServeHTTP(rec, r)
	var answer map[string]any
	require.NoError(w.t, json.Unmarshal(rec.Body.Bytes(), &answer), "%s %s: %s", method, path, rec.Body)
	return rec.Code, answer
}

func (w *world) ok(user, method, path, body string) map[string]any {
	w.t.Helper()
	status, answer := w.call(user, method, path, body)
	require.Less(w.t, status, 300, "%s %s: %v", method, path, answer)
	return answer
}

// deliver does what the source does for a writer.
func (w *world) deliver(writer, stream, consumer string) {
	w.t.Helper()
	c, err := w.log.Consumer(w.t.Context(), nats.ConsumerConfig{Stream: stream, Name: consumer, AckWait: time.Minute, MaxAckPending: 1000})
	require.NoError(w.t, err)
	defer c.Close()
	last, err := w.log.LastSequence(w.t.Context(), stream)
	require.NoError(w.t, err)
	for applied := uint64(0); applied < last; {
		ds, err := c.Fetch(w.t.Context(), 100, time.Minute)
		require.NoError(w.t, err)
		es := make([]events.Event, len(ds))
		for i, d := range ds {
			es[i] = d.Event
		}
		body, err := events.AppendBatch(nil, es)
		require.NoError(w.t, err)
		r := httptest.NewRequestWithContext(w.t.Context(), "POST", "/functions/"+writer, bytes.NewReader(body))
		r.Header.Set("Content-Type", events.ContentTypeBatch)
		rec := httptest.NewRecorder()
		w.internal.ServeHTTP(rec, r)
		require.Equal(w.t, 200, rec.Code, rec.Body)
		for _, d := range ds {
			require.NoError(w.t, d.Ack())
			applied = d.Sequence
		}
	}
	require.Eventually(w.t, func() bool {
		applied, err := w.log.Applied(w.t.Context(), stream, consumer)
		return err == nil && applied == last
	}, time.Minute, time.Millisecond)
}

// texts gives the texts of a page of history, or of hits.
func texts(answer map[string]any) []string {
	out := []string{}
	list, _ := answer["messages"].([]any)
	if hits, ok := answer["hits"].([]any); ok {
		for _, h := range hits {
			list = append(list, h.(map[string]any)["message"])
		}
	}
	for _, m := range list {
		out = append(out, m.(map[string]any)["text"].(string))
	}
	return out
}

func ids(answer map[string]any) []string {
	out := []string{}
	for _, c := range answer["channels"].([]any) {
		out = append(out, c.(map[string]any)["id"].(string))
	}
	return out
}

// Everything can be read back as soon as it is accepted, whether the views have
// it or not, and whoever leaves reads nothing from then on.
func TestReadYourOwnWrites(t *testing.T) {
	w := newWorld(t)
	for round, delivered := range []bool{false, true} {
		if delivered {
			w.deliver("metadatawriter", events.StreamMetadata, events.ConsumerMetadata)
			w.deliver("messagewriter", events.StreamMessages, events.ConsumerMessages)
			w.deliver("searchwriter", events.StreamMessages, events.ConsumerSearch)
		}
		channel := []string{"ch_first", "ch_second"}[round]
		w.ok("ann", "POST", "/v1/channels", `{"id":"`+channel+`","name":"A channel"}`)
		require.Contains(t, ids(w.ok("ann", "GET", "/v1/channels", "")), channel)
		require.Contains(t, ids(w.ok("bob", "GET", "/v1/channels?scope=public", "")), channel)
		require.NotContains(t, ids(w.ok("bob", "GET", "/v1/channels?scope=mine", "")), channel)

		status, problem := w.call("bob", "GET", "/v1/channels/"+channel+"/messages", "")
		require.Equal(t, 403, status)
		require.Equal(t, "not_a_member", problem["code"])
		w.ok("bob", "PUT", "/v1/channels/"+channel+"/members/me", "")
		require.Contains(t, ids(w.ok("bob", "GET", "/v1/channels", "")), channel)

		w.ok("ann", "POST", "/v1/channels/"+channel+"/messages", `{"text":"the first word"}`)
		w.ok("bob", "POST", "/v1/channels/"+channel+"/messages", `{"text":"the second word"}`)
		for _, query := range []string{"", "?after=0", "?limit=2"} {
			history := w.ok("bob", "GET", "/v1/channels/"+channel+"/messages"+query, "")
			require.Equal(t, []string{"the first word", "the second word"}, texts(history), query)
			require.Equal(t, false, history["has_more_before"])
			require.Equal(t, false, history["has_more_after"])
		}
	}

	w.deliver("searchwriter", events.StreamMessages, events.ConsumerSearch)
	found := w.ok("bob", "GET", "/v1/search?q=word", "")
	require.Equal(t, []string{"the second word", "the first word", "the second word", "the first word"}, texts(found))
	require.EqualValues(t, 4, found["indexed_through"])

	w.ok("bob", "DELETE", "/v1/channels/ch_first/members/me", "")
	require.Equal(t, []string{"ch_second"}, ids(w.ok("bob", "GET", "/v1/channels", "")))
	require.Len(t, texts(w.ok("bob", "GET", "/v1/search?q=word", "")), 2)
	for _, path := range []string{"/v1/channels/ch_first/messages", "/v1/search?q=word&channel=ch_first"} {
		status, _ := w.call("bob", "GET", path, "")
		require.Equal(t, 403, status, path)
	}
	status, problem := w.call("bob", "GET", "/v1/channels/ch_none/messages", "")
	require.Equal(t, 404, status)
	require.Equal(t, "channel_not_found", problem["code"])
}

package sendmessage_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/trace"

	"github.com/chat-platform/chat/events"
	"github.com/chat-platform/chat/functions/command/sendmessage"
	"github.com/chat-platform/chat/functions/internal/fixtures"
	"github.com/chat-platform/chat/functions/internal/frontdoor"
	"github.com/chat-platform/chat/functions/internal/idempotency"
	"github.com/chat-platform/chat/functions/internal/membership"
	"github.com/chat-platform/chat/infra/nats"
	"github.com/chat-platform/chat/infra/nats/natstest"
)

const target = "/v1/channels/ch_general/messages"

// view is a message view of what is in the map.
type view map[events.MessageID]events.Message

func (v view) MessagesByID(_ context.Context, _ events.ChannelID, ids []events.MessageID) (map[events.MessageID]events.Message, error) {
	found := map[events.MessageID]events.Message{}
	for _, id := range ids {
		if m, ok := v[id]; ok {
			found[id] = m
		}
	}
	return found, nil
}

type brokenView struct{}

func (brokenView) MessagesByID(context.Context, events.ChannelID, []events.MessageID) (map[events.MessageID]events.Message, error) {
	return nil, events.ErrUnavailable
}

func handler(log *nats.Log, v idempotency.View) *sendmessage.Handler {
	return sendmessage.New(log, membership.New(log), idempotency.New(log, v, log.DedupWindow()))
}

func function(log *nats.Log, v idempotency.View) *frontdoor.Function {
	return frontdoor.Command(sendmessage.Spec, handler(log, v).Handle, fixtures.Options()...)
}

func build(_ *testing.T, log *nats.Log, _ []events.Event) *frontdoor.Function {
	return function(log, view{})
}

func TestFixtures(t *testing.T) {
	fixtures.Run(t, build)
	long, err := json.Marshal(map[string]any{"specversion": "1.0", "id": "fixture-too-long", "source": "/fixtures/sendmessage",
		"type": sendmessage.Spec.Type, "authtype": "user", "authid": "alice",
		"data": map[string]string{"channel_id": "ch_general", "text": strings.Repeat("ü", events.MaxMessageRunes+1)}})
	require.NoError(t, err)
	fixtures.RunOne(t, build, "too_long", long)
}

// opened is a log with the fixtures' state.
func opened(tb testing.TB) *nats.Log {
	tb.Helper()
	log := natstest.Open(tb)
	fixtures.Given(tb, log)
	return log
}

// post sends as alice and returns the status with the answer or the problem.
func post(tb testing.TB, f *frontdoor.Function, body string, headers ...string) (int, sendmessage.Answer, frontdoor.Problem) {
	tb.Helper()
	status, b := fixtures.REST(tb, f, fixtures.Token("alice"), http.MethodPost, target, body, headers...)
	var a sendmessage.Answer
	var p frontdoor.Problem
	if status < 300 {
		require.NoError(tb, json.Unmarshal(b, &a))
	} else {
		require.NoError(tb, json.Unmarshal(b, &p))
	}
	return status, a, p
}

func lastSeq(tb testing.TB, log *nats.Log) uint64 {
	tb.Helper()
	seq, err := log.LastSequence(tb.Context(), events.StreamMessages)
	require.NoError(tb, err)
	return seq
}

func TestTheLongestTextIsTaken(t *testing.T) {
	log := opened(t)
	for name, text := range map[string]string{"four bytes": "😀", "escaped": "\u0001", "one byte": "x"} {
		b, err := json.Marshal(map[string]string{"text": strings.Repeat(text, events.MaxMessageRunes)})
		require.NoError(t, err)
		status, a, p := post(t, function(log, view{}), string(b))
		require.Equal(t, http.StatusAccepted, status, "%s: %+v", name, p)
		e, err := log.BySequence(t.Context(), events.StreamMessages, a.Seq)
		require.NoError(t, err)
		m, err := events.MessageOf(e)
		require.NoError(t, err)
		require.Equal(t, strings.Repeat(text, events.MaxMessageRunes), m.Text, name)
	}
}

func TestTheEventIsWhatTheAnswerSays(t *testing.T) {
	log := opened(t)
	ctx := trace.ContextWithSpanContext(t.Context(), trace.NewSpanContext(trace.SpanContextConfig{TraceID: trace.TraceID{1}, SpanID: trace.SpanID{2}}))
	before := time.Now().Truncate(time.Millisecond)
	a, err := handler(log, view{}).Handle(ctx, events.Caller{User: "alice"}, sendmessage.Request{ChannelID: "ch_general", Text: " hi <b> "})
	require.NoError(t, err)
	e, err := log.BySequence(t.Context(), events.StreamMessages, a.Seq)
	require.NoError(t, err)
	m, err := events.MessageOf(e)
	require.NoError(t, err)
	assert.Equal(t, a.EventID, e.ID)
	assert.Equal(t, "/functions/sendmessage", e.Source)
	assert.Equal(t, "messages.send.ch_general", e.Subject)
	assert.Equal(t, "ch_general", e.PartitionKey)
	assert.Contains(t, e.TraceParent, "01000000000000000000000000000000")
	assert.Equal(t, events.MessageSent{ID: a.ID, ChannelID: "ch_general", AuthorID: "alice", Text: " hi <b> ", SentAt: a.SentAt, ClientID: a.ClientID}, m.MessageSent)
	assert.Equal(t, events.NewMessageID("alice", "ch_general", a.ClientID), a.ID)
	assert.Equal(t, a.SentAt, a.SentAt.UTC().Truncate(time.Millisecond))
	assert.False(t, a.SentAt.Before(before))
	made, ok := a.ClientID.Time()
	assert.True(t, ok, "a client id of version 7 is made up")
	assert.WithinDuration(t, before, made, time.Minute)
}

func TestARetryIsOneMessage(t *testing.T) {
	inBody := func(id string) func(int) (string, []string) {
		return func(int) (string, []string) { return `,"client_id":"` + id + `"`, nil }
	}
	inHeader := func(key string) func(int) (string, []string) {
		return func(int) (string, []string) { return "", []string{"Idempotency-Key", key} }
	}
	for name, key := range map[string]func(n int) (body string, headers []string){
		"fresh UUID 7 in the body":   inBody(fresh),
		"fresh UUID 7 in the header": inHeader(fresh),
		"UUID 4":                     inBody("5b0f6a0e-3a5c-4a53-9d3c-0c1f2f6f1a09"),
		"any string":                 inHeader("order 66"),
		"old UUID 7":                 inBody(string(madeAt(time.Now().Add(-time.Hour)))),
		"body, then header": func(n int) (string, []string) {
			if n == 0 {
				return inBody(fresh)(n)
			}
			return inHeader(strings.ToUpper(fresh))(n)
		},
	} {
		t.Run(name, func(t *testing.T) {
			log := opened(t)
			body, headers := key(0)
			status, first, p := post(t, function(log, view{}), `{"text":"hi"`+body+`}`, headers...)
			require.Equal(t, http.StatusAccepted, status, p)
			body, headers = key(1)
			for range 2 {
				status, a, p := post(t, function(log, view{}), `{"text":"hi"`+body+`}`, headers...) // a new process each time
				require.Equal(t, http.StatusOK, status, p)
				require.Equal(t, first, a)
			}
			for _, other := range []string{`"text":"ho"`, `"text":"hi","reply_to":"` + string(first.ID) + `"`} {
				status, _, p := post(t, function(log, view{}), `{`+other+body+`}`, headers...)
				require.Equal(t, http.StatusUnprocessableEntity, status)
				require.Equal(t, "idempotency_mismatch", p.Code)
			}
			require.Equal(t, first.Seq, lastSeq(t, log), "one event")
		})
	}
}

var fresh = string(events.NewClientID())

func madeAt(at time.Time) events.ClientID {
	u := uuid.Must(uuid.NewV7())
	for i, ms := 5, at.UnixMilli(); i >= 0; i, ms = i-1, ms>>8 {
		u[i] = byte(ms)
	}
	return events.ClientID(u.String())
}

func TestTheSameKeyOfAnotherAuthorOrWithoutOneIsAnotherMessage(t *testing.T) {
	log := opened(t)
	f := function(log, view{})
	_, a, _ := post(t, f, `{"text":"hi"}`)
	_, b, _ := post(t, f, `{"text":"hi"}`)
	require.Equal(t, a.Seq+1, b.Seq)
	_, c, _ := post(t, f, `{"text":"hi"}`, "Idempotency-Key", "k")
	status, body := fixtures.REST(t, f, fixtures.Token("bob"), http.MethodPost, target, `{"text":"hi"}`, "Idempotency-Key", "k")
	require.Equal(t, http.StatusAccepted, status, string(body))
	var d sendmessage.Answer
	require.NoError(t, json.Unmarshal(body, &d))
	require.NotEqual(t, c.ID, d.ID)
	require.Equal(t, c.Seq+1, d.Seq)
}

func TestHeaderAndBodyMustAgree(t *testing.T) {
	status, _, p := post(t, function(opened(t), view{}), `{"text":"hi","client_id":"`+fresh+`"}`, "Idempotency-Key", "k")
	require.Equal(t, http.StatusBadRequest, status)
	require.Equal(t, "client_id_conflict", p.Code)
}

func TestAClockAheadIsRefused(t *testing.T) {
	log := opened(t)
	before := lastSeq(t, log)
	status, _, p := post(t, function(log, view{}), `{"text":"hi","client_id":"`+string(madeAt(time.Now().Add(time.Hour)))+`"}`)
	require.Equal(t, http.StatusBadRequest, status)
	require.Equal(t, "client_id_in_future", p.Code)
	require.Equal(t, before, lastSeq(t, log))
}

// After the log's window, or when the log has forgotten, the view knows.
func TestAfterADayTheViewKnows(t *testing.T) {
	log := opened(t)
	before := lastSeq(t, log)
	client := madeAt(time.Now().Add(-24 * time.Hour))
	id := events.NewMessageID("alice", "ch_general", client)
	v := view{id: {Seq: 1, MessageSent: events.MessageSent{ID: id, ChannelID: "ch_general", AuthorID: "alice", Text: "hi", ClientID: client,
		SentAt: time.UnixMilli(1e12).UTC()}}}
	status, a, p := post(t, function(log, v), `{"text":"hi","client_id":"`+string(client)+`"}`)
	require.Equal(t, http.StatusOK, status, p)
	require.EqualValues(t, 1, a.Seq)
	require.Equal(t, time.UnixMilli(1e12).UTC(), a.SentAt)
	status, _, p = post(t, function(log, v), `{"text":"ho","client_id":"`+string(client)+`"}`)
	require.Equal(t, http.StatusUnprocessableEntity, status)
	require.Equal(t, "idempotency_mismatch", p.Code)
	require.Equal(t, before, lastSeq(t, log))
}

// unknown makes the log's de-duplication miss an event: it is stored under
// another id.
func unknown(t *testing.T, log *nats.Log, a sendmessage.Answer) sendmessage.Answer {
	t.Helper()
	e, err := log.BySequence(t.Context(), events.StreamMessages, a.Seq)
	require.NoError(t, err)
	m, err := events.MessageOf(e)
	require.NoError(t, err)
	m.ClientID = madeAt(time.Now().Add(-time.Hour))
	m.ID = events.NewMessageID(m.AuthorID, m.ChannelID, m.ClientID)
	data, err := json.Marshal(m.MessageSent)
	require.NoError(t, err)
	e.ID, e.Data, e.Time = "forgotten", data, time.Now().Add(-time.Hour)
	ack, err := log.Publish(t.Context(), e)
	require.NoError(t, err)
	return sendmessage.Answer{ID: m.ID, ClientID: m.ClientID, Seq: ack.Seq}
}

func TestWhereTheViewIsBehindTheLogKnows(t *testing.T) {
	log := opened(t)
	_, a, _ := post(t, function(log, view{}), `{"text":"hi"}`)
	old := unknown(t, log, a)
	status, again, p := post(t, function(log, view{}), `{"text":"hi","client_id":"`+string(old.ClientID)+`"}`)
	require.Equal(t, http.StatusOK, status, p)
	require.Equal(t, old.Seq, again.Seq)
	require.Equal(t, old.Seq, lastSeq(t, log))
}

func TestWithoutTheViewOldIDsWaitAndFreshOnesPass(t *testing.T) {
	log := opened(t)
	before := lastSeq(t, log)
	f := function(log, brokenView{})
	status, _, p := post(t, f, `{"text":"hi","client_id":"`+string(madeAt(time.Now().Add(-time.Hour)))+`"}`)
	require.Equal(t, http.StatusServiceUnavailable, status)
	require.Equal(t, "unavailable", p.Code)
	require.Equal(t, before, lastSeq(t, log))
	status, _, p = post(t, f, `{"text":"hi","client_id":"`+fresh+`"}`)
	require.Equal(t, http.StatusAccepted, status, p)
}

func TestARaceOnOneClientIDIsOneMessage(t *testing.T) {
	for name, client := range map[string]string{"fresh": fresh, "old": string(madeAt(time.Now().Add(-time.Hour)))} {
		t.Run(name, func(t *testing.T) {
			log := opened(t)
			f := function(log, view{})
			before := lastSeq(t, log)
			statuses, answers := make([]int, 20), make([]sendmessage.Answer, 20)
			var race sync.WaitGroup
			for i := range answers {
				race.Go(func() {
					status, b := fixtures.REST(t, f, fixtures.Token("alice"), http.MethodPost, target, `{"text":"hi","client_id":"`+client+`"}`)
					statuses[i] = status
					assert.NoError(t, json.Unmarshal(b, &answers[i]))
				})
			}
			race.Wait()
			accepted := 0
			for i, a := range answers {
				if statuses[i] == http.StatusAccepted {
					accepted++
				}
				assert.Equal(t, answers[0], a)
			}
			require.Equal(t, 1, accepted)
			require.Equal(t, before+1, lastSeq(t, log))
		})
	}
}

// flaky is a log some of whose methods fail.
type flaky struct {
	*nats.Log
	publish, read error
}

func (f flaky) Publish(ctx context.Context, e events.Event) (events.Ack, error) {
	if f.publish != nil {
		return events.Ack{}, f.publish
	}
	return f.Log.Publish(ctx, e)
}

func (f flaky) BySequence(ctx context.Context, stream string, seq uint64) (events.Event, error) {
	if f.read != nil {
		return events.Event{}, f.read
	}
	e, err := f.Log.BySequence(ctx, stream, seq)
	e.Data = []byte(`{}`)
	return e, err
}

func TestTheLogsErrors(t *testing.T) {
	log := opened(t)
	fresh := events.NewClientID()
	req := sendmessage.Request{ChannelID: "ch_general", Text: "hi", ClientID: string(fresh)}
	send := func(f flaky) error {
		_, err := sendmessage.New(f, membership.New(log), idempotency.New(log, view{}, log.DedupWindow())).Handle(t.Context(), events.Caller{User: "alice"}, req)
		return err
	}
	down := fmt.Errorf("no answer: %w", events.ErrUnavailable)
	err := send(flaky{Log: log, publish: down})
	require.ErrorIs(t, err, events.ErrUnavailable)
	require.ErrorContains(t, err, string(events.NewMessageID("alice", "ch_general", fresh)))
	require.NoError(t, send(flaky{Log: log}))
	require.ErrorIs(t, send(flaky{Log: log, read: down}), events.ErrUnavailable)
	err = send(flaky{Log: log}) // the original does not decode
	require.Error(t, err)
	require.Equal(t, http.StatusInternalServerError, frontdoor.StatusOf(err))

	require.NoError(t, log.Close())
	_, err = handler(log, view{}).Handle(t.Context(), events.Caller{User: "alice"}, req)
	require.ErrorIs(t, err, events.ErrUnavailable)
}

func BenchmarkSend(b *testing.B) {
	log := opened(b)
	h := handler(log, view{})
	caller := events.Caller{User: "alice"}
	req := sendmessage.Request{ChannelID: "ch_general", Text: strings.Repeat("hello world ", 12)}
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := h.Handle(b.Context(), caller, req); err != nil {
				b.Error(err)
				return
			}
		}
	})
}

package createchannel_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/chat-platform/chat/events"
	"github.com/chat-platform/chat/functions/command/createchannel"
	"github.com/chat-platform/chat/functions/internal/fixtures"
	"github.com/chat-platform/chat/functions/internal/frontdoor"
	"github.com/chat-platform/chat/functions/internal/membership"
	"github.com/chat-platform/chat/infra/nats"
	"github.com/chat-platform/chat/infra/nats/natstest"
)

func function(log createchannel.Log) *frontdoor.Function {
	return frontdoor.Command(createchannel.Spec, createchannel.New(log).Handle, fixtures.Options()...)
}

func build(_ *testing.T, log *nats.Log, _ []events.Event) *frontdoor.Function { return function(log) }

func TestFixtures(t *testing.T) { fixtures.Run(t, build) }

func post(tb testing.TB, f *frontdoor.Function, user, body string, headers ...string) (int, createchannel.Answer, frontdoor.Problem) {
	tb.Helper()
	status, b := fixtures.REST(tb, f, fixtures.Token(user), http.MethodPost, "/v1/channels", body, headers...)
	var a createchannel.Answer
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
	seq, err := log.LastSequence(tb.Context(), events.StreamMetadata)
	require.NoError(tb, err)
	return seq
}

func owner(tb testing.TB, log *nats.Log, channel events.ChannelID, user events.UserID) {
	tb.Helper()
	m, err := membership.New(log).Member(tb.Context(), channel, user)
	require.NoError(tb, err)
	require.Equal(tb, events.RoleOwner, m.Role)
}

func TestTheCreatorIsAnOwnerOnceTheAnswerIsThere(t *testing.T) {
	log := natstest.Open(t)
	status, a, p := post(t, function(log), "alice", `{"name":"Books","topic":"t"}`)
	require.Equal(t, http.StatusAccepted, status, p)
	require.True(t, strings.HasPrefix(string(a.Channel.ID), "ch_"), a.Channel.ID)
	require.Equal(t, events.Public, a.Channel.Visibility)
	require.Equal(t, events.UserID("alice"), a.Channel.CreatedBy)
	owner(t, log, a.Channel.ID, "alice")
	e, err := log.Last(t.Context(), events.ChannelSubject(a.Channel.ID))
	require.NoError(t, err)
	c, err := events.ChannelFrom(e)
	require.NoError(t, err)
	require.Equal(t, a.Channel, c)
	require.Equal(t, a.EventID, e.ID)
	require.Equal(t, a.Seq, e.Sequence)
}

func TestARetryIsOneChannel(t *testing.T) {
	for name, r := range map[string]struct {
		body, other string
		headers     []string
		status      int
		code        string
	}{
		"id":        {`{"id":"ch_x","name":"n"}`, `{"id":"ch_x","name":"m"}`, nil, http.StatusConflict, "channel_exists"},
		"client_id": {`{"name":"n","client_id":"5b0f6a0e-3a5c-4a53-9d3c-0c1f2f6f1a01"}`, `{"name":"n","topic":"t","client_id":"5b0f6a0e-3a5c-4a53-9d3c-0c1f2f6f1a01"}`, nil, http.StatusUnprocessableEntity, "idempotency_mismatch"},
		"header":    {`{"name":"n"}`, `{"name":"n","visibility":"private"}`, []string{"Idempotency-Key", "k"}, http.StatusUnprocessableEntity, "idempotency_mismatch"},
	} {
		t.Run(name, func(t *testing.T) {
			log := natstest.Open(t)
			status, first, p := post(t, function(log), "alice", r.body, r.headers...)
			require.Equal(t, http.StatusAccepted, status, p)
			for range 2 {
				status, again, p := post(t, function(log), "alice", r.body, r.headers...)
				require.Equal(t, http.StatusOK, status, p)
				require.Equal(t, first, again)
			}
			status, _, p = post(t, function(log), "alice", r.other, r.headers...)
			require.Equal(t, r.status, status)
			require.Equal(t, r.code, p.Code)
			require.EqualValues(t, 2, lastSeq(t, log), "a channel and a membership")
		})
	}
}

func TestTheSameKeyOfAnotherUserIsAnotherChannel(t *testing.T) {
	log := natstest.Open(t)
	_, a, _ := post(t, function(log), "alice", `{"name":"n"}`, "Idempotency-Key", "k")
	status, b, p := post(t, function(log), "bob", `{"name":"n"}`, "Idempotency-Key", "k")
	require.Equal(t, http.StatusAccepted, status, p)
	require.NotEqual(t, a.Channel.ID, b.Channel.ID)
	_, c, _ := post(t, function(log), "alice", `{"name":"n"}`)
	_, d, _ := post(t, function(log), "alice", `{"name":"n"}`)
	require.NotEqual(t, c.Channel.ID, d.Channel.ID, "without a key each is a new one")
}

// halfway is a log that fails once the channel is stored.
type halfway struct{ *nats.Log }

func (h halfway) PublishExpecting(ctx context.Context, e events.Event, last uint64) (events.Ack, error) {
	if e.Type == events.TypeMemberJoined {
		return events.Ack{}, fmt.Errorf("no answer: %w", events.ErrUnavailable)
	}
	return h.Log.PublishExpecting(ctx, e, last)
}

func TestARetryCompletesWhatStoppedHalfway(t *testing.T) {
	log := natstest.Open(t)
	const body = `{"id":"ch_x","name":"n"}`
	status, _, p := post(t, function(halfway{log}), "alice", body)
	require.Equal(t, http.StatusServiceUnavailable, status)
	require.Equal(t, "unavailable", p.Code)
	require.EqualValues(t, 1, lastSeq(t, log))
	status, _, _ = post(t, function(halfway{log}), "alice", body)
	require.Equal(t, http.StatusServiceUnavailable, status)
	status, _, _ = post(t, function(log), "bob", body)
	require.Equal(t, http.StatusConflict, status)
	status, a, p := post(t, function(log), "alice", body)
	require.Equal(t, http.StatusOK, status, p)
	require.EqualValues(t, 1, a.Seq)
	owner(t, log, "ch_x", "alice")
}

func TestACreatorWhoLeftIsNotBroughtBackByARetry(t *testing.T) {
	log := natstest.Open(t)
	fixtures.Given(t, log)
	const left = `{"channel_id":"ch_general","user_id":"alice","at":"2026-11-01T09:01:00Z"}`
	fixtures.Publish(t, log, []events.Event{{ID: "left", Source: "/test", Type: events.TypeMemberLeft, Subject: events.MemberSubject("ch_general", "alice"), Data: []byte(left)}})
	before := lastSeq(t, log)
	status, _, p := post(t, function(log), "alice", `{"id":"ch_general","name":"General"}`)
	require.Equal(t, http.StatusOK, status, p)
	require.Equal(t, before, lastSeq(t, log))
}

func TestARaceForAnIDHasOneWinner(t *testing.T) {
	log := natstest.Open(t)
	statuses := make([]int, 12)
	var race sync.WaitGroup
	for i := range statuses {
		race.Go(func() {
			statuses[i], _, _ = post(t, function(log), fmt.Sprintf("u%d", i%4), `{"id":"ch_x","name":"n"}`)
		})
	}
	race.Wait()
	e, err := log.Last(t.Context(), events.ChannelSubject("ch_x"))
	require.NoError(t, err)
	c, err := events.ChannelFrom(e)
	require.NoError(t, err)
	count := map[int]int{}
	for i, s := range statuses {
		count[s]++
		mine := events.UserID(fmt.Sprintf("u%d", i%4)) == c.CreatedBy
		assert.Equal(t, mine, s != http.StatusConflict, "status %d of request %d, the winner is %s", s, i, c.CreatedBy)
	}
	require.Equal(t, map[int]int{202: 1, 200: 2, 409: 9}, count)
	require.EqualValues(t, 2, lastSeq(t, log))
	owner(t, log, "ch_x", c.CreatedBy)
}

// vanished is a log where what conflicted cannot be read, as on a replica that
// is behind.
type vanished struct{ *nats.Log }

func (vanished) LastOf(context.Context, []string) (map[string]events.Event, error) { return nil, nil }

func (vanished) LastConfirmed(context.Context, string) (events.Event, error) {
	return events.Event{}, events.ErrNotFound
}

func TestTheLogsErrors(t *testing.T) {
	log := natstest.Open(t)
	_, _, _ = post(t, function(log), "alice", `{"id":"ch_x","name":"n"}`)
	status, _, p := post(t, function(vanished{log}), "bob", `{"id":"ch_x","name":"n"}`)
	require.Equal(t, http.StatusServiceUnavailable, status, p)
	require.NoError(t, log.Close())
	_, err := createchannel.New(log).Handle(t.Context(), events.Caller{User: "alice"}, createchannel.Request{ID: "ch_x", Name: "n"})
	require.ErrorIs(t, err, events.ErrUnavailable)
	require.ErrorContains(t, err, "ch_x")
}

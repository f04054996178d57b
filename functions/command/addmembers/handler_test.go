package addmembers_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/chat-platform/chat/events"
	"github.com/chat-platform/chat/functions/command/addmembers"
	"github.com/chat-platform/chat/functions/internal/fixtures"
	"github.com/chat-platform/chat/functions/internal/frontdoor"
	"github.com/chat-platform/chat/functions/internal/membership"
	"github.com/chat-platform/chat/functions/internal/newevent"
	"github.com/chat-platform/chat/infra/nats"
	"github.com/chat-platform/chat/infra/nats/natstest"
)

func build(_ *testing.T, log *nats.Log, _ []events.Event) *frontdoor.Function {
	return frontdoor.Command(addmembers.Spec, addmembers.New(log, membership.New(log)).Handle, fixtures.Options()...)
}

func TestFixtures(t *testing.T) {
	fixtures.Run(t, build)
	many, err := json.Marshal(map[string]any{"specversion": "1.0", "id": "fixture-too-many", "source": "/fixtures/addmembers",
		"type": addmembers.Spec.Type, "authtype": "user", "authid": "alice",
		"data": map[string]any{"channel_id": "ch_general", "user_ids": users(addmembers.MaxUsers + 1)}})
	require.NoError(t, err)
	fixtures.RunOne(t, build, "too_many", many)
}

func users(n int) []string {
	us := make([]string, n)
	for i := range us {
		us[i] = fmt.Sprintf("u%d", i)
	}
	return us
}

func opened(tb testing.TB) *nats.Log {
	tb.Helper()
	log := natstest.Open(tb)
	fixtures.Given(tb, log)
	return log
}

func lastSeq(tb testing.TB, log *nats.Log) uint64 {
	tb.Helper()
	seq, err := log.LastSequence(tb.Context(), events.StreamMetadata)
	require.NoError(tb, err)
	return seq
}

func add(tb testing.TB, log addmembers.Log, members addmembers.Members, us ...string) (addmembers.Answer, error) {
	tb.Helper()
	return addmembers.New(log, members).Handle(tb.Context(), events.Caller{User: "alice"}, addmembers.Request{ChannelID: "ch_general", UserIDs: us})
}

func TestAThousandAndAgain(t *testing.T) {
	log := opened(t)
	before := lastSeq(t, log)
	us := users(addmembers.MaxUsers)
	a, err := add(t, log, membership.New(log), us...)
	require.NoError(t, err)
	require.Equal(t, http.StatusAccepted, a.StatusCode())
	require.Len(t, a.Results, len(us))
	for i, r := range a.Results {
		require.Equal(t, addmembers.Result{UserID: events.UserID(us[i]), Seq: before + uint64(i) + 1}, r)
	}
	m, err := membership.New(log).Member(t.Context(), "ch_general", "u999")
	require.NoError(t, err)
	require.Equal(t, events.RoleMember, m.Role)
	e, err := log.BySequence(t.Context(), events.StreamMetadata, a.Results[999].Seq)
	require.NoError(t, err)
	joined, err := events.Decode[events.MemberJoined](e)
	require.NoError(t, err)
	require.Equal(t, events.UserID("alice"), joined.AddedBy)

	again, err := add(t, log, membership.New(log), us...)
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, again.StatusCode())
	for i, r := range again.Results {
		require.True(t, r.Existing)
		require.Equal(t, a.Results[i].Seq, r.Seq)
	}
	require.Equal(t, before+1000, lastSeq(t, log))
}

func TestTheCreatorIsAddedAsAnOwner(t *testing.T) {
	log := opened(t)
	e, err := newevent.From(t.Context(), "test").MemberLeft(events.MemberLeft{ChannelID: "ch_general", UserID: "alice"}, 2)
	require.NoError(t, err)
	fixtures.Publish(t, log, []events.Event{e})
	_, err = addmembers.New(log, membership.New(log)).Handle(t.Context(), events.Caller{User: "importer", Roles: []string{events.RoleImport}},
		addmembers.Request{ChannelID: "ch_general", UserIDs: []string{"alice"}})
	require.NoError(t, err)
	m, err := membership.New(log).Member(t.Context(), "ch_general", "alice")
	require.NoError(t, err)
	require.Equal(t, events.RoleOwner, m.Role)
}

// meddled is a log where something happens before each publish, and which may
// fail from one event on.
type meddled struct {
	*nats.Log
	meddle func(attempt int)
	fail   int
	n      int
}

func (m *meddled) PublishAll(ctx context.Context, es []events.Event, expect []uint64) ([]events.Ack, []error) {
	m.n++
	if m.meddle != nil {
		m.meddle(m.n)
	}
	if m.fail == 0 {
		return m.Log.PublishAll(ctx, es, expect)
	}
	acks, errs := m.Log.PublishAll(ctx, es[:m.fail-1], expect[:m.fail-1])
	for range es[m.fail-1:] {
		acks, errs = append(acks, events.Ack{}), append(errs, fmt.Errorf("no answer: %w", events.ErrUnavailable))
	}
	return acks, errs
}

// join begins a membership behind the handler's back, as the owner.
func join(tb testing.TB, log *nats.Log, user events.UserID, after uint64) uint64 {
	tb.Helper()
	e, err := newevent.From(tb.Context(), "test").MemberJoined(events.MemberJoined{ChannelID: "ch_general", UserID: user, Role: events.RoleOwner}, after)
	require.NoError(tb, err)
	ack, err := log.PublishExpecting(tb.Context(), e, after)
	require.NoError(tb, err)
	return ack.Seq
}

func TestAConflictIsLookedAtOnceMore(t *testing.T) {
	t.Run("one joined meanwhile", func(t *testing.T) {
		log := opened(t)
		var seq uint64
		m := &meddled{Log: log, meddle: func(n int) {
			if n == 1 {
				seq = join(t, log, "erin", 0)
			}
		}}
		a, err := add(t, m, membership.New(log), "dora", "erin", "fred")
		require.NoError(t, err)
		require.Equal(t, addmembers.Result{UserID: "erin", Seq: seq, Existing: true}, a.Results[1])
		require.Equal(t, []bool{false, true, false}, []bool{a.Results[0].Existing, a.Results[1].Existing, a.Results[2].Existing})
		require.Equal(t, 1, m.n, "nothing was left to publish")
	})
	t.Run("for ever", func(t *testing.T) {
		log := opened(t)
		seq := uint64(0)
		m := &meddled{Log: log, meddle: func(int) {
			seq = join(t, log, "erin", seq)
			e, err := newevent.From(t.Context(), "test").MemberLeft(events.MemberLeft{ChannelID: "ch_general", UserID: "erin"}, seq)
			require.NoError(t, err)
			ack, err := log.PublishExpecting(t.Context(), e, seq)
			require.NoError(t, err)
			seq = ack.Seq
		}}
		_, err := add(t, m, membership.New(log), "dora", "erin")
		require.ErrorIs(t, err, events.ErrConflict)
		requireCode(t, err, "membership_changed")
		require.Equal(t, 2, m.n)
		_, err = membership.New(log).Member(t.Context(), "ch_general", "dora")
		require.NoError(t, err)
	})
}

func requireCode(t *testing.T, err error, code string) {
	t.Helper()
	var fault *events.Fault
	require.ErrorAs(t, err, &fault)
	require.Equal(t, code, fault.Code)
}

func TestARetryCompletesWhatStoppedHalfway(t *testing.T) {
	log := opened(t)
	_, err := add(t, &meddled{Log: log, fail: 3}, membership.New(log), users(5)...)
	require.ErrorIs(t, err, events.ErrUnavailable)
	requireCode(t, err, "partly_added")
	a, err := add(t, log, membership.New(log), users(5)...)
	require.NoError(t, err)
	for i, r := range a.Results {
		require.Equal(t, i < 2, r.Existing)
		require.NotZero(t, r.Seq)
	}
}

func TestRESTRoute(t *testing.T) {
	f := build(t, opened(t), nil)
	const target = "/v1/channels/ch_general/members"
	status, body := fixtures.REST(t, f, fixtures.Token("alice"), http.MethodPost, target, `{"user_ids":["erin"]}`)
	require.Equal(t, http.StatusAccepted, status, string(body))
	status, body = fixtures.REST(t, f, fixtures.Token("alice"), http.MethodPost, target, `{"user_ids":["erin"]}`)
	require.Equal(t, http.StatusOK, status, string(body))
}

func TestTheLogsErrors(t *testing.T) {
	log := opened(t)
	members := membership.New(log)
	_, err := members.Member(t.Context(), "ch_general", "alice") // cached
	require.NoError(t, err)
	require.NoError(t, log.Close())
	_, err = add(t, log, members, "erin")
	require.ErrorIs(t, err, events.ErrUnavailable)
}

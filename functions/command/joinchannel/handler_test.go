package joinchannel_test

import (
	"context"
	"net/http"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/chat-platform/chat/events"
	"github.com/chat-platform/chat/functions/command/joinchannel"
	"github.com/chat-platform/chat/functions/internal/fixtures"
	"github.com/chat-platform/chat/functions/internal/frontdoor"
	"github.com/chat-platform/chat/functions/internal/membership"
	"github.com/chat-platform/chat/functions/internal/newevent"
	"github.com/chat-platform/chat/infra/nats"
	"github.com/chat-platform/chat/infra/nats/natstest"
)

func build(_ *testing.T, log *nats.Log, _ []events.Event) *frontdoor.Function {
	return frontdoor.Command(joinchannel.Spec, joinchannel.New(log).Handle, fixtures.Options()...)
}

func TestFixtures(t *testing.T) { fixtures.Run(t, build) }

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

// leave ends a membership behind the handler's back.
func leave(tb testing.TB, log *nats.Log, user events.UserID) {
	tb.Helper()
	_, standings, err := membership.Read(tb.Context(), log, "ch_general", user)
	require.NoError(tb, err)
	e, err := newevent.From(tb.Context(), "test").MemberLeft(events.MemberLeft{ChannelID: "ch_general", UserID: user, At: newevent.Now()}, standings[user].Seq)
	require.NoError(tb, err)
	_, err = log.PublishExpecting(tb.Context(), e, standings[user].Seq)
	require.NoError(tb, err)
}

func join(tb testing.TB, log joinchannel.Log, user events.UserID, channel string) (joinchannel.Answer, error) {
	tb.Helper()
	return joinchannel.New(log).Handle(tb.Context(), events.Caller{User: user}, joinchannel.Request{ChannelID: channel})
}

func TestJoinLeaveJoin(t *testing.T) {
	log := opened(t)
	var seq uint64
	for range 3 {
		a, err := join(t, log, "carol", "ch_general")
		require.NoError(t, err)
		require.Equal(t, http.StatusAccepted, a.StatusCode())
		require.Greater(t, a.Seq, seq)
		seq = a.Seq
		m, err := membership.New(log).Member(t.Context(), "ch_general", "carol")
		require.NoError(t, err, "from the acknowledgement on")
		require.Equal(t, a.Seq, m.Seq)
		again, err := join(t, log, "carol", "ch_general")
		require.NoError(t, err)
		require.Equal(t, http.StatusOK, again.StatusCode())
		require.Equal(t, []any{a.Seq, a.EventID, a.Role}, []any{again.Seq, again.EventID, again.Role})
		leave(t, log, "carol")
	}
}

func TestTheCreatorComesBackAsAnOwner(t *testing.T) {
	log := opened(t)
	leave(t, log, "alice")
	a, err := join(t, log, "alice", "ch_general")
	require.NoError(t, err)
	require.Equal(t, events.RoleOwner, a.Role)
}

func TestTheCreatorComesBackToAPrivateChannel(t *testing.T) {
	log := natstest.Open(t)
	e, err := newevent.From(t.Context(), "test").ChannelCreated(events.ChannelCreated{ID: "ch_p", Name: "n", Visibility: events.Private, CreatedBy: "alice", CreatedAt: newevent.Now()})
	require.NoError(t, err)
	fixtures.Publish(t, log, []events.Event{e})
	a, err := join(t, log, "alice", "ch_p")
	require.NoError(t, err)
	require.Equal(t, events.RoleOwner, a.Role)
	_, err = join(t, log, "bob", "ch_p")
	require.ErrorIs(t, err, joinchannel.ErrPrivate)
}

func TestARaceOfOneUserIsOneMembership(t *testing.T) {
	log := opened(t)
	before := lastSeq(t, log)
	answers := make([]joinchannel.Answer, 12)
	var race sync.WaitGroup
	for i := range answers {
		race.Go(func() {
			var err error
			answers[i], err = join(t, log, "carol", "ch_general")
			assert.NoError(t, err)
		})
	}
	race.Wait()
	accepted := 0
	for _, a := range answers {
		assert.Equal(t, answers[0].Seq, a.Seq)
		if a.StatusCode() == http.StatusAccepted {
			accepted++
		}
	}
	require.Equal(t, 1, accepted)
	require.Equal(t, before+1, lastSeq(t, log))
}

// meddled is a log where something happens before each of the first publishes.
type meddled struct {
	*nats.Log
	meddle func(attempt int)
	n      int
}

func (m *meddled) PublishExpecting(ctx context.Context, e events.Event, last uint64) (events.Ack, error) {
	m.n++
	m.meddle(m.n)
	return m.Log.PublishExpecting(ctx, e, last)
}

func TestAConflictIsLookedAtOnceMore(t *testing.T) {
	t.Run("somebody added the user", func(t *testing.T) {
		log := opened(t)
		var added joinchannel.Answer
		a, err := join(t, &meddled{Log: log, meddle: func(int) {
			e, err := newevent.From(t.Context(), "test").MemberJoined(events.MemberJoined{ChannelID: "ch_general", UserID: "dave", Role: events.RoleOwner}, 7)
			require.NoError(t, err)
			ack, err := log.PublishExpecting(t.Context(), e, 7)
			require.NoError(t, err)
			added = joinchannel.Answer{Seq: ack.Seq, EventID: e.ID}
		}}, "dave", "ch_general")
		require.NoError(t, err)
		require.Equal(t, http.StatusOK, a.StatusCode())
		require.Equal(t, []any{added.Seq, added.EventID, events.RoleOwner}, []any{a.Seq, a.EventID, a.Role})
	})
	t.Run("somebody joined and left meanwhile", func(t *testing.T) {
		log := opened(t)
		a, err := join(t, &meddled{Log: log, meddle: func(n int) {
			if n == 1 {
				_, err := join(t, log, "carol", "ch_general")
				require.NoError(t, err)
				leave(t, log, "carol")
			}
		}}, "carol", "ch_general")
		require.NoError(t, err)
		require.Equal(t, lastSeq(t, log), a.Seq)
		_, err = membership.New(log).Member(t.Context(), "ch_general", "carol")
		require.NoError(t, err)
	})
	t.Run("for ever", func(t *testing.T) {
		log := opened(t)
		m := &meddled{Log: log, meddle: func(int) {
			e, err := newevent.From(t.Context(), "test").MemberLeft(events.MemberLeft{ChannelID: "ch_general", UserID: "dave"}, lastSeq(t, log))
			require.NoError(t, err)
			_, err = log.Publish(t.Context(), e)
			require.NoError(t, err)
		}}
		_, err := join(t, m, "dave", "ch_general")
		require.ErrorIs(t, err, events.ErrConflict)
		var fault *events.Fault
		require.ErrorAs(t, err, &fault)
		require.Equal(t, "membership_changed", fault.Code)
		require.Equal(t, 2, m.n)
	})
}

func TestRESTRoute(t *testing.T) {
	f := build(t, opened(t), nil)
	status, body := fixtures.REST(t, f, fixtures.Token("carol"), http.MethodPut, "/v1/channels/ch_general/members/me", "")
	require.Equal(t, http.StatusAccepted, status, string(body))
	status, body = fixtures.REST(t, f, fixtures.Token("carol"), http.MethodPut, "/v1/channels/ch_general/members/me", "")
	require.Equal(t, http.StatusOK, status, string(body))
}

func TestTheLogsErrors(t *testing.T) {
	log := opened(t)
	require.NoError(t, log.Close())
	_, err := join(t, log, "carol", "ch_general")
	require.ErrorIs(t, err, events.ErrUnavailable)
}

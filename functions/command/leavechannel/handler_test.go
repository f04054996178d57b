package leavechannel_test

import (
	"context"
	"net/http"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/chat-platform/chat/events"
	"github.com/chat-platform/chat/functions/command/leavechannel"
	"github.com/chat-platform/chat/functions/internal/fixtures"
	"github.com/chat-platform/chat/functions/internal/frontdoor"
	"github.com/chat-platform/chat/functions/internal/membership"
	"github.com/chat-platform/chat/functions/internal/newevent"
	"github.com/chat-platform/chat/infra/nats"
	"github.com/chat-platform/chat/infra/nats/natstest"
)

func build(_ *testing.T, log *nats.Log, _ []events.Event) *frontdoor.Function {
	return frontdoor.Command(leavechannel.Spec, leavechannel.New(log, membership.New(log)).Handle, fixtures.Options()...)
}

func TestFixtures(t *testing.T) { fixtures.Run(t, build) }

func opened(tb testing.TB) *nats.Log {
	tb.Helper()
	log := natstest.Open(tb)
	fixtures.Given(tb, log)
	return log
}

func leave(tb testing.TB, log leavechannel.Log, members leavechannel.Members, user events.UserID) (leavechannel.Answer, error) {
	tb.Helper()
	return leavechannel.New(log, members).Handle(tb.Context(), events.Caller{User: user}, leavechannel.Request{ChannelID: "ch_general"})
}

// join begins a membership behind the handler's back.
func join(tb testing.TB, log *nats.Log, user events.UserID) {
	tb.Helper()
	_, standings, err := membership.Read(tb.Context(), log, "ch_general", user)
	require.NoError(tb, err)
	e, err := newevent.From(tb.Context(), "test").MemberJoined(events.MemberJoined{ChannelID: "ch_general", UserID: user, Role: events.RoleMember, At: newevent.Now()}, standings[user].Seq)
	require.NoError(tb, err)
	_, err = log.PublishExpecting(tb.Context(), e, standings[user].Seq)
	require.NoError(tb, err)
}

func TestWhoHasLeftIsRefusedAtOnce(t *testing.T) {
	log := opened(t)
	members := membership.New(log)
	for range 3 {
		_, err := members.Member(t.Context(), "ch_general", "bob") // now it is cached
		require.NoError(t, err)
		a, err := leave(t, log, members, "bob")
		require.NoError(t, err)
		require.Equal(t, http.StatusAccepted, a.StatusCode())
		_, err = members.Member(t.Context(), "ch_general", "bob")
		require.ErrorIs(t, err, events.ErrNotMember)
		again, err := leave(t, log, members, "bob")
		require.NoError(t, err)
		require.Equal(t, http.StatusOK, again.StatusCode())
		require.Equal(t, []any{a.Seq, a.EventID}, []any{again.Seq, again.EventID})
		join(t, log, "bob")
	}
}

func TestARaceIsOneLeave(t *testing.T) {
	log := opened(t)
	answers := make([]leavechannel.Answer, 12)
	var race sync.WaitGroup
	for i := range answers {
		race.Go(func() {
			var err error
			answers[i], err = leave(t, log, membership.New(log), "bob")
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
}

// A membership's history is a chain whatever joins and leaves race: each event
// differs from the one before.
func TestJoinAgainstLeave(t *testing.T) {
	log := opened(t)
	var race sync.WaitGroup
	for range 4 {
		race.Go(func() {
			for range 10 {
				_, standings, err := membership.Read(t.Context(), log, "ch_general", "bob")
				if !assert.NoError(t, err) {
					return
				}
				e, err := newevent.From(t.Context(), "test").MemberJoined(events.MemberJoined{ChannelID: "ch_general", UserID: "bob", Role: events.RoleMember, At: newevent.Now()}, standings["bob"].Seq)
				assert.NoError(t, err)
				if !standings["bob"].Active {
					if _, err := log.PublishExpecting(t.Context(), e, standings["bob"].Seq); err != nil {
						assert.ErrorIs(t, err, events.ErrConflict)
					}
				}
			}
		})
		race.Go(func() {
			for range 10 {
				if _, err := leave(t, log, membership.New(log), "bob"); err != nil {
					assert.ErrorIs(t, err, events.ErrConflict)
				}
			}
		})
	}
	race.Wait()
	last, err := log.LastSequence(t.Context(), events.StreamMetadata)
	require.NoError(t, err)
	before, n := "", 0
	require.NoError(t, log.Range(t.Context(), events.StreamMetadata, []string{events.MemberSubject("ch_general", "bob")}, 1, last, func(e events.Event) error {
		assert.NotEqual(t, before, e.Type, "sequence %d", e.Sequence)
		before = e.Type
		n++
		return nil
	}))
	require.Greater(t, n, 1)
}

// meddled is a log where something happens before each publish.
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
	t.Run("left and joined again meanwhile", func(t *testing.T) {
		log := opened(t)
		a, err := leave(t, &meddled{Log: log, meddle: func(n int) {
			if n == 1 {
				_, err := leave(t, log, membership.New(log), "bob")
				require.NoError(t, err)
				join(t, log, "bob")
			}
		}}, membership.New(log), "bob")
		require.NoError(t, err)
		require.Equal(t, http.StatusAccepted, a.StatusCode())
	})
	t.Run("for ever", func(t *testing.T) {
		log := opened(t)
		m := &meddled{Log: log, meddle: func(int) {
			_, err := leave(t, log, membership.New(log), "bob")
			require.NoError(t, err)
			join(t, log, "bob")
		}}
		_, err := leave(t, m, membership.New(log), "bob")
		require.ErrorIs(t, err, events.ErrConflict)
		var fault *events.Fault
		require.ErrorAs(t, err, &fault)
		require.Equal(t, "membership_changed", fault.Code)
		require.Equal(t, 2, m.n)
	})
}

// lost is a log that stores and does not tell.
type lost struct{ *nats.Log }

func (l lost) PublishExpecting(ctx context.Context, e events.Event, last uint64) (events.Ack, error) {
	if _, err := l.Log.PublishExpecting(ctx, e, last); err != nil {
		return events.Ack{}, err
	}
	return events.Ack{}, events.ErrUnavailable
}

func TestALeaveWhoseAnswerIsLostCountsAtOnceToo(t *testing.T) {
	log := opened(t)
	members := membership.New(log)
	_, err := members.Member(t.Context(), "ch_general", "bob")
	require.NoError(t, err)
	_, err = leave(t, lost{log}, members, "bob")
	require.ErrorIs(t, err, events.ErrUnavailable)
	_, err = members.Member(t.Context(), "ch_general", "bob")
	require.ErrorIs(t, err, events.ErrNotMember)
}

func TestRESTRoute(t *testing.T) {
	f := build(t, opened(t), nil)
	status, body := fixtures.REST(t, f, fixtures.Token("bob"), http.MethodDelete, "/v1/channels/ch_general/members/me", "")
	require.Equal(t, http.StatusAccepted, status, string(body))
	status, body = fixtures.REST(t, f, fixtures.Token("bob"), http.MethodDelete, "/v1/channels/ch_general/members/me", "")
	require.Equal(t, http.StatusOK, status, string(body))
}

func TestTheLogsErrors(t *testing.T) {
	log := opened(t)
	require.NoError(t, log.Close())
	_, err := leave(t, log, membership.New(log), "bob")
	require.ErrorIs(t, err, events.ErrUnavailable)
}

package membership_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/chat-platform/chat/events"
	"github.com/chat-platform/chat/functions/internal/fixtures"
	"github.com/chat-platform/chat/functions/internal/membership"
	"github.com/chat-platform/chat/functions/internal/newevent"
	"github.com/chat-platform/chat/infra/nats/natstest"
)

func joined(tb testing.TB, c events.ChannelID, u events.UserID, after uint64) events.Event {
	tb.Helper()
	e, err := newevent.From(tb.Context(), "test").MemberJoined(events.MemberJoined{ChannelID: c, UserID: u, Role: events.RoleMember, At: newevent.Now()}, after)
	require.NoError(tb, err)
	return e
}

func left(tb testing.TB, c events.ChannelID, u events.UserID, after uint64) events.Event {
	tb.Helper()
	e, err := newevent.From(tb.Context(), "test").MemberLeft(events.MemberLeft{ChannelID: c, UserID: u, At: newevent.Now()}, after)
	require.NoError(tb, err)
	return e
}

func created(tb testing.TB, c events.ChannelID, v events.Visibility) events.Event {
	tb.Helper()
	e, err := newevent.From(tb.Context(), "test").ChannelCreated(events.ChannelCreated{ID: c, Name: "n", Visibility: v, CreatedBy: "owner", CreatedAt: newevent.Now()})
	require.NoError(tb, err)
	return e
}

func TestAnswersFromTheLog(t *testing.T) {
	log := natstest.Open(t)
	fixtures.Publish(t, log, []events.Event{
		created(t, "ch_a", events.Public), joined(t, "ch_a", "in", 0), joined(t, "ch_a", "out", 0), left(t, "ch_a", "out", 3),
		created(t, "ch_p", events.Private), joined(t, "ch_p", "a.b c", 0),
	})
	rows := []struct {
		channel events.ChannelID
		user    events.UserID
		want    error
	}{
		{"ch_a", "in", nil},
		{"ch_a", "out", events.ErrNotMember},
		{"ch_a", "never", events.ErrNotMember},
		{"ch_p", "never", events.ErrNotMember},
		{"ch_p", "a.b c", nil},
		{"ch_none", "in", events.ErrChannelNotFound},
	}
	var pairs []membership.Pair
	for _, r := range rows {
		pairs = append(pairs, membership.Pair{Channel: r.channel, User: r.user})
		members := membership.New(log)
		for range 2 { // from the log, and from the cache
			m, err := members.Member(t.Context(), r.channel, r.user)
			if r.want != nil {
				require.ErrorIs(t, err, r.want, "%s in %s", r.user, r.channel)
				continue
			}
			require.NoError(t, err, "%s in %s", r.user, r.channel)
			assert.Equal(t, r.user, m.UserID)
			assert.True(t, m.Active)
			assert.NotZero(t, m.Seq)
		}
	}
	refused, err := membership.New(log).Refused(t.Context(), append(pairs, pairs...))
	require.NoError(t, err)
	want := map[membership.Pair]*events.Fault{}
	for i, r := range rows {
		var fault *events.Fault
		if errors.As(r.want, &fault) {
			want[pairs[i]] = fault
		}
	}
	require.Equal(t, want, refused)
}

func TestRefusedLooksAtAllPairsAndStopsAtAHundred(t *testing.T) {
	log := natstest.Open(t)
	es := []events.Event{created(t, "ch_a", events.Public)}
	var pairs []membership.Pair
	for i := range 2_100 {
		u := events.UserID(fmt.Sprintf("u%d", i))
		es = append(es, joined(t, "ch_a", u, 0))
		pairs = append(pairs, membership.Pair{Channel: "ch_a", User: u})
	}
	fixtures.Publish(t, log, es)
	members := membership.New(log)
	pairs = append(pairs, membership.Pair{Channel: "ch_a", User: "stranger"})
	refused, err := members.Refused(t.Context(), pairs)
	require.NoError(t, err)
	require.Equal(t, map[membership.Pair]*events.Fault{pairs[2_100]: events.ErrNotMember}, refused)

	var strangers []membership.Pair
	for i := range 150 {
		strangers = append(strangers, membership.Pair{Channel: "ch_b", User: events.UserID(fmt.Sprintf("u%d", i))})
	}
	refused, err = members.Refused(t.Context(), strangers)
	require.NoError(t, err)
	require.Len(t, refused, 100)
}

func TestAJoinCountsAtOnce(t *testing.T) {
	log := natstest.Open(t)
	members := membership.New(log)
	fixtures.Publish(t, log, []events.Event{created(t, "ch_a", events.Public)})
	_, err := members.Member(t.Context(), "ch_a", "u")
	require.ErrorIs(t, err, events.ErrNotMember)
	fixtures.Publish(t, log, []events.Event{joined(t, "ch_a", "u", 0)})
	_, err = members.Member(t.Context(), "ch_a", "u")
	require.NoError(t, err, "refusals must not be kept")
	fixtures.Publish(t, log, []events.Event{left(t, "ch_a", "u", 2)})
	members.Forget("ch_a", "u")
	_, err = members.Member(t.Context(), "ch_a", "u")
	require.ErrorIs(t, err, events.ErrNotMember, "a leave by this process counts at once")
}

// fake is a log of one member, whom it may forget; it counts and may wait.
type fake struct {
	mu     sync.Mutex
	member bool
	err    error
	wait   chan struct{}
	asked  atomic.Int64
}

func (f *fake) Last(ctx context.Context, subject string) (events.Event, error) {
	f.asked.Add(1)
	f.mu.Lock()
	member, err, wait := f.member, f.err, f.wait
	f.mu.Unlock()
	if wait != nil {
		select {
		case <-wait:
		case <-ctx.Done():
			return events.Event{}, ctx.Err()
		}
	}
	switch {
	case err != nil:
		return events.Event{}, err
	case subject == events.ChannelSubject("ch_a"):
		return events.Event{}, nil
	case !member:
		return events.Event{}, events.ErrNotFound
	}
	return events.Event{ID: "e", Source: "/test", Type: events.TypeMemberJoined, Sequence: 7,
		Data: []byte(`{"channel_id":"ch_a","user_id":"u","role":"member"}`)}, nil
}

func (f *fake) LastConfirmed(ctx context.Context, subject string) (events.Event, error) {
	return f.Last(ctx, subject)
}

func (f *fake) LastOf(ctx context.Context, subjects []string) (map[string]events.Event, error) {
	last := map[string]events.Event{}
	for _, s := range subjects {
		e, err := f.Last(ctx, s)
		if err == nil {
			last[s] = e
		}
	}
	return last, f.err
}

func (f *fake) set(change func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change()
}

func TestPositiveAnswersAreKeptForASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := &fake{member: true}
		members := membership.New(log)
		member := func() error {
			_, err := members.Member(t.Context(), "ch_a", "u")
			return err
		}
		require.NoError(t, member())
		log.set(func() { log.member = false }) // by another process
		<-time.After(time.Second - time.Millisecond)
		require.NoError(t, member())
		refused, err := members.Refused(t.Context(), []membership.Pair{{Channel: "ch_a", User: "u"}})
		require.NoError(t, err)
		require.Empty(t, refused)
		require.EqualValues(t, 1, log.asked.Load())
		<-time.After(time.Millisecond)
		require.ErrorIs(t, member(), events.ErrNotMember)
		log.set(func() { log.member = true })
		require.NoError(t, member())
	})
}

func TestABurstAsksOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := &fake{member: true, wait: make(chan struct{})}
		members := membership.New(log)
		givenUp, cancel := context.WithCancel(t.Context())
		var first error
		var burst sync.WaitGroup
		burst.Go(func() { _, first = members.Member(givenUp, "ch_a", "u") })
		synctest.Wait()
		errs := make([]error, 100)
		for i := range errs {
			burst.Go(func() { _, errs[i] = members.Member(t.Context(), "ch_a", "u") })
		}
		synctest.Wait()
		cancel() // of who asked for all
		synctest.Wait()
		close(log.wait)
		burst.Wait()
		require.ErrorIs(t, first, context.Canceled)
		for _, err := range errs {
			require.NoError(t, err)
		}
		require.EqualValues(t, 1, log.asked.Load())
	})
}

func TestAnAnswerOlderThanALeaveIsNotKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		wait := make(chan struct{})
		log := &fake{member: true, wait: wait}
		members := membership.New(log)
		var slow sync.WaitGroup
		slow.Go(func() { _, _ = members.Member(t.Context(), "ch_a", "u") })
		synctest.Wait()
		log.set(func() { log.member, log.wait = false, nil })
		members.Forget("ch_a", "u")
		_, err := members.Member(t.Context(), "ch_a", "u")
		require.ErrorIs(t, err, events.ErrNotMember, "asked after the leave, it must not get the answer from before")
		close(wait)
		slow.Wait()
		_, err = members.Member(t.Context(), "ch_a", "u")
		require.ErrorIs(t, err, events.ErrNotMember)
	})
}

func TestTheLogsErrorsPass(t *testing.T) {
	log := &fake{err: events.ErrUnavailable}
	members := membership.New(log)
	_, err := members.Member(t.Context(), "ch_a", "u")
	require.ErrorIs(t, err, events.ErrUnavailable)
	require.ErrorContains(t, err, "u in ch_a")
	_, err = members.Refused(t.Context(), []membership.Pair{{Channel: "ch_a", User: "u"}})
	require.ErrorIs(t, err, events.ErrUnavailable)
	_, _, err = membership.Read(t.Context(), log, "ch_a", "u")
	require.ErrorIs(t, err, events.ErrUnavailable)
	_, err = membership.Confirm(t.Context(), log, "ch_a", "u")
	require.ErrorIs(t, err, events.ErrUnavailable)
}

func TestRead(t *testing.T) {
	log := natstest.Open(t)
	fixtures.Publish(t, log, []events.Event{created(t, "ch_a", events.Private), joined(t, "ch_a", "in", 0), joined(t, "ch_a", "out", 0), left(t, "ch_a", "out", 3)})
	c, standings, err := membership.Read(t.Context(), log, "ch_a", "in", "out", "never")
	require.NoError(t, err)
	require.EqualValues(t, 1, c.Seq)
	require.NotEmpty(t, c.EventID)
	require.Equal(t, events.Private, c.Visibility)
	require.True(t, standings["in"].Active)
	require.EqualValues(t, 2, standings["in"].Seq)
	require.False(t, standings["out"].Active)
	require.EqualValues(t, 4, standings["out"].Seq)
	require.Zero(t, standings["never"].Seq)
	require.Equal(t, events.RoleOwner, membership.RoleIn(c, "owner"))
	require.Equal(t, events.RoleMember, membership.RoleIn(c, "in"))
	for _, u := range []events.UserID{"in", "out", "never"} {
		confirmed, err := membership.Confirm(t.Context(), log, "ch_a", u)
		require.NoError(t, err)
		require.Equal(t, standings[u].Seq, confirmed.Seq)
	}
	_, _, err = membership.Read(t.Context(), log, "ch_none")
	require.ErrorIs(t, err, events.ErrChannelNotFound)
}

func TestAnEventThatDoesNotDecodeIsOurFault(t *testing.T) {
	log := natstest.Open(t)
	broken, channel := joined(t, "ch_a", "u", 0), created(t, "ch_a", events.Public)
	broken.Data, channel.Data = []byte(`{}`), []byte(`{}`)
	fixtures.Publish(t, log, []events.Event{broken, channel})
	_, err := membership.New(log).Member(t.Context(), "ch_a", "u")
	require.Error(t, err)
	require.NotErrorIs(t, err, events.ErrInvalid)
	_, err = membership.New(log).Refused(t.Context(), []membership.Pair{{Channel: "ch_a", User: "u"}})
	require.Error(t, err)
	_, _, err = membership.Read(t.Context(), log, "ch_a", "u")
	require.Error(t, err)
	require.NotErrorIs(t, err, events.ErrInvalid)
}

func TestTheCacheIsBounded(t *testing.T) {
	log := &fake{member: true}
	members := membership.New(log)
	var pairs []membership.Pair
	for i := range 80_000 {
		pairs = append(pairs, membership.Pair{Channel: "ch_b", User: events.UserID(fmt.Sprint(i))})
	}
	for len(pairs) > 0 {
		_, err := members.Refused(t.Context(), pairs[:10_000])
		require.NoError(t, err)
		pairs = pairs[10_000:]
	}
	require.LessOrEqual(t, members.Kept(), 65_536)
	require.Positive(t, members.Kept())
}

func BenchmarkMemberCached(b *testing.B) {
	members := membership.New(&fake{member: true})
	for b.Loop() {
		if _, err := members.Member(b.Context(), "ch_a", "u"); err != nil {
			b.Fatal(err)
		}
	}
}

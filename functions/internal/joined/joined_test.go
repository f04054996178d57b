package joined_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/chat-platform/chat/events"
	"github.com/chat-platform/chat/functions/internal/joined"
	"github.com/chat-platform/chat/functions/internal/tail"
	"github.com/chat-platform/chat/functions/internal/tail/tailtest"
)

// view is a metadata view of one user's memberships.
type view struct {
	mu    sync.Mutex
	in    map[events.ChannelID]bool
	calls int
	err   error
}

func (v *view) put(m events.Member) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.in == nil {
		v.in = map[events.ChannelID]bool{}
	}
	v.in[m.ChannelID] = m.Active
}

func (v *view) ChannelsOf(_ context.Context, _ events.UserID, after events.ChannelID, limit int) ([]events.Membership, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.calls++
	var ids []events.ChannelID
	for id, active := range v.in {
		if active && id > after {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	var out []events.Membership
	for _, id := range ids[:min(limit, len(ids))] {
		out = append(out, events.Membership{Member: events.Member{ChannelID: id, UserID: "ann", Active: true}})
	}
	return out, v.err
}

func TestAnswersAreExactWhateverTheViewHas(t *testing.T) {
	for seed := range uint64(30) {
		r := rand.New(rand.NewPCG(seed, 0))
		log, v := &tailtest.Log{}, &view{}
		channels := joined.New(log, v)
		truth := map[events.ChannelID]bool{}
		var applied int
		var changes []events.Member
		for range 60 {
			c := events.ChannelID(fmt.Sprint("ch_", r.IntN(8)))
			var m events.Member
			if r.IntN(3) == 0 {
				m = log.Leave(c, "ann")
			} else {
				m = log.Join(c, "ann", events.RoleMember)
			}
			truth[c] = m.Active
			changes = append(changes, m)
			log.Join(c, "bob", events.RoleMember)
			if r.IntN(3) == 0 { // the view catches up with a part
				for n := applied + r.IntN(len(changes)-applied+1); applied < n; applied++ {
					v.put(changes[applied])
				}
				if applied > 0 {
					log.SetApplied(changes[applied-1].Seq)
				}
			}
			if r.IntN(2) == 0 {
				continue
			}
			var want []events.ChannelID
			for id, in := range truth {
				if in {
					want = append(want, id)
				}
			}
			got, err := channels.Of(t.Context(), "ann")
			require.NoError(t, err)
			require.ElementsMatch(t, want, got, "seed %d", seed)
		}
	}
}

func TestALaterQuestionCostsOneRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log, v := &tailtest.Log{}, &view{}
		var last events.Member
		for i := range 2_500 {
			last = log.Join(events.ChannelID(fmt.Sprintf("ch_%04d", i)), "ann", events.RoleMember)
			v.put(last)
		}
		log.SetApplied(last.Seq)
		channels := joined.New(log, v)
		got, err := channels.Of(t.Context(), "ann")
		require.NoError(t, err)
		require.Len(t, got, 2_500)
		require.Equal(t, 3, v.calls)
		log.Requests()

		log.Leave("ch_0007", "ann")
		got, err = channels.Of(t.Context(), "ann")
		require.NoError(t, err)
		require.Len(t, got, 2_499)
		require.NotContains(t, got, events.ChannelID("ch_0007"))
		require.Equal(t, 3, v.calls)
		require.Equal(t, 1, log.Requests())

		<-time.After(61 * time.Second) // the bubble's clock: answers are not carried forward for ever
		_, err = channels.Of(t.Context(), "ann")
		require.NoError(t, err)
		require.Equal(t, 6, v.calls)
	})
}

func TestMoreChangesThanTheTailHolds(t *testing.T) {
	log, v := &tailtest.Log{}, &view{}
	channels := joined.New(log, v)
	_, err := channels.Of(t.Context(), "ann")
	require.NoError(t, err)

	var last events.Member
	for i := range tail.MaxEvents + 1 {
		last = log.Join(events.ChannelID(fmt.Sprint("ch_", i)), "ann", events.RoleMember)
		v.put(last)
	}
	_, err = channels.Of(t.Context(), "ann")
	require.ErrorIs(t, err, events.ErrUnavailable)

	log.SetApplied(last.Seq) // the view has caught up: it is read anew
	got, err := channels.Of(t.Context(), "ann")
	require.NoError(t, err)
	require.Len(t, got, tail.MaxEvents+1)
}

func TestFailures(t *testing.T) {
	log, v := &tailtest.Log{}, &view{}
	channels := joined.New(log, v)
	v.err = events.ErrUnavailable
	_, err := channels.Of(t.Context(), "ann")
	require.ErrorIs(t, err, events.ErrUnavailable)
	v.err = nil

	log.Fail(events.ErrUnavailable)
	_, err = channels.Of(t.Context(), "ann")
	require.ErrorIs(t, err, events.ErrUnavailable)
	log.Fail(nil)

	log.Join("ch_1", "ann", events.RoleMember)
	got, err := channels.Of(t.Context(), "ann")
	require.NoError(t, err)
	require.Equal(t, []events.ChannelID{"ch_1"}, got)
}

// The kept answers are bounded: after many large ones the first is gone, and is
// worked out anew.
func TestKeptAnswersAreBounded(t *testing.T) {
	log := &tailtest.Log{}
	paged := &rows{}
	for i := range 30_000 {
		paged.all = append(paged.all, events.Membership{Member: events.Member{ChannelID: events.ChannelID(fmt.Sprintf("ch_%05d", i)), Active: true}})
	}
	channels := joined.New(log, paged)
	for i := range 8 {
		_, err := channels.Of(t.Context(), events.UserID(fmt.Sprint("user ", i)))
		require.NoError(t, err)
	}
	paged.calls = 0
	_, err := channels.Of(t.Context(), "user 7")
	require.NoError(t, err)
	require.Zero(t, paged.calls, "the youngest is kept")
	_, err = channels.Of(t.Context(), "user 0")
	require.NoError(t, err)
	require.NotZero(t, paged.calls, "the oldest was dropped")
}

// rows gives every user the same channels.
type rows struct {
	all   []events.Membership
	calls int
}

func (r *rows) ChannelsOf(_ context.Context, _ events.UserID, after events.ChannelID, limit int) ([]events.Membership, error) {
	r.calls++
	i, _ := slices.BinarySearchFunc(r.all, after, func(m events.Membership, id events.ChannelID) int {
		if m.Member.ChannelID <= id {
			return -1
		}
		return 1
	})
	return r.all[i:min(len(r.all), i+limit)], nil
}

func TestOneUsersQuestionsWaitForEachOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gate := &gated{open: make(chan struct{})}
		channels := joined.New(&tailtest.Log{}, gate)
		first := make(chan error, 1)
		go func() {
			_, err := channels.Of(t.Context(), "ann")
			first <- err
		}()
		synctest.Wait()

		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := channels.Of(ctx, "ann")
		require.ErrorIs(t, err, context.DeadlineExceeded)
		close(gate.open)
		require.NoError(t, <-first)
		_, err = channels.Of(t.Context(), "ann")
		require.NoError(t, err)
		require.Equal(t, 1, gate.calls)
	})
}

type gated struct {
	open  chan struct{}
	calls int
}

func (g *gated) ChannelsOf(context.Context, events.UserID, events.ChannelID, int) ([]events.Membership, error) {
	<-g.open
	g.calls++
	return nil, nil
}

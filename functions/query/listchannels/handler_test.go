package listchannels_test

import (
	"cmp"
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/chat-platform/chat/events"
	"github.com/chat-platform/chat/functions/internal/tail"
	"github.com/chat-platform/chat/functions/internal/tail/tailtest"
	"github.com/chat-platform/chat/functions/query/listchannels"
)

var ann = events.Caller{User: "ann"}

// view is a metadata view. It reads as storetest says.
type view struct {
	channels map[events.ChannelID]events.Channel
	members  map[events.ChannelID]map[events.UserID]events.Member
	err      error
}

func newView() *view {
	return &view{channels: map[events.ChannelID]events.Channel{}, members: map[events.ChannelID]map[events.UserID]events.Member{}}
}

func (v *view) put(record any) {
	switch r := record.(type) {
	case events.Channel:
		if r.Seq > v.channels[r.ID].Seq {
			v.channels[r.ID] = r
		}
	case events.Member:
		if v.members[r.ChannelID] == nil {
			v.members[r.ChannelID] = map[events.UserID]events.Member{}
		}
		if r.Seq > v.members[r.ChannelID][r.UserID].Seq {
			v.members[r.ChannelID][r.UserID] = r
		}
	}
}

func (v *view) PublicChannels(_ context.Context, after events.ChannelID, limit int) ([]events.Channel, error) {
	var out []events.Channel
	for _, c := range v.channels {
		if c.Visibility == events.Public && c.ID > after {
			out = append(out, c)
		}
	}
	slices.SortFunc(out, func(a, b events.Channel) int { return cmp.Compare(a.ID, b.ID) })
	return out[:min(limit, len(out))], v.err
}

func (v *view) ChannelsOf(_ context.Context, user events.UserID, after events.ChannelID, limit int) ([]events.Membership, error) {
	var out []events.Membership
	for id, ms := range v.members {
		if m := ms[user]; m.Active && id > after {
			c := v.channels[id]
			c.ID = id
			out = append(out, events.Membership{Channel: c, Member: m})
		}
	}
	slices.SortFunc(out, func(a, b events.Membership) int { return cmp.Compare(a.Channel.ID, b.Channel.ID) })
	return out[:min(limit, len(out))], v.err
}

func (v *view) Ping(context.Context) error { return v.err }

// all pages through a list.
func all(t *testing.T, h *listchannels.Handler, scope string, limit int) []listchannels.Channel {
	t.Helper()
	var out []listchannels.Channel
	req := listchannels.Request{Scope: scope, Limit: limit}
	for {
		a, err := h.Handle(t.Context(), ann, req)
		require.NoError(t, err)
		require.LessOrEqual(t, len(a.Channels), limit)
		require.Equal(t, a.HasMore, a.Cursor != "")
		out = append(out, a.Channels...)
		if !a.HasMore {
			return out
		}
		require.Len(t, a.Channels, limit, "only the last page is short")
		req.Cursor = a.Cursor
	}
}

// Whatever part of the log a view has, a list through the handler is the list
// that a view with all of it would give.
func TestAListIsTheSameWhateverTheViewHas(t *testing.T) {
	for seed := range uint64(200) {
		r := rand.New(rand.NewPCG(seed, 0))
		log, truth, v := &tailtest.Log{}, newView(), newView()
		var changes []any
		var at []uint64
		note := func(record any, seq uint64) {
			truth.put(record)
			changes, at = append(changes, record), append(at, seq)
		}
		n := 1 + r.IntN(15)
		for i := range n {
			c := log.Create(events.ChannelID(fmt.Sprintf("ch_%02d", r.IntN(100)*100+i)), []events.Visibility{events.Public, events.Private}[r.IntN(2)], "bob")
			note(c, c.Seq)
			for range r.IntN(4) {
				user := events.UserID([]string{"ann", "bob"}[r.IntN(2)])
				m := log.Join(c.ID, user, []events.Role{events.RoleOwner, events.RoleMember}[r.IntN(2)])
				if r.IntN(3) == 0 {
					note(m, m.Seq)
					m = log.Leave(c.ID, user)
				}
				note(m, m.Seq)
			}
		}
		applied := uint64(r.IntN(len(changes) + 3))
		log.SetApplied(applied)
		for i, c := range changes {
			if at[i] <= applied || r.IntN(4) == 0 {
				v.put(c)
			}
		}
		h := listchannels.New(log, v)
		limit := 1 + r.IntN(6)

		want, _ := truth.ChannelsOf(t.Context(), "ann", "", 1000)
		got := all(t, h, listchannels.Mine, limit)
		require.Len(t, got, len(want), "seed %d", seed)
		for i, m := range want {
			require.Equal(t, listchannels.Channel{ID: m.Channel.ID, Seq: m.Channel.Seq, Name: m.Channel.Name, Visibility: m.Channel.Visibility,
				CreatedBy: "bob", CreatedAt: m.Channel.CreatedAt, Member: true, Role: m.Member.Role}, got[i], "seed %d", seed)
		}

		public, _ := truth.PublicChannels(t.Context(), "", 1000)
		got = all(t, h, listchannels.Public, limit)
		require.Len(t, got, len(public), "seed %d", seed)
		for i, c := range public {
			m := truth.members[c.ID]["ann"]
			require.Equal(t, c.ID, got[i].ID, "seed %d", seed)
			require.Equal(t, m.Active, got[i].Member, "seed %d", seed)
			if m.Active {
				require.Equal(t, m.Role, got[i].Role, "seed %d", seed)
			} else {
				require.Empty(t, got[i].Role)
			}
		}
	}
}

func TestRequestsToTheLog(t *testing.T) {
	log, v := &tailtest.Log{}, newView()
	c := log.Create("ch_1", events.Public, "ann")
	m := log.Join("ch_1", "ann", events.RoleOwner)
	v.put(c)
	v.put(m)
	log.SetApplied(m.Seq)
	h := listchannels.New(log, v)
	for scope, want := range map[string]int{listchannels.Mine: 1, listchannels.Public: 2} {
		log.Requests()
		require.Len(t, all(t, h, scope, 10), 1)
		require.Equal(t, want, log.Requests(), scope)
	}
}

func TestRefusals(t *testing.T) {
	log, v := &tailtest.Log{}, newView()
	for i := range 3 {
		v.put(log.Join(events.ChannelID(fmt.Sprint("ch_", i)), "ann", events.RoleMember))
	}
	h := listchannels.New(log, v)
	mine, err := h.Handle(t.Context(), ann, listchannels.Request{Limit: 2})
	require.NoError(t, err)
	for name, c := range map[string]struct {
		req  listchannels.Request
		code string
	}{
		"scope":                 {listchannels.Request{Scope: "all"}, "invalid_scope"},
		"limit":                 {listchannels.Request{Limit: 101}, "invalid_limit"},
		"cursor":                {listchannels.Request{Cursor: "?"}, "invalid_cursor"},
		"the other list's":      {listchannels.Request{Scope: listchannels.Public, Cursor: mine.Cursor}, "invalid_cursor"},
		"cursor that was cut":   {listchannels.Request{Cursor: mine.Cursor[:2]}, "invalid_cursor"},
		"limit below the least": {listchannels.Request{Limit: -5}, "invalid_limit"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := h.Handle(t.Context(), ann, c.req)
			require.ErrorIs(t, err, events.ErrInvalid)
			var f *events.Fault
			require.ErrorAs(t, err, &f)
			require.Equal(t, c.code, f.Code)
		})
	}
}

func TestFarBehind(t *testing.T) {
	log := &tailtest.Log{}
	for i := range tail.MaxEvents + 1 {
		c := log.Create(events.ChannelID(fmt.Sprint("ch_", i)), events.Public, "ann")
		log.Join(c.ID, "ann", events.RoleOwner)
	}
	h := listchannels.New(log, newView())
	for _, scope := range []string{listchannels.Mine, listchannels.Public} {
		_, err := h.Handle(t.Context(), ann, listchannels.Request{Scope: scope})
		require.ErrorIs(t, err, events.ErrUnavailable, scope)
	}
}

func TestErrorsKeepTheirKind(t *testing.T) {
	log, v := &tailtest.Log{}, newView()
	h := listchannels.New(log, v)
	for _, scope := range []string{listchannels.Mine, listchannels.Public} {
		v.err = fmt.Errorf("disk: %w", events.ErrUnavailable)
		_, err := h.Handle(t.Context(), ann, listchannels.Request{Scope: scope})
		require.ErrorIs(t, err, events.ErrUnavailable)
		ready, err := h.Ready(t.Context())
		require.False(t, ready)
		require.Error(t, err)

		v.err = nil
		log.Fail(events.ErrUnavailable)
		_, err = h.Handle(t.Context(), ann, listchannels.Request{Scope: scope})
		require.ErrorIs(t, err, events.ErrUnavailable)
		log.Fail(nil)
		a, err := h.Handle(t.Context(), ann, listchannels.Request{Scope: scope})
		require.NoError(t, err)
		require.NotNil(t, a.Channels)
		ready, err = h.Ready(t.Context())
		require.True(t, ready)
		require.NoError(t, err)
	}
}

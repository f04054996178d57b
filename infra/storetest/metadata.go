package storetest

import (
	"context"
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/chat-platform/chat/events"
	"github.com/chat-platform/chat/infra/stores"
)

// TestMetadata checks a store of channels and memberships. open gives an empty
// store, which it closes in a cleanup of t; generations gives those of one view.
func TestMetadata(t *testing.T, open func(t *testing.T) Metadata, generations Generations[Metadata]) {
	testView(t, open, generations, func(ctx context.Context, s Metadata) error {
		if err := s.PutChannels(ctx, []events.Channel{newChannel(general, 1, events.Public), newChannel(random, 2, events.Private)}); err != nil {
			return err
		}
		return s.PutMembers(ctx, []events.Member{newMember(general, "a.b", 3, true), newMember("ch_early", "x y", 4, true)})
	})
	t.Run("writes", func(t *testing.T) { testMetadataWrites(t, open) })
	t.Run("channels", func(t *testing.T) { testChannels(t, open) })
	t.Run("members", func(t *testing.T) { testMembers(t, open) })
	t.Run("closed and cancelled", func(t *testing.T) { testMetadataEnds(t, open) })
}

// memberLog is a history of memberships: each user joins, and of three one
// leaves and one leaves and joins again.
func memberLog(channel events.ChannelID, first uint64) (log []events.Member, active []events.Member) {
	seq := first
	for i, u := range oddUsers {
		for step := range 1 + i%3 {
			m := newMember(channel, u, seq, step%2 == 0)
			if i == 0 {
				m.Role = events.RoleOwner
			}
			seq++
			log = append(log, m)
			if step == i%3 && m.Active {
				active = append(active, m)
			}
		}
	}
	slices.SortFunc(active, func(a, b events.Member) int { return compare(a.UserID, b.UserID) })
	return log, active
}

func compare[S ~string](a, b S) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

func testMetadataWrites(t *testing.T, open func(t *testing.T) Metadata) {
	channels := []events.Channel{newChannel(general, 1, events.Public), newChannel(random, 2, events.Private)}
	renamed := newChannel(general, 70, events.Public)
	renamed.Name = "renamed"
	channels = append(channels, renamed)
	logGeneral, active := memberLog(general, 100)
	logRandom, _ := memberLog(random, 200)
	members := slices.Concat(logGeneral, logRandom)

	holds := func(t *testing.T, s Metadata) map[events.ChannelID]events.Checksum {
		t.Helper()
		refresh(t, s)
		c, err := s.ChannelByID(t.Context(), general)
		require.NoError(t, err)
		require.Equal(t, renamed, c)
		ms, err := s.MembersOf(t.Context(), general, "", 1_000)
		require.NoError(t, err)
		require.Equal(t, active, ms)
		sums, err := s.Checksums(t.Context(), stores.All)
		require.NoError(t, err)
		require.Len(t, sums, 2)
		return sums
	}
	s := open(t)
	require.NoError(t, s.PutChannels(t.Context(), channels))
	require.NoError(t, s.PutMembers(t.Context(), members))
	want := holds(t, s)

	t.Run("checksums count channels and memberships, ended ones too", func(t *testing.T) {
		var sum events.Checksum
		require.NoError(t, sum.Add(renamed))
		last := map[events.UserID]events.Member{}
		for _, m := range logGeneral {
			last[m.UserID] = m
		}
		for _, m := range last {
			require.NoError(t, sum.Add(m))
		}
		require.Equal(t, sum, want[general])
	})
	t.Run("nothing is written by an empty batch", func(t *testing.T) {
		s := open(t)
		require.NoError(t, s.PutChannels(t.Context(), nil))
		require.NoError(t, s.PutMembers(t.Context(), nil))
	})
	t.Run("delivered twice", func(t *testing.T) {
		s := open(t)
		for range 2 {
			putChunks(t, s.PutMembers, members, 7)
			putChunks(t, s.PutChannels, channels, 1)
		}
		require.Equal(t, want, holds(t, s))
	})
	t.Run("delivered shuffled", func(t *testing.T) {
		for seed := range uint64(8) {
			s := open(t)
			putChunks(t, s.PutMembers, shuffled(append(members, logGeneral...), seed), 1+int(seed)*5)
			putChunks(t, s.PutChannels, shuffled(append(channels, channels...), seed), 1+int(seed))
			require.Equal(t, want, holds(t, s))
		}
	})
	t.Run("delivered by several writers at once", func(t *testing.T) {
		s := open(t)
		putConcurrently(t, s.PutMembers, members, 4, 5)
		putConcurrently(t, s.PutChannels, channels, 4, 1)
		require.Equal(t, want, holds(t, s))
	})
	t.Run("a stale join does not revive", func(t *testing.T) {
		s := open(t)
		require.NoError(t, s.PutMembers(t.Context(), []events.Member{newMember(general, "a.b", 5, false)}))
		require.NoError(t, s.PutMembers(t.Context(), []events.Member{newMember(general, "a.b", 4, true)}))
		refresh(t, s)
		ms, err := s.MembersOf(t.Context(), general, "", 10)
		require.NoError(t, err)
		require.Empty(t, ms)
		cs, err := s.ChannelsOf(t.Context(), "a.b", "", 10)
		require.NoError(t, err)
		require.Empty(t, cs)
		require.NoError(t, s.PutMembers(t.Context(), []events.Member{newMember(general, "a.b", 6, true)}))
		refresh(t, s)
		ms, err = s.MembersOf(t.Context(), general, "", 10)
		require.NoError(t, err)
		require.Equal(t, []events.Member{newMember(general, "a.b", 6, true)}, ms, "a newer one does")
	})
	t.Run("one byte makes another checksum", func(t *testing.T) {
		s := open(t)
		changed := append([]events.Channel{}, channels...)
		changed[1].Topic += "."
		require.NoError(t, s.PutChannels(t.Context(), changed))
		require.NoError(t, s.PutMembers(t.Context(), members))
		refresh(t, s)
		got, err := s.Checksums(t.Context(), stores.All)
		require.NoError(t, err)
		require.Equal(t, want[general], got[general])
		require.NotEqual(t, want[random], got[random])
	})
	t.Run("10,000 memberships in one batch", func(t *testing.T) {
		s := open(t)
		many := make([]events.Member, 10_000)
		for i := range many {
			many[i] = newMember(general, events.UserID(fmt.Sprintf("user %05d", i)), uint64(i)+1, true)
		}
		require.NoError(t, s.PutMembers(t.Context(), shuffled(many, 1)))
		refresh(t, s)
		got, err := s.MembersOf(t.Context(), general, "", 20_000)
		require.NoError(t, err)
		require.Equal(t, many, got)
	})
}

func testChannels(t *testing.T, open func(t *testing.T) Metadata) {
	s := open(t)
	// By bytes: upper case, "_", lower case.
	public := []events.Channel{}
	for i, id := range []events.ChannelID{"0", "A", "Z", "_", "a", "ch_general", "ch_general2", "z"} {
		public = append(public, newChannel(id, uint64(i)+1, events.Public))
	}
	long := newChannel("long", 50, events.Private)
	long.Name, long.Topic = longText(events.MaxChannelNameRunes), longText(events.MaxTopicRunes)
	bare := newChannel("bare", 51, events.Private)
	bare.Topic = ""
	require.NoError(t, s.PutChannels(t.Context(), shuffled(append(public[:len(public):len(public)], long, bare), 2)))
	refresh(t, s)

	t.Run("by id", func(t *testing.T) {
		for _, want := range append(public[:len(public):len(public)], long, bare) {
			got, err := s.ChannelByID(t.Context(), want.ID)
			require.NoError(t, err)
			require.Equal(t, want, got)
		}
		for _, id := range []events.ChannelID{"nothing", "CH_GENERAL", "ch_genera", ""} {
			_, err := s.ChannelByID(t.Context(), id)
			require.ErrorIs(t, err, events.ErrChannelNotFound)
			require.ErrorIs(t, err, events.ErrNotFound)
		}
	})
	t.Run("public ones, page by page", func(t *testing.T) {
		for limit := 1; limit <= len(public)+1; limit++ {
			got := pages(t, limit, func(after events.ChannelID) ([]events.Channel, error) {
				return s.PublicChannels(t.Context(), after, limit)
			}, func(c events.Channel) events.ChannelID { return c.ID })
			require.Equal(t, public, got, "by %d", limit)
		}
		got, err := s.PublicChannels(t.Context(), "ch_general1", 1)
		require.NoError(t, err)
		require.Equal(t, public[6:7], got, "after an id that is not there")
	})
	t.Run("one that is private by now", func(t *testing.T) {
		s := open(t)
		require.NoError(t, s.PutChannels(t.Context(), []events.Channel{newChannel(general, 1, events.Public)}))
		require.NoError(t, s.PutChannels(t.Context(), []events.Channel{newChannel(general, 2, events.Private)}))
		refresh(t, s)
		got, err := s.PublicChannels(t.Context(), "", 10)
		require.NoError(t, err)
		require.Empty(t, got)
	})
}

// pages reads a list to its end and checks the size of each page.
func pages[T any, K ~string](t *testing.T, limit int, read func(after K) ([]T, error), key func(T) K) []T {
	t.Helper()
	all := []T{}
	for after := K(""); ; {
		page, err := read(after)
		require.NoError(t, err)
		require.LessOrEqual(t, len(page), limit)
		all = append(all, page...)
		if len(page) < limit {
			return all
		}
		require.Greater(t, key(page[len(page)-1]), after, "a page that leads nowhere")
		after = key(page[len(page)-1])
	}
}

func testMembers(t *testing.T, open func(t *testing.T) Metadata) {
	s := open(t)
	log, active := memberLog(general, 100)
	require.NoError(t, s.PutMembers(t.Context(), shuffled(log, 4)))
	elsewhere := []events.Member{}
	for i := range 9 {
		elsewhere = append(elsewhere, newMember(events.ChannelID(fmt.Sprintf("ch_%d", i)), "a.b", uint64(500+i), i%4 != 3))
	}
	require.NoError(t, s.PutMembers(t.Context(), elsewhere))
	require.NoError(t, s.PutChannels(t.Context(), []events.Channel{newChannel("ch_1", 900, events.Private)}))
	refresh(t, s)

	t.Run("of a channel, page by page", func(t *testing.T) {
		for limit := 1; limit <= len(active)+1; limit++ {
			got := pages(t, limit, func(after events.UserID) ([]events.Member, error) {
				return s.MembersOf(t.Context(), general, after, limit)
			}, func(m events.Member) events.UserID { return m.UserID })
			require.Equal(t, active, got, "by %d", limit)
		}
	})
	t.Run("of a channel that nobody is in", func(t *testing.T) {
		got, err := s.MembersOf(t.Context(), "ch_nobody", "", 10)
		require.NoError(t, err)
		require.Empty(t, got)
	})
	t.Run("channels of a user, page by page", func(t *testing.T) {
		want := []events.Membership{}
		for _, m := range elsewhere {
			if m.Active {
				c := events.Channel{}
				c.ID = m.ChannelID
				if m.ChannelID == "ch_1" {
					c = newChannel("ch_1", 900, events.Private)
				}
				want = append(want, events.Membership{Channel: c, Member: m})
			}
		}
		c := events.Channel{}
		c.ID = general
		require.Equal(t, events.UserID("a.b"), log[0].UserID)
		want = append(want, events.Membership{Channel: c, Member: log[0]})
		for limit := 1; limit <= len(want)+1; limit++ {
			got := pages(t, limit, func(after events.ChannelID) ([]events.Membership, error) {
				return s.ChannelsOf(t.Context(), "a.b", after, limit)
			}, func(m events.Membership) events.ChannelID { return m.Member.ChannelID })
			require.Equal(t, want, got, "by %d", limit)
		}
	})
	t.Run("every user is somebody of their own", func(t *testing.T) {
		s := open(t)
		for i, u := range oddUsers {
			require.NoError(t, s.PutMembers(t.Context(), []events.Member{newMember(events.ChannelID(fmt.Sprintf("ch_%d", i)), u, uint64(i+1), true)}))
		}
		refresh(t, s)
		for i, u := range oddUsers {
			got, err := s.ChannelsOf(t.Context(), u, "", 10)
			require.NoError(t, err)
			require.Len(t, got, 1, "%q", u)
			require.Equal(t, newMember(events.ChannelID(fmt.Sprintf("ch_%d", i)), u, uint64(i+1), true), got[0].Member)
		}
		got, err := s.ChannelsOf(t.Context(), "nobody", "", 10)
		require.NoError(t, err)
		require.Empty(t, got)
	})
	t.Run("a membership may come before its channel", func(t *testing.T) {
		s := open(t)
		m := newMember(general, "x y", 7, true)
		require.NoError(t, s.PutMembers(t.Context(), []events.Member{m}))
		refresh(t, s)
		early := events.Membership{Member: m}
		early.Channel.ID = general
		got, err := s.ChannelsOf(t.Context(), "x y", "", 10)
		require.NoError(t, err)
		require.Equal(t, []events.Membership{early}, got)
		_, err = s.ChannelByID(t.Context(), general)
		require.ErrorIs(t, err, events.ErrChannelNotFound)

		require.NoError(t, s.PutChannels(t.Context(), []events.Channel{newChannel(general, 6, events.Public)}))
		refresh(t, s)
		got, err = s.ChannelsOf(t.Context(), "x y", "", 10)
		require.NoError(t, err)
		require.Equal(t, []events.Membership{{Channel: newChannel(general, 6, events.Public), Member: m}}, got)
	})
}

func testMetadataEnds(t *testing.T, open func(t *testing.T) Metadata) {
	calls := func(ctx context.Context, s Metadata) map[string]error {
		errs := map[string]error{}
		_, errs["ChannelByID"] = s.ChannelByID(ctx, general)
		_, errs["PublicChannels"] = s.PublicChannels(ctx, "", 1)
		_, errs["ChannelsOf"] = s.ChannelsOf(ctx, "a.b", "", 1)
		_, errs["MembersOf"] = s.MembersOf(ctx, general, "", 1)
		errs["PutMembers"] = s.PutMembers(ctx, []events.Member{newMember(general, "a.b", 1, true)})
		return errs
	}
	s := open(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for name, err := range calls(ctx, s) {
		require.ErrorIs(t, err, context.Canceled, name)
	}
	require.NoError(t, s.Close())
	for name, err := range calls(t.Context(), s) {
		require.ErrorIs(t, err, events.ErrUnavailable, name)
	}
}

package tail_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/chat-platform/chat/events"
	"github.com/chat-platform/chat/functions/internal/tail"
	"github.com/chat-platform/chat/functions/internal/tail/tailtest"
)

func messages(log *tailtest.Log) tail.View {
	return tail.Of(log, events.StreamMessages, events.ConsumerMessages)
}

func TestPosition(t *testing.T) {
	log := &tailtest.Log{}
	log.Send(3, "ch_1", "ann", "three")
	for applied, whole := range map[uint64]bool{0: false, 2: false, 3: true, 4: true} {
		log.SetApplied(applied)
		got, err := messages(log).Position(t.Context())
		require.NoError(t, err)
		require.Equal(t, tail.Position{Applied: applied, Whole: whole}, got)
	}
	log.Fail(events.ErrUnavailable)
	_, err := messages(log).Position(t.Context())
	require.ErrorIs(t, err, events.ErrUnavailable)
	require.ErrorContains(t, err, events.ConsumerMessages)
}

func TestAfter(t *testing.T) {
	log := &tailtest.Log{}
	for i := range 600 {
		log.Send(0, events.ChannelID(fmt.Sprintf("ch_%d", i%2)), "ann", fmt.Sprint("text ", i))
	}
	subject := events.MessageSubject("ch_1") // even sequences
	stopAt := func(seq uint64) func(events.Event) bool {
		return func(e events.Event) bool { return e.Sequence >= seq }
	}
	for name, c := range map[string]struct {
		after    uint64
		enough   func(events.Event) bool
		first    uint64
		count    int
		to       uint64
		requests int
	}{
		"all of it, in steps":      {0, nil, 2, 300, tail.Everything, 2},
		"the end":                  {596, nil, 598, 2, tail.Everything, 1},
		"nothing":                  {600, nil, 0, 0, tail.Everything, 1},
		"enough":                   {0, stopAt(9), 2, 5, 10, 1},
		"enough at the very last":  {590, stopAt(600), 592, 5, tail.Everything, 1},
		"enough in the second one": {0, stopAt(560), 2, 280, 560, 2},
	} {
		t.Run(name, func(t *testing.T) {
			log.Requests()
			es, to, err := messages(log).After(t.Context(), subject, c.after, c.enough)
			require.NoError(t, err)
			require.Len(t, es, c.count)
			if c.count > 0 {
				require.Equal(t, c.first, es[0].Sequence)
			}
			require.Equal(t, c.to, to)
			require.Equal(t, c.requests, log.Requests())
		})
	}
}

func TestAfterIsBounded(t *testing.T) {
	t.Run("events", func(t *testing.T) {
		log := &tailtest.Log{}
		for i := range tail.MaxEvents + 5 {
			log.Send(0, "ch_1", "ann", fmt.Sprint(i))
		}
		es, to, err := messages(log).After(t.Context(), events.MessageSubject("ch_1"), 0, nil)
		require.NoError(t, err)
		require.Len(t, es, tail.MaxEvents)
		require.Equal(t, uint64(tail.MaxEvents), to)
	})
	t.Run("bytes", func(t *testing.T) {
		log := &tailtest.Log{}
		long := strings.Repeat("x", tail.MaxBytes/10)
		for range 20 {
			log.Put(0, "chat.other.v1", events.MessageSubject("ch_1"), long)
		}
		es, to, err := messages(log).After(t.Context(), events.MessageSubject("ch_1"), 0, nil)
		require.NoError(t, err)
		require.Len(t, es, 10)
		require.Equal(t, uint64(10), to)
	})
}

func TestAfterFails(t *testing.T) {
	log := &tailtest.Log{}
	log.Fail(events.ErrUnavailable)
	_, _, err := messages(log).After(t.Context(), "messages.send.ch_1", 7, nil)
	require.ErrorIs(t, err, events.ErrUnavailable)
	require.ErrorContains(t, err, "messages.send.ch_1")
	require.ErrorIs(t, messages(log).Behind(), events.ErrUnavailable)
}

func TestMemberships(t *testing.T) {
	log := &tailtest.Log{}
	log.Join("ch_a", "ann", events.RoleOwner)
	view := tail.Of(log, events.StreamMetadata, events.ConsumerMetadata)
	b := log.Join("ch_b", "ann", events.RoleMember)
	log.Join("ch_b", "bob", events.RoleMember)
	a := log.Leave("ch_a", "ann")
	log.Put(0, events.TypeMemberJoined, events.MemberSubject("ch_c", "ann"), map[string]any{"role": "king"})

	changed, through, err := view.Memberships(t.Context(), "ann", 1)
	require.NoError(t, err)
	require.Equal(t, map[events.ChannelID]events.Member{"ch_a": a, "ch_b": b}, changed)
	require.Equal(t, uint64(5), through)

	changed, through, err = view.Memberships(t.Context(), "cleo", 3)
	require.NoError(t, err)
	require.Empty(t, changed)
	require.Equal(t, uint64(3), through)

	for i := range tail.MaxEvents + 1 {
		log.Join(events.ChannelID(fmt.Sprint("ch_", i)), "ann", events.RoleMember)
	}
	_, _, err = view.Memberships(t.Context(), "ann", 1)
	require.ErrorIs(t, err, events.ErrUnavailable)

	log.Fail(events.ErrUnavailable)
	_, _, err = view.Memberships(t.Context(), "ann", 1)
	require.ErrorIs(t, err, events.ErrUnavailable)
}

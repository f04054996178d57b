package notification

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/chat-platform/chat/events"
)

// inMany are memberships in n channels up to a place.
func inMany(n int, known uint64) *memberships {
	m := &memberships{known: known}
	for i := range n {
		m.set(events.ChannelID(fmt.Sprintf("ch_%d", i)), membership{uint64(i + 1), true})
	}
	return m
}

func recall(t *testing.T, s *snapshots, user events.UserID) kept {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	k, err := s.recall(ctx, user)
	require.NoError(t, err)
	return k
}

func learn(t *testing.T, s *snapshots, user events.UserID, m *memberships) {
	t.Helper()
	s.keep(user, recall(t, s, user), m)
}

// Whatever is shared and taken up again in between, memberships are what their
// changes make of them, and nobody sees another's.
func TestMembershipsShared(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 1))
	type copied struct {
		m    memberships
		want map[events.ChannelID]membership
	}
	all := []copied{{want: map[events.ChannelID]membership{}}}
	for seq := range uint64(30_000) {
		c := &all[r.IntN(len(all))]
		channel, s := events.ChannelID(fmt.Sprintf("ch_%d", r.IntN(500))), membership{seq, r.IntN(3) > 0}
		c.m.set(channel, s)
		c.want[channel] = s
		switch n := r.IntN(300); {
		case n == 0 && len(all) < 8:
			all = append(all, copied{c.m.share(), maps.Clone(c.want)})
		case n == 1:
			all[r.IntN(len(all))] = copied{c.m.share(), maps.Clone(c.want)}
		}
	}
	for _, c := range all {
		got := maps.Collect(c.m.all())
		require.Equal(t, c.want, got)
		for channel, s := range c.want {
			require.Equal(t, s, c.m.of(channel))
		}
		require.Zero(t, c.m.of("ch_unknown"))
		require.GreaterOrEqual(t, c.m.size, len(got)*slotBytes)
	}
}

func TestSnapshotsAreBounded(t *testing.T) {
	one := inMany(100, 1).size
	s := newSnapshots(Config{SnapshotFrom: 10, SnapshotBytes: 3 * one, SnapshotKeep: time.Minute})
	learn(t, s, "few", inMany(9, 1))
	require.Zero(t, s.size(), "not worth it")
	learn(t, s, "too many", inMany(1000, 1))
	require.Zero(t, s.size(), "more than all may take")
	for _, u := range []events.UserID{"a", "b", "c"} {
		learn(t, s, u, inMany(100, 1))
	}
	require.Equal(t, 3*one, s.size())
	require.EqualValues(t, 1, recall(t, s, "a").memberships.known)
	learn(t, s, "d", inMany(100, 1))
	require.Equal(t, 3*one, s.size())
	for u, want := range map[events.UserID]uint64{"a": 1, "b": 0, "c": 1, "d": 1} {
		k := recall(t, s, u)
		k.done()
		require.Equal(t, want, k.memberships.known, "%s: the one longest not asked for went", u)
	}
	learn(t, s, "a", inMany(100, 7))
	learn(t, s, "a", inMany(100, 6))
	require.EqualValues(t, 7, recall(t, s, "a").memberships.known, "an older place does not replace a later one")
	require.Equal(t, 3*one, s.size())
}

func TestSnapshotsOfAnotherLogAreDropped(t *testing.T) {
	s := newSnapshots(Config{SnapshotFrom: 1, SnapshotBytes: 1 << 20})
	learn(t, s, "a", inMany(10, 100))
	learn(t, s, "b", inMany(10, 200))
	begun := recall(t, s, "c")
	s.trust(150)
	require.EqualValues(t, 100, recall(t, s, "a").memberships.known)
	b := recall(t, s, "b")
	require.Zero(t, b.memberships.known, "the log ends before it")
	b.done()
	s.keep("c", begun, inMany(10, 100))
	c := recall(t, s, "c")
	require.Zero(t, c.memberships.known, "found out before the log was looked at")
	c.done()
	s.trust(0)
	require.Zero(t, s.size())
}

func TestSnapshotsGoAfterTheLastSession(t *testing.T) {
	s := newSnapshots(Config{SnapshotFrom: 1, SnapshotBytes: 1 << 20, SnapshotKeep: time.Minute})
	h := newHub(Config{})
	c := &session{}
	h.enter(c, []string{"user:a"})
	learn(t, s, "a", inMany(10, 1))
	learn(t, s, "b", inMany(10, 1))
	now := time.Now()
	s.sweep(h, now.Add(59*time.Second))
	require.Len(t, s.users, 2)
	s.sweep(h, now.Add(2*time.Minute))
	require.Len(t, s.users, 1, "a has a session")
	h.remove(c)
	s.sweep(h, now.Add(150*time.Second))
	require.Len(t, s.users, 1)
	s.sweep(h, now.Add(4*time.Minute))
	require.Empty(t, s.users)
	require.Zero(t, s.size())
}

// Only one session of a user reads the log at a time; the others have what it
// found, or begin themselves where it found nothing.
func TestSessionsOfAUserWaitForEachOther(t *testing.T) {
	s := newSnapshots(Config{SnapshotFrom: 1, SnapshotBytes: 1 << 20})
	first := recall(t, s, "a")
	recall(t, s, "b").done()
	second := make(chan kept)
	wait := func() {
		k, err := s.recall(context.Background(), "a")
		if err != nil {
			t.Error(err)
		}
		second <- k
	}
	go wait()
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := s.recall(canceled, "a")
	require.ErrorIs(t, err, context.Canceled)
	select {
	case <-second:
		t.Fatal("the first has not told yet")
	default:
	}
	first.done()
	k := <-second
	require.Zero(t, k.memberships.known)
	go wait()
	s.keep("a", k, inMany(10, 5))
	require.EqualValues(t, 5, (<-second).memberships.known)
}

// Keys stay announced for a while after their last session, but not too many.
func TestKeysAtRest(t *testing.T) {
	h := newHub(Config{KeyGrace: time.Hour, IdleKeys: 2})
	a, b := &session{}, &session{}
	tell := func() (add, remove []string) {
		add, remove, batch := h.changes(true, 100)
		h.announced(batch, h.pos)
		return add, remove
	}
	h.enter(a, []string{"1", "2"})
	h.enter(b, []string{"2", "3"})
	add, _ := tell()
	require.ElementsMatch(t, []string{"1", "2", "3"}, add)
	h.remove(a)
	_, remove := tell()
	require.Empty(t, remove)
	h.enter(a, []string{"1", "2"})
	add, _ = tell()
	require.Empty(t, add, "still announced")
	h.remove(a)
	h.remove(b)
	require.Equal(t, 3, h.size())
	_, remove = tell()
	require.Len(t, remove, 1, "one too many")
	h.grace = 0
	_, more := tell()
	require.Len(t, more, 2)
	require.ElementsMatch(t, []string{"1", "2", "3"}, append(remove, more...))
	require.Zero(t, h.size())
	_, remove = tell()
	require.Empty(t, remove)
}

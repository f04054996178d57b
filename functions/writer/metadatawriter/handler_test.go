package metadatawriter_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/chat-platform/chat/events"
	"github.com/chat-platform/chat/functions/internal/fixtures"
	"github.com/chat-platform/chat/functions/internal/frontdoor"
	"github.com/chat-platform/chat/functions/internal/tail/tailtest"
	"github.com/chat-platform/chat/functions/writer/metadatawriter"
	"github.com/chat-platform/chat/infra/sqlite"
	"github.com/chat-platform/chat/infra/stores"
)

func open(t *testing.T) *sqlite.Metadata {
	t.Helper()
	s, err := sqlite.OpenMetadata(t.Context(), filepath.Join(t.TempDir(), "metadata.db"))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	return s
}

func TestFixtures(t *testing.T) {
	fixtures.RunWriter(t, func(t *testing.T) *frontdoor.Function {
		h := metadatawriter.New(open(t))
		return frontdoor.Writer(metadatawriter.Spec, h.Handle, append(fixtures.Options(), frontdoor.WithHooks(h))...)
	})
}

// comings is a log of channels whose members come and go, and of events of a
// type that nobody here knows. Ann is in, bob is out of all of them.
func comings(t *testing.T) []events.Event {
	t.Helper()
	log := &tailtest.Log{}
	for i := range 4 {
		c := events.ChannelID(fmt.Sprint("ch_", i))
		log.Create(c, events.Public, "ann")
		log.Join(c, "ann", events.RoleOwner)
		for range 3 {
			log.Join(c, "bob", events.RoleMember)
			log.Leave(c, "ann")
			log.Join(c, "ann", events.RoleOwner)
			log.Leave(c, "bob")
		}
		log.Put(0, "chat.user.renamed.v1", "users.ann", "later")
	}
	var es []events.Event
	for _, filter := range []string{"channels.*", "members.*.*", "users.*"} {
		part, err := log.Tail(t.Context(), filter, 1, 1000)
		require.NoError(t, err)
		es = append(es, part...)
	}
	return es
}

func deliver(t *testing.T, s *sqlite.Metadata, es []events.Event, batch int) map[events.ChannelID]events.Checksum {
	t.Helper()
	h := metadatawriter.New(s)
	for part := range slices.Chunk(es, batch) {
		require.NoError(t, h.Handle(t.Context(), part))
	}
	for i := range 4 {
		ms, err := s.MembersOf(t.Context(), events.ChannelID(fmt.Sprint("ch_", i)), "", 10)
		require.NoError(t, err)
		require.Len(t, ms, 1)
		require.Equal(t, events.UserID("ann"), ms[0].UserID)
	}
	sums, err := s.Checksums(t.Context(), stores.All)
	require.NoError(t, err)
	return sums
}

func TestDeliveries(t *testing.T) {
	es := comings(t)
	want := deliver(t, open(t), es, 1)
	require.Len(t, want, 4)

	t.Run("in batches", func(t *testing.T) { require.Equal(t, want, deliver(t, open(t), es, 25)) })
	t.Run("twice", func(t *testing.T) {
		s := open(t)
		deliver(t, s, es, 10)
		require.Equal(t, want, deliver(t, s, es, 7))
	})
	for seed := range uint64(5) {
		t.Run(fmt.Sprint("shuffled ", seed), func(t *testing.T) {
			shuffled := append(slices.Clone(es), es...)
			rand.New(rand.NewPCG(seed, 0)).Shuffle(len(shuffled), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
			require.Equal(t, want, deliver(t, open(t), shuffled, 9))
		})
	}
}

// store counts calls, and fails if told to.
type store struct {
	channels, members       int
	errChannels, errMembers error
}

func (s *store) PutChannels(context.Context, []events.Channel) error {
	s.channels++
	return s.errChannels
}
func (s *store) PutMembers(context.Context, []events.Member) error { s.members++; return s.errMembers }
func (s *store) Ping(context.Context) error                        { return s.errMembers }

func TestTwoCallsABatchAndNoneForABadOne(t *testing.T) {
	es := comings(t)
	s := &store{}
	h := metadatawriter.New(s)
	require.NoError(t, h.Handle(t.Context(), es))
	require.Equal(t, store{channels: 1, members: 1}, *s)

	require.NoError(t, h.Handle(t.Context(), es[:1]))
	require.Equal(t, store{channels: 2, members: 1}, *s, "a channel alone")
	require.NoError(t, h.Handle(t.Context(), es[4:5]))
	require.Equal(t, store{channels: 2, members: 2}, *s, "a member alone")
	require.NoError(t, h.Handle(t.Context(), es[len(es)-1:]))
	require.Equal(t, store{channels: 2, members: 2}, *s, "nothing to write")

	es[5].Sequence = 0
	err := h.Handle(t.Context(), es)
	require.ErrorIs(t, err, events.ErrInvalid)
	require.ErrorContains(t, err, es[5].ID)
	require.Equal(t, store{channels: 2, members: 2}, *s, "nothing half-done")
}

func TestErrorsOfTheStoreKeepTheirKind(t *testing.T) {
	for _, kind := range []error{events.ErrUnavailable, events.ErrInvalid, errors.New("broken")} {
		require.ErrorIs(t, metadatawriter.New(&store{errChannels: kind}).Handle(t.Context(), comings(t)), kind)
		h := metadatawriter.New(&store{errMembers: kind})
		require.ErrorIs(t, h.Handle(t.Context(), comings(t)), kind)
		ready, err := h.Ready(t.Context())
		require.False(t, ready)
		require.ErrorIs(t, err, kind)
	}
	ready, err := metadatawriter.New(&store{}).Ready(t.Context())
	require.True(t, ready)
	require.NoError(t, err)
}

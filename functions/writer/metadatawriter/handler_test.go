package metadatawriter_test

import (
	"context"
	"fmt"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/chat-platform/chat/events"
	"github.com/chat-platform/chat/functions/internal/tail/tailtest"
	"github.com/chat-platform/chat/functions/internal/writertest"
	"github.com/chat-platform/chat/functions/writer/metadatawriter"
	"github.com/chat-platform/chat/infra/sqlite"
	"github.com/chat-platform/chat/infra/stores"
)

// comings is a log of channels whose members come and go, and of events of a
// type that nobody here knows. Ann is in, bob is out of all of them.
func comings() []events.Event {
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
	return log.All()
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

func TestWriter(t *testing.T) {
	writertest.Writer{
		Spec: metadatawriter.Spec,
		Log:  comings(),
		Want: func(t *testing.T, sums writertest.Sums) { require.Len(t, sums, 4) },
		Open: func(t *testing.T) (writertest.Handler, func() (writertest.Sums, error)) {
			s, err := sqlite.OpenMetadata(t.Context(), filepath.Join(t.TempDir(), "view.db"))
			require.NoError(t, err)
			t.Cleanup(func() { require.NoError(t, s.Close()) })
			return metadatawriter.New(s), func() (writertest.Sums, error) {
				for i := range 4 {
					ms, err := s.MembersOf(t.Context(), events.ChannelID(fmt.Sprint("ch_", i)), "", 10)
					require.NoError(t, err)
					if len(ms) > 0 { // fixtures have other channels
						require.Len(t, ms, 1)
						require.Equal(t, events.UserID("ann"), ms[0].UserID)
					}
				}
				return s.Checksums(t.Context(), stores.All)
			}
		},
		Broken: func(err error) writertest.Handler { return metadatawriter.New(&store{errMembers: err}) },
	}.Run(t)
}

func TestTwoCallsABatchAndNoneForABadOne(t *testing.T) {
	es := comings()
	s := &store{}
	h := metadatawriter.New(s)
	require.NoError(t, h.Handle(t.Context(), es))
	require.Equal(t, store{channels: 1, members: 1}, *s)

	require.NoError(t, h.Handle(t.Context(), es[:1]))
	require.Equal(t, store{channels: 2, members: 1}, *s, "a channel alone")
	require.NoError(t, h.Handle(t.Context(), es[1:2]))
	require.Equal(t, store{channels: 2, members: 2}, *s, "a member alone")
	require.NoError(t, h.Handle(t.Context(), es[len(es)-1:]))
	require.Equal(t, store{channels: 2, members: 2}, *s, "nothing to write")

	es[5].Sequence = 0
	err := h.Handle(t.Context(), es)
	require.ErrorIs(t, err, events.ErrInvalid)
	require.ErrorContains(t, err, es[5].ID)
	require.Equal(t, store{channels: 2, members: 2}, *s, "nothing half-done")
}

func TestEitherCallMayFail(t *testing.T) {
	for name, s := range map[string]*store{
		"channels": {errChannels: events.ErrUnavailable},
		"members":  {errMembers: events.ErrUnavailable},
	} {
		require.ErrorIs(t, metadatawriter.New(s).Handle(t.Context(), comings()), events.ErrUnavailable, name)
	}
}

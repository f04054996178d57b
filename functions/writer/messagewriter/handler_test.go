package messagewriter_test

import (
	"context"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/chat-platform/chat/events"
	"github.com/chat-platform/chat/functions/internal/writertest"
	"github.com/chat-platform/chat/functions/writer/messagewriter"
	"github.com/chat-platform/chat/infra/sqlite"
	"github.com/chat-platform/chat/infra/stores"
)

// store counts calls, and fails if told to.
type store struct {
	calls int
	err   error
}

func (s *store) PutMessages(context.Context, []events.Message) error { s.calls++; return s.err }
func (s *store) Ping(context.Context) error                          { return s.err }

func TestWriter(t *testing.T) {
	writertest.Writer{
		Spec: messagewriter.Spec,
		Log:  writertest.Conversation(),
		Want: func(t *testing.T, sums writertest.Sums) {
			require.Len(t, sums, 3)
			require.Equal(t, uint64(54), sums["ch_0"].Count+sums["ch_1"].Count+sums["ch_2"].Count, "six came a second time")
		},
		Open: func(t *testing.T) (writertest.Handler, func() (writertest.Sums, error)) {
			s, err := sqlite.OpenMessages(t.Context(), filepath.Join(t.TempDir(), "view.db"))
			require.NoError(t, err)
			t.Cleanup(func() { require.NoError(t, s.Close()) })
			return messagewriter.New(s), func() (writertest.Sums, error) { return s.Checksums(t.Context(), stores.All) }
		},
		Broken: func(err error) writertest.Handler { return messagewriter.New(&store{err: err}) },
	}.Run(t)
}

func TestOneCallABatchAndNoneForABadOne(t *testing.T) {
	es := writertest.Conversation()
	s := &store{}
	h := messagewriter.New(s)
	require.NoError(t, h.Handle(t.Context(), es))
	require.Equal(t, 1, s.calls)

	require.NoError(t, h.Handle(t.Context(), []events.Event{{ID: "evt_1", Source: "/x", Type: "chat.message.edited.v1", Subject: "messages.edit.ch_1"}}))
	require.Equal(t, 1, s.calls, "nothing to write")

	es[5].Sequence = 0
	err := h.Handle(t.Context(), es)
	require.ErrorIs(t, err, events.ErrInvalid)
	require.ErrorContains(t, err, es[5].ID)
	require.Equal(t, 1, s.calls, "nothing half-done")
}

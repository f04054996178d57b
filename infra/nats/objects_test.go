package nats_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/chat-platform/chat/events"
	"github.com/chat-platform/chat/infra/archive/archivetest"
	"github.com/chat-platform/chat/infra/nats/natstest"
)

func TestObjects(t *testing.T) {
	srv := natstest.Start(t)
	log := natstest.Connect(t, srv)
	objects, err := log.Objects(t.Context(), "segments", 1)
	require.NoError(t, err)
	archivetest.TestStore(t, objects)

	other, err := natstest.Connect(t, srv).Objects(t.Context(), "segments", 1)
	require.NoError(t, err)
	got, err := other.Get(t.Context(), "suite/c/same", 0, -1)
	require.NoError(t, err)
	require.Equal(t, "short", string(got))

	_, err = log.Objects(t.Context(), "no bucket", 1)
	require.Error(t, err)
	require.NoError(t, log.Close())
	require.ErrorIs(t, objects.Put(t.Context(), "a", nil), events.ErrUnavailable)
	_, err = objects.Get(t.Context(), "a", 0, -1)
	require.ErrorIs(t, err, events.ErrUnavailable)
}

package nats_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/chat-platform/chat/events"
	"github.com/chat-platform/chat/infra/nats/natstest"
)

func TestViews(t *testing.T) {
	srv := natstest.Start(t)
	log, other := natstest.Connect(t, srv), natstest.Connect(t, srv)
	ctx := t.Context()
	data, revision, err := log.ReadView(ctx, "messages")
	require.NoError(t, err)
	require.Empty(t, data)
	require.Zero(t, revision)

	first, err := log.WriteView(ctx, "messages", []byte("one"), 0)
	require.NoError(t, err)
	require.NotZero(t, first)
	_, err = other.WriteView(ctx, "messages", []byte("two"), 0)
	require.ErrorIs(t, err, events.ErrConflict)
	second, err := other.WriteView(ctx, "messages", []byte("two"), first)
	require.NoError(t, err)
	require.Greater(t, second, first)
	_, err = log.WriteView(ctx, "search", []byte("of another view"), 0)
	require.NoError(t, err)
	data, revision, err = log.ReadView(ctx, "messages")
	require.NoError(t, err)
	require.Equal(t, "two", string(data))
	require.Equal(t, second, revision)
	last, err := log.LastSequence(ctx, events.StreamMessages)
	require.NoError(t, err)
	require.Zero(t, last, "it is no event")

	for _, bad := range []string{"", "a.b", "*", ">"} {
		_, _, err := log.ReadView(ctx, bad)
		require.ErrorIs(t, err, events.ErrInvalid, bad)
		_, err = log.WriteView(ctx, bad, nil, 0)
		require.ErrorIs(t, err, events.ErrInvalid, bad)
	}
	require.NoError(t, other.Close())
	_, _, err = other.ReadView(ctx, "messages")
	require.ErrorIs(t, err, events.ErrUnavailable)
	_, err = other.WriteView(ctx, "messages", nil, second)
	require.ErrorIs(t, err, events.ErrUnavailable)
}

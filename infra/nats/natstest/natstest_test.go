package natstest_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/chat-platform/chat/events"
	"github.com/chat-platform/chat/infra/nats/natstest"
)

func TestSeveralConnectionsShareALog(t *testing.T) {
	srv := natstest.Start(t)
	a, b := natstest.Connect(t, srv), natstest.ConnectTCP(t, srv)
	e := events.Event{ID: "evt_1", Source: "/test", Type: events.TypeMessageSent, Subject: "messages.send.ch_a", Data: []byte(`{}`)}
	_, err := a.Publish(t.Context(), e)
	require.NoError(t, err)
	got, err := b.Last(t.Context(), e.Subject)
	require.NoError(t, err)
	assert.Equal(t, "evt_1", got.ID)

	other, err := natstest.Open(t).LastSequence(t.Context(), events.StreamMessages)
	require.NoError(t, err)
	assert.Zero(t, other, "each Open is a log of its own")
}

package nats_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/chat-platform/chat/events"
	"github.com/chat-platform/chat/infra/nats"
	"github.com/chat-platform/chat/infra/nats/natstest"
)

func TestBus(t *testing.T) {
	srv := natstest.Start(t)
	a, b := natstest.Connect(t, srv).Bus(), natstest.Connect(t, srv).Bus()
	_, err := a.Request(t.Context(), "echo", []byte("x"))
	assert.ErrorIs(t, err, events.ErrUnavailable)

	before := b.Subscriptions()
	got := make(chan string, 1000)
	stop, err := b.Subscribe("notify.*", "", func(m nats.BusMessage) { got <- m.Subject + string(m.Data) })
	require.NoError(t, err)
	stopEcho, err := b.Subscribe("echo", "q", func(m nats.BusMessage) {
		assert.NoError(t, m.Respond(append([]byte("re: "), m.Data...)))
	})
	require.NoError(t, err)
	assert.Equal(t, before+2, b.Subscriptions())
	require.NoError(t, b.Flush(t.Context()))

	answer, err := a.Request(t.Context(), "echo", []byte("x"))
	require.NoError(t, err)
	assert.Equal(t, "re: x", string(answer))
	for i := range 1000 {
		require.NoError(t, a.Publish("notify.1", fmt.Append(nil, i)))
	}
	for i := range 1000 {
		require.Equal(t, fmt.Sprintf("notify.1%d", i), within(t, got, "message"))
	}
	assert.Error(t, a.Publish("bad subject", nil))
	_, err = a.Subscribe("bad subject", "", func(nats.BusMessage) {})
	assert.Error(t, err)
	assert.Error(t, nats.BusMessage{}.Respond(nil))
	stop()
	stopEcho()
	assert.Equal(t, before, b.Subscriptions())
}

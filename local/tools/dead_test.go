package tools_test

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/chat-platform/chat/events"
	natslog "github.com/chat-platform/chat/infra/nats"
	"github.com/chat-platform/chat/infra/nats/natstest"
	"github.com/chat-platform/chat/infra/process"
	"github.com/chat-platform/chat/local/tools"
)

func dead(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, said bytes.Buffer
	code = process.Run("chat", process.World{Args: append([]string{"dead"}, args...), Environ: []string{"DATA_DIR=" + t.TempDir(), "NATS_CONNECT_WAIT=50ms"},
		Stdout: &out, Stderr: &said, Signals: make(chan os.Signal)}, tools.Dead)
	return code, out.String(), said.String()
}

func TestDeadExplainsItself(t *testing.T) {
	for _, args := range [][]string{{"-h"}, {"help"}, {"list", "-h"}, {"redrive", "-h"}} {
		code, _, _ := dead(t, args...)
		assert.Zero(t, code, args)
	}
	_, out, _ := dead(t, "-h")
	assert.Contains(t, out, "usage: chat dead")
	for _, tt := range []struct {
		args []string
		says string
	}{
		{nil, "list, show, redrive, discard"},
		{[]string{"burn"}, `"burn"`},
		{[]string{"show"}, "-seq"},
		{[]string{"list", "-seq", "1"}, "-seq"},
		{[]string{"redrive"}, "-all"},
		{[]string{"redrive", "-all", "-sink", "http://localhost"}, "-nats, -consumer and -sink"},
		{[]string{"redrive", "-all", "-nats", "nats://127.0.0.1:1"}, "-nats, -consumer and -sink"},
		{[]string{"redrive", "-all", "-nats", "nats://127.0.0.1:1", "-sink", "http://localhost"}, "-nats, -consumer and -sink"},
		{[]string{"list"}, "no platform runs"},
		{[]string{"list", "-nats", "nats://127.0.0.1:1"}, "nats://127.0.0.1:1"},
	} {
		code, out, said := dead(t, tt.args...)
		assert.Equal(t, 1, code, tt.args)
		assert.Contains(t, out+said, tt.says, tt.args)
	}
}

// Without a platform: on the log of a cluster, to the sink of a consumer.
func TestDeadOnALog(t *testing.T) {
	srv := natstest.Start(t)
	log := natstest.Connect(t, srv)
	for _, id := range []string{"evt_1", "evt_2"} {
		_, err := log.Publish(t.Context(), events.Event{ID: id, Source: "/test", Type: "t", Subject: "messages.send.ch_a", Data: []byte(`{}`)})
		require.NoError(t, err)
	}
	c, err := log.Consumer(t.Context(), natslog.ConsumerConfig{Stream: events.StreamMessages, Name: "writer"})
	require.NoError(t, err)
	for range 2 {
		ds, err := c.Fetch(t.Context(), 1, time.Minute)
		require.NoError(t, err)
		require.NoError(t, log.PublishDead(t.Context(), ds[0], natslog.DeadReason{Reason: "it rained", Status: 500, Attempts: 8}))
	}
	var got atomic.Value
	sink := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		got.Store(r.Header.Get("ce-id") + r.Header.Get("Content-Type") + string(body))
	}))
	defer sink.Close()

	on := []string{"-nats", srv.ClientURL()}
	code, out, said := dead(t, append([]string{"list"}, on...)...)
	require.Zero(t, code, said)
	assert.Contains(t, out, "it rained")
	code, out, _ = dead(t, append([]string{"redrive", "-all", "-consumer", "reader", "-sink", sink.URL}, on...)...)
	assert.Zero(t, code)
	assert.Contains(t, out, "There are no dead letters")
	code, out, _ = dead(t, append([]string{"redrive", "-seq", "1", "-consumer", "reader", "-sink", sink.URL}, on...)...)
	assert.Equal(t, 1, code)
	assert.Contains(t, out, `it is of the consumer "writer"`)
	assert.Nil(t, got.Load())
	code, out, said = dead(t, append([]string{"redrive", "-seq", "1", "-consumer", "writer", "-sink", sink.URL}, on...)...)
	require.Zero(t, code, said)
	assert.Contains(t, out, "1  writer  redriven")
	assert.Contains(t, got.Load(), events.ContentTypeBatch)
	code, out, said = dead(t, append([]string{"redrive", "-all", "-consumer", "writer", "-sink", sink.URL, "-mode", "single"}, on...)...)
	require.Zero(t, code, said)
	assert.Contains(t, out, "2  writer  redriven")
	assert.Contains(t, got.Load(), "evt_2"+events.ContentTypeJSON)
	code, out, _ = dead(t, append([]string{"discard", "-all"}, on...)...)
	assert.Zero(t, code)
	assert.Contains(t, out, "There are no dead letters")
}

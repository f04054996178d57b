package nats_test

import (
	"encoding/json"
	"testing"

	driver "github.com/nats-io/nats.go"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/chat-platform/chat/events"
	"github.com/chat-platform/chat/infra/nats"
)

// What the short cut for acknowledgements accepts, JSON reads alike.
func FuzzAck(f *testing.F) {
	for _, s := range []string{
		`{"stream":"MESSAGES","seq":22}`, `{"stream":"MESSAGES", "seq":22}`, `{"stream":"METADATA","seq":1,"duplicate": true}`,
		`{"stream":"X","seq":18446744073709551615}`, `{"stream":"X","domain":"hub","seq":1}`, `{"stream":"","seq":1}`, `{"error":{"code":503,"err_code":10077,"description":"no"}}`, ``, `{`, `null`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		fast, ok := nats.PlainAck(string(b))
		slow, err := nats.ParseAck(&driver.Msg{Data: b})
		if err == nil {
			assert.NotEmpty(t, slow.Stream)
			assert.NotZero(t, slow.Seq)
		}
		if !ok {
			return
		}
		require.NoError(t, err)
		var want struct {
			Stream    string
			Seq       uint64
			Duplicate bool
		}
		require.NoError(t, json.Unmarshal(b, &want))
		assert.Equal(t, events.Ack(want), fast)
	})
}

func FuzzDelivery(f *testing.F) {
	for _, s := range []string{
		"$JS.ACK.MESSAGES.writer.1.22.23.1700000000000000000.7", "$JS.ACK.hub.acchash.MESSAGES.writer.1.22.23.1700000000000000000.7.token",
		"$JS.ACK.hub.acchash.MESSAGES.writer.1.22.23.1700000000000000000.7", "$JS.ACK.MESSAGES.writer.x.22.23.1.7", "", "........", "a.b.c",
	} {
		f.Add(s)
	}
	for s, want := range map[string][4]uint64{
		"$JS.ACK.MESSAGES.writer.1.22.23.1700000000000000000.7":                   {1, 22, 23, 7},
		"$JS.ACK.hub.acchash.MESSAGES.writer.1.22.23.1700000000000000000.7.token": {1, 22, 23, 7},
	} {
		got, err := nats.ParseDelivery(s)
		require.NoError(f, err)
		require.Equal(f, want, got)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if _, err := nats.ParseDelivery(s); err != nil {
			assert.ErrorContains(t, err, "is not a delivery's")
		}
	})
}

// Whatever lies in a stream is a valid event with the stream's sequence, or an
// error of kind invalid.
func FuzzMessage(f *testing.F) {
	good, err := sent("ch_a", 1).AppendJSON(nil)
	require.NoError(f, err)
	f.Add("application/cloudevents+json", "", "", "", "", "", good)
	f.Add("application/json", "1.0", "evt_1", "/test", "type", "2026-11-01T12:00:00Z", []byte(`{}`))
	f.Add("", "1.0", "evt_1", "/test", "type", "yesterday", []byte(``))
	f.Add("", "", "", "", "", "", []byte(`hello`))
	f.Fuzz(func(t *testing.T, contentType, version, id, source, typ, at string, data []byte) {
		h := driver.Header{"content-type": {contentType}, "ce-specversion": {version}, "ce-id": {id}, "ce-source": {source}, "ce-type": {typ}, "ce-time": {at}}
		e, err := nats.Decode(h, data, "messages.send.ch_a", 7)
		if err != nil {
			assert.ErrorIs(t, err, events.ErrInvalid)
			return
		}
		assert.NoError(t, e.Validate())
		assert.EqualValues(t, 7, e.Sequence)
		assert.NotEmpty(t, e.Subject)
	})
}

// Whatever lies among the dead letters can be shown.
func FuzzDeadLetter(f *testing.F) {
	f.Add("422", "3", "17", "2026-11-01T12:00:00Z", "evt_1", []byte(`{}`))
	f.Add("", "", "", "", "", []byte(`hello`))
	f.Add("-1", "many", "18446744073709551616", "noon", "a%20b", []byte{0xff})
	f.Fuzz(func(t *testing.T, status, attempts, seq, at, id string, data []byte) {
		d := nats.DeadLetterOf("dead.writer", 5, driver.Header{
			nats.HeaderDeadStatus: {status}, nats.HeaderDeadAttempts: {attempts}, nats.HeaderDeadSequence: {seq}, nats.HeaderDeadTime: {at},
			"ce-specversion": {"1.0"}, "ce-id": {id}, "ce-source": {"/test"}, "ce-type": {"t"}, "Nats-Stream": {"DEADLETTERS"},
		}, data)
		assert.EqualValues(t, 5, d.Sequence)
		assert.Equal(t, "writer", d.Consumer)
		assert.Equal(t, data, d.Data)
		assert.NotContains(t, d.Header, "Nats-Stream")
		assert.NotContains(t, d.Header, nats.HeaderDeadStatus)
		if d.Err != nil {
			assert.ErrorIs(t, d.Err, events.ErrInvalid)
			return
		}
		assert.Equal(t, d.OriginalSequence, d.Event.Sequence)
		assert.NotEmpty(t, d.Event.ID)
	})
}

package nats_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	natsgo "github.com/nats-io/nats.go"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/chat-platform/chat/events"
	"github.com/chat-platform/chat/infra/nats"
	"github.com/chat-platform/chat/infra/nats/natstest"
)

const aTrace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

// kill publishes events and has each consumer refuse all of them.
func kill(t testing.TB, log *nats.Log, consumers []string, es ...events.Event) {
	t.Helper()
	for _, e := range es {
		_, err := log.Publish(t.Context(), e)
		require.NoError(t, err)
	}
	last, err := log.LastSequence(t.Context(), events.StreamMessages)
	require.NoError(t, err)
	for _, name := range consumers {
		c, err := log.Consumer(t.Context(), nats.ConsumerConfig{Stream: events.StreamMessages, Name: name})
		require.NoError(t, err)
		for _, d := range fetchAll(t, c, int(last)) {
			why := nats.DeadReason{Reason: fmt.Sprintf("%s does not want %d", name, d.Sequence), Status: 422, Attempts: 3}
			require.NoError(t, log.PublishDead(t.Context(), d, why))
			require.NoError(t, d.Terminate(why.Reason))
		}
		c.Close()
	}
}

func sequences(ds []nats.DeadLetter) (seqs []uint64) {
	for _, d := range ds {
		seqs = append(seqs, d.Sequence)
	}
	return seqs
}

func TestDeadLetters(t *testing.T) {
	log := natstest.Open(t)
	ds, err := log.DeadLetters(t.Context(), "", 0, 10)
	require.NoError(t, err)
	assert.Empty(t, ds)

	first := sent("ch_a", 1)
	first.TraceParent = aTrace
	kill(t, log, []string{"writer", "indexer"}, first, sent("ch_b", 2), sent("ch_a", 3))
	for _, tt := range []struct {
		name, consumer string
		after          uint64
		limit          int
		want           []uint64
	}{
		{"all", "", 0, 10, []uint64{1, 2, 3, 4, 5, 6}},
		{"a page", "", 0, 2, []uint64{1, 2}},
		{"the next page", "", 2, 2, []uint64{3, 4}},
		{"after the last", "", 6, 10, nil},
		{"after everything", "", 1<<64 - 1, 10, nil},
		{"of one consumer", "indexer", 0, 10, []uint64{4, 5, 6}},
		{"of one consumer, the next page", "indexer", 4, 1, []uint64{5}},
		{"of a consumer without any", "reader", 0, 10, nil},
		{"no limit is nothing", "", 0, 0, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			ds, err := log.DeadLetters(t.Context(), tt.consumer, tt.after, tt.limit)
			require.NoError(t, err)
			assert.Equal(t, tt.want, sequences(ds))
		})
	}
	for _, name := range []string{"*", "a.b", ">", "a b"} {
		_, err := log.DeadLetters(t.Context(), name, 0, 10)
		require.ErrorIs(t, err, events.ErrInvalid, name)
	}

	d, err := log.DeadLetter(t.Context(), 1)
	require.NoError(t, err)
	require.NoError(t, d.Err)
	assert.Equal(t, "writer", d.Consumer)
	assert.Equal(t, "writer does not want 1", d.Reason)
	assert.Equal(t, 422, d.Status)
	assert.Equal(t, 3, d.Attempts)
	assert.Equal(t, events.StreamMessages, d.Stream)
	assert.Equal(t, "messages.send.ch_a", d.Subject)
	assert.EqualValues(t, 1, d.OriginalSequence)
	assert.WithinDuration(t, time.Now(), d.Time, time.Minute)
	assert.Equal(t, aTrace, d.TraceParent)
	want := first
	want.Sequence = 1
	assert.Equal(t, want, d.Event, "the event as it was delivered, with its own sequence")
	assert.Equal(t, first.Data, d.Data)
	assert.Equal(t, []string{"evt_ch_a_1"}, d.Header["ce-id"])
	for k := range d.Header {
		assert.NotRegexp(t, "^(dead-|Nats-)", k)
	}
	for _, seq := range []uint64{0, 7, 1 << 63} {
		_, err := log.DeadLetter(t.Context(), seq)
		require.ErrorIs(t, err, events.ErrNotFound, seq)
	}
}

// Whatever lies in the stream is shown.
func TestDeadLettersOfAnyForm(t *testing.T) {
	srv := natstest.Start(t)
	log := natstest.Connect(t, srv)
	_, js := raw(t, srv.ClientURL())
	structured, err := sent("ch_a", 5).AppendJSON(nil)
	require.NoError(t, err)
	for _, m := range []*natsgo.Msg{
		{Subject: "dead.writer", Data: []byte("hello")},
		{Subject: "dead.writer", Header: natsgo.Header{"dead-status": {"many"}, "dead-sequence": {"-1"}, "dead-time": {"noon"}, "ce-traceparent": {aTrace}}},
		{Subject: "dead.writer", Header: natsgo.Header{"content-type": {events.ContentTypeStructured}, "dead-sequence": {"9"}, "dead-subject": {"messages.send.ch_a"}}, Data: structured},
	} {
		_, err := js.PublishMsg(t.Context(), m)
		require.NoError(t, err)
	}
	ds, err := log.DeadLetters(t.Context(), "writer", 0, 10)
	require.NoError(t, err)
	require.Len(t, ds, 3)
	require.ErrorIs(t, ds[0].Err, events.ErrInvalid)
	assert.Equal(t, "hello", string(ds[0].Data))
	assert.Equal(t, "writer", ds[0].Consumer)
	require.ErrorIs(t, ds[1].Err, events.ErrInvalid)
	assert.Zero(t, ds[1].Status)
	assert.Zero(t, ds[1].OriginalSequence)
	assert.True(t, ds[1].Time.IsZero())
	assert.Equal(t, aTrace, ds[1].TraceParent)
	require.NoError(t, ds[2].Err)
	assert.EqualValues(t, 9, ds[2].Event.Sequence)
	assert.Equal(t, sent("ch_a", 5).Data, ds[2].Event.Data)
}

// A page is bounded in bytes too.
func TestDeadLettersAreBounded(t *testing.T) {
	log := natstest.Open(t)
	var es []events.Event
	for i := range 12 {
		e := sent("ch_a", i)
		e.Data = make([]byte, 900<<10)
		es = append(es, e)
	}
	kill(t, log, []string{"writer"}, es...)
	var all []uint64
	for after, pages := uint64(0), 0; ; pages++ {
		ds, err := log.DeadLetters(t.Context(), "", after, nats.DeadLettersMost)
		require.NoError(t, err)
		if len(ds) == 0 {
			assert.Equal(t, 2, pages)
			break
		}
		all = append(all, sequences(ds)...)
		after = ds[len(ds)-1].Sequence
	}
	assert.Len(t, all, 12)
}

func TestDiscard(t *testing.T) {
	srv := natstest.Start(t)
	log := natstest.Connect(t, srv)
	kill(t, log, []string{"writer"}, sent("ch_a", 1), sent("ch_a", 2), sent("ch_a", 3))
	require.NoError(t, log.Discard(t.Context(), 2))
	require.ErrorIs(t, log.Discard(t.Context(), 2), events.ErrNotFound)
	require.ErrorIs(t, log.Discard(t.Context(), 0), events.ErrNotFound)
	require.ErrorIs(t, log.Discard(t.Context(), 4), events.ErrNotFound)
	ds, err := log.DeadLetters(t.Context(), "", 0, 10)
	require.NoError(t, err)
	assert.Equal(t, []uint64{1, 3}, sequences(ds))
	_, err = log.BySequence(t.Context(), events.StreamMessages, 2)
	require.NoError(t, err, "the event itself stays")

	// Of several who discard the same one, one succeeds.
	var wg sync.WaitGroup
	errs := make(chan error, 4)
	for range cap(errs) {
		wg.Go(func() { errs <- log.Discard(t.Context(), 1) })
	}
	wg.Wait()
	close(errs)
	done := 0
	for err := range errs {
		if err == nil {
			done++
		} else {
			require.ErrorIs(t, err, events.ErrNotFound)
		}
	}
	assert.Equal(t, 1, done)

	srv.Shutdown()
	require.Eventually(t, func() bool { return log.Ping(t.Context()) != nil }, patience, time.Millisecond)
	require.ErrorIs(t, log.Discard(t.Context(), 3), events.ErrUnavailable)
	_, err = log.DeadLetters(t.Context(), "", 0, 10)
	require.ErrorIs(t, err, events.ErrUnavailable)
	_, err = log.DeadLetter(t.Context(), 3)
	require.ErrorIs(t, err, events.ErrUnavailable)
}

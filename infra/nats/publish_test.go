package nats_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/trace"

	"github.com/chat-platform/chat/events"
	"github.com/chat-platform/chat/infra/nats/natstest"
)

func TestPublishAndReadBack(t *testing.T) {
	log := natstest.Open(t)
	e := sent("ch_a", 1)
	e.Sequence = 99 // the log decides
	e.TraceParent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
	ack, err := log.Publish(t.Context(), e)
	require.NoError(t, err)
	assert.Equal(t, events.Ack{Stream: events.StreamMessages, Seq: 1}, ack)

	e.Sequence = 1
	got, err := log.Last(t.Context(), e.Subject)
	require.NoError(t, err)
	assert.Equal(t, e, got)
	got, err = log.LastConfirmed(t.Context(), e.Subject)
	require.NoError(t, err)
	assert.Equal(t, e, got)
	got, err = log.BySequence(t.Context(), events.StreamMessages, 1)
	require.NoError(t, err)
	assert.Equal(t, e, got)

	again, err := log.Publish(t.Context(), e)
	require.NoError(t, err)
	assert.Equal(t, events.Ack{Stream: events.StreamMessages, Seq: 1, Duplicate: true}, again)
	last, err := log.LastSequence(t.Context(), events.StreamMessages)
	require.NoError(t, err)
	assert.EqualValues(t, 1, last)
}

func TestPublishTakesTraceFromContext(t *testing.T) {
	log := natstest.Open(t)
	ctx := trace.ContextWithSpanContext(t.Context(), trace.NewSpanContext(trace.SpanContextConfig{
		TraceID: trace.TraceID{1, 2, 3}, SpanID: trace.SpanID{4, 5}, TraceFlags: trace.FlagsSampled}))
	e := sent("ch_a", 1)
	_, err := log.Publish(ctx, e)
	require.NoError(t, err)
	got, err := log.Last(t.Context(), e.Subject)
	require.NoError(t, err)
	assert.Equal(t, "00-01020300000000000000000000000000-0405000000000000-01", got.TraceParent)
}

func TestPublishRefuses(t *testing.T) {
	log := natstest.Open(t)
	for name, c := range map[string]struct {
		change func(*events.Event)
		want   error
	}{
		"no id":                 {func(e *events.Event) { e.ID = "" }, events.ErrInvalid},
		"no source":             {func(e *events.Event) { e.Source = "" }, events.ErrInvalid},
		"no stream":             {func(e *events.Event) { e.Subject = "elsewhere.x" }, events.ErrInvalid},
		"wildcard":              {func(e *events.Event) { e.Subject = "messages.send.*" }, events.ErrInvalid},
		"space":                 {func(e *events.Event) { e.Subject = "messages.send.a b" }, events.ErrInvalid},
		"newline in id":         {func(e *events.Event) { e.ID = "a\r\nNats-Rollup: all" }, events.ErrInvalid},
		"subject without token": {func(e *events.Event) { e.Subject = "messages..x" }, events.ErrInvalid},
		"too large":             {func(e *events.Event) { e.Data = make([]byte, 1<<20) }, events.ErrTooLarge},
	} {
		t.Run(name, func(t *testing.T) {
			e := sent("ch_a", 1)
			c.change(&e)
			_, err := log.Publish(t.Context(), e)
			assert.ErrorIs(t, err, c.want)
		})
	}
	last, err := log.LastSequence(t.Context(), events.StreamMessages)
	require.NoError(t, err)
	assert.Zero(t, last)
}

func TestPublishExpecting(t *testing.T) {
	log := natstest.Open(t)
	_, err := log.PublishExpecting(t.Context(), joined("ch_a", "u", 1), 7)
	require.ErrorIs(t, err, events.ErrConflict)
	first, err := log.PublishExpecting(t.Context(), joined("ch_a", "u", 1), 0)
	require.NoError(t, err)
	again, err := log.PublishExpecting(t.Context(), joined("ch_a", "u", 1), 0)
	require.NoError(t, err, "a repetition is a duplicate, not a conflict")
	assert.True(t, again.Duplicate)
	_, err = log.PublishExpecting(t.Context(), joined("ch_a", "u", 2), 0)
	require.ErrorIs(t, err, events.ErrConflict)
	_, err = log.PublishExpecting(t.Context(), joined("ch_a", "u", 2), first.Seq)
	require.NoError(t, err)
}

func TestPublishExpectingRace(t *testing.T) {
	log := natstest.Open(t)
	var wg sync.WaitGroup
	won := make(chan int, 32)
	for i := range cap(won) {
		wg.Go(func() {
			if _, err := log.PublishExpecting(t.Context(), joined("ch_a", "u", i), 0); err == nil {
				won <- i
			} else {
				assert.ErrorIs(t, err, events.ErrConflict)
			}
		})
	}
	wg.Wait()
	assert.Len(t, won, 1)
}

func TestPublishAll(t *testing.T) {
	log := natstest.Open(t)
	const n = 3000 // more than wait at once
	es := make([]events.Event, n)
	expect := make([]uint64, n)
	for i := range es {
		es[i] = joined("ch_a", fmt.Sprintf("u%d", i), 1)
	}
	es[5].ID = ""
	expect[7] = 3
	es[9].ID = es[8].ID
	es[9].Subject = es[8].Subject
	acks, errs := log.PublishAll(t.Context(), es, expect)
	require.Len(t, acks, n)
	require.Len(t, errs, n)
	seq := uint64(0)
	for i := range es {
		switch i {
		case 5:
			assert.ErrorIs(t, errs[i], events.ErrInvalid)
		case 7:
			assert.ErrorIs(t, errs[i], events.ErrConflict)
		case 9:
			require.NoError(t, errs[i])
			assert.Equal(t, events.Ack{Stream: events.StreamMetadata, Seq: seq, Duplicate: true}, acks[i])
		default:
			require.NoError(t, errs[i])
			seq++
			assert.Equal(t, events.Ack{Stream: events.StreamMetadata, Seq: seq}, acks[i])
		}
	}
}

func TestPublishGivesUpWithItsContext(t *testing.T) {
	log := natstest.Open(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := log.Publish(ctx, sent("ch_a", 1))
	if err != nil { // the receipt may have been faster
		assert.ErrorIs(t, err, context.Canceled)
	}
	_, errs := log.PublishAll(ctx, []events.Event{sent("ch_a", 2), sent("ch_a", 3)}, nil)
	for _, err := range errs {
		if err != nil {
			assert.ErrorIs(t, err, context.Canceled)
		}
	}
	_, err = log.Publish(t.Context(), sent("ch_a", 4))
	require.NoError(t, err, "the connection is none the worse")
}

func TestPublishConcurrently(t *testing.T) {
	log := natstest.Open(t)
	var wg sync.WaitGroup
	seqs := make([]uint64, 1000)
	for g := range 10 {
		wg.Go(func() {
			for i := g; i < len(seqs); i += 10 {
				ack, err := log.Publish(t.Context(), sent("ch_a", i))
				if assert.NoError(t, err) {
					seqs[i] = ack.Seq
				}
			}
		})
	}
	wg.Wait()
	seen := map[uint64]bool{}
	for i, seq := range seqs {
		e, err := log.BySequence(t.Context(), events.StreamMessages, seq)
		require.NoError(t, err)
		assert.Equal(t, fmt.Sprintf("evt_ch_a_%d", i), e.ID, "the receipt is the event's own")
		seen[seq] = true
	}
	assert.Len(t, seen, len(seqs))
}

func TestLongText(t *testing.T) {
	log := natstest.Open(t)
	e := sent("ch_a", 1)
	e.Data = []byte(`{"text":"` + strings.Repeat("𝄞", events.MaxMessageRunes) + `"}`)
	_, err := log.Publish(t.Context(), e)
	require.NoError(t, err)
	got, err := log.Last(t.Context(), e.Subject)
	require.NoError(t, err)
	assert.Equal(t, e.Data, got.Data)
}

package source_test

import (
	"context"
	"log/slog"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/chat-platform/chat/events"
	"github.com/chat-platform/chat/infra/nats"
	"github.com/chat-platform/chat/infra/nats/natstest"
	"github.com/chat-platform/chat/longrunning/source"
)

const traced = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

// moody is a sink that answers with status to the events of poisoned channels.
func moody(t *testing.T, poisoned ...string) (*sink, *atomic.Int64) {
	status := &atomic.Int64{}
	status.Store(http.StatusUnprocessableEntity)
	return newSink(t, func(es []events.Event) int {
		for _, e := range es {
			for _, p := range poisoned {
				if e.PartitionKey == p {
					return int(status.Load())
				}
			}
		}
		return http.StatusOK
	}), status
}

func letters(t testing.TB, log *nats.Log) []nats.DeadLetter {
	t.Helper()
	ds, err := log.DeadLetters(t.Context(), "", 0, nats.DeadLettersMost)
	require.NoError(t, err)
	return ds
}

// counted is the value of a counter without other labels than the consumer.
func counted(t testing.TB, g prometheus.Gatherer, name string) float64 {
	t.Helper()
	families, err := g.Gather()
	require.NoError(t, err)
	for _, f := range families {
		if f.GetName() == name {
			return f.GetMetric()[0].GetCounter().GetValue()
		}
	}
	require.Failf(t, "metric", "%s is not there", name)
	return 0
}

func newSource(t testing.TB, log source.Log, cfg source.Config, r prometheus.Registerer) *source.Source {
	t.Helper()
	s, err := source.New(log, cfg, source.Options{Logger: slog.New(slog.DiscardHandler), Registerer: r})
	require.NoError(t, err)
	return s
}

// A sink refuses events until it is mended; then each reaches it with the
// sequence that it always had, and nothing else happens to the log.
func TestRedrive(t *testing.T) {
	for _, mode := range []source.Mode{source.Batch, source.Single} {
		t.Run(string(mode), func(t *testing.T) {
			log := natstest.Open(t)
			poison := sent("ch_p", 0)
			poison.TraceParent = traced
			publish(t, log, sent("ch_a", 0), poison, sent("ch_a", 1), sent("ch_p", 1))
			s, status := moody(t, "ch_p")
			cfg := config(s.URL)
			cfg.Mode = mode
			cfg.Overrides = `{"extensions":{"tier":"gold"}}`
			stop := run(t, log, cfg)
			applied(t, log, 4)
			stop()
			ds := letters(t, log)
			require.Len(t, ds, 2)
			assert.Equal(t, 2, s.count())

			registry := prometheus.NewRegistry()
			src := newSource(t, log, cfg, registry)
			err := src.Redrive(t.Context(), ds[0])
			var refused *source.Refused
			require.ErrorAs(t, err, &refused, "still refused")
			assert.Equal(t, http.StatusUnprocessableEntity, refused.Status)
			assert.Equal(t, "poison: this can not be", refused.Reason)
			require.ErrorIs(t, err, events.ErrInvalid)
			assert.Len(t, letters(t, log), 2, "the letter stays")

			status.Store(http.StatusOK)
			require.NoError(t, src.Redrive(t.Context(), ds[0]))
			taken := s.taken()
			require.Len(t, taken, 3)
			got := taken[2]
			want := poison
			want.Sequence = 2
			assert.Equal(t, traced[:36], got.TraceParent[:36], "the event's trace goes on")
			got.TraceParent = want.TraceParent
			assert.Equal(t, want, got)
			if mode == source.Single {
				assert.Equal(t, "gold", s.header.Get("ce-tier"))
			}
			left := letters(t, log)
			require.Len(t, left, 1)
			assert.Equal(t, ds[1].Sequence, left[0].Sequence)
			last, err := log.LastSequence(t.Context(), events.StreamMessages)
			require.NoError(t, err)
			assert.EqualValues(t, 4, last, "nothing is published anew")

			require.ErrorIs(t, src.Redrive(t.Context(), ds[0]), events.ErrNotFound, "somebody else discarded it meanwhile")
			require.NoError(t, src.Redrive(t.Context(), ds[1]))
			assert.Empty(t, letters(t, log))
			assert.InDelta(t, 2, counted(t, registry, "chat_source_redriven_total"), 0)
		})
	}
}

func TestRedriveStatuses(t *testing.T) {
	log := natstest.Open(t)
	publish(t, log, sent("ch_p", 0))
	s, status := moody(t, "ch_p")
	cfg := config(s.URL)
	stop := run(t, log, cfg)
	applied(t, log, 1)
	stop()
	letter := letters(t, log)[0]
	src := newSource(t, log, cfg, nil)
	for code, kind := range map[int]error{
		400: events.ErrInvalid, 404: events.ErrConflict, 409: events.ErrConflict, 415: events.ErrInvalid, 429: events.ErrConflict,
		500: events.ErrConflict, 503: events.ErrUnavailable, 302: events.ErrConflict,
	} {
		status.Store(int64(code))
		err := src.Redrive(t.Context(), letter)
		var refused *source.Refused
		require.ErrorAs(t, err, &refused, code)
		assert.Equal(t, code, refused.Status)
		assert.NotEmpty(t, refused.Reason)
		assert.ErrorIs(t, err, kind)
		assert.Len(t, letters(t, log), 1)
	}
	s.Close()
	err := src.Redrive(t.Context(), letter)
	require.ErrorIs(t, err, events.ErrUnavailable)
	assert.ErrorContains(t, err, "does not answer")
	assert.Len(t, letters(t, log), 1)
}

func TestRedriveRefusesWhatItCannotDo(t *testing.T) {
	log := natstest.Open(t)
	s := newSink(t, nil)
	src := newSource(t, log, config(s.URL), nil)
	good := nats.DeadLetter{Sequence: 1, Consumer: "writer", Stream: events.StreamMessages, OriginalSequence: 7, Event: sent("ch_a", 0)}
	for code, change := range map[string]func(*nats.DeadLetter){
		"other_consumer":   func(d *nats.DeadLetter) { d.Consumer = "reader" },
		"sequence_unknown": func(d *nats.DeadLetter) { d.OriginalSequence = 0 },
		"not_a_cloudevent": func(d *nats.DeadLetter) { d.Err = events.ErrInvalid },
	} {
		d := good
		change(&d)
		err := src.Redrive(t.Context(), d)
		var f *events.Fault
		require.ErrorAs(t, err, &f)
		assert.Equal(t, code, f.Code)
		assert.ErrorIs(t, err, events.ErrInvalid)
	}
	other := good
	other.Stream = events.StreamMetadata
	require.ErrorIs(t, src.Redrive(t.Context(), other), events.ErrInvalid)
	assert.Empty(t, s.seen())

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.Error(t, src.Redrive(ctx, good))
}

// A poison event stops neither its own channel nor any other, and its dead
// letter can be redriven while the source runs.
func TestPoisonDoesNotBlock(t *testing.T) {
	log := natstest.Open(t)
	s, status := moody(t, "ch_p")
	cfg := config(s.URL)
	var es []events.Event
	for i := range 30 {
		es = append(es, sent("ch_a", i))
	}
	bad := sent("ch_a", 1000)
	bad.PartitionKey = "ch_p"
	es = append(es[:10:10], append([]events.Event{bad}, es[10:]...)...)
	publish(t, log, es...)
	src := newSource(t, log, cfg, nil)
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- src.Run(ctx) }()
	defer func() {
		stop()
		require.NoError(t, <-done)
	}()
	applied(t, log, 31)
	assert.Equal(t, 30, s.count())
	inOrder(t, s.taken(), false)
	status.Store(http.StatusOK)
	ds := letters(t, log)
	require.Len(t, ds, 1)
	require.NoError(t, src.Redrive(t.Context(), ds[0]))
	assert.EqualValues(t, 11, s.taken()[30].Sequence)

	publish(t, log, sent("ch_a", 30))
	require.Eventually(t, func() bool { return s.count() == 32 }, patience, time.Millisecond)
}

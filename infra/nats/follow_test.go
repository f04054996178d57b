package nats_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/chat-platform/chat/events"
	"github.com/chat-platform/chat/infra/nats"
	"github.com/chat-platform/chat/infra/nats/natstest"
)

// follower collects what Follow hands over.
type follower struct {
	events chan events.Event
	ready  chan uint64
	done   chan error
	stop   context.CancelFunc
}

func follow(t *testing.T, log *nats.Log, stream string, filters []string, from uint64) *follower {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	f := &follower{events: make(chan events.Event, 100_000), ready: make(chan uint64, 10), done: make(chan error, 1), stop: cancel}
	go func() {
		f.done <- log.Follow(ctx, stream, filters, from, func(last uint64) { f.ready <- last }, func(es []events.Event) error {
			if len(es) == 0 || len(es) > 500 {
				return fmt.Errorf("%d events at once", len(es))
			}
			for _, e := range es {
				f.events <- e
			}
			return nil
		})
	}()
	t.Cleanup(cancel)
	return f
}

func within[T any](t *testing.T, c <-chan T, what string) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(patience):
		require.FailNow(t, "timeout", what)
		panic("unreachable")
	}
}

func TestFollowFromNow(t *testing.T) {
	log := natstest.Open(t)
	fill(t, log, 10, func(i int) events.Event { return sent("ch_a", i) })
	f := follow(t, log, events.StreamMessages, nil, 0)
	assert.EqualValues(t, 10, within(t, f.ready, "ready"))
	fill(t, log, 2000, func(i int) events.Event { return sent("ch_b", i) })
	for i := range 2000 {
		require.EqualValues(t, 11+i, within(t, f.events, "event").Sequence)
	}
	f.stop()
	require.NoError(t, within(t, f.done, "end"))
	assert.Empty(t, f.ready)
	assert.Empty(t, f.events)
}

func TestFollowFromTheBeginningWithFilters(t *testing.T) {
	log := natstest.Open(t)
	fill(t, log, 30, func(i int) events.Event { return joined(fmt.Sprintf("ch_%d", i%3), "u", i) })
	f := follow(t, log, events.StreamMetadata, []string{"members.ch_0.*", "members.ch_2.*"}, 4)
	assert.EqualValues(t, 30, within(t, f.ready, "ready"))
	for s := uint64(4); s <= 30; s++ {
		if s%3 != 2 {
			require.Equal(t, s, within(t, f.events, "event").Sequence)
		}
	}
}

func TestFollowEndsWithItsError(t *testing.T) {
	log := natstest.Open(t)
	fill(t, log, 1, func(i int) events.Event { return sent("ch_a", i) })
	stop := errors.New("stop")
	err := log.Follow(t.Context(), events.StreamMessages, nil, 1, nil, func([]events.Event) error { return stop })
	assert.ErrorIs(t, err, stop)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	assert.NoError(t, log.Follow(ctx, events.StreamMessages, nil, 1, nil, func([]events.Event) error { return nil }))
}

// Everything published before, while and after the server is restarted and the
// consumer is deleted arrives once and in order.
func TestFollowLosesNothing(t *testing.T) {
	srv := natstest.Start(t)
	log := natstest.ConnectTCP(t, srv)
	publisher := natstest.ConnectTCP(t, srv)
	_, js := raw(t, srv.ClientURL())
	f := follow(t, log, events.StreamMessages, nil, 0)
	within(t, f.ready, "ready")

	const n = 3000
	published := make(chan error, 1)
	go func() {
		for i := range n {
			for {
				_, err := publisher.Publish(t.Context(), sent("ch_a", i))
				if err == nil {
					break
				}
				if !errors.Is(err, events.ErrUnavailable) {
					published <- err
					return
				}
			}
		}
		published <- nil
	}()
	for i := range n {
		e := within(t, f.events, fmt.Sprintf("event %d", i))
		require.EqualValues(t, i+1, e.Sequence)
		require.Equal(t, fmt.Sprintf("evt_ch_a_%d", i), e.ID)
		switch i {
		case 500, 1500:
			require.NoError(t, srv.Restart())
		case 1000, 2000:
			s, err := js.Stream(t.Context(), events.StreamMessages)
			if err != nil {
				continue // right after the restart
			}
			for name := range s.ConsumerNames(t.Context()).Name() {
				_ = js.DeleteConsumer(t.Context(), events.StreamMessages, name)
			}
		}
	}
	require.NoError(t, within(t, published, "publisher"))
	f.stop()
	require.NoError(t, within(t, f.done, "end"))
	assert.Empty(t, f.events)
}

func TestFollowNoticesAnotherLog(t *testing.T) {
	srv := natstest.Start(t)
	log := natstest.ConnectTCP(t, srv)
	fill(t, log, 5, func(i int) events.Event { return sent("ch_a", i) })
	f := follow(t, log, events.StreamMessages, nil, 1)
	for range 5 {
		within(t, f.events, "event")
	}
	srv.Shutdown()
	require.NoError(t, os.RemoveAll(filepath.Join(srv.Dir(), "jetstream")))
	require.NoError(t, srv.Restart())
	natstest.ConnectTCP(t, srv) // makes the streams anew
	assert.ErrorIs(t, within(t, f.done, "end"), nats.ErrOtherLog)
}

// Who follows from a time gets what was stored then and later, and is told when
// that is all.
func TestFollowSince(t *testing.T) {
	log := natstest.Open(t)
	since := func(at time.Time) *follower {
		ctx, cancel := context.WithCancel(t.Context())
		f := &follower{events: make(chan events.Event, 1000), ready: make(chan uint64, 1), done: make(chan error, 1), stop: cancel}
		go func() {
			f.done <- log.FollowSince(ctx, events.StreamMessages, nil, at, func(last uint64) { f.ready <- last }, func(es []events.Event) error {
				for _, e := range es {
					f.events <- e
				}
				return nil
			})
		}()
		t.Cleanup(cancel)
		return f
	}
	empty := since(time.Now().Add(-time.Hour))
	require.Zero(t, within(t, empty.ready, "ready on an empty stream"))
	fill(t, log, 3, func(i int) events.Event { return sent("ch_a", i) })
	require.EqualValues(t, 1, within(t, empty.events, "the first event").Sequence)

	old := since(time.Now().Add(time.Hour))
	require.Zero(t, within(t, old.ready, "nothing is young enough"))
	all := since(time.Now().Add(-time.Hour))
	require.EqualValues(t, 3, within(t, all.ready, "ready"))
	for seq := range uint64(3) {
		require.Equal(t, seq+1, within(t, all.events, "an event").Sequence)
	}
	require.Empty(t, old.events)
	all.stop()
	require.NoError(t, within(t, all.done, "the end"))
}

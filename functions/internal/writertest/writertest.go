// Package writertest is what every writer has to keep, whatever it writes: its
// fixtures; that batches, repetitions and any order end alike, as the source
// promises no more than "at least once"; and that a store's errors, by which the
// source knows what to do with an event, come through as they are.
package writertest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/chat-platform/chat/events"
	"github.com/chat-platform/chat/functions/internal/fixtures"
	"github.com/chat-platform/chat/functions/internal/frontdoor"
	"github.com/chat-platform/chat/functions/internal/tail/tailtest"
)

// Handler is a writer function.
type Handler interface {
	Handle(ctx context.Context, batch []events.Event) error
	Ready(ctx context.Context) (bool, error)
}

// Sums are a view's checksums by channel.
type Sums = map[events.ChannelID]events.Checksum

// Writer says how to get at the one to be tested.
type Writer struct {
	Spec   frontdoor.Spec
	Log    []events.Event                                            // what it is given, events of types unknown to it included
	Want   func(t *testing.T, sums Sums)                             // judges what the log, event by event, has become
	Open   func(t *testing.T) (h Handler, sums func() (Sums, error)) // on an empty store
	Broken func(err error) Handler                                   // on a store that fails with err, unless it is nil
}

// Run tests it.
func (w Writer) Run(t *testing.T) {
	t.Run("fixtures", func(t *testing.T) {
		fixtures.RunWriter(t, func(t *testing.T) *frontdoor.Function {
			h, _ := w.Open(t)
			return frontdoor.Writer(w.Spec, h.Handle, append(fixtures.Options(), frontdoor.WithHooks(h))...)
		})
	})
	t.Run("deliveries", w.deliveries)
	t.Run("errors of the store keep their kind", w.errors)
}

func (w Writer) deliveries(t *testing.T) {
	// sums of a view that is given each log in turn, in batches.
	sums := func(t *testing.T, batch int, logs ...[]events.Event) Sums {
		t.Helper()
		h, sums := w.Open(t)
		for _, es := range logs {
			for part := range slices.Chunk(es, batch) {
				require.NoError(t, h.Handle(t.Context(), part))
			}
		}
		got, err := sums()
		require.NoError(t, err)
		return got
	}
	want := sums(t, 1, w.Log)
	w.Want(t, want)
	t.Run("in batches", func(t *testing.T) { require.Equal(t, want, sums(t, 25, w.Log)) })
	t.Run("twice", func(t *testing.T) { require.Equal(t, want, sums(t, 7, w.Log, w.Log)) })
	for seed := range uint64(5) {
		t.Run(fmt.Sprint("twice, shuffled ", seed), func(t *testing.T) {
			shuffled := slices.Concat(w.Log, w.Log)
			rand.New(rand.NewPCG(seed, 0)).Shuffle(len(shuffled), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
			require.Equal(t, want, sums(t, 9, shuffled))
		})
	}
}

func (w Writer) errors(t *testing.T) {
	for _, kind := range []error{events.ErrUnavailable, events.ErrInvalid, errors.New("broken")} {
		h := w.Broken(kind)
		require.ErrorIs(t, h.Handle(t.Context(), w.Log), kind)
		ready, err := h.Ready(t.Context())
		require.False(t, ready)
		require.ErrorIs(t, err, kind)
	}
	ready, err := w.Broken(nil).Ready(t.Context())
	require.True(t, ready)
	require.NoError(t, err)
}

// Conversation is a log with 54 messages in the channels ch_0, ch_1 and ch_2, six
// of them once more with the same id, and events of a type that nobody knows.
func Conversation() []events.Event {
	log := &tailtest.Log{}
	for i := range 60 {
		text := fmt.Sprint("text ", i)
		if i%10 == 9 {
			text = fmt.Sprint("text ", i-6)
		}
		log.Send(0, events.ChannelID(fmt.Sprint("ch_", i%3)), "ann", text)
		if i%7 == 0 {
			log.Put(0, "chat.message.edited.v1", "messages.edit.ch_0", "later")
		}
	}
	return log.All()
}

package views_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/chat-platform/chat/events"
	natslog "github.com/chat-platform/chat/infra/nats"
	"github.com/chat-platform/chat/infra/nats/natstest"
	"github.com/chat-platform/chat/infra/stores"
	"github.com/chat-platform/chat/local/views"
)

// message is an event that says something in ch_a, or, without words, one that
// no writer takes.
func message(t *testing.T, author events.UserID, text string) events.Event {
	t.Helper()
	client := events.NewClientID()
	m := events.MessageSent{ID: events.NewMessageID(author, "ch_a", client), ChannelID: "ch_a", AuthorID: author, Text: text, ClientID: client}
	data, err := json.Marshal(m)
	require.NoError(t, err)
	return events.Event{ID: "evt_" + string(client), Source: "/test", Type: events.TypeMessageSent, Subject: events.MessageSubject("ch_a"), PartitionKey: "ch_a", Data: data}
}

func publish(t *testing.T, log *natslog.Log, es ...events.Event) {
	t.Helper()
	_, errs := log.PublishAll(t.Context(), es, nil)
	require.NoError(t, errors.Join(errs...))
}

func TestCatchUp(t *testing.T) {
	log, dir := natstest.Open(t), t.TempDir()
	for _, v := range views.All() {
		refused, err := v.CatchUp(t.Context(), log, dir)
		require.NoError(t, err)
		assert.Zero(t, refused)
		assert.NoFileExists(t, filepath.Join(dir, v.File), "an empty stream makes no store")
	}
	publish(t, log, message(t, "ann", "one"), message(t, "ann", ""), message(t, "bob", "two"))
	for i, want := range []uint64{2, 0, 2} {
		v := views.All()[i]
		refused, err := v.CatchUp(t.Context(), log, dir)
		require.NoError(t, err, v.Name)
		if want == 0 {
			continue // nothing of its stream
		}
		assert.Equal(t, 1, refused, v.Name)
		applied, last, err := log.Position(t.Context(), v.Stream, v.Consumer)
		require.NoError(t, err)
		assert.Equal(t, last, applied, v.Name)
		assert.Equal(t, want, sums(t, v, dir)["ch_a"].Count, v.Name)
	}

	// Going on from there, and being there.
	v := views.All()[0]
	publish(t, log, message(t, "bob", "three"))
	for range 2 {
		refused, err := v.CatchUp(t.Context(), log, dir)
		require.NoError(t, err)
		assert.Zero(t, refused)
		assert.EqualValues(t, 3, sums(t, v, dir)["ch_a"].Count)
	}
}

func sums(t *testing.T, v views.View, dir string) map[events.ChannelID]events.Checksum {
	t.Helper()
	store, _, err := v.Open(t.Context(), dir)
	require.NoError(t, err)
	defer store.Close()
	all, err := store.Checksums(t.Context(), stores.All)
	require.NoError(t, err)
	return all
}

func TestCatchUpFails(t *testing.T) {
	log := natstest.Open(t)
	publish(t, log, message(t, "ann", "one"))
	v := views.All()[0]
	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	for _, v := range views.All() {
		_, _, err := v.Open(t.Context(), file)
		require.ErrorContains(t, err, file)
	}
	_, err := v.CatchUp(t.Context(), log, file)
	require.ErrorContains(t, err, file)

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = v.CatchUp(ctx, log, t.TempDir())
	require.ErrorIs(t, err, context.Canceled)
}

func TestApply(t *testing.T) {
	down := fmt.Errorf("%w: not now", events.ErrUnavailable)
	for _, tt := range []struct {
		name    string
		batch   []string // what each event is: fine, poison or down
		written []string
		refused int
		err     error
	}{
		{"nothing", nil, nil, 0, nil},
		{"all fine", []string{"a", "b", "c"}, []string{"a", "b", "c"}, 0, nil},
		{"one poison", []string{"poison"}, nil, 1, nil},
		{"poison among others", []string{"a", "poison", "b", "c", "poison"}, []string{"a", "b", "c"}, 2, nil},
		{"the store is down", []string{"down"}, nil, 0, down},
		{"down in the first half", []string{"down", "a", "poison"}, nil, 0, down},
		{"down in the second half", []string{"a", "poison", "down"}, []string{"a"}, 1, down},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var batch []events.Event
			for _, id := range tt.batch {
				batch = append(batch, events.Event{ID: id})
			}
			var written []string
			refused, err := views.Apply(t.Context(), func(_ context.Context, es []events.Event) error {
				var ids []string
				for _, e := range es { // as writers do: all is checked before anything is written
					if e.ID == "poison" {
						return events.Invalid("poison", "", "poison")
					}
				}
				for _, e := range es {
					if e.ID == "down" {
						return down
					}
					ids = append(ids, e.ID)
				}
				written = append(written, ids...)
				return nil
			}, batch)
			require.ErrorIs(t, err, tt.err)
			assert.Equal(t, tt.refused, refused)
			assert.Equal(t, tt.written, written)
		})
	}
}

//go:build integration

package deploy_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/chat-platform/chat/events"
	"github.com/chat-platform/chat/infra/nats"
	"github.com/chat-platform/chat/infra/nats/natstest"
)

func message(i int) events.Event {
	return events.Event{ID: fmt.Sprintf("evt_%d", i), Source: "/test", Type: events.TypeMessageSent,
		Subject: events.MessageSubject(events.ChannelID(fmt.Sprintf("ch_%d", i%5))), Data: fmt.Appendf(nil, `{"n":%d}`, i)}
}

// What docs/operations/backup.md says: a backup under traffic, a server that is
// lost with its storage, a restore into an empty one.
func TestBackupAndRestore(t *testing.T) {
	cli := natstest.CLI(t)
	lost := natstest.Start(t)
	log := natstest.Connect(t, lost)
	require.Zero(t, log.Restored())
	var es []events.Event
	for i := range 2000 {
		es = append(es, message(i))
	}
	_, errs := log.PublishAll(t.Context(), es, nil)
	require.NoError(t, errors.Join(errs...))
	_, err := log.Publish(t.Context(), events.Event{ID: "evt_c", Source: "/test", Type: events.TypeChannelCreated, Subject: "channels.ch_1", Data: []byte(`{}`)})
	require.NoError(t, err)
	writer := nats.ConsumerConfig{Stream: events.StreamMessages, Name: events.ConsumerMessages}
	c, err := log.Consumer(t.Context(), writer)
	require.NoError(t, err)
	ds, err := c.Fetch(t.Context(), 700, time.Minute)
	require.NoError(t, err)
	for _, d := range ds {
		require.NoError(t, d.Ack())
	}
	require.Eventually(t, func() bool {
		applied, err := log.Applied(t.Context(), events.StreamMessages, events.ConsumerMessages)
		return err == nil && applied == uint64(len(ds))
	}, time.Minute, 10*time.Millisecond)
	applied := uint64(len(ds))
	bucket, err := log.Objects(t.Context(), "segments", 1)
	require.NoError(t, err)
	require.NoError(t, bucket.Put(t.Context(), "a/b", []byte("an object")))
	require.NoError(t, log.KeepID(t.Context(), events.StreamMessages))
	state, err := log.State(t.Context(), events.StreamMessages)
	require.NoError(t, err)
	require.NoError(t, log.NoteArchived(t.Context(), events.StreamMessages, state.ID, map[string]uint64{"messages.send.ch_0": 1}, 5))
	epoch, err := log.Epoch(t.Context())
	require.NoError(t, err)

	var sent atomic.Int64
	sent.Store(2000)
	stop, stopped := make(chan struct{}), make(chan error, 1)
	go func() { // traffic while the backup is taken
		for {
			select {
			case <-stop:
				stopped <- nil
				return
			default:
			}
			if _, err := log.Publish(t.Context(), message(int(sent.Load()))); err != nil {
				stopped <- err
				return
			}
			sent.Add(1)
		}
	}()
	require.Eventually(t, func() bool { return sent.Load() > 2050 }, time.Minute, time.Millisecond)
	backup := filepath.Join(t.TempDir(), "backup")
	natstest.Run(t, cli, lost.ClientURL(), "backup", "account", "--consumers", "--force", backup)
	at := sent.Load()
	require.Eventually(t, func() bool { return sent.Load() > at+50 }, time.Minute, time.Millisecond)
	close(stop)
	require.NoError(t, <-stopped)
	require.NoError(t, log.Close())
	lost.Shutdown()
	require.NoError(t, os.RemoveAll(lost.Dir()))

	server := natstest.Start(t)
	natstest.Run(t, cli, server.ClientURL(), "backup", "restore", "account", backup)
	log = natstest.Connect(t, server)
	restored, err := log.State(t.Context(), events.StreamMessages)
	require.NoError(t, err)
	require.GreaterOrEqual(t, restored.Last, uint64(2050), "all from before the backup")
	require.Less(t, restored.Last, uint64(sent.Load()), "what came after it is lost")
	require.Equal(t, uint64(1), restored.First)
	require.WithinDuration(t, time.Now(), log.Restored(), time.Hour)
	n := 0
	require.NoError(t, log.Range(t.Context(), events.StreamMessages, nil, 1, restored.Last, func(e events.Event) error {
		want := message(n)
		require.Equal(t, want.ID, e.ID)
		require.Equal(t, string(want.Data), string(e.Data))
		n++
		require.Equal(t, uint64(n), e.Sequence)
		return nil
	}))
	require.Equal(t, restored.Last, uint64(n))
	_, err = log.Last(t.Context(), "channels.ch_1")
	require.NoError(t, err)
	got, err := log.Applied(t.Context(), events.StreamMessages, events.ConsumerMessages)
	require.NoError(t, err)
	require.Equal(t, applied, got, "consumers know what they acknowledged")
	bucket, err = log.Objects(t.Context(), "segments", 1)
	require.NoError(t, err)
	b, err := bucket.Get(t.Context(), "a/b", 0, -1)
	require.NoError(t, err)
	require.Equal(t, "an object", string(b))
	noted, err := log.Noted(t.Context(), events.StreamMessages, state.ID)
	require.NoError(t, err)
	require.Equal(t, uint64(5), noted)

	// It is another log for clients' cursors, and the same one for its archive.
	other, err := log.Epoch(t.Context())
	require.NoError(t, err)
	require.NotEqual(t, epoch, other)
	require.Equal(t, state.ID, restored.ID)

	ack, err := log.Publish(t.Context(), message(1_000_000))
	require.NoError(t, err)
	require.Equal(t, restored.Last+1, ack.Seq, "the log goes on")
}

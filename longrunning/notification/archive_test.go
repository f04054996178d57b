package notification_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/chat-platform/chat/events"
	"github.com/chat-platform/chat/infra/archive"
	natslog "github.com/chat-platform/chat/infra/nats"
	"github.com/chat-platform/chat/infra/nats/natstest"
	"github.com/chat-platform/chat/longrunning/notification"
)

// archiveAll moves all messages of a log into one segment.
func archiveAll(t *testing.T, log *natslog.Log) *archive.Archive {
	t.Helper()
	folder, err := archive.OpenFolder(t.TempDir())
	require.NoError(t, err)
	a := archive.New(folder)
	state, err := log.State(t.Context(), events.StreamMessages)
	require.NoError(t, err)
	b := archive.NewBuilder(events.StreamMessages, state.ID, 1)
	notes := map[string]uint64{}
	require.NoError(t, log.Copy(t.Context(), events.StreamMessages, 1, state.Last, func(seq uint64, at time.Time, subject string, header map[string][]string, data []byte) error {
		notes[subject] = seq
		return b.Add(archive.Message{Sequence: seq, Time: at, Subject: subject, Header: header, Data: data})
	}))
	data, ix, err := b.Finish(state.Last, nil)
	require.NoError(t, err)
	_, err = a.Add(t.Context(), data, ix)
	require.NoError(t, err)
	require.NoError(t, log.NoteArchived(t.Context(), events.StreamMessages, state.ID, notes, state.Last))
	require.NoError(t, log.Trim(t.Context(), events.StreamMessages, state.ID, state.Last))
	return a
}

// A cursor older than the stream's first message: what was missed comes from the
// archive, within the bounds of any replay; without an archive the client is told
// to load anew. Epoch and position of the log are what they were.
func TestResumeFromBeforeTheStreamsFirstMessage(t *testing.T) {
	log := natstest.Open(t)
	f := startFanout(t, log, "f1")
	i := startInstance(t, log, notification.Config{ReplayPerChannel: 5})
	join(t, log, "ch_a", "alice")
	join(t, log, "ch_b", "alice")
	before := send(t, log, "ch_a", "bob", "0")
	f.settle()
	c, cursor := identify(t, i, "alice")
	require.NoError(t, c.conn.CloseNow())
	var sent []uint64
	for range 3 {
		sent = append(sent, send(t, log, "ch_a", "bob", "missed"))
		send(t, log, "ch_c", "bob", "elsewhere")
	}
	for range 7 {
		send(t, log, "ch_b", "bob", "many")
	}
	f.settle()
	a := archiveAll(t, log)

	_, replay, o := resume(t, i, "alice", cursor)
	require.Empty(t, replay)
	require.True(t, o.All, "there is no archive here, which is said")

	log.ReadArchive(a)
	_, replay, o = resume(t, i, "alice", cursor)
	require.False(t, o.All)
	require.Equal(t, 8, o.Replayed)
	require.Len(t, o.Limited, 1, "ch_b has more than a channel's share")
	prev := before
	for n, e := range replay[:3] {
		require.Equal(t, sent[n], e.Seq)
		require.Equal(t, prev, e.Prev)
		prev = e.Seq
	}

	// Live messages know what they follow, though it is archived.
	c, _ = identify(t, i, "alice")
	live := send(t, log, "ch_a", "bob", "live")
	e := c.next()
	require.Equal(t, live, e.Seq)
	require.Equal(t, sent[2], e.Prev)
	require.NoError(t, c.conn.CloseNow())

	c = dial(t, i)
	c.say("resume", "token", "alice", "cursor", notification.CursorAhead(t, cursor))
	require.Equal(t, "cursor_ahead_of_log", c.next().Reason)

	// The archive searches for a filter's events, the stream knows them: far back
	// is as much as may be scanned.
	bounded := startInstance(t, log, notification.Config{ReplayScan: 5})
	_, _, o = resume(t, bounded, "alice", cursor)
	require.True(t, o.All)
}

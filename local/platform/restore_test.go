//go:build integration

package platform_test

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/chat-platform/chat/events"
	"github.com/chat-platform/chat/infra/nats/natstest"
	"github.com/chat-platform/chat/infra/stores"
	"github.com/chat-platform/chat/local/client"
	"github.com/chat-platform/chat/local/platform/platformtest"
	"github.com/chat-platform/chat/local/rebuild"
	"github.com/chat-platform/chat/local/views"
)

// What docs/operations/backup.md says, of the whole platform: the log's servers are
// lost and restored from a backup, which lacks what was sent last. Views that have
// that, or nothing at all, are rebuilt; clients begin anew; the chat goes on.
func TestOnARestoredLog(t *testing.T) {
	cli := natstest.CLI(t)
	for name, keep := range map[string]bool{"views that are ahead of the log": true, "views that are lost too": false} {
		t.Run(name, func(t *testing.T) { onARestoredLog(t, cli, keep) })
	}
}

func onARestoredLog(t *testing.T, cli string, keepViews bool) {
	lost := natstest.Start(t)
	dir := t.TempDir()
	p := platformtest.Start(t, dir, "NATS_URL="+lost.ClientURL())
	alice := newClient(t, p, "alice")
	require.NoError(t, alice.CreateChannel(t.Context(), "ch_x", "X", ""))
	socket, _, err := alice.Connect(t.Context(), "")
	require.NoError(t, err)
	send := func(word string, n int) (all []client.Outgoing) {
		t.Helper()
		for i := range n {
			all = append(all, client.Outgoing{ChannelID: "ch_x", Text: fmt.Sprint(word, " ", i), ClientID: events.NewClientID()})
		}
		_, err := alice.SendBatch(t.Context(), all)
		require.NoError(t, err)
		return all
	}
	cursor := ""
	read := func(n int) { // frames of messages
		t.Helper()
		for range n {
			f, _ := next(t, socket)
			cursor = f.Cursor
		}
	}
	kept := send("kept", 100)
	read(100)
	backup := filepath.Join(t.TempDir(), "backup")
	natstest.Run(t, cli, lost.ClientURL(), "backup", "account", "--consumers", "--force", backup)
	gone := send("gone", 50)
	read(50)
	found := func(text string) func() bool {
		return func() bool {
			hits, err := alice.Search(t.Context(), text, "", "")
			return err == nil && len(hits.Hits) > 0
		}
	}
	require.Eventually(t, found("gone 49"), waitLong, waitStep, "the search view is ahead")
	require.NotEmpty(t, cursor)
	socket.Close()
	require.Zero(t, p.Stop(t), p.Output())
	lost.Shutdown()
	require.NoError(t, os.RemoveAll(lost.Dir()))
	if !keepViews {
		files, err := filepath.Glob(filepath.Join(dir, "*.db*"))
		require.NoError(t, err)
		require.NotEmpty(t, files)
		for _, f := range files {
			require.NoError(t, os.Remove(f))
		}
	}

	server := natstest.Start(t)
	natstest.Run(t, cli, server.ClientURL(), "backup", "restore", "account", backup)
	log := natstest.Connect(t, server)
	last, err := log.LastSequence(t.Context(), events.StreamMessages)
	require.NoError(t, err)
	require.Equal(t, uint64(100), last)
	quiet := slog.New(slog.DiscardHandler)
	all, err := views.Named("all")
	require.NoError(t, err)
	r := &rebuild.Rebuilder{Log: log, Views: views.Embedded(dir), Host: stores.Host{Name: "rebuild", Log: quiet}, Alone: true, Logger: quiet}
	results, err := r.Run(t.Context(), all)
	require.NoError(t, err)
	require.Len(t, results, 3)

	p = platformtest.Start(t, dir, "NATS_URL="+server.ClientURL())
	alice = newClient(t, p, "alice")
	texts := func() (all []string, seqs []uint64) {
		t.Helper()
		after := uint64(0)
		for {
			page, err := alice.HistoryAfter(t.Context(), "ch_x", after, 100)
			require.NoError(t, err)
			for _, m := range page.Messages {
				all, seqs, after = append(all, m.Text), append(seqs, m.Seq), m.Seq
			}
			if !page.MoreAfter {
				return all, seqs
			}
		}
	}
	var want []string
	for _, m := range kept {
		want = append(want, m.Text)
	}
	got, _ := texts()
	require.Equal(t, want, got)
	require.Eventually(t, found("kept 99"), waitLong, waitStep)
	require.False(t, found("gone 49")(), "nobody finds what the log does not have")

	// Cursors are of another log now, whose sequences are given away again.
	socket, frame, err := alice.Connect(t.Context(), cursor)
	require.NoError(t, err)
	require.Equal(t, "invalid_session", frame.Op)
	require.Equal(t, "cursor_of_another_log", frame.Reason)
	socket.Close()
	socket, frame, err = alice.Connect(t.Context(), "")
	require.NoError(t, err)
	require.Equal(t, "ready", frame.Op)
	t.Cleanup(socket.Close)

	// Who still has what was lost sends it again, under the same id.
	sent, err := alice.SendBatch(t.Context(), append(gone[:10:10], kept[99]))
	require.NoError(t, err)
	for i, s := range sent {
		if i < 10 {
			require.Equal(t, uint64(101+i), s.Seq)
			want = append(want, gone[i].Text)
		} else {
			require.Equal(t, uint64(100), s.Seq, "it was there")
		}
	}
	read(10)
	got, seqs := texts()
	require.Equal(t, want, got)
	require.Equal(t, uint64(110), seqs[len(seqs)-1])
	require.Eventually(t, found("gone 9"), waitLong, waitStep)
	require.Eventually(t, func() bool { // nothing was refused by a view
		for _, v := range all {
			applied, last, err := log.Position(t.Context(), v.Stream, v.Consumer)
			if err != nil || applied < last {
				return false
			}
		}
		return true
	}, waitLong, waitStep)
	dead, err := log.LastSequence(t.Context(), events.StreamDeadLetters)
	require.NoError(t, err)
	require.Zero(t, dead)
}

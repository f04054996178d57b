package rebuild_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/chat-platform/chat/events"
	natslog "github.com/chat-platform/chat/infra/nats"
	"github.com/chat-platform/chat/infra/nats/embedded"
	"github.com/chat-platform/chat/infra/sqlite"
	"github.com/chat-platform/chat/infra/stores"
	"github.com/chat-platform/chat/local/datadir"
	"github.com/chat-platform/chat/local/rebuild"
	"github.com/chat-platform/chat/local/views"
)

// open opens the log of a data folder; close it before the rebuild.
func open(t *testing.T, dir string) (log *natslog.Log, closeLog func()) {
	t.Helper()
	server, err := embedded.Start(embedded.Config{Dir: filepath.Join(dir, datadir.Log)})
	require.NoError(t, err)
	t.Cleanup(server.Shutdown)
	log, err = natslog.Open(t.Context(), natslog.Config{InProcess: server})
	require.NoError(t, err)
	return log, func() {
		require.NoError(t, log.Close())
		server.Shutdown()
	}
}

func event(t *testing.T, typ, subject string, payload any) events.Event {
	t.Helper()
	data, err := json.Marshal(payload)
	require.NoError(t, err)
	return events.Event{ID: "evt_" + string(events.NewClientID()), Source: "/test", Type: typ, Subject: subject, Data: data}
}

// talk is a channel in which ann says n things.
func talk(t *testing.T, channel events.ChannelID, n int) []events.Event {
	t.Helper()
	es := []events.Event{
		event(t, events.TypeChannelCreated, events.ChannelSubject(channel), events.ChannelCreated{ID: channel, Name: "C", Visibility: events.Public, CreatedBy: "ann"}),
		event(t, events.TypeMemberJoined, events.MemberSubject(channel, "ann"), events.MemberJoined{ChannelID: channel, UserID: "ann", Role: events.RoleOwner}),
	}
	for i := range n {
		client := events.NewClientID()
		m := events.MessageSent{ID: events.NewMessageID("ann", channel, client), ChannelID: channel, AuthorID: "ann", Text: fmt.Sprint("number ", i), ClientID: client}
		es = append(es, event(t, events.TypeMessageSent, events.MessageSubject(channel), m))
	}
	return es
}

// seed makes a data folder as a platform leaves it that has stored everything
// but what comes late.
func seed(t *testing.T, now, late []events.Event) (dir string) {
	t.Helper()
	dir = t.TempDir()
	log, closeLog := open(t, dir)
	defer closeLog()
	_, errs := log.PublishAll(t.Context(), now, nil)
	require.NoError(t, errors.Join(errs...))
	for _, v := range views.All() {
		_, err := v.CatchUp(t.Context(), log, dir)
		require.NoError(t, err)
	}
	_, errs = log.PublishAll(t.Context(), late, nil)
	require.NoError(t, errors.Join(errs...))
	return dir
}

// content is a view file's bytes, or its absence.
func content(t *testing.T, dir, file string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(dir, file))
	if errors.Is(err, fs.ErrNotExist) {
		return "absent"
	}
	require.NoError(t, err)
	return string(b)
}

// leftovers are files in the folder that a finished rebuild does not leave.
func leftovers(t *testing.T, dir string) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*.db?*"))
	require.NoError(t, err)
	return files
}

func TestEqual(t *testing.T) {
	dir := seed(t, append(talk(t, "ch_a", 1100), talk(t, "ch_b", 3)...), nil)
	var first []rebuild.Result
	for range 2 { // what was rebuilt can be rebuilt
		var out bytes.Buffer
		results, err := rebuild.Run(t.Context(), dir, &out)
		require.NoError(t, err)
		require.Len(t, results, 3)
		for i, want := range []struct {
			view   string
			events int
			a, b   uint64 // records
		}{{"messages", 1103, 1100, 3}, {"metadata", 4, 2, 2}, {"search", 1103, 1100, 3}} {
			r := results[i]
			assert.Equal(t, want.view, r.View)
			assert.Equal(t, want.events, r.Events)
			assert.True(t, r.Equal() && r.UpToDate, want.view)
			assert.Zero(t, r.Refused)
			assert.Equal(t, want.a, r.After["ch_a"].Count, want.view)
			assert.Equal(t, want.b, r.After["ch_b"].Count, want.view)
		}
		said := out.String()
		assert.Equal(t, 3, strings.Count(said, "equal before and after"), said)
		assert.Contains(t, said, fmt.Sprintf("before %s  after %[1]s", results[0].After["ch_a"]))
		assert.Empty(t, leftovers(t, dir))
		if first != nil {
			assert.Equal(t, first[0].After, results[0].After)
		}
		first = results
	}
}

func TestMissingStore(t *testing.T) {
	dir := seed(t, talk(t, "ch_a", 3), nil)
	for _, v := range views.All() {
		require.NoError(t, os.Remove(filepath.Join(dir, v.File)))
	}
	var out bytes.Buffer
	results, err := rebuild.Run(t.Context(), dir, &out)
	require.NoError(t, err, "a store that is gone differs from nothing")
	require.Len(t, results, 3)
	assert.Equal(t, 3, strings.Count(out.String(), "there was no store before"), out.String())
	assert.Contains(t, out.String(), "before -")
	assert.EqualValues(t, 3, results[0].After["ch_a"].Count)
	results, err = rebuild.Run(t.Context(), dir, &out)
	require.NoError(t, err)
	assert.True(t, results[0].Equal())
}

func TestLaggingStore(t *testing.T) {
	dir := seed(t, talk(t, "ch_a", 3), talk(t, "ch_b", 2))
	var out bytes.Buffer
	results, err := rebuild.Run(t.Context(), dir, &out)
	require.NoError(t, err, "it is no fault to lag")
	assert.Equal(t, 3, strings.Count(out.String(), "lagged behind the log"), out.String())
	for _, r := range results {
		assert.False(t, r.UpToDate || r.Equal())
		assert.Equal(t, r.Before["ch_a"], r.After["ch_a"])
		assert.Zero(t, r.Before["ch_b"])
		assert.EqualValues(t, 2, r.After["ch_b"].Count)
	}
	_, err = rebuild.Run(t.Context(), dir, &out)
	require.NoError(t, err)
}

// What no writer takes is counted, and changes nothing.
func TestPoison(t *testing.T) {
	es := talk(t, "ch_a", 3)
	poison := func(subject, typ string) events.Event { return event(t, typ, subject, map[string]any{"text": 7}) }
	es = append(es[:4], append([]events.Event{poison(events.MessageSubject("ch_a"), events.TypeMessageSent), poison(events.ChannelSubject("ch_z"), events.TypeChannelCreated)}, es[4:]...)...)
	dir := seed(t, es, nil)
	var out bytes.Buffer
	results, err := rebuild.Run(t.Context(), dir, &out)
	require.NoError(t, err)
	for _, r := range results {
		assert.Equal(t, 1, r.Refused, r.View)
		assert.True(t, r.Equal(), r.View)
	}
	assert.EqualValues(t, 3, results[0].After["ch_a"].Count)
	assert.Contains(t, out.String(), "1 refused: equal before and after")
}

// A store that holds something else than the log is found out and replaced.
func TestDifferingStore(t *testing.T) {
	dir := seed(t, talk(t, "ch_a", 3), nil)
	store, err := sqlite.OpenMessages(t.Context(), filepath.Join(dir, stores.MessagesFile))
	require.NoError(t, err)
	client := events.NewClientID()
	forged := events.Message{Seq: 99, MessageSent: events.MessageSent{ID: events.NewMessageID("eve", "ch_a", client), ChannelID: "ch_a", AuthorID: "eve", Text: "never said", ClientID: client}}
	require.NoError(t, store.PutMessages(t.Context(), []events.Message{forged}))
	require.NoError(t, store.Close())

	var out bytes.Buffer
	results, err := rebuild.Run(t.Context(), dir, &out)
	require.ErrorIs(t, err, rebuild.ErrDiffers)
	require.ErrorContains(t, err, "messages")
	assert.NotContains(t, err.Error(), "search")
	assert.Contains(t, out.String(), "differs from before")
	assert.EqualValues(t, 4, results[0].Before["ch_a"].Count)
	assert.EqualValues(t, 3, results[0].After["ch_a"].Count)
	_, err = rebuild.Run(t.Context(), dir, &out)
	require.NoError(t, err)
}

// canceller ends a context when something is written that holds a word.
type canceller struct {
	word   string
	cancel func()
}

func (c *canceller) Write(p []byte) (int, error) {
	if strings.Contains(string(p), c.word) {
		c.cancel()
	}
	return len(p), nil
}

// A rebuild that is interrupted while it builds a view leaves that view as it
// was; those before it are done.
func TestInterrupted(t *testing.T) {
	dir := seed(t, talk(t, "ch_a", 3), talk(t, "ch_b", 100))
	before := map[string]string{}
	for _, v := range views.All() {
		before[v.File] = content(t, dir, v.File)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	results, err := rebuild.Run(ctx, dir, &canceller{word: "search ", cancel: cancel})
	require.ErrorIs(t, err, context.Canceled)
	require.ErrorContains(t, err, "rebuild search")
	require.Len(t, results, 2)
	assert.NotEqual(t, before[stores.MessagesFile], content(t, dir, stores.MessagesFile))
	assert.Equal(t, before[stores.SearchFile], content(t, dir, stores.SearchFile), "untouched")
	assert.Empty(t, leftovers(t, dir))

	// What a killed rebuild left lying there is no part of the next one.
	beside := filepath.Join(dir, stores.SearchFile+".rebuild")
	for _, end := range []string{"", "-wal", "-shm"} {
		require.NoError(t, os.WriteFile(beside+end, []byte("half a file"), 0o600))
	}
	results, err = rebuild.Run(t.Context(), dir, &bytes.Buffer{})
	require.NoError(t, err)
	assert.EqualValues(t, 100, results[2].After["ch_b"].Count)
	assert.Empty(t, leftovers(t, dir))
}

func TestEmptyLog(t *testing.T) {
	dir := seed(t, nil, nil)
	var out bytes.Buffer
	results, err := rebuild.Run(t.Context(), dir, &out)
	require.NoError(t, err, out.String())
	require.Len(t, results, 3)
	for _, r := range results {
		assert.Empty(t, r.After)
	}
}

func TestRefusals(t *testing.T) {
	t.Run("no platform was here", func(t *testing.T) {
		dir := t.TempDir()
		_, err := rebuild.Run(t.Context(), dir, &bytes.Buffer{})
		require.ErrorIs(t, err, fs.ErrNotExist)
		require.ErrorContains(t, err, dir+" holds no log")
		assert.Empty(t, leftovers(t, dir))
	})
	t.Run("a platform that runs", func(t *testing.T) {
		dir := t.TempDir()
		_, closeLog := open(t, dir)
		defer closeLog()
		_, err := rebuild.Run(t.Context(), dir, &bytes.Buffer{})
		require.ErrorContains(t, err, "is the platform still running?")
		require.ErrorContains(t, err, dir)
		assert.NotContains(t, err.Error(), "\n")
	})
	t.Run("a store that cannot be read", func(t *testing.T) {
		dir := seed(t, talk(t, "ch_a", 1), nil)
		file := filepath.Join(dir, stores.MessagesFile)
		require.NoError(t, os.WriteFile(file, bytes.Repeat([]byte("not a database. "), 300), 0o600))
		_, err := rebuild.Run(t.Context(), dir, &bytes.Buffer{})
		require.ErrorContains(t, err, "rebuild messages")
		require.ErrorContains(t, err, file)
	})
}

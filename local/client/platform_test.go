package client_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/chat-platform/chat/events"
	"github.com/chat-platform/chat/local/client"
	"github.com/chat-platform/chat/local/platform/platformtest"
)

// Every call against a real platform.
func TestCalls(t *testing.T) {
	p := platformtest.Start(t, "")
	ctx := t.Context()
	importer, err := client.New(p.URL, "importer", events.RoleImport)
	require.NoError(t, err)
	ann, bob := importer.As("ann"), importer.As("bob")

	require.NoError(t, ann.CreateChannel(ctx, "ch_a", "A", "about a"))
	require.NoError(t, ann.CreateChannel(ctx, "ch_a", "A", "about a"), "as it was made")
	require.NoError(t, bob.Join(ctx, "ch_a"))
	require.NoError(t, importer.AddMembers(ctx, "ch_a", []events.UserID{"carol", "dave"}))

	// Bob listens.
	socket, ready, err := bob.Connect(ctx, "")
	require.NoError(t, err)
	assert.Equal(t, "ready", ready.Op)
	assert.NotEmpty(t, ready.Cursor)
	id := events.NewClientID()
	sent, err := ann.Send(ctx, "ch_a", "hello", id)
	require.NoError(t, err)
	frame := nextMessage(t, socket)
	assert.Equal(t, sent.Seq, frame.Seq)
	assert.Equal(t, events.ChannelID("ch_a"), frame.ChannelID)
	socket.Close()
	_, err = socket.Next(ctx)
	require.Error(t, err, "it is closed")

	at := time.Date(2010, 1, 2, 3, 4, 5, 0, time.UTC)
	batch := []client.Outgoing{
		{ChannelID: "ch_a", Text: "long ago", ClientID: events.NewClientID(), AuthorID: "carol", SentAt: &at, ReplyTo: sent.ID},
		{ChannelID: "ch_a", Text: "hello again", ClientID: events.NewClientID(), AuthorID: "dave", SentAt: &at},
	}
	first, err := importer.SendBatch(ctx, batch)
	require.NoError(t, err)
	require.Len(t, first, 2)
	again, err := importer.SendBatch(ctx, batch)
	require.NoError(t, err)
	for i := range again {
		assert.False(t, first[i].Existing)
		assert.True(t, again[i].Existing)
		assert.Equal(t, first[i].Seq, again[i].Seq)
	}

	page, err := bob.HistoryAfter(ctx, "ch_a", 0, 2)
	require.NoError(t, err)
	require.Len(t, page.Messages, 2)
	assert.True(t, page.MoreAfter)
	assert.Equal(t, sent.ID, page.Messages[1].ReplyTo)
	assert.Equal(t, at, page.Messages[1].SentAt)
	page, err = bob.HistoryAfter(ctx, "ch_a", page.Messages[1].Seq, 2)
	require.NoError(t, err)
	require.Len(t, page.Messages, 1)
	assert.False(t, page.MoreAfter)

	for _, channel := range []events.ChannelID{"", "ch_a"} {
		require.Eventually(t, func() bool {
			found, err := bob.Search(ctx, "hello", channel, "")
			return err == nil && len(found.Hits) == 2 && !found.More && found.IndexedThrough >= first[1].Seq
		}, time.Minute, 20*time.Millisecond)
	}
	_, err = bob.Search(ctx, "hello", "", "nonsense")
	var problem *client.Problem
	require.ErrorAs(t, err, &problem)
	assert.Equal(t, "invalid_cursor", problem.Code)

	// Resuming gives what was missed; a cursor of another log gives none.
	var missed []uint64
	socket, resumed, err := bob.Resume(ctx, frame.Cursor, func(f client.Frame) { missed = append(missed, f.Seq) })
	require.NoError(t, err)
	assert.Equal(t, "resumed", resumed.Op)
	assert.Equal(t, 2, resumed.Replayed)
	assert.Equal(t, []uint64{first[0].Seq, first[1].Seq}, missed)
	assert.Empty(t, resumed.Limited)
	assert.False(t, resumed.LimitAll)
	socket.Drop()
	socket, refused, err := bob.Connect(ctx, "nonsense")
	require.NoError(t, err)
	assert.Equal(t, "invalid_session", refused.Op)
	assert.NotEmpty(t, refused.Reason)
	socket.Drop()
}

func nextMessage(t *testing.T, s *client.Socket) client.Frame {
	t.Helper()
	for {
		f, err := s.Next(t.Context())
		require.NoError(t, err)
		if f.Op == "event" && f.Type == events.TypeMessageSent {
			return f
		}
	}
}

// A platform that asks for a heartbeat every few milliseconds gets them.
func TestHeartbeat(t *testing.T) {
	beats := make(chan struct{}, 100)
	c, _ := fake(t, 600, func(w http.ResponseWriter, r *http.Request) {
		conn, err := websocket.Accept(w, r, nil)
		if err != nil {
			return
		}
		defer conn.CloseNow()
		say := func(s string) { _ = conn.Write(r.Context(), websocket.MessageText, []byte(s)) }
		say(`{"op":"hello","heartbeat_interval_ms":2}`)
		for {
			_, b, err := conn.Read(r.Context())
			if err != nil {
				return
			}
			var said map[string]string
			_ = json.Unmarshal(b, &said)
			switch said["op"] {
			case "resume":
				say(`{"op":"event"}`) // passed over
				say(`{"op":"resumed","cursor":"` + said["cursor"] + said["token"] + `"}`)
			case "heartbeat":
				beats <- struct{}{}
				say("not JSON")
			}
		}
	})
	socket, f, err := c.Connect(t.Context(), "here+")
	require.NoError(t, err)
	defer socket.Close()
	assert.Equal(t, "here+ann-chat-import-1", f.Cursor)
	for range 3 {
		select {
		case <-beats:
		case <-time.After(time.Minute):
			t.Fatal("no heartbeat")
		}
	}
	_, err = socket.Next(t.Context())
	require.ErrorContains(t, err, "read the socket")
}

// Sockets that end too early are errors.
func TestConnectFails(t *testing.T) {
	for name, say := range map[string]string{"no socket": "", "no hello": "close", "no answer": `{"op":"hello"}`, "nonsense": "nonsense"} {
		t.Run(name, func(t *testing.T) {
			var n atomic.Int64
			c, _ := fake(t, 600, func(w http.ResponseWriter, r *http.Request) {
				n.Add(1)
				if say == "" {
					w.WriteHeader(http.StatusTeapot)
					return
				}
				conn, err := websocket.Accept(w, r, nil)
				if err != nil {
					return
				}
				defer conn.CloseNow()
				if say != "close" {
					_ = conn.Write(r.Context(), websocket.MessageText, []byte(say))
					_, _, _ = conn.Read(r.Context())
				}
			})
			_, _, err := c.Connect(t.Context(), "")
			require.ErrorContains(t, err, "connect ann")
			assert.EqualValues(t, 1, n.Load())
		})
	}
	srv := httptest.NewServer(http.NotFoundHandler())
	defer srv.Close()
	c, err := client.New(srv.URL, "ann")
	require.NoError(t, err)
	_, err = c.Platform(t.Context())
	require.ErrorContains(t, err, "404")
}

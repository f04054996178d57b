package seen_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/chat-platform/chat/events"
	"github.com/chat-platform/chat/functions/internal/seen"
)

func TestClientIDIsTheAuthorsAlone(t *testing.T) {
	m := events.Message{Seq: 7, MessageSent: events.MessageSent{
		ID: "msg_aaaaaaaaaaaaaaaaaaaaaaaaaa", ChannelID: "ch_general", AuthorID: "ann", Text: "hello",
		SentAt: time.Date(2026, 1, 2, 4, 4, 5, 0, time.FixedZone("", 3600)), ClientID: "01912f4e-8d3c-7c7a-b1a0-5a3f0e5f9a10",
		ReplyTo: "msg_bbbbbbbbbbbbbbbbbbbbbbbbbb",
	}}
	want := seen.Message{ID: m.ID, Seq: 7, ChannelID: "ch_general", AuthorID: "ann", Text: "hello",
		SentAt: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), ReplyTo: m.ReplyTo}
	require.Equal(t, want, seen.By("bob", m))

	want.ClientID = m.ClientID
	require.Equal(t, want, seen.By("ann", m))
}

package events_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/chat-platform/chat/events"
)

func TestSubjects(t *testing.T) {
	for _, tt := range []struct {
		got, want, stream string
		channel           events.ChannelID
	}{
		{events.MessageSubject("ch_general"), "messages.send.ch_general", events.StreamMessages, "ch_general"},
		{events.ChannelSubject("ch_general"), "channels.ch_general", events.StreamMetadata, "ch_general"},
		{events.MemberSubject("ch_general", "alice"), "members.ch_general.alice", events.StreamMetadata, "ch_general"},
		{events.MemberSubject("ch_general", "a.b c"), "members.ch_general.a%2Eb%20c", events.StreamMetadata, "ch_general"},
		{events.DeadLetterSubject("message-writer"), "dead.message-writer", events.StreamDeadLetters, ""},
		{"users.alice", "users.alice", events.StreamMetadata, ""},
		{"weather.today", "weather.today", "", ""},
	} {
		assert.Equal(t, tt.want, tt.got)
		assert.Equal(t, tt.stream, events.StreamOf(tt.got), tt.got)
		assert.Equal(t, tt.channel, events.ChannelOf(tt.got), tt.got)
	}
	assert.Equal(t, "messages.*.c", events.MessagesOf("c"))
	assert.Equal(t, "members.*.a%2Eb", events.MembershipsOf("a.b"))
	assert.Equal(t, "members.c.*", events.MembersOf("c"))
}

func TestTokenRoundTrip(t *testing.T) {
	for in, want := range map[string]string{
		"alice": "alice", "a.b": "a%2Eb", "*": "%2A", ">": "%3E", "100%": "100%25", "é": "%C3%A9", "x y": "x%20y",
	} {
		assert.Equal(t, want, events.Token(in))
		back, err := events.FromToken(want)
		require.NoError(t, err)
		assert.Equal(t, in, back)
	}
	_, err := events.FromToken("%zz")
	assertFault(t, err, "invalid_subject")
}

package events_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/chat-platform/chat/events"
)

var sentAt = time.Date(2026, 11, 24, 9, 30, 0, 123e6, time.UTC)

func sent() events.MessageSent {
	return events.MessageSent{
		ID: events.NewMessageID("alice", "ch_general", "k"), ChannelID: "ch_general", AuthorID: "alice",
		Text: "hello", SentAt: sentAt, ClientID: "01912f4e-8d3c-7c7a-b1a0-5a3f0e5f9a10",
	}
}

func TestValidateText(t *testing.T) {
	for _, tt := range []struct {
		name, text string
		want       error
	}{
		{"one character", "a", nil},
		{"a line break is text", "\n", nil},
		{"50,000 letters", strings.Repeat("a", 50_000), nil},
		{"50,000 runes of four bytes", strings.Repeat("😀", 50_000), nil},
		{"empty", "", events.ErrEmptyMessage},
		{"50,001 letters", strings.Repeat("a", 50_001), events.ErrMessageTooLong},
		{"50,001 runes of two bytes", strings.Repeat("é", 50_001), events.ErrMessageTooLong},
		{"no UTF-8", "a\xff", events.ErrInvalid},
	} {
		t.Run(tt.name, func(t *testing.T) {
			assert.ErrorIs(t, events.ValidateText(tt.text), tt.want)
		})
	}
}

func TestPayloadsValidate(t *testing.T) {
	channel := events.ChannelCreated{ID: "ch_general", Name: "General", Visibility: events.Public, CreatedBy: "alice", CreatedAt: sentAt}
	joined := events.MemberJoined{ChannelID: "ch_general", UserID: "bob", Role: events.RoleMember, At: sentAt}
	left := events.MemberLeft{ChannelID: "ch_general", UserID: "bob", At: sentAt}
	with := func(change func(*events.MessageSent)) events.Payload { m := sent(); change(&m); return m }
	withChannel := func(change func(*events.ChannelCreated)) events.Payload { c := channel; change(&c); return c }

	for _, tt := range []struct {
		name    string
		payload events.Payload
		code    string
	}{
		{"message", sent(), ""},
		{"reply", with(func(m *events.MessageSent) { m.ReplyTo = m.ID }), ""},
		{"message without channel", with(func(m *events.MessageSent) { m.ChannelID = "" }), "missing_channel_id"},
		{"message without id", with(func(m *events.MessageSent) { m.ID = "" }), "invalid_message_id"},
		{"message without author", with(func(m *events.MessageSent) { m.AuthorID = "" }), "missing_user_id"},
		{"message without text", with(func(m *events.MessageSent) { m.Text = "" }), "empty_message"},
		{"reply to nonsense", with(func(m *events.MessageSent) { m.ReplyTo = "7" }), "invalid_reply_to"},
		{"channel", channel, ""},
		{"channel of 128 runes", withChannel(func(c *events.ChannelCreated) { c.Name = strings.Repeat("é", 128) }), ""},
		{"channel without id", withChannel(func(c *events.ChannelCreated) { c.ID = "" }), "missing_channel_id"},
		{"channel without creator", withChannel(func(c *events.ChannelCreated) { c.CreatedBy = "" }), "missing_user_id"},
		{"channel without name", withChannel(func(c *events.ChannelCreated) { c.Name = "" }), "invalid_channel_name"},
		{"channel of 129 runes", withChannel(func(c *events.ChannelCreated) { c.Name = strings.Repeat("é", 129) }), "invalid_channel_name"},
		{"topic too long", withChannel(func(c *events.ChannelCreated) { c.Topic = strings.Repeat("t", 1025) }), "invalid_topic"},
		{"secret visibility", withChannel(func(c *events.ChannelCreated) { c.Visibility = "secret" }), "invalid_visibility"},
		{"joined", joined, ""},
		{"joined without user", events.MemberJoined{ChannelID: "ch_general", Role: events.RoleMember}, "missing_user_id"},
		{"joined as king", events.MemberJoined{ChannelID: "ch_general", UserID: "bob", Role: "king"}, "invalid_role"},
		{"left", left, ""},
		{"left nothing", events.MemberLeft{UserID: "bob"}, "missing_channel_id"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			err := tt.payload.Validate()
			if tt.code == "" {
				assert.NoError(t, err)
				return
			}
			assertFault(t, err, tt.code)
			assert.ErrorIs(t, err, events.ErrInvalid)
		})
	}
}

func TestStatesAreFoldedFromEvents(t *testing.T) {
	event := func(typ string, p any) events.Event {
		data, err := json.Marshal(p)
		require.NoError(t, err)
		return events.Event{ID: "e", Source: "/t", Type: typ, Sequence: 42, Data: data}
	}

	m, err := events.MessageOf(event(events.TypeMessageSent, sent()))
	require.NoError(t, err)
	assert.Equal(t, events.Message{Seq: 42, MessageSent: sent()}, m)

	c, err := events.ChannelFrom(event(events.TypeChannelCreated, events.ChannelCreated{ID: "c", Name: "C", Visibility: events.Private, CreatedBy: "alice", CreatedAt: sentAt}))
	require.NoError(t, err)
	assert.Equal(t, uint64(42), c.Seq)
	assert.Equal(t, events.Private, c.Visibility)

	in, err := events.MemberOf(event(events.TypeMemberJoined, events.MemberJoined{ChannelID: "c", UserID: "u", Role: events.RoleOwner, At: sentAt}))
	require.NoError(t, err)
	assert.Equal(t, events.Member{Seq: 42, ChannelID: "c", UserID: "u", Role: events.RoleOwner, Active: true, At: sentAt}, in)

	out, err := events.MemberOf(event(events.TypeMemberLeft, events.MemberLeft{ChannelID: "c", UserID: "u", At: sentAt}))
	require.NoError(t, err)
	assert.False(t, out.Active)

	wrong := event("chat.nonsense.v1", struct{}{})
	_, err = events.MessageOf(wrong)
	assertFault(t, err, "unexpected_type")
	_, err = events.ChannelFrom(wrong)
	assertFault(t, err, "unexpected_type")
	_, err = events.MemberOf(wrong)
	assertFault(t, err, "unexpected_type")
	_, err = events.MessageOf(events.Event{ID: "e", Type: events.TypeMessageSent, Data: []byte("{")})
	assertFault(t, err, "invalid_payload")
	_, err = events.MessageOf(events.Event{ID: "e", Type: events.TypeMessageSent, Data: []byte("{}")})
	assert.ErrorIs(t, err, events.ErrMissingChannelID)
}

func TestChecksum(t *testing.T) {
	a, b := events.Message{Seq: 1, MessageSent: sent()}, events.Message{Seq: 2, MessageSent: sent()}
	sum := func(ms ...events.Message) (c events.Checksum) {
		for _, m := range ms {
			require.NoError(t, c.Add(m))
		}
		return c
	}
	assert.Equal(t, sum(a, b), sum(b, a), "order does not matter")
	assert.NotEqual(t, sum(a), sum(b))
	assert.NotEqual(t, sum(a), sum(a, a), "a duplicate does")
	changed := a
	changed.Text += "!"
	assert.NotEqual(t, sum(a), sum(changed))
	assert.Regexp(t, `^2:[0-9a-f]{32}$`, sum(a, b).String())
	var c events.Checksum
	assert.ErrorContains(t, c.Add(func() {}), "checksum")

	// Many additions carry into the upper half: two halves summed apart equal the whole.
	var whole events.Checksum
	for i := range 64 {
		require.NoError(t, whole.Add(i))
	}
	var reversed events.Checksum
	for i := range 64 {
		require.NoError(t, reversed.Add(63-i))
	}
	assert.Equal(t, whole.String(), reversed.String())

	for cut := range 64 {
		var left, right events.Checksum
		for i := range 64 {
			half := &left
			if i >= cut {
				half = &right
			}
			require.NoError(t, half.Add(i))
		}
		left.Merge(right)
		assert.Equal(t, whole, left)
	}
}

func FuzzDecodeMessageSent(f *testing.F) {
	good, _ := json.Marshal(sent())
	for _, s := range [][]byte{good, []byte("{}"), []byte("null"), []byte("[]"), []byte(`{"text":7}`), []byte(`{"sent_at":"yesterday"}`)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := events.Decode[events.MessageSent](events.Event{ID: "e", Type: events.TypeMessageSent, Data: data})
		if err != nil {
			require.ErrorIs(t, err, events.ErrInvalid)
			return
		}
		require.NoError(t, m.Validate())
	})
}

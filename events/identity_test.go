package events_test

import (
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/chat-platform/chat/events"
)

func TestParseUserID(t *testing.T) {
	tests := []struct {
		name, in, code string
	}{
		{"plain", "alice", ""},
		{"uuid, as Keycloak's sub", "0b0f5c0e-3a0f-4f0e-9d0a-5f5a6f7c1d11", ""},
		{"dots and spaces inside", "a.b c", ""},
		{"an IRC nick", "[|]`^_{}\\", ""},
		{"not ASCII", "ünïcødé 漢字 😀", ""},
		{"128 bytes", strings.Repeat("a", 128), ""},
		{"empty", "", "missing_user_id"},
		{"129 bytes", strings.Repeat("a", 129), "invalid_user_id"},
		{"space in front", " alice", "invalid_user_id"},
		{"space behind", "alice ", "invalid_user_id"},
		{"new line", "a\nb", "invalid_user_id"},
		{"NUL", "a\x00b", "invalid_user_id"},
		{"no UTF-8", "a\xffb", "invalid_user_id"},
		{"wide space", "a\u2003b", "invalid_user_id"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := events.ParseUserID(tt.in)
			if tt.code == "" {
				require.NoError(t, err)
				assert.Equal(t, events.UserID(tt.in), got)
				return
			}
			assertFault(t, err, tt.code)
		})
	}
}

func TestParseChannelID(t *testing.T) {
	tests := []struct {
		name, in, code string
	}{
		{"plain", "ch_general", ""},
		{"all that is allowed", "azAZ09_-", ""},
		{"64 bytes", strings.Repeat("c", 64), ""},
		{"empty", "", "missing_channel_id"},
		{"65 bytes", strings.Repeat("c", 65), "invalid_channel_id"},
		{"dot: two subject tokens", "a.b", "invalid_channel_id"},
		{"wildcard", "*", "invalid_channel_id"},
		{"full wildcard", ">", "invalid_channel_id"},
		{"space", "a b", "invalid_channel_id"},
		{"not ASCII", "é", "invalid_channel_id"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := events.ParseChannelID(tt.in)
			if tt.code == "" {
				require.NoError(t, err)
				assert.Equal(t, events.ChannelID(tt.in), got)
				return
			}
			assertFault(t, err, tt.code)
		})
	}
	_, err := events.ParseChannelID("")
	assert.ErrorIs(t, err, events.ErrMissingChannelID)
}

func TestParseMessageID(t *testing.T) {
	good := events.NewMessageID("alice", "ch_general", "0190f3a2-0000-7000-8000-000000000001")
	for _, tt := range []struct {
		name, in string
		ok       bool
	}{
		{"made by NewMessageID", string(good), true},
		{"empty", "", false},
		{"no prefix", strings.TrimPrefix(string(good), "msg_"), false},
		{"short", string(good[:len(good)-1]), false},
		{"long", string(good) + "a", false},
		{"letters outside base32", "msg_" + strings.Repeat("1", 26), false},
		{"upper case", strings.ToUpper(string(good)), false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := events.ParseMessageID(tt.in)
			if tt.ok {
				require.NoError(t, err)
				assert.Equal(t, events.MessageID(tt.in), got)
				return
			}
			assertFault(t, err, "invalid_message_id")
		})
	}
}

func TestClientID(t *testing.T) {
	const v7 = "01912f4e-8d3c-7c7a-b1a0-5a3f0e5f9a10"
	for _, tt := range []struct {
		name, in, want string
		ok             bool
	}{
		{"version 7", v7, v7, true},
		{"upper case becomes canonical", strings.ToUpper(v7), v7, true},
		{"version 4", "8c2b4c1e-4f0e-4c7e-9c3a-0d1f2e3a4b5c", "8c2b4c1e-4f0e-4c7e-9c3a-0d1f2e3a4b5c", true},
		{"braces", "{" + v7 + "}", "", false},
		{"urn", "urn:uuid:" + v7, "", false},
		{"nil UUID", "00000000-0000-0000-0000-000000000000", "", false},
		{"empty", "", "", false},
		{"words", "my message", "", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := events.ParseClientID(tt.in)
			if !tt.ok {
				assertFault(t, err, "invalid_client_id")
				return
			}
			require.NoError(t, err)
			assert.Equal(t, events.ClientID(tt.want), got)
		})
	}

	at, ok := events.ClientID(v7).Time()
	assert.True(t, ok)
	assert.Equal(t, time.UnixMilli(0x01912f4e8d3c).UTC(), at)
	_, ok = events.ClientID("8c2b4c1e-4f0e-4c7e-9c3a-0d1f2e3a4b5c").Time()
	assert.False(t, ok, "version 4 tells no time")
	_, ok = events.ClientID("nonsense").Time()
	assert.False(t, ok)

	before := time.Now().Add(-time.Second)
	made, ok := events.NewClientID().Time()
	assert.True(t, ok)
	assert.WithinRange(t, made, before, time.Now().Add(time.Second))
}

func TestClientIDOf(t *testing.T) {
	a, err := events.ClientIDOf("order 17")
	require.NoError(t, err)
	b, err := events.ClientIDOf("order 17")
	require.NoError(t, err)
	c, err := events.ClientIDOf("order 18")
	require.NoError(t, err)
	assert.Equal(t, a, b)
	assert.NotEqual(t, a, c)
	_, err = events.ParseClientID(string(a))
	assert.NoError(t, err, "a hashed key is a client id itself")

	_, err = events.ClientIDOf("")
	assertFault(t, err, "invalid_idempotency_key")
	_, err = events.ClientIDOf(strings.Repeat("k", 256))
	assertFault(t, err, "invalid_idempotency_key")
}

func TestDerivedIDsDependOnEveryPart(t *testing.T) {
	base := events.NewMessageID("u", "c", "k")
	assert.Equal(t, base, events.NewMessageID("u", "c", "k"))
	for _, other := range []events.MessageID{
		events.NewMessageID("v", "c", "k"), events.NewMessageID("u", "d", "k"), events.NewMessageID("u", "c", "l"),
		events.NewMessageID("uc", "", "k"), events.NewMessageID("", "uc", "k"),
	} {
		assert.NotEqual(t, base, other)
	}
	assert.NotEqual(t, events.EventID("a", "b"), events.EventID("ab"))
	assert.NotEqual(t, events.NewChannelID(), events.NewChannelID())
	_, err := events.ParseChannelID(string(events.NewChannelID()))
	assert.NoError(t, err)
}

func TestCallerHas(t *testing.T) {
	c := events.Caller{Roles: []string{"a", events.RoleImport}}
	assert.True(t, c.Has(events.RoleImport))
	assert.False(t, c.Has("b"))
	assert.False(t, events.Caller{}.Has(events.RoleImport))
}

func FuzzParseUserID(f *testing.F) {
	for _, s := range []string{"alice", "a.b", " x", "\x00", "\xff", "é😀", strings.Repeat("a", 129)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		id, err := events.ParseUserID(s)
		if err != nil {
			require.ErrorIs(t, err, events.ErrInvalid)
			return
		}
		require.True(t, utf8.ValidString(string(id)))
		token := events.Token(string(id))
		require.NotContains(t, token, ".")
		back, err := events.FromToken(token)
		require.NoError(t, err)
		require.Equal(t, string(id), back)
	})
}

func FuzzParseClientID(f *testing.F) {
	for _, s := range []string{"01912f4e-8d3c-7c7a-b1a0-5a3f0e5f9a10", "", "x", "01912F4E-8D3C-7C7A-B1A0-5A3F0E5F9A10"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		id, err := events.ParseClientID(s)
		if err != nil {
			require.ErrorIs(t, err, events.ErrInvalid)
			return
		}
		again, err := events.ParseClientID(string(id))
		require.NoError(t, err)
		require.Equal(t, id, again, "canonical form is a fixed point")
	})
}

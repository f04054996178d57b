package notification

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/chat-platform/chat/events"
)

func memberEvent(kind, subject string, data []byte) events.Event {
	return events.Event{ID: "e", Source: "/test", Type: kind, Subject: subject, Sequence: 7, Data: data}
}

// What the platform writes is read the short way.
func TestFoldIsShort(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 6000, time.UTC)
	for _, payload := range []any{
		events.MemberJoined{ChannelID: "ch_a", UserID: "alice.b c", Role: events.RoleMember, At: at},
		events.MemberJoined{ChannelID: "ch_a", UserID: "alice.b c", Role: events.RoleOwner, AddedBy: "bob", At: at},
		events.MemberLeft{ChannelID: "ch_a", UserID: "alice.b c", At: at},
	} {
		data, err := json.Marshal(payload)
		require.NoError(t, err)
		_, active := payload.(events.MemberJoined)
		kind := map[bool]string{true: events.TypeMemberJoined, false: events.TypeMemberLeft}[active]
		c, in, ok := newFolder("alice.b c").plain(memberEvent(kind, events.MemberSubject("ch_a", "alice.b c"), data))
		require.True(t, ok, "%s", data)
		require.Equal(t, events.ChannelID("ch_a"), c)
		require.Equal(t, active, in)
	}
}

// The short way says what events.MemberOf says.
func FuzzFold(f *testing.F) {
	for _, data := range []string{
		`{"channel_id":"ch_a","user_id":"alice","role":"member","at":"2026-01-02T03:04:05Z"}`,
		`{"channel_id":"ch_a","user_id":"alice","role":"owner","added_by":"bob","at":"2026-01-02T03:04:05.123456789+02:00"}`,
		`{"channel_id":"ch_a","user_id":"alice","role":"owner","added_by":"bob\"","at":"2026-01-02T03:04:05Z"}`,
		`{"channel_id":"ch_a","user_id":"alice","role":"owner","added_by":"","at":"2026-01-02T03:04:05Z"}`,
		`{"channel_id":"ch_a","user_id":"alice","role":"king","at":"2026-01-02T03:04:05Z"}`,
		`{"channel_id":"ch_a","user_id":"alice","at":"2026-01-02T03:04:05Z"}`,
		`{"channel_id":"ch_b","user_id":"alice","role":"member","at":"2026-01-02T03:04:05Z"}`,
		`{"channel_id":"ch_a","user_id":"bob","role":"member","at":"2026-01-02T03:04:05Z"}`,
		`{"channel_id":"ch_a","user_id":"alice","role":"member","at":"2026-1-2T3:04:05Z"}`,
		`{"channel_id":"ch_a","user_id":"alice","role":"member","at":""}`,
		`{"channel_id":"ch_a","user_id":"alice","role":"member","added_by":"x`,
		`{"channel_id":"ch_a","user_id":"alice","role":"member","at":"2026-01-02T03:04:05Z","channel_id":"ch_z"}`,
		`{"channel_id":"ch_a","user_id":"alice","role":"member","at":"2026-01-02T03:04:05Z"} x"}`,
		`{ "channel_id": "ch_a", "user_id": "alice", "role": "member", "at": "2026-01-02T03:04:05Z" }`,
		`{}`, ``, `null`,
	} {
		f.Add(true, "members.ch_a.alice", "alice", []byte(data))
		f.Add(false, "members.ch_a.alice", "alice", []byte(data))
	}
	f.Add(true, `members.ch_a.x`, `a","role":"member","b":"`, []byte(`{"channel_id":"ch_a","user_id":"a","role":"member","b":"","role":"member","at":"2026-01-02T03:04:05Z"}`))
	f.Fuzz(func(t *testing.T, joined bool, subject, user string, data []byte) {
		kind := events.TypeMemberLeft
		if joined {
			kind = events.TypeMemberJoined
		}
		e := memberEvent(kind, subject, data)
		c, active, err := newFolder(events.UserID(user)).fold(e)
		m, want := events.MemberOf(e)
		if want != nil {
			require.Error(t, err)
			return
		}
		require.NoError(t, err)
		require.Equal(t, m.ChannelID, c)
		require.Equal(t, m.Active, active)
	})
}

func BenchmarkFold(b *testing.B) {
	data, err := json.Marshal(events.MemberJoined{ChannelID: "ch_0123456789abcdefghijklmnop", UserID: "alice", Role: events.RoleMember, At: time.Now().UTC()})
	require.NoError(b, err)
	e := memberEvent(events.TypeMemberJoined, "members.ch_0123456789abcdefghijklmnop.alice", data)
	f := newFolder("alice")
	for b.Loop() {
		_, _, _ = f.fold(e)
	}
}

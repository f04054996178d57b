package notification_test

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/chat-platform/chat/events"
	"github.com/chat-platform/chat/longrunning/internal/link"
	"github.com/chat-platform/chat/longrunning/notification"
)

func TestCursorRoundTrip(t *testing.T) {
	for _, c := range []struct {
		at   link.Positions
		base uint64
	}{{}, {link.Positions{Messages: 10, Metadata: 3}, 7}, {link.Positions{Messages: 1<<64 - 1, Metadata: 1<<64 - 1}, 0}} {
		s := notification.NewCursor(c.at, c.base, "log")
		require.LessOrEqual(t, len(s), 52)
		at, base, _, err := notification.ParseCursor(s, "log")
		require.NoError(t, err)
		require.Equal(t, c.at, at)
		require.Equal(t, c.base, base)
		_, _, _, err = notification.ParseCursor(s, "another log")
		require.EqualError(t, err, "cursor_of_another_log")
		_, _, _, err = notification.ParseCursor(s+"AAAA", "log")
		require.EqualError(t, err, "cursor_malformed")
	}
}

func FuzzParseCursor(f *testing.F) {
	f.Add("")
	f.Add(notification.NewCursor(link.Positions{}, 0, "log"))
	f.Add(notification.NewCursor(link.Positions{Messages: 1 << 40, Metadata: 12}, 1<<30, "log"))
	f.Add(notification.NewCursor(link.Positions{Messages: 1}, 0, "other"))
	f.Fuzz(func(t *testing.T, s string) {
		at, base, again, err := notification.ParseCursor(s, "log")
		if err != nil {
			require.Contains(t, []string{"cursor_malformed", "cursor_of_another_log"}, err.Error())
			return
		}
		require.LessOrEqual(t, base, at.Messages)
		at2, base2, _, err := notification.ParseCursor(again, "log")
		require.NoError(t, err)
		require.Equal(t, at, at2)
		require.Equal(t, base, base2)
	})
}

func FuzzParseRequest(f *testing.F) {
	for _, s := range []string{`{"op":"identify","token":"t"}`, `{"op":"resume","token":"t","cursor":"c"}`, `{"op":"heartbeat"}`,
		`{"op":"reauthenticate","token":"t","more":{}}`, `{"op":"x"}`, `{`, `null`, `{"op":1}`, ``} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		op, token, cursor, err := notification.ParseRequest(b)
		if err != nil {
			frame := notification.CloseFrame(4500, err.Error())
			require.LessOrEqual(t, len(frame), 127)
			require.True(t, utf8.Valid(frame[4:]) || !utf8.ValidString(err.Error()))
			return
		}
		require.Contains(t, []string{"identify", "resume", "heartbeat", "reauthenticate"}, op)
		require.True(t, op == "heartbeat" || token != "")
		if op == "resume" {
			require.NotEmpty(t, cursor)
		}
	})
}

func TestPayload(t *testing.T) {
	for data, want := range map[string][2]string{ // author, data for others
		`{"client_id":"k","author_id":"a","text":"}\\\"{"}`:    {"a", `{"author_id":"a","text":"}\\\"{"}`},
		`{"author_id":"a","client_id":"k"}`:                    {"a", `{"author_id":"a"}`},
		`{"client_id":"k"}`:                                    {"", `{}`},
		`{"client_id":"k","client_id":["l",{"x":1}],"n":-1}`:   {"", `{"n":-1}`},
		` { "a" : 1 , "client\u005fid" : "k" , "b" : [ ] } `:   {"", `{"a" : 1,"b" : [ ]}`},
		`{"author_id":"\u00e9","reply":{"client_id":"other"}}`: {"é", `{"author_id":"\u00e9","reply":{"client_id":"other"}}`},
		`{"author_id":7}`:                                      {"", `{"author_id":7}`},
		``:                                                     {"", `{}`},
		`[1]`:                                                  {"", `[1]`},
		"{\"text\":\"\xff\"}":                                  {"", "{\"text\":\"\uFFFD\"}"},
	} {
		p, err := notification.ReadPayload(events.Event{ID: "e", Data: []byte(data)})
		require.NoError(t, err, data)
		author, _, others := p.Parts()
		require.Equal(t, want[0], author, data)
		require.Equal(t, want[1], string(others), data)
	}
	for _, data := range []string{`{`, `x`, `{"a":}`, `{} {}`} {
		_, err := notification.ReadPayload(events.Event{ID: "e", Data: []byte(data)})
		require.ErrorIs(t, err, events.ErrInvalid)
	}
}

func FuzzPayload(f *testing.F) {
	f.Add([]byte(`{"client_id":"k","author_id":"a","text":"}\\\"{"}`))
	f.Add([]byte(` { "a" : 1 , "client\u005fid" : "k" , "b" : [ {"client_id":2} ] } `))
	f.Add([]byte(`[{"client_id":1}]`))
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := notification.ReadPayload(events.Event{Data: b})
		if err != nil {
			return
		}
		_, own, others := p.Parts()
		require.True(t, utf8.Valid(others))
		var all, rest map[string]json.RawMessage
		if strings.TrimLeft(string(own), " \t\r\n")[0] != '{' {
			require.Equal(t, own, others)
			return
		}
		require.NoError(t, json.Unmarshal(own, &all))
		require.NoError(t, json.Unmarshal(others, &rest), "%s", others)
		delete(all, "client_id")
		require.Equal(t, all, rest)
	})
}

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

func cut(change func(*events.UserCutOff)) events.UserCutOff {
	c := events.UserCutOff{UserID: "dr. who", Reason: events.CutOffDisabled, NotBefore: sentAt, Until: sentAt.Add(time.Hour)}
	if change != nil {
		change(&c)
	}
	return c
}

func TestCutOffValidate(t *testing.T) {
	for name, tt := range map[string]struct {
		change  func(*events.UserCutOff)
		subject string // "" where it is refused
	}{
		"a user":                     {nil, "cutoffs.user.dr%2E%20who"},
		"a session":                  {func(c *events.UserCutOff) { c.UserID, c.SessionID = "", "s.1" }, "cutoffs.session.s%2E1"},
		"a session of a user":        {func(c *events.UserCutOff) { c.SessionID = "s1" }, "cutoffs.session.s1"},
		"everyone":                   {func(c *events.UserCutOff) { c.UserID, c.Everyone = "", true }, "cutoffs.everyone"},
		"everyone with a role":       {func(c *events.UserCutOff) { c.UserID, c.Everyone, c.WithRoles = "", true, true }, "cutoffs.everyone"},
		"a user with a role":         {func(c *events.UserCutOff) { c.WithRoles = true }, ""},
		"a reason of later times":    {func(c *events.UserCutOff) { c.Reason = "quarantined" }, "cutoffs.user.dr%2E%20who"},
		"nobody":                     {func(c *events.UserCutOff) { c.UserID = "" }, ""},
		"everyone and a user":        {func(c *events.UserCutOff) { c.Everyone = true }, ""},
		"everyone and a session":     {func(c *events.UserCutOff) { c.UserID, c.SessionID, c.Everyone = "", "s1", true }, ""},
		"no user id":                 {func(c *events.UserCutOff) { c.UserID = " " }, ""},
		"a session id of any length": {func(c *events.UserCutOff) { c.SessionID = strings.Repeat("s", 129) }, ""},
		"no reason":                  {func(c *events.UserCutOff) { c.Reason = "" }, ""},
		"no time":                    {func(c *events.UserCutOff) { c.NotBefore = time.Time{} }, ""},
		"no end":                     {func(c *events.UserCutOff) { c.Until = time.Time{} }, ""},
	} {
		t.Run(name, func(t *testing.T) {
			e, err := cut(tt.change).Event("/identity", "1")
			if tt.subject == "" {
				require.ErrorIs(t, err, events.ErrInvalid)
				return
			}
			require.NoError(t, err)
			assert.Equal(t, tt.subject, e.Subject)
			assert.Equal(t, events.StreamCutOffs, events.StreamOf(e.Subject))
			got, err := events.CutOffOf(e)
			require.NoError(t, err)
			assert.Equal(t, cut(tt.change), got)
			again, err := cut(tt.change).Event("/identity", "1")
			require.NoError(t, err)
			assert.Equal(t, e, again, "the same deed is the same event")
			other, err := cut(tt.change).Event("/identity", "2")
			require.NoError(t, err)
			assert.NotEqual(t, e.ID, other.ID)
		})
	}
	_, err := events.CutOffOf(events.Event{ID: "e", Type: events.TypeMemberLeft})
	require.ErrorIs(t, err, events.ErrInvalid)
}

func TestCutOffConcerns(t *testing.T) {
	user, session := cut(nil), cut(func(c *events.UserCutOff) { c.SessionID = "s1" })
	everyone := cut(func(c *events.UserCutOff) { c.UserID, c.Everyone = "", true })
	withRoles := cut(func(c *events.UserCutOff) { c.UserID, c.Everyone, c.WithRoles = "", true, true })
	caller := func(user, session string, issued time.Time) events.Caller {
		return events.Caller{User: events.UserID(user), Session: session, Issued: issued}
	}
	before, same, after := sentAt.Add(-time.Minute), sentAt.Truncate(time.Second), sentAt.Truncate(time.Second).Add(time.Second)
	for _, tt := range []struct {
		name   string
		c      events.UserCutOff
		caller events.Caller
		want   bool
	}{
		{"a token from before", user, caller("dr. who", "s1", before), true},
		{"one of the same second", user, caller("dr. who", "s1", same), true},
		{"one from after", user, caller("dr. who", "s1", after), false},
		{"one that does not tell", user, caller("dr. who", "s1", time.Time{}), true},
		{"another user", user, caller("bob", "s1", before), false},
		{"the session", session, caller("dr. who", "s1", before), true},
		{"the session, as if it went on", session, caller("dr. who", "s1", after), true},
		{"another session", session, caller("dr. who", "s2", before), false},
		{"no session", session, caller("dr. who", "", before), false},
		{"everyone, before", everyone, caller("bob", "s9", before), true},
		{"everyone, after", everyone, caller("bob", "s9", after), false},
		{"with a role", withRoles, events.Caller{User: "bob", Issued: before, Roles: []string{events.RoleImport}}, true},
		{"with a role, after", withRoles, events.Caller{User: "bob", Issued: after, Roles: []string{events.RoleImport}}, false},
		{"without a role", withRoles, caller("bob", "s9", before), false},
	} {
		assert.Equal(t, tt.want, tt.c.Concerns(tt.caller), tt.name)
	}
}

func FuzzDecodeUserCutOff(f *testing.F) {
	good, _ := json.Marshal(cut(nil))
	for _, s := range [][]byte{good, []byte("{}"), []byte("null"), []byte(`{"everyone":true,"user_id":"x"}`), []byte(`{"until":"soon"}`)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := events.CutOffOf(events.Event{ID: "e", Type: events.TypeUserCutOff, Data: data})
		if err != nil {
			require.ErrorIs(t, err, events.ErrInvalid)
			return
		}
		e, err := c.Event("/identity", "1")
		require.NoError(t, err)
		require.NotContains(t, e.Subject[len("cutoffs."):], "*")
	})
}

package admin_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/chat-platform/chat/events"
	"github.com/chat-platform/chat/infra/keycloak/admin"
)

// world is a realm in which things happen: a real one, or the stand-in of the
// unit tests, which has to pass the same suite.
type world interface {
	config() admin.Config
	create(t testing.TB, name string) (id string)
	login(t testing.TB, name string) (session string, logout func(testing.TB))
	setEnabled(t testing.TB, id string, enabled bool)
	rename(t testing.TB, id, first string)
	remove(t testing.TB, id string)
	endSessions(t testing.TB, id string)
	endSession(t testing.TB, session string)
	setPassword(t testing.TB, id string)
	giveAndTakeRole(t testing.TB, id string)
	joinAndLeaveGroup(t testing.TB, id string)
	takeRolesFromOthers(t testing.TB) (deeds int)
	endAllSessions(t testing.TB)
	revoke(t testing.TB, before time.Time) // and change something else of the realm
	keepEvents(t testing.TB, keep bool)
}

// happened is all that a client tells since a time, without times.
func happened(t testing.TB, c *admin.Client, since time.Time) (all []events.UserCutOff, ids []string) {
	t.Helper()
	var last time.Time
	now, err := c.Changes(t.Context(), since, func(id string, at time.Time, one events.UserCutOff) error {
		assert.False(t, at.Before(last), "oldest first")
		last = at
		one.NotBefore = time.Time{}
		all, ids = append(all, one), append(ids, id)
		return nil
	})
	require.NoError(t, err)
	assert.WithinDuration(t, time.Now(), now, time.Minute)
	return all, ids
}

func suite(t *testing.T, w world) {
	client := func() *admin.Client {
		c, err := admin.New(w.config())
		require.NoError(t, err)
		return c
	}
	start := time.Now().Add(-time.Hour)

	t.Run("all that cuts off", func(t *testing.T) {
		c := client()
		_, before := happened(t, c, start)
		ann, bob := w.create(t, "dora"), w.create(t, "emil")
		var want []events.UserCutOff
		tell := func(user, session string, reason events.CutOffReason) {
			want = append(want, events.UserCutOff{UserID: events.UserID(user), SessionID: session, Reason: reason})
		}
		session, logout := w.login(t, "dora")
		logout(t)
		tell(ann, session, events.CutOffLoggedOut)
		session, _ = w.login(t, "dora")
		w.endSession(t, session)
		tell("", session, events.CutOffSessionEnded)
		w.endSessions(t, ann)
		tell(ann, "", events.CutOffLoggedOut)
		w.rename(t, ann, "Dorothea")
		w.setEnabled(t, ann, false)
		tell(ann, "", events.CutOffDisabled)
		w.setEnabled(t, ann, true)
		w.giveAndTakeRole(t, ann)
		tell(ann, "", events.CutOffRolesChanged)
		w.joinAndLeaveGroup(t, ann)
		tell(ann, "", events.CutOffRolesChanged)
		w.setPassword(t, ann) // her sessions go on
		w.remove(t, bob)
		tell(bob, "", events.CutOffDeleted)
		all, ids := happened(t, c, start)
		require.Equal(t, want, all[len(before):])
		_, again := happened(t, client(), start)
		require.Equal(t, ids, again, "ids are the issuer's")
		none, _ := happened(t, c, time.Now().Add(time.Hour))
		require.Empty(t, none)
	})

	t.Run("roles that others lose", func(t *testing.T) {
		c := client()
		_, before := happened(t, c, start)
		deeds := w.takeRolesFromOthers(t)
		all, _ := happened(t, c, start)
		require.Len(t, all, len(before)+deeds)
		for _, one := range all[len(before):] {
			require.Equal(t, events.UserCutOff{Everyone: true, WithRoles: true, Reason: events.CutOffRolesChanged}, one)
		}
	})

	t.Run("tokens from before", func(t *testing.T) {
		c := client()
		_, before := happened(t, c, start)
		w.revoke(t, time.Now().Add(-time.Minute))
		all, _ := happened(t, c, start)
		require.Equal(t, []events.UserCutOff{{Everyone: true, Reason: events.CutOffLoggedOut}}, all[len(before):])
	})

	t.Run("everybody", func(t *testing.T) {
		c := client()
		_, before := happened(t, c, start)
		w.endAllSessions(t)
		all, _ := happened(t, c, start) // with a token that is revoked by now
		require.Contains(t, all[len(before):], events.UserCutOff{Everyone: true, Reason: events.CutOffLoggedOut})
	})

	t.Run("an error of the caller's", func(t *testing.T) {
		n := 0
		_, err := client().Changes(t.Context(), start, func(string, time.Time, events.UserCutOff) error { n++; return events.ErrConflict })
		require.ErrorIs(t, err, events.ErrConflict)
		require.Equal(t, 1, n)
	})

	t.Run("a wrong secret", func(t *testing.T) {
		cfg := w.config()
		cfg.Secret = "wrong"
		c, err := admin.New(cfg)
		require.NoError(t, err)
		_, err = c.Changes(t.Context(), start, nil)
		require.ErrorIs(t, err, events.ErrUnauthenticated)
		require.NotContains(t, err.Error(), "wrong")
	})

	t.Run("events that are not kept", func(t *testing.T) {
		w.keepEvents(t, false)
		defer w.keepEvents(t, true)
		_, err := client().Changes(t.Context(), start, nil)
		require.ErrorIs(t, err, events.ErrInvalid)
		require.ErrorContains(t, err, "admin events")
		require.ErrorContains(t, err, "LOGOUT")
	})

	t.Run("nobody there", func(t *testing.T) {
		cfg := w.config()
		cfg.Reached = "http://127.0.0.1:1/realms/x"
		c, err := admin.New(cfg)
		require.NoError(t, err)
		_, err = c.Changes(t.Context(), start, nil)
		require.ErrorIs(t, err, events.ErrUnavailable)
	})
}

func TestConfig(t *testing.T) {
	for issuer, want := range map[string]string{
		"https://id.example/realms/chat":      "",
		"https://id.example/auth/realms/chat": "",
		"https://id.example/realms/chat/":     "",
		"https://id.example/chat":             "OIDC_ISSUER",
		"https://id.example/realms/a/b":       "OIDC_ISSUER",
		"":                                    "OIDC_ISSUER",
	} {
		cfg := admin.Config{Issuer: issuer, ClientID: "chat-watcher", Secret: "s"}
		err := cfg.Validate()
		_, nerr := admin.New(cfg)
		if want == "" {
			require.NoError(t, err, issuer)
			require.NoError(t, nerr, issuer)
			continue
		}
		require.ErrorContains(t, err, want, issuer)
		require.ErrorContains(t, nerr, want, issuer)
	}
	require.NoError(t, admin.Config{}.Validate(), "without a secret it is not used")
	_, err := admin.New(admin.Config{Issuer: "https://id.example/realms/chat"})
	require.ErrorContains(t, err, "CHAT_WATCHER_SECRET")
	require.True(t, strings.HasPrefix(fmt.Sprint(err), "CHAT_WATCHER_SECRET"))
}

//go:build integration

package admin_test

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/chat-platform/chat/events"
	"github.com/chat-platform/chat/infra/keycloak/admin"
	"github.com/chat-platform/chat/infra/keycloak/keycloaktest"
	"github.com/chat-platform/chat/infra/servertest"
)

func TestMain(m *testing.M) { servertest.Main(m) }

// keycloak is a realm of the platform's on a real server.
type keycloak struct{ *keycloaktest.Realm }

func (k keycloak) config() admin.Config {
	return admin.Config{Issuer: k.Issuer, ClientID: "chat-watcher", Secret: keycloaktest.WatcherSecret}
}

func (k keycloak) create(t testing.TB, name string) string { return k.CreateUser(t, name) }

func (k keycloak) login(t testing.TB, name string) (string, func(testing.TB)) {
	tokens := k.Login(t, name)
	return sessionOf(t, tokens), func(t testing.TB) { k.Logout(t, tokens.ID) }
}

func sessionOf(t testing.TB, tokens keycloaktest.Tokens) string {
	t.Helper()
	var claims struct {
		Session string `json:"sid"`
	}
	b, err := base64.RawURLEncoding.DecodeString(strings.Split(tokens.Access, ".")[1])
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(b, &claims))
	require.NotEmpty(t, claims.Session)
	return claims.Session
}

func (k keycloak) setEnabled(t testing.TB, id string, enabled bool) { k.SetEnabled(t, id, enabled) }
func (k keycloak) remove(t testing.TB, id string)                   { k.DeleteUser(t, id) }
func (k keycloak) endSessions(t testing.TB, id string)              { k.EndSessions(t, id) }
func (k keycloak) endSession(t testing.TB, session string)          { k.EndSession(t, session) }

func (k keycloak) rename(t testing.TB, id, first string) {
	require.Equal(t, http.StatusNoContent, k.Admin(t, http.MethodPut, "/users/"+id, map[string]any{"firstName": first}, nil))
}

func (k keycloak) giveAndTakeRole(t testing.TB, id string) {
	var role map[string]any
	require.Equal(t, http.StatusOK, k.Admin(t, http.MethodGet, "/roles/chat-import", nil, &role))
	for _, method := range []string{http.MethodPost, http.MethodDelete} {
		require.Equal(t, http.StatusNoContent, k.Admin(t, method, "/users/"+id+"/role-mappings/realm", []any{role}, nil))
	}
}

func (k keycloak) setPassword(t testing.TB, id string) {
	require.Equal(t, http.StatusNoContent, k.Admin(t, http.MethodPut, "/users/"+id+"/reset-password",
		map[string]any{"type": "password", "value": keycloaktest.Password, "temporary": false}, nil))
}

func (k keycloak) group(t testing.TB, name string) (id string) {
	var found []struct{ ID string }
	require.Equal(t, http.StatusCreated, k.Admin(t, http.MethodPost, "/groups", map[string]any{"name": name}, nil))
	require.Equal(t, http.StatusOK, k.Admin(t, http.MethodGet, "/groups?exact=true&search="+name, nil, &found))
	require.Len(t, found, 1)
	return found[0].ID
}

func (k keycloak) joinAndLeaveGroup(t testing.TB, id string) {
	group := k.group(t, "joined")
	for _, method := range []string{http.MethodPut, http.MethodDelete} {
		require.Equal(t, http.StatusNoContent, k.Admin(t, method, "/users/"+id+"/groups/"+group, nil, nil))
	}
}

// takeRolesFromOthers takes a role from a group, a part from a role, and deletes
// the role and the group; and no token of a client's carries a role any more.
func (k keycloak) takeRolesFromOthers(t testing.TB) (deeds int) {
	group := k.group(t, "others")
	require.Equal(t, http.StatusCreated, k.Admin(t, http.MethodPost, "/roles", map[string]any{"name": "of-the-test"}, nil))
	var role, imports map[string]any
	require.Equal(t, http.StatusOK, k.Admin(t, http.MethodGet, "/roles/of-the-test", nil, &role))
	require.Equal(t, http.StatusOK, k.Admin(t, http.MethodGet, "/roles/chat-import", nil, &imports))
	var clients []struct{ ID string }
	require.Equal(t, http.StatusOK, k.Admin(t, http.MethodGet, "/clients?clientId=chat", nil, &clients))
	for _, method := range []string{http.MethodPost, http.MethodDelete} {
		require.Equal(t, http.StatusNoContent, k.Admin(t, method, "/groups/"+group+"/role-mappings/realm", []any{role}, nil))
		require.Equal(t, http.StatusNoContent, k.Admin(t, method, "/roles/of-the-test/composites", []any{imports}, nil))
		require.Equal(t, http.StatusNoContent, k.Admin(t, method, "/clients/"+clients[0].ID+"/scope-mappings/realm", []any{role}, nil))
	}
	require.Equal(t, http.StatusNoContent, k.Admin(t, http.MethodDelete, "/roles/of-the-test", nil, nil))
	require.Equal(t, http.StatusNoContent, k.Admin(t, http.MethodDelete, "/groups/"+group, nil, nil))
	return 5
}

func (k keycloak) revoke(t testing.TB, before time.Time) {
	for _, change := range []map[string]any{{"notBefore": before.Unix()}, {"displayName": "Other"}} {
		require.Equal(t, http.StatusNoContent, k.Admin(t, http.MethodPut, "", change, nil))
	}
	require.Equal(t, http.StatusOK, k.Admin(t, http.MethodPost, "/push-revocation", nil, nil))
}

func (k keycloak) endAllSessions(t testing.TB) {
	require.Equal(t, http.StatusOK, k.Admin(t, http.MethodPost, "/logout-all", nil, nil))
}

func (k keycloak) keepEvents(t testing.TB, keep bool) {
	require.Equal(t, http.StatusNoContent, k.Admin(t, http.MethodPut, "", map[string]any{"eventsEnabled": keep, "adminEventsEnabled": keep}, nil))
}

// What people do in the account console, and what does not end a session.
func TestKeycloakAccount(t *testing.T) {
	r := keycloaktest.New(t)
	id := r.CreateUser(t, "gina")
	require.Equal(t, http.StatusCreated, r.Admin(t, http.MethodPost, "/clients", map[string]any{
		"clientId": "console", "publicClient": true, "directAccessGrantsEnabled": true, "fullScopeAllowed": true, // as account-console, without a browser
	}, nil))
	c, err := admin.New(keycloak{r}.config())
	require.NoError(t, err)
	console := func(method, path string) {
		t.Helper()
		tokens := r.Token(t, url.Values{"grant_type": {"password"}, "client_id": {"console"}, "scope": {"openid"}, "username": {"gina"}, "password": {keycloaktest.Password}})
		require.Empty(t, tokens.Error, tokens.Description)
		req, err := http.NewRequestWithContext(t.Context(), method, r.Issuer+"/account"+path, nil)
		require.NoError(t, err)
		req.Header.Set("Authorization", "Bearer "+tokens.Access)
		req.Header.Set("Accept", "application/json") // or it is a page
		resp, err := http.DefaultClient.Do(req)
		require.NoError(t, err)
		defer resp.Body.Close()
		require.Equal(t, http.StatusNoContent, resp.StatusCode)
	}
	var told []events.UserCutOff
	tells := func(want events.UserCutOff) {
		t.Helper()
		all, _ := happened(t, c, time.Now().Add(-time.Hour))
		require.Subset(t, all, append(told, want))
		told = all
	}
	k := keycloak{r}
	session, _ := k.login(t, "gina")
	console(http.MethodDelete, "/sessions/"+session)
	tells(events.UserCutOff{UserID: events.UserID(id), SessionID: session, Reason: events.CutOffLoggedOut})
	session, _ = k.login(t, "gina")
	console(http.MethodDelete, "/sessions") // all others
	tells(events.UserCutOff{UserID: events.UserID(id), SessionID: session, Reason: events.CutOffLoggedOut})

	tokens := r.Login(t, "gina")
	k.setPassword(t, id)
	again := r.Refresh(t, tokens.Refresh)
	require.Empty(t, again.Error, "a session outlives a new password: %s", again.Description)
	revoke, err := http.PostForm(r.Issuer+"/protocol/openid-connect/revoke", url.Values{"client_id": {"chat"}, "token": {again.Refresh}})
	require.NoError(t, err)
	require.NoError(t, revoke.Body.Close())
	tells(events.UserCutOff{UserID: events.UserID(id), SessionID: sessionOf(t, again), Reason: events.CutOffLoggedOut})
}

// What the realm has forgotten is no fault; that it forgets too soon is.
func TestKeycloakForgets(t *testing.T) {
	r := keycloaktest.New(t)
	cfg := keycloak{r}.config()
	cfg.TokenMaxAge = time.Hour
	c, err := admin.New(cfg)
	require.NoError(t, err)
	r.SetEnabled(t, r.CreateUser(t, "hans"), false)
	all, _ := happened(t, c, time.Now().Add(-time.Hour))
	require.Len(t, all, 1)
	for _, list := range []string{"/admin-events", "/events"} {
		require.Equal(t, http.StatusNoContent, r.Admin(t, http.MethodDelete, list, nil, nil))
	}
	all, _ = happened(t, c, time.Now().Add(-time.Hour))
	require.Empty(t, all)
	require.Equal(t, http.StatusNoContent, r.Admin(t, http.MethodPut, "", map[string]any{"eventsExpiration": 600}, nil))
	c, err = admin.New(cfg)
	require.NoError(t, err)
	_, err = c.Changes(t.Context(), time.Now(), nil)
	require.ErrorIs(t, err, events.ErrInvalid)
	require.ErrorContains(t, err, "10m0s")
}

// Many events, of which some have the same time, are all read, on several pages.
func TestKeycloakPages(t *testing.T) {
	r := keycloaktest.New(t)
	id := r.CreateUser(t, "fred")
	since := time.Now().Add(-time.Hour)
	c, err := admin.New(keycloak{r}.config())
	require.NoError(t, err)
	const workers, each = 8, 40
	var all sync.WaitGroup
	for range workers {
		all.Go(func() {
			own := keycloaktest.At(r.Base, r.Name)
			for range each {
				own.EndSessions(t, id)
			}
		})
	}
	all.Wait()
	ids, times := map[string]bool{}, map[time.Time]bool{}
	_, err = c.Changes(t.Context(), since, func(id string, at time.Time, _ events.UserCutOff) error {
		ids[id], times[at] = true, true
		return nil
	})
	require.NoError(t, err)
	require.Len(t, ids, workers*each)
	t.Logf("%d events at %d times", len(ids), len(times))
}

func TestKeycloak(t *testing.T) { suite(t, keycloak{keycloaktest.New(t)}) }

//go:build integration

package admin_test

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

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
	var claims struct {
		Session string `json:"sid"`
	}
	b, err := base64.RawURLEncoding.DecodeString(strings.Split(tokens.Access, ".")[1])
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(b, &claims))
	require.NotEmpty(t, claims.Session)
	return claims.Session, func(t testing.TB) { k.Logout(t, tokens.ID) }
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

func (k keycloak) endAllSessions(t testing.TB) {
	require.Equal(t, http.StatusOK, k.Admin(t, http.MethodPost, "/logout-all", nil, nil))
}

func (k keycloak) keepEvents(t testing.TB, keep bool) {
	require.Equal(t, http.StatusNoContent, k.Admin(t, http.MethodPut, "", map[string]any{"eventsEnabled": keep, "adminEventsEnabled": keep}, nil))
}

func TestKeycloak(t *testing.T) { suite(t, keycloak{keycloaktest.New(t)}) }

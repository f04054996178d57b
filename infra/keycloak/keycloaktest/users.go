package keycloaktest

import (
	"net/http"
	"net/url"
	"testing"

	"github.com/stretchr/testify/require"
)

// CreateUser makes a user as an administrator does, and returns the id that
// Keycloak gave, which is the "sub" of the user's tokens.
func (r *Realm) CreateUser(t testing.TB, name string, roles ...string) string {
	t.Helper()
	require.Equal(t, http.StatusCreated, r.Admin(t, http.MethodPost, "/users", map[string]any{
		"username": name, "enabled": true,
		"credentials": []map[string]any{{"type": "password", "value": Password, "temporary": false}},
	}, nil))
	id := r.UserID(t, name)
	var all []map[string]any
	for _, role := range roles {
		var rep map[string]any
		require.Equal(t, http.StatusOK, r.Admin(t, http.MethodGet, "/roles/"+role, nil, &rep))
		all = append(all, rep)
	}
	if len(all) > 0 {
		require.Equal(t, http.StatusNoContent, r.Admin(t, http.MethodPost, "/users/"+id+"/role-mappings/realm", all, nil))
	}
	return id
}

// UserID is the id of a user, which is the "sub" of the user's tokens.
func (r *Realm) UserID(t testing.TB, name string) string {
	t.Helper()
	var found []struct{ ID string }
	require.Equal(t, http.StatusOK, r.Admin(t, http.MethodGet, "/users?exact=true&username="+url.QueryEscape(name), nil, &found))
	require.Len(t, found, 1)
	return found[0].ID
}

// SetEnabled disables or enables a user.
func (r *Realm) SetEnabled(t testing.TB, id string, enabled bool) {
	t.Helper()
	require.Equal(t, http.StatusNoContent, r.Admin(t, http.MethodPut, "/users/"+id, map[string]any{"enabled": enabled}, nil))
}

// DeleteUser deletes a user.
func (r *Realm) DeleteUser(t testing.TB, id string) {
	t.Helper()
	require.Equal(t, http.StatusNoContent, r.Admin(t, http.MethodDelete, "/users/"+id, nil, nil))
}

// EndSessions ends all sessions of a user, as an administrator does.
func (r *Realm) EndSessions(t testing.TB, id string) {
	t.Helper()
	require.Equal(t, http.StatusNoContent, r.Admin(t, http.MethodPost, "/users/"+id+"/logout", nil, nil))
}

// EndSession ends one session: the "sid" of tokens.
func (r *Realm) EndSession(t testing.TB, sid string) {
	t.Helper()
	require.Equal(t, http.StatusNoContent, r.Admin(t, http.MethodDelete, "/sessions/"+sid, nil, nil))
}

// RotateKeys makes Keycloak sign with a new key. Tokens signed by the old one
// stay good.
func (r *Realm) RotateKeys(t testing.TB) {
	t.Helper()
	var rep struct{ ID string }
	require.Equal(t, http.StatusOK, r.Admin(t, http.MethodGet, "", nil, &rep))
	require.Equal(t, http.StatusCreated, r.Admin(t, http.MethodPost, "/components", map[string]any{
		"name": "rotated", "providerId": "rsa-generated", "providerType": "org.keycloak.keys.KeyProvider", "parentId": rep.ID,
		"config": map[string][]string{"priority": {"200"}, "enabled": {"true"}, "active": {"true"}, "algorithm": {"RS256"}},
	}, nil))
}

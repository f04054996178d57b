// Package keycloaktest gives tests a realm of their own on a real Keycloak: the
// platform's realm with its development overlay, imported anew and removed when
// the test ends. The test binary's TestMain hands itself to servertest.Main.
package keycloaktest

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/chat-platform/chat/infra/keycloak/realm"
	"github.com/chat-platform/chat/infra/servertest"
)

// Password is that of every user whom these realms have.
const Password = "a password for tests"

// WatcherSecret is that of the client chat-watcher in these realms.
const WatcherSecret = "a secret for the watcher of tests"

// ImportSecret is that of the client chat-import in these realms.
const ImportSecret = "a secret for the importer of tests"

// PageURL is where the page of these realms would be. Nothing listens there.
const PageURL = "http://localhost:8080"

// Realm is one realm on a Keycloak. Its people are those of the development
// overlay, alice, bob and carol among them; Keycloak makes up their ids.
type Realm struct {
	Base   string // of the Keycloak, like http://localhost:32768
	Name   string
	Issuer string // "iss" of its tokens
	http   *http.Client
	token  string
	until  time.Time
}

// New imports a realm.
func New(t testing.TB) *Realm {
	t.Helper()
	r := At(servertest.Keycloak(t), servertest.Name(t))
	require.Equal(t, http.StatusCreated, r.Import(t, File(t, r.Name)), "import of the realm")
	t.Cleanup(func() { r.call(t, http.MethodDelete, "/admin/realms/"+r.Name, nil, nil) })
	return r
}

// At is a realm that somebody else has imported into the Keycloak at base.
func At(base, name string) *Realm {
	return &Realm{Base: base, Name: name, Issuer: base + "/realms/" + name, http: &http.Client{
		Timeout:       time.Minute,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// Import sends a realm file to the admin API, and returns the answer's status.
func (r *Realm) Import(t testing.TB, file json.RawMessage) int {
	t.Helper()
	return r.call(t, http.MethodPost, "/admin/realms", file, nil)
}

// File is the realm file that New imports, for a realm of the given name.
func File(t testing.TB, name string) json.RawMessage {
	t.Helper()
	b, err := realm.JSON(realm.Config{
		Name: name, URL: PageURL, Development: true,
		WatcherSecret: WatcherSecret, ImportSecret: ImportSecret, DemoPassword: Password,
	})
	require.NoError(t, err)
	var rep map[string]any
	require.NoError(t, json.Unmarshal(b, &rep))
	var users []any
	for _, u := range rep["users"].([]any) {
		u := u.(map[string]any)
		delete(u, "id") // ids are the server's, not the realm's
		if name, _ := u["username"].(string); !strings.HasPrefix(name, "load-") {
			users = append(users, u) // each costs the time that its password's hash takes
		}
	}
	rep["users"] = users
	b, err = json.Marshal(rep)
	require.NoError(t, err)
	return b
}

// Admin calls the realm's admin API: path comes after /admin/realms/NAME. in
// (nil: no body) is sent as JSON, and the answer decoded into out (nil: not
// wanted). It returns the answer's status.
func (r *Realm) Admin(t testing.TB, method, path string, in, out any) int {
	t.Helper()
	return r.call(t, method, "/admin/realms/"+r.Name+path, in, out)
}

func (r *Realm) call(t testing.TB, method, path string, in, out any) int {
	t.Helper()
	body, err := json.Marshal(in)
	require.NoError(t, err)
	if in == nil {
		body = nil
	}
	// Not the test's context: realms are removed after its end.
	req, err := http.NewRequest(method, r.Base+path, bytes.NewReader(body)) //nolint:noctx // bounded by the client's timeout
	require.NoError(t, err)
	req.Header.Set("Authorization", "Bearer "+r.admin(t))
	req.Header.Set("Content-Type", "application/json")
	resp, err := r.http.Do(req)
	require.NoError(t, err)
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	require.Less(t, resp.StatusCode, 500, "%s %s: %s", method, path, answer)
	if resp.StatusCode >= 400 {
		t.Logf("%s %s: %d %s", method, path, resp.StatusCode, answer)
	} else if out != nil {
		require.NoError(t, json.Unmarshal(answer, out), "%s %s: %s", method, path, answer)
	}
	return resp.StatusCode
}

// admin is a token of the server's administrator, who lives in another realm.
func (r *Realm) admin(t testing.TB) string {
	t.Helper()
	if time.Now().Before(r.until) {
		return r.token
	}
	var answer Tokens
	status := r.post(t, r.Base+"/realms/master/protocol/openid-connect/token", url.Values{
		"grant_type": {"password"}, "client_id": {"admin-cli"}, "username": {"admin"}, "password": {"admin"},
	}, &answer)
	require.Equal(t, http.StatusOK, status, "login of the administrator")
	r.token, r.until = answer.Access, time.Now().Add(20*time.Second)
	return r.token
}

func (r *Realm) post(t testing.TB, endpoint string, form url.Values, out any) int {
	t.Helper()
	req, err := http.NewRequest(http.MethodPost, endpoint, strings.NewReader(form.Encode())) //nolint:noctx // bounded by the client's timeout
	require.NoError(t, err)
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	resp, err := r.http.Do(req)
	require.NoError(t, err)
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	if out != nil && len(b) > 0 {
		require.NoError(t, json.Unmarshal(b, out), "%s: %s", endpoint, b)
	}
	return resp.StatusCode
}

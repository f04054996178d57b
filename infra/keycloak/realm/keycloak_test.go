//go:build integration

package realm_test

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/chat-platform/chat/events"
	"github.com/chat-platform/chat/infra/keycloak/keycloaktest"
	"github.com/chat-platform/chat/infra/keycloak/realm"
	"github.com/chat-platform/chat/infra/oidc"
	"github.com/chat-platform/chat/infra/servertest"
	"github.com/chat-platform/chat/local/issuer"
)

func TestMain(m *testing.M) { servertest.Main(m) }

func verifier(r *keycloaktest.Realm) *oidc.Verifier {
	return oidc.New(oidc.Config{Issuer: r.Issuer, Audience: "chat"})
}

func challenge(method string) url.Values {
	v, c := keycloaktest.PKCE()
	if method == "plain" {
		c = v
	}
	return url.Values{"code_challenge": {c}, "code_challenge_method": {method}}
}

// The tokens of a login by code and PKCE carry what the platform reads.
func TestLogin(t *testing.T) {
	r := keycloaktest.New(t)
	id := r.CreateUser(t, "zoe@example.com", events.RoleImport)
	v := verifier(r)
	tokens := r.Login(t, "zoe@example.com")
	require.InDelta(t, 300, tokens.ExpiresIn, 5)
	caller, err := v.Verify(t.Context(), tokens.Access)
	require.NoError(t, err)
	require.Equal(t, events.UserID(id), caller.User)
	require.Equal(t, "zoe@example.com", caller.Name)
	require.Equal(t, []string{events.RoleImport}, caller.Roles)
	require.WithinDuration(t, time.Now().Add(5*time.Minute), caller.Expires, time.Minute)

	access, ident := claims(t, tokens.Access), claims(t, tokens.ID)
	require.Equal(t, "chat", access["aud"])
	require.Equal(t, "chat", access["azp"])
	require.NotEmpty(t, access["sid"])
	require.Equal(t, access["sid"], ident["sid"])
	require.Equal(t, "of the test, too", ident["nonce"])
	require.Equal(t, id, ident["sub"])
	require.NotContains(t, access, "email", "nothing that nobody needs")

	plain, err := v.Verify(t.Context(), r.Login(t, "alice").Access)
	require.NoError(t, err)
	require.Equal(t, events.UserID(r.UserID(t, "alice")), plain.User)
	require.Empty(t, plain.Roles)
	require.Equal(t, "Alice", claims(t, r.Login(t, "alice").ID)["name"])
}

// A refresh token is good for one renewal, and for none after the logout.
func TestRefresh(t *testing.T) {
	r := keycloaktest.New(t)
	v := verifier(r)
	first := r.Login(t, "alice")
	second := r.Refresh(t, first.Refresh)
	require.Empty(t, second.Error, second.Description)
	require.NotEqual(t, first.Refresh, second.Refresh)
	_, err := v.Verify(t.Context(), second.Access)
	require.NoError(t, err)
	require.Equal(t, "invalid_grant", r.Refresh(t, first.Refresh).Error, "used twice")

	tokens := r.Login(t, "bob")
	r.Logout(t, tokens.ID)
	require.Equal(t, "invalid_grant", r.Refresh(t, tokens.Refresh).Error, "after the logout")
}

// Tabs of one browser, whose second login asks nobody for a password, renew their
// tokens side by side. A refresh token that comes twice ends both.
func TestTabs(t *testing.T) {
	r := keycloaktest.New(t)
	browser := r.Browser(t)
	one, other := browser.Login(t, "alice"), browser.Login(t, "alice")
	used := one.Refresh
	<-time.After(1100 * time.Millisecond) // Keycloak tells a used token by the second of its issue
	for range 2 {
		one, other = r.Refresh(t, one.Refresh), r.Refresh(t, other.Refresh)
		require.Empty(t, one.Error, one.Description)
		require.Empty(t, other.Error, other.Description)
	}
	require.Equal(t, "invalid_grant", r.Refresh(t, used).Error)
	require.Equal(t, "invalid_grant", r.Refresh(t, one.Refresh).Error)
	require.Equal(t, "invalid_grant", r.Refresh(t, other.Refresh).Error)
	again := r.Refresh(t, browser.Login(t, "alice").Refresh)
	require.Empty(t, again.Error, "the browser itself stays logged in: %s", again.Description)
}

// Whatever else Keycloak signs is not let in.
func TestOtherTokensAreRefused(t *testing.T) {
	r := keycloaktest.New(t)
	v := verifier(r)
	tokens := r.Login(t, "alice")
	watcher := r.Token(t, url.Values{"grant_type": {"client_credentials"}, "client_id": {"chat-watcher"}, "client_secret": {keycloaktest.WatcherSecret}})
	require.NotEmpty(t, watcher.Access, watcher.Description)
	other := keycloaktest.New(t)
	for what, token := range map[string]string{
		"an ID token": tokens.ID, "a refresh token": tokens.Refresh,
		"a token of another audience": watcher.Access, "a token of another realm": other.Login(t, "alice").Access,
		"an altered token": tokens.Access[:len(tokens.Access)-6] + "AAAAAA",
	} {
		_, err := v.Verify(t.Context(), token)
		require.ErrorIs(t, err, events.ErrUnauthenticated, what)
	}
	later := oidc.New(oidc.Config{Issuer: r.Issuer, Now: func() time.Time { return time.Now().Add(6 * time.Minute) }})
	_, err := later.Verify(t.Context(), tokens.Access)
	require.ErrorIs(t, err, oidc.ErrTokenExpired)
}

func TestKeyRotation(t *testing.T) {
	r := keycloaktest.New(t)
	v := verifier(r)
	old := r.Login(t, "alice")
	_, err := v.Verify(t.Context(), old.Access)
	require.NoError(t, err)
	r.RotateKeys(t)
	renewed := r.Refresh(t, old.Refresh)
	require.Empty(t, renewed.Error, renewed.Description)
	require.NotEqual(t, header(t, old.Access)["kid"], header(t, renewed.Access)["kid"])
	// A verifier asks for keys at most every five seconds.
	require.Eventually(t, func() bool {
		_, err := v.Verify(t.Context(), renewed.Access)
		return err == nil
	}, time.Minute, 50*time.Millisecond)
	_, err = verifier(r).Verify(t.Context(), old.Access)
	require.NoError(t, err, "the old key is published as long as its tokens live")
}

// The page's client gives codes with PKCE S256 to the page's address only, and
// tokens for nothing else.
func TestPageClientIsNarrow(t *testing.T) {
	r := keycloaktest.New(t)
	for what, more := range map[string]url.Values{
		"no challenge": {}, "plain": challenge("plain"), "a challenge without its method": {"code_challenge": challenge("S256")["code_challenge"]},
	} {
		back := r.Authorize(t, "alice", keycloaktest.Password, more)
		require.Equal(t, "invalid_request", back.Get("error"), "%s: %v", what, back)
		require.Equal(t, "of the test", back.Get("state"), what)
	}
	back := r.Authorize(t, "alice", keycloaktest.Password, url.Values{"response_type": {"token"}, "response_mode": {"query"}})
	require.Empty(t, back.Get("access_token"))

	elsewhere := challenge("S256")
	elsewhere.Set("redirect_uri", "https://evil.example/")
	require.Equal(t, "400", r.Authorize(t, "alice", keycloaktest.Password, elsewhere).Get("status"))
	require.Equal(t, "200", r.Authorize(t, "alice", "wrong", challenge("S256")).Get("status"), "the form again")

	verifier, c := keycloaktest.PKCE()
	back = r.Authorize(t, "alice", keycloaktest.Password, url.Values{"code_challenge": {c}, "code_challenge_method": {"S256"}})
	require.NotEmpty(t, back.Get("code"))
	exchange := url.Values{"grant_type": {"authorization_code"}, "client_id": {"chat"}, "redirect_uri": {keycloaktest.PageURL + "/"}, "code": {back.Get("code")}}
	require.NotEmpty(t, r.Token(t, exchange).Error, "without the verifier")
	exchange.Set("code_verifier", verifier)
	require.NotEmpty(t, r.Token(t, exchange).Error, "a code that was tried before")

	for _, grant := range []url.Values{
		{"grant_type": {"password"}, "username": {"alice"}, "password": {keycloaktest.Password}}, {"grant_type": {"client_credentials"}},
	} {
		grant.Set("client_id", "chat")
		require.Contains(t, []string{"unauthorized_client", "invalid_client"}, r.Token(t, grant).Error, grant.Get("grant_type"))
	}
}

// The services' clients can do what they are for, and no more.
func TestServices(t *testing.T) {
	r := keycloaktest.New(t)
	importer := r.Token(t, url.Values{"grant_type": {"client_credentials"}, "client_id": {"chat-import"}, "client_secret": {keycloaktest.ImportSecret}})
	caller, err := verifier(r).Verify(t.Context(), importer.Access)
	require.NoError(t, err)
	require.True(t, caller.Has(events.RoleImport))
	require.Equal(t, "service-account-chat-import", caller.Name)

	at, err := issuer.NewClient(t.Context(), http.DefaultClient, r.Issuer)
	require.NoError(t, err)
	_, err = at.Password(t.Context(), "corpus-importer")
	require.ErrorIs(t, err, events.ErrInvalid, "without a password")
	at.Secret = keycloaktest.Password
	tokens, err := at.Password(t.Context(), "corpus-importer", events.RoleImport)
	require.NoError(t, err)
	tools, err := verifier(r).Verify(t.Context(), tokens.AccessToken)
	require.NoError(t, err)
	require.Equal(t, events.Caller{User: events.UserID(r.UserID(t, "corpus-importer")), Name: "corpus-importer", Roles: []string{events.RoleImport}, Expires: tools.Expires, Issued: tools.Issued, Session: tools.Session}, tools)

	carol := r.UserID(t, "carol")
	r.SetEnabled(t, carol, false)
	watcher := r.Token(t, url.Values{"grant_type": {"client_credentials"}, "client_id": {"chat-watcher"}, "client_secret": {keycloaktest.WatcherSecret}})
	var found []struct{ OperationType, ResourcePath, Representation string }
	require.Equal(t, http.StatusOK, get(t, watcher.Access, r.Base+"/admin/realms/"+r.Name+"/admin-events?resourceTypes=USER", &found))
	require.Len(t, found, 1)
	require.Equal(t, "users/"+carol, found[0].ResourcePath)
	require.Contains(t, found[0].Representation, `"enabled":false`)
	require.Equal(t, http.StatusOK, get(t, watcher.Access, r.Base+"/admin/realms/"+r.Name+"/users/"+carol, nil))
	for path, token := range map[string]string{"/clients": watcher.Access, "/identity-provider/instances": watcher.Access, "/users": importer.Access} {
		require.Equal(t, http.StatusForbidden, get(t, token, r.Base+"/admin/realms/"+r.Name+path, nil), path)
	}
	for _, secret := range []string{"", "development", "wrong"} {
		require.NotEmpty(t, r.Token(t, url.Values{"grant_type": {"client_credentials"}, "client_id": {"chat-watcher"}, "client_secret": {secret}}).Error)
	}
}

// Whoever guesses is locked out, and only from the one whom they guess at.
func TestGuessing(t *testing.T) {
	r := keycloaktest.New(t)
	guess := url.Values{"grant_type": {"password"}, "client_id": {"chat-tools"}, "username": {"alice"}, "password": {"wrong"}}
	for range 10 {
		require.Equal(t, "invalid_grant", r.Token(t, guess).Error)
	}
	var state struct{ Disabled bool }
	require.Eventually(t, func() bool {
		r.Admin(t, http.MethodGet, "/attack-detection/brute-force/users/"+r.UserID(t, "alice"), nil, &state)
		return state.Disabled
	}, time.Minute, 100*time.Millisecond)
	guess.Set("password", keycloaktest.Password)
	require.Equal(t, "invalid_grant", r.Token(t, guess).Error)
	require.NotEmpty(t, r.Password(t, "bob").Access)
}

// Another import of a realm that is there leaves it alone.
func TestImportTwice(t *testing.T) {
	r := keycloaktest.New(t)
	id := r.CreateUser(t, "dora")
	require.Equal(t, http.StatusConflict, r.Import(t, keycloaktest.File(t, r.Name)))
	require.Equal(t, id, r.UserID(t, "dora"))
	_, err := verifier(r).Verify(t.Context(), r.Login(t, "dora").Access)
	require.NoError(t, err)
}

// Keycloak's own import at start-up takes the file as it lies in the repository:
// it puts the page's address in and makes up the secrets. At the next start it
// finds the realm there and lets it be. This one has a public address, at which
// nothing of ours reaches it.
func TestStartUpImport(t *testing.T) {
	file, err := filepath.Abs("chat-realm.json")
	require.NoError(t, err)
	require.FileExists(t, file)
	srv := servertest.Start(t, servertest.ProductKeycloak,
		servertest.File(file, "/opt/keycloak/data/import/chat-realm.json"), servertest.Env("CHAT_URL", "https://chat.example.com"),
		servertest.Env("KC_HOSTNAME", "https://id.example.com"), servertest.Env("KC_HOSTNAME_BACKCHANNEL_DYNAMIC", "true"))
	r := keycloaktest.At(srv.Address(), "chat")
	secrets := func() map[string]string {
		var clients []client
		require.Equal(t, http.StatusOK, r.Admin(t, http.MethodGet, "/clients", nil, &clients))
		found := map[string]string{}
		for _, c := range clients {
			if c.ClientID == "chat" {
				require.Equal(t, []string{"https://chat.example.com/"}, c.RedirectURIs)
			} else if c.Secret != nil {
				found[c.ClientID] = *c.Secret
			}
		}
		return found
	}
	made := secrets()
	require.GreaterOrEqual(t, len(made["chat-watcher"]), realm.MinSecret)
	require.NotEqual(t, made["chat-watcher"], made["chat-import"])

	token := r.Token(t, url.Values{"grant_type": {"client_credentials"}, "client_id": {"chat-import"}, "client_secret": {made["chat-import"]}})
	v := oidc.New(oidc.Config{Issuer: "https://id.example.com/realms/chat", DiscoveryURL: r.Issuer})
	caller, err := v.Verify(t.Context(), token.Access)
	require.NoError(t, err)
	require.True(t, caller.Has(events.RoleImport))
	_, err = verifier(r).Verify(t.Context(), token.Access)
	require.Error(t, err, "the inner address is nobody's issuer")

	require.Equal(t, http.StatusBadRequest, r.Admin(t, http.MethodPost, "/users", map[string]any{
		"username": "short", "credentials": []map[string]any{{"type": "password", "value": "short"}},
	}, nil), "a password below the policy")
	require.Equal(t, http.StatusCreated, r.Admin(t, http.MethodPost, "/users", map[string]any{"username": "dora"}, nil))

	require.Equal(t, "https://chat.example.com", allowed(t, r, "https://chat.example.com"), "the page may read the answers")
	require.Empty(t, allowed(t, r, "https://evil.example"))

	srv.Stop(t)
	srv.Restart(t)
	require.Equal(t, made, secrets())
	require.NotEmpty(t, r.UserID(t, "dora"))
}

// allowed is the origin whose pages may read what the token endpoint answers to
// one of the given origin.
func allowed(t *testing.T, r *keycloaktest.Realm, origin string) string {
	t.Helper()
	form := url.Values{"grant_type": {"refresh_token"}, "client_id": {"chat"}, "refresh_token": {"none"}}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, r.Issuer+"/protocol/openid-connect/token", strings.NewReader(form.Encode()))
	require.NoError(t, err)
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Origin", origin)
	resp, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	defer resp.Body.Close()
	return resp.Header.Get("Access-Control-Allow-Origin")
}

func get(t *testing.T, token, target string, out any) int {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, target, nil)
	require.NoError(t, err)
	req.Header.Set("Authorization", "Bearer "+token)
	resp, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	defer resp.Body.Close()
	if out != nil && resp.StatusCode == http.StatusOK {
		require.NoError(t, json.NewDecoder(resp.Body).Decode(out))
	}
	return resp.StatusCode
}

// claims are a token's, unverified.
func claims(t *testing.T, token string) map[string]any { return part(t, token, 1) }

func header(t *testing.T, token string) map[string]any { return part(t, token, 0) }

func part(t *testing.T, token string, n int) map[string]any {
	t.Helper()
	parts := strings.Split(token, ".")
	require.Len(t, parts, 3)
	b, err := base64.RawURLEncoding.DecodeString(parts[n])
	require.NoError(t, err)
	var m map[string]any
	require.NoError(t, json.Unmarshal(b, &m))
	return m
}

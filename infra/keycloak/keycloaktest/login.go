package keycloaktest

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"html"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Tokens is the token endpoint's answer, or its refusal.
type Tokens struct {
	Access           string `json:"access_token"`
	Refresh          string `json:"refresh_token"`
	ID               string `json:"id_token"`
	ExpiresIn        int    `json:"expires_in"`         // seconds
	RefreshExpiresIn int    `json:"refresh_expires_in"` // seconds
	Error            string `json:"error"`
	Description      string `json:"error_description"`
}

var formAction = regexp.MustCompile(`<form[^>]*id="kc-form-login"[^>]*action="([^"]*)"`)

// Browser keeps Keycloak's cookies: whoever has logged in with it is not asked
// again.
type Browser struct {
	realm *Realm
	http  *http.Client
}

// Browser is a new one.
func (r *Realm) Browser(t testing.TB) *Browser {
	t.Helper()
	jar, err := cookiejar.New(nil)
	require.NoError(t, err)
	return &Browser{realm: r, http: &http.Client{Timeout: time.Minute, Jar: jar, CheckRedirect: r.http.CheckRedirect}}
}

// Authorize goes through an authorization request of the page, logs the user in
// where the form is shown, and returns what the browser is sent back with. more
// overrides the request's parameters; an empty value removes one.
func (b *Browser) Authorize(t testing.TB, user, password string, more url.Values) url.Values {
	t.Helper()
	params := url.Values{
		"client_id": {"chat"}, "redirect_uri": {PageURL + "/"}, "response_type": {"code"}, "scope": {"openid profile"},
		"state": {"of the test"}, "nonce": {"of the test, too"},
	}
	for k, v := range more {
		params[k] = v
		if v[0] == "" {
			delete(params, k)
		}
	}
	got := b.visit(t, http.MethodGet, b.realm.Issuer+"/protocol/openid-connect/auth?"+params.Encode(), "")
	if got.status == http.StatusOK {
		form := formAction.FindSubmatch(got.body)
		require.NotNil(t, form, "Keycloak shows no login form: %s", got.body)
		got = b.visit(t, http.MethodPost, html.UnescapeString(string(form[1])),
			url.Values{"username": {user}, "password": {password}}.Encode())
	}
	if got.location == "" {
		return url.Values{"status": {strconv.Itoa(got.status)}}
	}
	require.True(t, strings.HasPrefix(got.location, PageURL+"/"), "sent to %s", got.location)
	back, err := url.Parse(got.location)
	require.NoError(t, err)
	return back.Query()
}

type answer struct {
	status   int
	location string
	body     []byte
}

func (b *Browser) visit(t testing.TB, method, target, form string) answer {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, target, strings.NewReader(form))
	require.NoError(t, err)
	if form != "" {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	resp, err := b.http.Do(req)
	require.NoError(t, err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return answer{resp.StatusCode, resp.Header.Get("Location"), body}
}

// Authorize is that of a new browser.
func (r *Realm) Authorize(t testing.TB, user, password string, more url.Values) url.Values {
	t.Helper()
	return r.Browser(t).Authorize(t, user, password, more)
}

// Login logs a user in with a new browser.
func (r *Realm) Login(t testing.TB, user string) Tokens {
	t.Helper()
	return r.Browser(t).Login(t, user)
}

// Login logs a user in by authorization code and PKCE, as the page does.
func (b *Browser) Login(t testing.TB, user string) Tokens {
	t.Helper()
	verifier, challenge := PKCE()
	back := b.Authorize(t, user, Password, url.Values{"code_challenge": {challenge}, "code_challenge_method": {"S256"}})
	require.NotEmpty(t, back.Get("code"), "the login of %s gave no code: %v", user, back)
	tokens := b.realm.Token(t, url.Values{
		"grant_type": {"authorization_code"}, "client_id": {"chat"}, "redirect_uri": {PageURL + "/"},
		"code": {back.Get("code")}, "code_verifier": {verifier},
	})
	require.Empty(t, tokens.Error, tokens.Description)
	return tokens
}

// Refresh renews tokens, as the page does.
func (r *Realm) Refresh(t testing.TB, refresh string) Tokens {
	t.Helper()
	return r.Token(t, url.Values{"grant_type": {"refresh_token"}, "client_id": {"chat"}, "refresh_token": {refresh}})
}

// Logout ends the session of tokens, as the page does.
func (r *Realm) Logout(t testing.TB, idToken string) {
	t.Helper()
	got := r.Browser(t).visit(t, http.MethodGet, r.Issuer+"/protocol/openid-connect/logout?"+url.Values{
		"client_id": {"chat"}, "id_token_hint": {idToken}, "post_logout_redirect_uri": {PageURL + "/"},
	}.Encode(), "")
	require.Equal(t, http.StatusFound, got.status)
	require.Equal(t, PageURL+"/", got.location)
}

// Token asks the token endpoint. Look at the answer's Error.
func (r *Realm) Token(t testing.TB, form url.Values) Tokens {
	t.Helper()
	var tokens Tokens
	r.post(t, r.Issuer+"/protocol/openid-connect/token", form, &tokens)
	return tokens
}

// Password gets tokens for a name and a password by the development client for
// tools.
func (r *Realm) Password(t testing.TB, user string) Tokens {
	t.Helper()
	tokens := r.Token(t, url.Values{
		"grant_type": {"password"}, "client_id": {"chat-tools"}, "scope": {"openid"}, "username": {user}, "password": {Password},
	})
	require.Empty(t, tokens.Error, tokens.Description)
	return tokens
}

// PKCE makes a verifier and its challenge.
func PKCE() (verifier, challenge string) {
	verifier = rand.Text() + rand.Text()
	sum := sha256.Sum256([]byte(verifier))
	return verifier, base64.RawURLEncoding.EncodeToString(sum[:])
}

package issuer_test

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/chat-platform/chat/events"
	"github.com/chat-platform/chat/infra/oidc"
	"github.com/chat-platform/chat/local/issuer"
)

// world is an issuer that serves, with a clock of its own.
type world struct {
	*issuer.Issuer
	base, dir string
	skew      *atomic.Int64
	client    *http.Client // follows no redirect
}

func (w *world) pass(d time.Duration) { w.skew.Add(int64(d)) }

func (w *world) now() time.Time { return time.Now().Add(time.Duration(w.skew.Load())) }

func serve(tb testing.TB, dir string) *world {
	tb.Helper()
	mux := http.NewServeMux()
	srv := httptest.NewServer(mux)
	tb.Cleanup(srv.Close)
	w := &world{base: srv.URL, dir: dir, skew: &atomic.Int64{}, client: &http.Client{
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
	var err error
	w.Issuer, err = issuer.New(issuer.Config{BaseURL: srv.URL, Listener: srv.Listener.Addr(), Dir: dir, Now: w.now})
	require.NoError(tb, err)
	mux.Handle("/dev/", w.Handler())
	return w
}

func (w *world) verifier() *oidc.Verifier { return oidc.New(oidc.Config{Issuer: w.URL(), Now: w.now}) }

type answer struct {
	status int
	header http.Header
	body   string
	issuer.Token
	Error       string `json:"error"`
	Description string `json:"error_description"`
}

func (w *world) do(tb testing.TB, method, path string, form url.Values, header ...string) answer {
	tb.Helper()
	var body io.Reader
	if form != nil {
		body = strings.NewReader(form.Encode())
	}
	req, err := http.NewRequestWithContext(tb.Context(), method, w.base+path, body)
	require.NoError(tb, err)
	if form != nil {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for i := 0; i < len(header); i += 2 {
		if header[i] == "Host" {
			req.Host = header[i+1]
		} else {
			req.Header.Set(header[i], header[i+1])
		}
	}
	resp, err := w.client.Do(req)
	require.NoError(tb, err)
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	require.NoError(tb, err)
	a := answer{status: resp.StatusCode, header: resp.Header, body: string(b)}
	if resp.Header.Get("Content-Type") == "application/json" {
		require.NoError(tb, json.Unmarshal(b, &a))
	}
	return a
}

func (w *world) token(tb testing.TB, pairs ...string) answer {
	tb.Helper()
	form := url.Values{}
	for i := 0; i < len(pairs); i += 2 {
		form.Set(pairs[i], pairs[i+1])
	}
	return w.do(tb, "POST", "/dev/token", form)
}

const redirect = "http://127.0.0.1:9/app"

func challenge(verifier string) string {
	sum := sha256.Sum256([]byte(verifier))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

func authRequest(changes ...string) url.Values {
	v := url.Values{
		"client_id": {"chat-web"}, "redirect_uri": {redirect}, "response_type": {"code"}, "scope": {"openid profile"},
		"state": {"s&1"}, "nonce": {"n1"}, "code_challenge": {challenge("verifier-1")}, "code_challenge_method": {"S256"},
	}
	for i := 0; i < len(changes); i += 2 {
		if v.Set(changes[i], changes[i+1]); changes[i+1] == "" {
			v.Del(changes[i])
		}
	}
	return v
}

// code logs in and gives the code that comes back.
func (w *world) code(tb testing.TB, user string) string {
	tb.Helper()
	form := authRequest()
	form.Set("username", user)
	a := w.do(tb, "POST", "/dev/authorize", form)
	require.Equal(tb, http.StatusSeeOther, a.status, a.body)
	u, err := url.Parse(a.header.Get("Location"))
	require.NoError(tb, err)
	require.Equal(tb, "127.0.0.1:9", u.Host)
	require.Equal(tb, "s&1", u.Query().Get("state"))
	require.Equal(tb, w.URL(), u.Query().Get("iss"))
	require.NotEmpty(tb, u.Query().Get("code"))
	return u.Query().Get("code")
}

func (w *world) exchange(tb testing.TB, code string, changes ...string) answer {
	tb.Helper()
	form := url.Values{"grant_type": {"authorization_code"}, "code": {code}, "client_id": {"chat-web"}, "redirect_uri": {redirect}, "code_verifier": {"verifier-1"}}
	for i := 0; i < len(changes); i += 2 {
		form.Set(changes[i], changes[i+1])
	}
	return w.do(tb, "POST", "/dev/token", form)
}

func claimsOf(tb testing.TB, token string) map[string]any {
	tb.Helper()
	b, err := base64.RawURLEncoding.DecodeString(strings.Split(token, ".")[1])
	require.NoError(tb, err)
	var c map[string]any
	require.NoError(tb, json.Unmarshal(b, &c))
	return c
}

func TestRefusesToRun(t *testing.T) {
	loop := &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 8080}
	for _, c := range []struct {
		name, want string
		cfg        issuer.Config
	}{
		{"no listener", "loopback only", issuer.Config{BaseURL: "http://localhost:8080"}},
		{"every interface", "loopback only", issuer.Config{BaseURL: "http://localhost:8080", Listener: &net.TCPAddr{IP: net.IPv6unspecified}}},
		{"a network address", "192.0.2.7:80: set LISTEN_ADDRESS", issuer.Config{BaseURL: "http://localhost:8080", Listener: &net.TCPAddr{IP: net.IPv4(192, 0, 2, 7), Port: 80}}},
		{"a unix socket", "loopback only", issuer.Config{BaseURL: "http://localhost:8080", Listener: &net.UnixAddr{Name: "/tmp/x"}}},
		{"no base URL", `base URL is ""`, issuer.Config{Listener: loop}},
		{"base URL with a path", "base URL is", issuer.Config{Listener: loop, BaseURL: "http://localhost/app"}},
		{"lifetime", "DEV_TOKEN_LIFETIME is 48h0m0s", issuer.Config{Listener: loop, BaseURL: "http://localhost", TokenLifetime: 48 * time.Hour}},
		{"no folder", "signing key", issuer.Config{Listener: loop, BaseURL: "http://localhost", Dir: "/nowhere/at/all"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := issuer.New(c.cfg)
			require.ErrorContains(t, err, c.want)
		})
	}
	_, err := issuer.New(issuer.Config{BaseURL: "http://localhost:8080/", Listener: &net.TCPAddr{IP: net.IPv6loopback}, Dir: t.TempDir()})
	require.NoError(t, err)
}

func TestPasswordTokenIsVerified(t *testing.T) {
	w := serve(t, t.TempDir())
	tok, err := issuer.PasswordToken(t.Context(), http.DefaultClient, w.URL(), "Zoë x", "chat-import", "other")
	require.NoError(t, err)
	require.Equal(t, "chat-import", tok.Scope)
	require.Equal(t, 600, tok.ExpiresIn)
	caller, err := w.verifier().Verify(t.Context(), tok.AccessToken)
	require.NoError(t, err)
	require.Equal(t, events.UserID("Zoë x"), caller.User)
	require.Equal(t, "Zoë x", caller.Name)
	require.True(t, caller.Has(events.RoleImport))
	require.WithinDuration(t, time.Now().Add(10*time.Minute), caller.Expires, 5*time.Second)

	c := claimsOf(t, tok.AccessToken)
	for _, name := range []string{"iss", "aud", "sub", "preferred_username", "name", "iat", "exp", "jti", "azp", "sid", "typ"} {
		require.NotEmpty(t, c[name], name)
	}
	plain, err := issuer.PasswordToken(t.Context(), http.DefaultClient, w.URL(), "bob")
	require.NoError(t, err)
	caller, err = w.verifier().Verify(t.Context(), plain.AccessToken)
	require.NoError(t, err)
	require.Empty(t, caller.Roles)
	for name, other := range map[string]string{"refresh": plain.RefreshToken} {
		_, err = w.verifier().Verify(t.Context(), other)
		require.ErrorIs(t, err, events.ErrUnauthenticated, "a %s token is no access token", name)
	}
}

// An issuer of another kind gets a password, and only scopes that it knows.
func TestClientOfAnotherIssuer(t *testing.T) {
	var asked url.Values
	var scopes []string
	mux := http.NewServeMux()
	srv := httptest.NewServer(mux)
	defer srv.Close()
	mux.HandleFunc("GET /.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(map[string]any{"token_endpoint": srv.URL + "/token", "scopes_supported": scopes})
	})
	mux.HandleFunc("POST /token", func(w http.ResponseWriter, r *http.Request) {
		_ = r.ParseForm()
		asked = r.PostForm
		_ = json.NewEncoder(w).Encode(map[string]any{"access_token": "a", "expires_in": 300})
	})
	for _, tt := range []struct {
		known []string
		scope string
	}{{nil, "chat-import openid"}, {[]string{"openid", "email"}, "openid"}, {[]string{"email"}, ""}} {
		scopes = tt.known
		c, err := issuer.NewClient(t.Context(), http.DefaultClient, srv.URL)
		require.NoError(t, err)
		c.Secret = "sesame"
		_, err = c.Password(t.Context(), "bob", events.RoleImport, "openid")
		require.NoError(t, err)
		require.Equal(t, "sesame", asked.Get("password"))
		require.Equal(t, tt.scope, asked.Get("scope"))
	}
}

func TestClientErrors(t *testing.T) {
	w := serve(t, t.TempDir())
	_, err := issuer.PasswordToken(t.Context(), http.DefaultClient, w.URL(), "")
	require.ErrorIs(t, err, events.ErrInvalid)
	require.ErrorContains(t, err, "invalid_request")
	_, err = issuer.PasswordToken(t.Context(), http.DefaultClient, "http://127.0.0.1:1", "bob")
	require.ErrorIs(t, err, events.ErrUnavailable)
	_, err = issuer.PasswordToken(t.Context(), http.DefaultClient, w.base, "bob")
	require.ErrorContains(t, err, "status 404")
	_, err = issuer.PasswordToken(t.Context(), http.DefaultClient, "::", "bob")
	require.Error(t, err)
}

func TestTokensSurviveARestart(t *testing.T) {
	dir := t.TempDir()
	first := serve(t, dir)
	info, err := os.Stat(filepath.Join(dir, "issuer-key.pem"))
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
	keys := first.do(t, "GET", "/dev/keys", nil)
	require.NotContains(t, keys.body, `"d"`, "the private part stays here")
	second := serve(t, dir)
	require.Equal(t, keys.body, second.do(t, "GET", "/dev/keys", nil).body)
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Len(t, entries, 1, "no temporary file is left")
}

func TestBadKeyFile(t *testing.T) {
	for _, content := range []string{"", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"} {
		dir := t.TempDir()
		require.NoError(t, os.WriteFile(filepath.Join(dir, "issuer-key.pem"), []byte(content), 0o600))
		_, err := issuer.New(issuer.Config{BaseURL: "http://localhost", Listener: &net.TCPAddr{IP: net.IPv6loopback}, Dir: dir})
		require.ErrorContains(t, err, "issuer-key.pem")
	}
}

func TestAuthorizationCode(t *testing.T) {
	w := serve(t, t.TempDir())
	form := w.do(t, "GET", "/dev/authorize?"+authRequest("login_hint", `a"<b>`).Encode(), nil)
	require.Equal(t, 200, form.status)
	require.Contains(t, form.body, `<label for="username">`)
	require.Contains(t, form.body, `value="a&#34;&lt;b&gt;"`)
	require.Contains(t, form.header.Get("Content-Security-Policy"), "form-action 'self' http://127.0.0.1:9;")

	code := w.code(t, " alice ")
	tok := w.exchange(t, code)
	require.Equal(t, 200, tok.status, tok.body)
	require.Equal(t, "no-store", tok.header.Get("Cache-Control"))
	caller, err := w.verifier().Verify(t.Context(), tok.AccessToken)
	require.NoError(t, err)
	require.Equal(t, events.UserID("alice"), caller.User)
	id := claimsOf(t, tok.IDToken)
	require.Equal(t, "n1", id["nonce"])
	require.Equal(t, "chat-web", id["aud"])
	_, err = w.verifier().Verify(t.Context(), tok.IDToken)
	require.ErrorIs(t, err, events.ErrUnauthenticated)

	require.Equal(t, "invalid_grant", w.exchange(t, code).Error, "a code counts once")
	for name, change := range map[string][]string{
		"other client":      {"client_id", "evil"},
		"other redirect":    {"redirect_uri", "http://127.0.0.1:9/other"},
		"other verifier":    {"code_verifier", "verifier-2"},
		"no verifier":       {"code_verifier", ""},
		"an unknown code":   {"code", "x"},
		"an empty code":     {"code", ""},
		"verifier as given": {"code_verifier", challenge("verifier-1")},
	} {
		a := w.exchange(t, w.code(t, "alice"), change...)
		require.Equal(t, 400, a.status, name)
		require.Equal(t, "invalid_grant", a.Error, name)
		require.NotEmpty(t, a.Description, name)
	}
	late := w.code(t, "alice")
	w.pass(61 * time.Second)
	require.Equal(t, "invalid_grant", w.exchange(t, late).Error, "a code lives for a minute")
}

func TestAuthorizeRefusals(t *testing.T) {
	w := serve(t, t.TempDir())
	for _, c := range []struct{ name, key, value, shown, sent string }{
		{"far redirect", "redirect_uri", "https://evil.example/", "redirect_uri", ""},
		{"script redirect", "redirect_uri", "javascript:alert(1)", "redirect_uri", ""},
		{"redirect with a user", "redirect_uri", "http://localhost@evil.example/", "redirect_uri", ""},
		{"no redirect", "redirect_uri", "", "redirect_uri", ""},
		{"no client", "client_id", "", "client_id", ""},
		{"long", "state", strings.Repeat("s", 5000), "too long", ""},
		{"token flow", "response_type", "token", "", "unsupported_response_type"},
		{"no PKCE", "code_challenge", "", "", "invalid_request"},
		{"plain PKCE", "code_challenge_method", "plain", "", "invalid_request"},
		{"silent", "prompt", "none", "", "login_required"},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, method := range []string{"GET", "POST"} {
				v := authRequest(c.key, c.value)
				var a answer
				if method == "GET" {
					a = w.do(t, method, "/dev/authorize?"+v.Encode(), nil)
				} else {
					v.Set("username", "alice")
					a = w.do(t, method, "/dev/authorize", v)
				}
				if c.shown != "" {
					require.Equal(t, 400, a.status)
					require.Contains(t, a.body, c.shown)
					require.Empty(t, a.header.Get("Location"))
					continue
				}
				u, err := url.Parse(a.header.Get("Location"))
				require.NoError(t, err)
				require.Equal(t, c.sent, u.Query().Get("error"))
				require.Equal(t, "s&1", u.Query().Get("state"))
				require.Empty(t, u.Query().Get("code"))
			}
		})
	}
	for name, says := range map[string]string{"": "Please give a name", "a\tb": "unprintable"} {
		form := authRequest()
		form.Set("username", name)
		a := w.do(t, "POST", "/dev/authorize", form)
		require.Equal(t, 400, a.status)
		require.Contains(t, a.body, says)
		require.Contains(t, a.body, `name="state" value="s&amp;1"`, "the form can be sent again")
	}
	a := w.do(t, "POST", "/dev/authorize", nil)
	require.Equal(t, 400, a.status)
}

func TestRefresh(t *testing.T) {
	w := serve(t, t.TempDir())
	first := w.exchange(t, w.code(t, "alice"))
	second := w.token(t, "grant_type", "refresh_token", "refresh_token", first.RefreshToken, "client_id", "chat-web")
	require.Equal(t, 200, second.status, second.body)
	require.NotEqual(t, first.RefreshToken, second.RefreshToken)
	require.NotEmpty(t, second.IDToken, "the scope is kept")
	require.Equal(t, claimsOf(t, first.AccessToken)["sid"], claimsOf(t, second.AccessToken)["sid"])
	caller, err := w.verifier().Verify(t.Context(), second.AccessToken)
	require.NoError(t, err)
	require.Equal(t, events.UserID("alice"), caller.User)

	a := w.token(t, "grant_type", "refresh_token", "refresh_token", second.RefreshToken, "client_id", "evil")
	require.Equal(t, "invalid_grant", a.Error)
	a = w.token(t, "grant_type", "refresh_token", "refresh_token", first.RefreshToken)
	require.Equal(t, "invalid_grant", a.Error, "a used one was stolen")
	a = w.token(t, "grant_type", "refresh_token", "refresh_token", second.RefreshToken)
	require.Equal(t, "invalid_grant", a.Error, "so the session has ended")

	other := w.exchange(t, w.code(t, "bob"))
	for _, bad := range []string{"", "x", other.AccessToken, other.IDToken} {
		require.Equal(t, "invalid_grant", w.token(t, "grant_type", "refresh_token", "refresh_token", bad).Error)
	}
	restarted := serve(t, w.dir) // another base URL, so another issuer
	require.Equal(t, "invalid_grant", restarted.token(t, "grant_type", "refresh_token", "refresh_token", other.RefreshToken).Error)
	w.pass(25 * time.Hour)
	require.Equal(t, "invalid_grant", w.token(t, "grant_type", "refresh_token", "refresh_token", other.RefreshToken).Error)
}

func TestLogout(t *testing.T) {
	w := serve(t, t.TempDir())
	tok := w.exchange(t, w.code(t, "alice"))
	q := url.Values{"id_token_hint": {tok.IDToken}, "post_logout_redirect_uri": {"http://localhost:9/"}, "state": {"z"}}
	a := w.do(t, "GET", "/dev/logout?"+q.Encode(), nil)
	require.Equal(t, "http://localhost:9/?state=z", a.header.Get("Location"))
	require.Equal(t, "invalid_grant", w.token(t, "grant_type", "refresh_token", "refresh_token", tok.RefreshToken).Error)

	q.Set("post_logout_redirect_uri", "https://evil.example/")
	a = w.do(t, "POST", "/dev/logout", q)
	require.Equal(t, 200, a.status)
	require.Contains(t, a.body, "logged out")
	require.Equal(t, 400, w.do(t, "POST", "/dev/logout", nil).status)
}

func TestTokenRefusals(t *testing.T) {
	w := serve(t, t.TempDir())
	require.Equal(t, "invalid_request", w.token(t, "username", "bob").Error)
	require.Equal(t, "unsupported_grant_type", w.token(t, "grant_type", "client_credentials").Error)
	require.Equal(t, "invalid_request", w.token(t, "grant_type", "password", "username", " bob").Error)
	require.Equal(t, "invalid_request", w.do(t, "POST", "/dev/token", url.Values{"grant_type": {"password", "password"}}).Error)
	require.Equal(t, "invalid_request", w.token(t, "x", strings.Repeat("y", 70<<10)).Error)
	require.Equal(t, "invalid_request", w.do(t, "POST", "/dev/token", url.Values{}, "Content-Type", "application/json").Error)
	require.Equal(t, 405, w.do(t, "GET", "/dev/token", nil).status)
}

func TestOnlyThisMachine(t *testing.T) {
	w := serve(t, t.TempDir())
	for host, status := range map[string]int{
		"localhost:8080": 200, "127.0.0.1": 200, "[::1]:80": 200, "chat.localhost": 200,
		"evil.example": 421, "192.0.2.1:8080": 421, "localhost.evil.example": 421,
	} {
		require.Equal(t, status, w.do(t, "GET", "/dev/keys", nil, "Host", host).status, host)
	}
	for origin, allowed := range map[string]bool{"http://localhost:5173": true, "https://evil.example": false, "null": false, "": false} {
		for _, c := range []struct{ method, path string }{{"OPTIONS", "/dev/token"}, {"GET", "/dev/.well-known/openid-configuration"}, {"POST", "/dev/token"}} {
			a := w.do(t, c.method, c.path, nil, "Origin", origin)
			require.Equal(t, allowed, a.header.Get("Access-Control-Allow-Origin") == origin && origin != "", origin+c.path)
		}
	}
	css := w.do(t, "GET", "/dev/issuer.css", nil)
	require.Equal(t, "text/css; charset=utf-8", css.header.Get("Content-Type"))
}

func FuzzTokenForm(f *testing.F) {
	w := serve(f, f.TempDir())
	h := w.Handler()
	tok := w.token(f, "grant_type", "password", "username", "bob")
	f.Add("grant_type=password&username=bob&scope=chat-import+openid")
	f.Add("grant_type=authorization_code&code=x&client_id=c&redirect_uri=u&code_verifier=v")
	f.Add("grant_type=refresh_token&refresh_token=" + tok.RefreshToken)
	f.Add("grant_type=password&username=%zz")
	f.Add("grant_type=password;username=a&&&=")
	f.Fuzz(func(t *testing.T, body string) {
		r := httptest.NewRequest(http.MethodPost, "http://localhost/dev/token", strings.NewReader(body))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		rec := httptest.NewRecorder()
		h.ServeHTTP(rec, r)
		var a answer
		if err := json.Unmarshal(rec.Body.Bytes(), &a); err != nil {
			t.Fatalf("answer is no JSON: %v: %s", err, rec.Body)
		}
		switch {
		case rec.Code == 200 && a.AccessToken != "" && a.Error == "":
		case rec.Code == 400 && a.AccessToken == "" && a.Error != "":
		default:
			t.Fatalf("status %d, answer %s", rec.Code, rec.Body)
		}
	})
}

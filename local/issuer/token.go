package issuer

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/chat-platform/chat/events"
)

const (
	maxForm     = 64 << 10
	maxParam    = 4 << 10
	scopeImport = events.RoleImport // the scope has the name of the role that it asks for
)

// oauthError is an error in OAuth's form (RFC 6749, section 5.2).
type oauthError struct {
	Code        string `json:"error"`
	Description string `json:"error_description"`
	status      int
}

func refuse(code, description string) *oauthError {
	return &oauthError{Code: code, Description: description, status: http.StatusBadRequest}
}

// Token is the token endpoint's answer.
type Token struct {
	AccessToken      string `json:"access_token"`
	TokenType        string `json:"token_type"`
	ExpiresIn        int    `json:"expires_in"` // seconds
	RefreshToken     string `json:"refresh_token,omitempty"`
	RefreshExpiresIn int    `json:"refresh_expires_in,omitempty"` // seconds
	IDToken          string `json:"id_token,omitempty"`
	Scope            string `json:"scope"`
}

func (i *Issuer) token(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	form, oerr := readForm(w, r)
	if oerr != nil {
		writeJSON(w, oerr.status, oerr)
		return
	}
	var g grant
	session, number := random(), 0
	switch form.Get("grant_type") {
	case "authorization_code":
		g, oerr = i.byCode(form)
	case "refresh_token":
		g, session, number, oerr = i.byRefresh(form)
	case "password":
		g, oerr = i.byPassword(form)
	case "":
		oerr = refuse("invalid_request", "grant_type is missing")
	default:
		oerr = refuse("unsupported_grant_type", "expected authorization_code, refresh_token or password")
	}
	if oerr != nil {
		writeJSON(w, oerr.status, oerr)
		return
	}
	t, err := i.issue(g, session, number)
	if err != nil {
		writeJSON(w, http.StatusInternalServerError, &oauthError{Code: "server_error", Description: err.Error()})
		return
	}
	writeJSON(w, http.StatusOK, t)
}

// readForm reads a bounded form in which no parameter comes twice.
func readForm(w http.ResponseWriter, r *http.Request) (url.Values, *oauthError) {
	if t, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || t != "application/x-www-form-urlencoded" {
		return nil, refuse("invalid_request", "the body must be application/x-www-form-urlencoded")
	}
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	if err := r.ParseForm(); err != nil {
		return nil, refuse("invalid_request", "the form cannot be read: "+err.Error())
	}
	return checkParams(r.PostForm)
}

func checkParams(form url.Values) (url.Values, *oauthError) {
	for name, values := range form {
		if len(values) > 1 {
			return nil, refuse("invalid_request", "a parameter is there twice: "+clip(name))
		}
		if len(values[0]) > maxParam {
			return nil, refuse("invalid_request", "a parameter is too long: "+clip(name))
		}
	}
	return form, nil
}

func clip(s string) string { return strings.ToValidUTF8(s[:min(len(s), 64)], "?") }

func (i *Issuer) byCode(form url.Values) (grant, *oauthError) {
	g, ok := i.codes.take(form.Get("code"), i.now())
	switch {
	case !ok:
		return g, refuse("invalid_grant", "the code is unknown, used or expired")
	case form.Get("client_id") != g.client:
		return g, refuse("invalid_grant", "the code was given to another client_id")
	case form.Get("redirect_uri") != g.redirectURI:
		return g, refuse("invalid_grant", "redirect_uri differs from the authorization request's")
	}
	sum := sha256.Sum256([]byte(form.Get("code_verifier")))
	challenge := base64.RawURLEncoding.EncodeToString(sum[:])
	if subtle.ConstantTimeCompare([]byte(challenge), []byte(g.challenge)) != 1 {
		return g, refuse("invalid_grant", "code_verifier does not fit the code_challenge")
	}
	return g, nil
}

func (i *Issuer) byPassword(form url.Values) (grant, *oauthError) {
	user, err := events.ParseUserID(form.Get("username"))
	if err != nil {
		return grant{}, refuse("invalid_request", "username: "+err.Error())
	}
	client := form.Get("client_id")
	if client == "" {
		client = "chat-tools"
	}
	return grant{client: client, user: string(user), scope: scopes(form.Get("scope")), authTime: i.now()}, nil
}

// refreshClaims are a refresh token's.
type refreshClaims struct {
	Issuer   string `json:"iss"`
	Type     string `json:"typ"`
	Subject  string `json:"sub"`
	Client   string `json:"azp"`
	Session  string `json:"sid"`
	Number   int    `json:"num"`
	Scope    string `json:"scope"`
	AuthTime int64  `json:"auth_time"`
	Expires  int64  `json:"exp"`
	ID       string `json:"jti"`
}

func (i *Issuer) byRefresh(form url.Values) (grant, string, int, *oauthError) {
	var c refreshClaims
	if err := i.signer.open(form.Get("refresh_token"), &c); err != nil || c.Type != "Refresh" || c.Issuer != i.url {
		return grant{}, "", 0, refuse("invalid_grant", "the refresh token is not one of this issuer's")
	}
	if i.now().Unix() >= c.Expires {
		return grant{}, "", 0, refuse("invalid_grant", "the refresh token has expired")
	}
	if id := form.Get("client_id"); id != "" && id != c.Client {
		return grant{}, "", 0, refuse("invalid_grant", "the refresh token was given to another client_id")
	}
	number, ok := i.sessions.advance(c.Session, c.Number)
	if !ok {
		return grant{}, "", 0, refuse("invalid_grant", "the refresh token was used before, or its session has ended")
	}
	g := grant{client: c.Client, user: c.Subject, scope: c.Scope, authTime: time.Unix(c.AuthTime, 0)}
	return g, c.Session, number, nil
}

// scopes keeps what is known of the scopes that are asked for.
func scopes(asked string) string {
	var kept []string
	for s := range strings.FieldsSeq(asked) {
		if (s == "openid" || s == "profile" || s == scopeImport) && !slices.Contains(kept, s) {
			kept = append(kept, s)
		}
	}
	return strings.Join(kept, " ")
}

// issue makes the tokens of a grant, with the claims that Keycloak gives them.
func (i *Issuer) issue(g grant, session string, number int) (Token, error) {
	now := i.now()
	asked := strings.Fields(g.scope)
	roles := []string{}
	if slices.Contains(asked, scopeImport) {
		roles = append(roles, events.RoleImport)
	}
	base := func(typ string, lifetime time.Duration) map[string]any {
		return map[string]any{
			"iss": i.url, "sub": g.user, "typ": typ, "azp": g.client, "sid": session, "jti": random(),
			"iat": now.Unix(), "auth_time": g.authTime.Unix(), "exp": now.Add(lifetime).Unix(),
		}
	}
	access := base("Bearer", i.lifetime)
	access["aud"] = i.audience
	access["scope"] = g.scope
	access["preferred_username"] = g.user
	access["name"] = g.user
	access["realm_access"] = map[string]any{"roles": roles}
	t := Token{
		TokenType: "Bearer", Scope: g.scope, ExpiresIn: int(i.lifetime.Seconds()),
		RefreshExpiresIn: int(refreshLifetime.Seconds()),
	}
	var err error
	if t.AccessToken, err = i.signer.sign(access); err != nil {
		return Token{}, err
	}
	refresh := base("Refresh", refreshLifetime)
	refresh["scope"] = g.scope
	refresh["num"] = number
	if t.RefreshToken, err = i.signer.sign(refresh); err != nil {
		return Token{}, err
	}
	if !slices.Contains(asked, "openid") {
		return t, nil
	}
	id := base("ID", i.lifetime)
	id["aud"] = g.client
	id["preferred_username"] = g.user
	id["name"] = g.user
	if g.nonce != "" {
		id["nonce"] = g.nonce
	}
	t.IDToken, err = i.signer.sign(id)
	return t, err
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // or the asker is gone
}

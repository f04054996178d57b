// Package issuer is the development OpenID Connect provider: it says that you
// are whoever you say you are, in tokens of the form that Keycloak's have, so
// that the code that verifies them is the production's.
//
// Because it asks for no password it serves loopback listeners only, and
// answers only requests whose Host is a loopback name or the one of its own
// base URL, so that neither the network nor a page that rebinds its DNS name
// gets a token.
//
//	/dev/.well-known/openid-configuration   discovery
//	/dev/keys                               JWKS (ES256)
//	/dev/authorize                          a form; authorization code with PKCE S256
//	/dev/token                              authorization_code, refresh_token, password (any user, no password)
//	/dev/logout                             ends a session
//
// The signing key is made at the first start and kept in the data folder, so
// that access and refresh tokens outlive a restart. Who has logged out, and
// which refresh tokens are used up, is remembered in memory only; that access
// tokens of a session that has ended are refused is Config.LoggedOut's.
package issuer

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// Config is the issuer's settings.
type Config struct {
	BaseURL       string           `env:"-"` // of the server that the handler is mounted on, like "http://localhost:8080"
	Listener      net.Addr         `env:"-"` // where that server listens; must be loopback
	Dir           string           `env:"-"` // data folder, for the signing key
	Audience      string           `env:"OIDC_AUDIENCE" envDefault:"chat"`
	TokenLifetime time.Duration    `env:"DEV_TOKEN_LIFETIME" envDefault:"10m"` // of access tokens, 1 s to 1 h
	Now           func() time.Time `env:"-"`                                   // nil: time.Now
	// LoggedOut, if not nil, is told who has logged out, and of which session,
	// before the answer says so.
	LoggedOut func(ctx context.Context, user, session string) `env:"-"`
}

// refreshLifetime is how long a refresh token may be used.
const refreshLifetime = 24 * time.Hour

// Issuer issues tokens. It is safe for concurrent use and has no goroutines.
type Issuer struct {
	url      string
	host     string // of the base URL
	audience string
	lifetime time.Duration
	now      func() time.Time
	told     func(ctx context.Context, user, session string)
	signer   *signer
	codes    *codes
	sessions *sessions
}

// New makes an issuer, or says why it must not run.
func New(cfg Config) (*Issuer, error) {
	addr, ok := cfg.Listener.(*net.TCPAddr)
	if !ok || !addr.IP.IsLoopback() {
		return nil, fmt.Errorf("development issuer: it gives anybody any token, so it runs on loopback only, and the listener is on %v: set LISTEN_ADDRESS to 127.0.0.1, or OIDC_ISSUER to a real issuer", cfg.Listener)
	}
	base, err := url.Parse(cfg.BaseURL)
	if err != nil || base.Host == "" || base.Scheme != "http" && base.Scheme != "https" || strings.Trim(base.Path, "/") != "" {
		return nil, fmt.Errorf("development issuer: base URL is %q, expected one like http://localhost:8080", cfg.BaseURL)
	}
	if cfg.TokenLifetime == 0 {
		cfg.TokenLifetime = 10 * time.Minute
	}
	if cfg.TokenLifetime < time.Second || cfg.TokenLifetime > time.Hour {
		return nil, fmt.Errorf("development issuer: DEV_TOKEN_LIFETIME is %s, expected 1s to 1h", cfg.TokenLifetime)
	}
	if cfg.Audience == "" {
		cfg.Audience = "chat"
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	s, err := openSigner(cfg.Dir)
	if err != nil {
		return nil, err
	}
	return &Issuer{
		url: strings.TrimRight(cfg.BaseURL, "/") + "/dev", host: base.Host,
		audience: cfg.Audience, lifetime: cfg.TokenLifetime, now: cfg.Now, told: cfg.LoggedOut,
		signer: s, codes: newCodes(), sessions: newSessions(),
	}, nil
}

// URL is the issuer's identifier: the "iss" of its tokens, and what a verifier
// is configured with.
func (i *Issuer) URL() string { return i.url }

// Handler serves everything under /dev/.
func (i *Issuer) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /dev/.well-known/openid-configuration", i.cors(http.HandlerFunc(i.discovery)))
	mux.Handle("OPTIONS /dev/.well-known/openid-configuration", i.cors(nil))
	mux.Handle("GET /dev/keys", i.cors(http.HandlerFunc(i.keys)))
	mux.Handle("OPTIONS /dev/keys", i.cors(nil))
	mux.Handle("POST /dev/token", i.cors(http.HandlerFunc(i.token)))
	mux.Handle("OPTIONS /dev/token", i.cors(nil))
	mux.HandleFunc("GET /dev/authorize", i.authorize)
	mux.HandleFunc("POST /dev/authorize", i.login)
	mux.HandleFunc("GET /dev/logout", i.logout)
	mux.HandleFunc("POST /dev/logout", i.logout)
	mux.HandleFunc("GET /dev/issuer.css", stylesheet)
	return i.localOnly(mux)
}

// localOnly refuses requests that were meant for another host.
func (i *Issuer) localOnly(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !i.local(r.Host) {
			http.Error(w, "the development issuer answers on loopback names only", http.StatusMisdirectedRequest)
			return
		}
		h := w.Header()
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		next.ServeHTTP(w, r)
	})
}

// local tells whether a host, with or without a port, is this machine by a
// loopback name, or the issuer's own.
func (i *Issuer) local(host string) bool {
	if strings.EqualFold(host, i.host) {
		return true
	}
	name := host
	if h, _, err := net.SplitHostPort(host); err == nil {
		name = h
	}
	name = strings.ToLower(strings.Trim(name, "[]"))
	if name == "localhost" || strings.HasSuffix(name, ".localhost") {
		return true
	}
	ip := net.ParseIP(name)
	return ip != nil && ip.IsLoopback()
}

// cors lets pages of loopback origins read the answer.
func (i *Issuer) cors(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Add("Vary", "Origin")
		if o, err := url.Parse(r.Header.Get("Origin")); err == nil && o.Host != "" && i.local(o.Host) {
			h.Set("Access-Control-Allow-Origin", r.Header.Get("Origin"))
			h.Set("Access-Control-Allow-Methods", "GET, POST")
			h.Set("Access-Control-Allow-Headers", "Content-Type")
			h.Set("Access-Control-Max-Age", "600")
		}
		if next == nil {
			w.WriteHeader(http.StatusNoContent)
			return
		}
		next.ServeHTTP(w, r)
	})
}

func (i *Issuer) discovery(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, http.StatusOK, map[string]any{
		"issuer":                                         i.url,
		"authorization_endpoint":                         i.url + "/authorize",
		"token_endpoint":                                 i.url + "/token",
		"end_session_endpoint":                           i.url + "/logout",
		"jwks_uri":                                       i.url + "/keys",
		"response_types_supported":                       []string{"code"},
		"response_modes_supported":                       []string{"query"},
		"grant_types_supported":                          []string{"authorization_code", "refresh_token", "password"},
		"code_challenge_methods_supported":               []string{"S256"},
		"token_endpoint_auth_methods_supported":          []string{"none"},
		"subject_types_supported":                        []string{"public"},
		"id_token_signing_alg_values_supported":          []string{"ES256"},
		"scopes_supported":                               []string{"openid", "profile", scopeImport},
		"claims_supported":                               []string{"sub", "iss", "aud", "exp", "iat", "name", "preferred_username"},
		"authorization_response_iss_parameter_supported": true,
	})
}

func (i *Issuer) keys(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, http.StatusOK, i.signer.public())
}

func random() string {
	var b [24]byte
	rand.Read(b[:]) // never fails
	return base64.RawURLEncoding.EncodeToString(b[:])
}

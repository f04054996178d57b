// Package oidc turns a bearer token into an [events.Caller].
//
// A token is accepted when the configured issuer has signed it, it names the
// configured audience, it has not expired, and its subject is a user id. The
// issuer is any OpenID Connect provider with discovery; the development issuer
// and Keycloak are met by the same code.
//
// The issuer is asked lazily: a process may start before it. While it cannot be
// reached, tokens that need it are answered with [events.ErrUnavailable], never
// as if they were wrong, and tokens verified before go on being accepted until
// they expire. Attempts are shared by all callers and spaced by a back-off with
// jitter, so that neither an outage nor a flood of bad tokens becomes a flood
// of requests to the issuer. Rotated keys are picked up as soon as a token names
// one, and keys that the issuer withdraws are dropped within KeyLifetime.
package oidc

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"

	"github.com/chat-platform/chat/events"
)

// MaxTokenLength bounds a raw token, in bytes.
const MaxTokenLength = 16 << 10

// CacheSize is how many verified tokens are remembered.
const CacheSize = 64 << 10

const fetchTimeout = 10 * time.Second

// Algorithms that a token may be signed with: the asymmetric ones. An issuer's
// discovery document does not widen the list.
var algorithms = []string{
	oidc.RS256, oidc.RS384, oidc.RS512, oidc.ES256, oidc.ES384, oidc.ES512,
	oidc.PS256, oidc.PS384, oidc.PS512, oidc.EdDSA,
}

// Faults of a token; all match [events.ErrUnauthenticated].
var (
	ErrTokenMissing = events.NewFault(events.ErrUnauthenticated, "token_missing", "", "a bearer token is required")
	ErrTokenExpired = events.NewFault(events.ErrUnauthenticated, "token_expired", "", "the token has expired")
)

// Config says whose tokens are accepted.
type Config struct {
	Issuer       string           `env:"OIDC_ISSUER,required,notEmpty"`      // the "iss" of tokens, and the base of discovery
	Audience     string           `env:"OIDC_AUDIENCE" envDefault:"chat"`    // must be among a token's "aud"
	DiscoveryURL string           `env:"OIDC_DISCOVERY_URL"`                 // base of discovery where it is not reached at Issuer (a cluster's inner address)
	KeyLifetime  time.Duration    `env:"OIDC_KEY_LIFETIME" envDefault:"15m"` // the issuer's keys are fetched again when older
	Client       *http.Client     `env:"-"`                                  // nil: a client of its own
	Now          func() time.Time `env:"-"`                                  // nil: time.Now
}

// Verifier verifies tokens. It is safe for concurrent use and owns no
// goroutine that outlives a request to the issuer, which ends within 10 s.
type Verifier struct {
	verifier *oidc.IDTokenVerifier
	keys     *keySet
	cache    *cache
	now      func() time.Time
}

// New makes a verifier; it does not contact the issuer.
func New(cfg Config) *Verifier {
	if cfg.Client == nil {
		cfg.Client = &http.Client{Timeout: fetchTimeout}
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	cfg.Audience = cmp.Or(cfg.Audience, "chat")
	cfg.KeyLifetime = cmp.Or(cfg.KeyLifetime, 15*time.Minute)
	keys := newKeySet(cfg)
	return &Verifier{
		verifier: oidc.NewVerifier(cfg.Issuer, keys, &oidc.Config{
			ClientID: cfg.Audience, SupportedSigningAlgs: algorithms, Now: cfg.Now,
		}),
		keys:  keys,
		cache: newCache(CacheSize),
		now:   cfg.Now,
	}
}

// claims that are read beyond the registered ones.
type claims struct {
	Type        string `json:"typ"`
	Username    string `json:"preferred_username"`
	Name        string `json:"name"`
	Session     string `json:"sid"`
	RealmAccess struct {
		Roles []string `json:"roles"`
	} `json:"realm_access"`
}

// Verify tells whose token this is. Its errors are faults of kind
// [events.ErrUnauthenticated] with code token_missing, token_invalid or
// token_expired, or match [events.ErrUnavailable] where the issuer would have
// to be asked and cannot be reached. The caller's Roles are shared with other
// calls: do not modify them. A token that was seen before costs one SHA-256 and
// one look-up, under a microsecond; a new one costs a signature check.
func (v *Verifier) Verify(ctx context.Context, rawToken string) (events.Caller, error) {
	if rawToken == "" {
		return events.Caller{}, ErrTokenMissing
	}
	if len(rawToken) > MaxTokenLength {
		return events.Caller{}, invalid("the token has %d bytes, at most %d are allowed", len(rawToken), MaxTokenLength)
	}
	key := keyOf(rawToken)
	now := v.now()
	if caller, ok := v.cache.get(key); ok {
		if !now.Before(caller.Expires) {
			return events.Caller{}, ErrTokenExpired
		}
		return caller, nil
	}
	caller, err := v.verify(ctx, rawToken)
	if err != nil {
		return events.Caller{}, err
	}
	if !now.Before(caller.Expires) {
		return events.Caller{}, ErrTokenExpired
	}
	v.cache.put(key, caller, now)
	return caller, nil
}

func (v *Verifier) verify(ctx context.Context, rawToken string) (events.Caller, error) {
	ctx, outage := withOutage(ctx)
	token, err := v.verifier.Verify(ctx, rawToken)
	if outage.err != nil {
		return events.Caller{}, fmt.Errorf("verify token: %w: %w", outage.err, events.ErrUnavailable)
	}
	var expired *oidc.TokenExpiredError
	if errors.As(err, &expired) {
		return events.Caller{}, ErrTokenExpired
	}
	if err != nil {
		return events.Caller{}, invalid("the token was refused: %s", reason(err))
	}
	var c claims
	if err := token.Claims(&c); err != nil {
		return events.Caller{}, invalid("the token's claims are not of the expected form")
	}
	// Keycloak marks what a token is for; an ID or refresh token is no access token.
	if c.Type != "" && !strings.EqualFold(c.Type, "Bearer") {
		return events.Caller{}, invalid("the token is of type %q, expected an access token", c.Type)
	}
	user, err := events.ParseUserID(token.Subject)
	if err != nil {
		return events.Caller{}, invalid("the token's subject is no user id: %v", err)
	}
	name := cmp.Or(c.Username, c.Name, string(user))
	return events.Caller{User: user, Name: name, Roles: c.RealmAccess.Roles, Expires: token.Expiry, Issued: token.IssuedAt, Session: c.Session}, nil
}

// Ping reports whether tokens can be verified: nil once the issuer's keys are
// known, after asking for them if need be. Its error matches
// [events.ErrUnavailable].
func (v *Verifier) Ping(ctx context.Context) error {
	if err := v.keys.ping(ctx); err != nil {
		return fmt.Errorf("issuer's keys: %w: %w", err, events.ErrUnavailable)
	}
	return nil
}

func invalid(format string, args ...any) error {
	return events.NewFault(events.ErrUnauthenticated, "token_invalid", "", format, args...)
}

// reason is go-oidc's message without its prefix. It may name the issuer and
// the audience of a token, never the token itself.
func reason(err error) string {
	s := strings.TrimPrefix(err.Error(), "oidc: ")
	if strings.HasPrefix(s, "malformed jwt") {
		return "it is not a signed JSON web token of an accepted algorithm"
	}
	return s
}

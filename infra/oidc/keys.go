package oidc

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/go-jose/go-jose/v4"
)

// maxKeysBody bounds the issuer's key set, in bytes.
const maxKeysBody = 1 << 20

var errBadSignature = errors.New("its signature is by none of the issuer's keys")

// keySet checks signatures by the issuer's published keys. go-oidc's own remote
// set asks the issuer again for every token with a bad signature, and its
// errors do not tell an outage from a wrong token; this one does neither.
type keySet struct {
	issuer, discovery string
	client            *http.Client
	now               func() time.Time
	lifetime          time.Duration
	keys              *remote[[]jose.JSONWebKey]
}

func newKeySet(cfg Config) *keySet {
	k := &keySet{issuer: cfg.Issuer, discovery: cfg.DiscoveryURL, client: cfg.Client, now: cfg.Now, lifetime: cfg.KeyLifetime}
	k.keys = &remote[[]jose.JSONWebKey]{now: cfg.Now, spacing: 5 * time.Second, fetch: k.fetch}
	return k
}

// discover asks where the keys are. That is asked anew with every fetch: it is
// rare, and the place may move.
func (k *keySet) discover(ctx context.Context) (string, error) {
	ctx = oidc.ClientContext(ctx, k.client)
	base := k.issuer
	if k.discovery != "" {
		base = k.discovery
		ctx = oidc.InsecureIssuerURLContext(ctx, k.issuer)
	}
	provider, err := oidc.NewProvider(ctx, base)
	if err != nil {
		return "", fmt.Errorf("discovery of %s: %w", base, err)
	}
	var doc struct {
		Issuer  string `json:"issuer"`
		KeysURL string `json:"jwks_uri"`
	}
	if err := provider.Claims(&doc); err != nil {
		return "", fmt.Errorf("discovery of %s: %w", base, err)
	}
	if doc.Issuer != k.issuer {
		return "", fmt.Errorf("discovery of %s: the issuer calls itself %q, expected %q", base, doc.Issuer, k.issuer)
	}
	return doc.KeysURL, nil
}

func (k *keySet) fetch(ctx context.Context) ([]jose.JSONWebKey, error) {
	url, err := k.discover(ctx)
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, fmt.Errorf("keys of %s: %w", url, err)
	}
	resp, err := k.client.Do(req)
	if err != nil {
		return nil, fmt.Errorf("keys of %s: %w", url, err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("keys of %s: status %d", url, resp.StatusCode)
	}
	var raw struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := json.NewDecoder(io.LimitReader(resp.Body, maxKeysBody)).Decode(&raw); err != nil {
		return nil, fmt.Errorf("keys of %s: %w", url, err)
	}
	keys := make([]jose.JSONWebKey, 0, len(raw.Keys))
	for _, r := range raw.Keys {
		var key jose.JSONWebKey
		// A key of a kind unknown here must not cost the others.
		if json.Unmarshal(r, &key) == nil && key.IsPublic() && key.Use != "enc" {
			keys = append(keys, key)
		}
	}
	return keys, nil
}

// VerifySignature makes a keySet an oidc.KeySet.
func (k *keySet) VerifySignature(ctx context.Context, token string) ([]byte, error) {
	jws, err := jose.ParseSignedCompact(token, signatureAlgorithms)
	if err != nil || len(jws.Signatures) != 1 {
		return nil, errBadSignature
	}
	keys, at, have := k.keys.cached()
	if have {
		if k.now().Sub(at) > k.lifetime {
			k.keys.start() // the old keys serve until the new ones are there
		}
		if payload, ok := check(jws, keys); ok {
			return payload, nil
		}
		if knows(keys, jws.Signatures[0].Header.KeyID) {
			return nil, errBadSignature
		}
	}
	// None yet, or signed by a key that was not there when they were fetched.
	if keys, err = k.keys.refresh(ctx); err != nil {
		report(ctx, err)
		return nil, err
	}
	if payload, ok := check(jws, keys); ok {
		return payload, nil
	}
	return nil, errBadSignature
}

func (k *keySet) ping(ctx context.Context) error {
	if _, _, ok := k.keys.cached(); ok {
		return nil
	}
	_, err := k.keys.refresh(ctx)
	return err
}

func check(jws *jose.JSONWebSignature, keys []jose.JSONWebKey) ([]byte, bool) {
	id := jws.Signatures[0].Header.KeyID
	for i := range keys {
		if id != "" && keys[i].KeyID != id {
			continue
		}
		if payload, err := jws.Verify(&keys[i]); err == nil {
			return payload, true
		}
	}
	return nil, false
}

func knows(keys []jose.JSONWebKey, id string) bool {
	for i := range keys {
		if id != "" && keys[i].KeyID == id {
			return true
		}
	}
	return false
}

var signatureAlgorithms = func() []jose.SignatureAlgorithm {
	as := make([]jose.SignatureAlgorithm, len(algorithms))
	for i, a := range algorithms {
		as[i] = jose.SignatureAlgorithm(a)
	}
	return as
}()

// outage carries, past go-oidc, which flattens errors to text, that the issuer
// could not be asked.
type outage struct{ err error }

type outageKey struct{}

func withOutage(ctx context.Context) (context.Context, *outage) {
	o := &outage{}
	return context.WithValue(ctx, outageKey{}, o), o
}

func report(ctx context.Context, err error) {
	if o, ok := ctx.Value(outageKey{}).(*outage); ok {
		o.err = err
	}
}

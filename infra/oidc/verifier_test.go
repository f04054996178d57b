package oidc_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/stretchr/testify/require"

	"github.com/chat-platform/chat/events"
	"github.com/chat-platform/chat/infra/oidc"
)

const issuerURL = "http://issuer.test"

// fakeIssuer answers discovery and keys as an http.RoundTripper, so that it
// works inside a synctest bubble.
type fakeIssuer struct {
	mu       sync.Mutex
	keys     []jose.JSONWebKey
	down     bool
	name     string
	requests int
}

func newIssuer(tb testing.TB) (*fakeIssuer, *ecdsa.PrivateKey) {
	tb.Helper()
	key := newKey(tb)
	f := &fakeIssuer{name: issuerURL}
	f.publish("k1", key)
	return f, key
}

func newKey(tb testing.TB) *ecdsa.PrivateKey {
	tb.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(tb, err)
	return key
}

func (f *fakeIssuer) publish(id string, keys ...*ecdsa.PrivateKey) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.keys = nil
	for _, k := range keys {
		f.keys = append(f.keys, jose.JSONWebKey{Key: k.Public(), KeyID: id, Algorithm: "ES256", Use: "sig"})
	}
}

func (f *fakeIssuer) setDown(down bool) { f.mu.Lock(); f.down = down; f.mu.Unlock() }

func (f *fakeIssuer) count() int { f.mu.Lock(); defer f.mu.Unlock(); return f.requests }

func (f *fakeIssuer) RoundTrip(r *http.Request) (*http.Response, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.requests++
	if f.down {
		return nil, errors.New("connection refused")
	}
	var body any
	switch r.URL.Path {
	case "/.well-known/openid-configuration":
		body = map[string]any{"issuer": f.name, "jwks_uri": issuerURL + "/keys", "authorization_endpoint": issuerURL + "/a", "token_endpoint": issuerURL + "/t"}
	case "/keys":
		body = jose.JSONWebKeySet{Keys: f.keys}
	default:
		return &http.Response{StatusCode: http.StatusNotFound, Body: io.NopCloser(strings.NewReader("no")), Request: r}, nil
	}
	b, err := json.Marshal(body)
	if err != nil {
		return nil, err
	}
	h := http.Header{"Content-Type": {"application/json"}}
	return &http.Response{StatusCode: http.StatusOK, Header: h, Body: io.NopCloser(bytes.NewReader(b)), Request: r}, nil
}

func verifier(f *fakeIssuer) *oidc.Verifier {
	return oidc.New(oidc.Config{Issuer: issuerURL, Audience: "chat", Client: &http.Client{Transport: f}})
}

func goodClaims() map[string]any {
	return map[string]any{
		"iss": issuerURL, "aud": "chat", "sub": "alice", "preferred_username": "Alice", "typ": "Bearer",
		"iat": time.Now().Unix(), "exp": time.Now().Add(10 * time.Minute).Unix(),
		"realm_access": map[string]any{"roles": []string{"chat-import"}},
	}
}

// with changes claims; nil removes one.
func with(changes map[string]any) map[string]any {
	c := goodClaims()
	maps.Copy(c, changes)
	maps.DeleteFunc(c, func(_ string, v any) bool { return v == nil })
	return c
}

func sign(tb testing.TB, key *ecdsa.PrivateKey, id string, claims map[string]any) string {
	tb.Helper()
	opts := (&jose.SignerOptions{}).WithHeader("kid", id)
	s, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: key}, opts)
	require.NoError(tb, err)
	b, err := json.Marshal(claims)
	require.NoError(tb, err)
	obj, err := s.Sign(b)
	require.NoError(tb, err)
	raw, err := obj.CompactSerialize()
	require.NoError(tb, err)
	return raw
}

func requireCode(t *testing.T, err error, code string) {
	t.Helper()
	require.ErrorIs(t, err, events.ErrUnauthenticated)
	require.NotErrorIs(t, err, events.ErrUnavailable)
	var f *events.Fault
	require.ErrorAs(t, err, &f)
	require.Equal(t, code, f.Code, f.Detail)
}

func TestVerify(t *testing.T) {
	f, key := newIssuer(t)
	v := verifier(f)
	hmac, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.HS256, Key: []byte(strings.Repeat("k", 32))}, nil)
	require.NoError(t, err)
	body, err := json.Marshal(goodClaims())
	require.NoError(t, err)
	obj, err := hmac.Sign(body)
	require.NoError(t, err)
	symmetric, err := obj.CompactSerialize()
	require.NoError(t, err)

	for _, c := range []struct{ name, token, code string }{
		{"good", sign(t, key, "k1", goodClaims()), ""},
		{"no type", sign(t, key, "k1", with(map[string]any{"typ": ""})), ""},
		{"several audiences", sign(t, key, "k1", with(map[string]any{"aud": []string{"account", "chat"}})), ""},
		{"missing", "", "token_missing"},
		{"garbage", "x.y.z", "token_invalid"},
		{"one part", "abc", "token_invalid"},
		{"too long", strings.Repeat("a", oidc.MaxTokenLength+1), "token_invalid"},
		{"symmetric", symmetric, "token_invalid"},
		{"other audience", sign(t, key, "k1", with(map[string]any{"aud": "mail"})), "token_invalid"},
		{"other issuer", sign(t, key, "k1", with(map[string]any{"iss": "http://evil.test"})), "token_invalid"},
		{"other key", sign(t, newKey(t), "k1", goodClaims()), "token_invalid"},
		{"unknown key", sign(t, newKey(t), "k9", goodClaims()), "token_invalid"},
		{"expired", sign(t, key, "k1", with(map[string]any{"exp": time.Now().Add(-time.Minute).Unix()})), "token_expired"},
		{"no expiry", sign(t, key, "k1", with(map[string]any{"exp": nil})), "token_expired"},
		{"identity token", sign(t, key, "k1", with(map[string]any{"typ": "ID"})), "token_invalid"},
		{"no subject", sign(t, key, "k1", with(map[string]any{"sub": ""})), "token_invalid"},
		{"subject is no user id", sign(t, key, "k1", with(map[string]any{"sub": "a\nb"})), "token_invalid"},
		{"claims of another form", sign(t, key, "k1", with(map[string]any{"realm_access": "all"})), "token_invalid"},
	} {
		t.Run(c.name, func(t *testing.T) {
			for range 2 { // the second time by the cache, where it is cached
				caller, err := v.Verify(t.Context(), c.token)
				if c.code != "" {
					requireCode(t, err, c.code)
					continue
				}
				require.NoError(t, err)
				require.Equal(t, events.UserID("alice"), caller.User)
				require.Equal(t, "Alice", caller.Name)
				require.True(t, caller.Has(events.RoleImport))
				require.WithinDuration(t, time.Now().Add(10*time.Minute), caller.Expires, 5*time.Second)
			}
		})
	}
	require.Equal(t, 3, v.Cached())
}

func TestErrorsDoNotHoldTheToken(t *testing.T) {
	f, _ := newIssuer(t)
	token := sign(t, newKey(t), "k1", goodClaims())
	_, err := verifier(f).Verify(t.Context(), token)
	requireCode(t, err, "token_invalid")
	for part := range strings.SplitSeq(token, ".") {
		require.NotContains(t, err.Error(), part)
	}
}

// pass lets time go by, inside a synctest bubble.
func pass(d time.Duration) { <-time.After(d) }

func TestExpiresWhileCached(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, key := newIssuer(t)
		v := verifier(f)
		token := sign(t, key, "k1", goodClaims())
		_, err := v.Verify(t.Context(), token)
		require.NoError(t, err)
		pass(10*time.Minute - time.Second)
		_, err = v.Verify(t.Context(), token)
		require.NoError(t, err)
		pass(time.Second)
		_, err = v.Verify(t.Context(), token)
		requireCode(t, err, "token_expired")
	})
}

func TestIssuerStartsLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, key := newIssuer(t)
		f.setDown(true)
		v := verifier(f)
		token := sign(t, key, "k1", goodClaims())
		require.ErrorIs(t, v.Ping(t.Context()), events.ErrUnavailable)

		for range 1000 {
			_, err := v.Verify(t.Context(), token)
			require.ErrorIs(t, err, events.ErrUnavailable)
			require.NotErrorIs(t, err, events.ErrUnauthenticated)
			pass(time.Millisecond)
		}
		require.Less(t, f.count(), 60, "attempts back off")

		f.setDown(false)
		pass(5 * time.Second) // the longest back-off
		_, err := v.Verify(t.Context(), token)
		require.NoError(t, err)
		require.NoError(t, v.Ping(t.Context()))

		// Down again: a token known, and one signed by a known key, still count.
		f.setDown(true)
		_, err = v.Verify(t.Context(), token)
		require.NoError(t, err)
		_, err = v.Verify(t.Context(), sign(t, key, "k1", with(map[string]any{"sub": "bob"})))
		require.NoError(t, err)
		pass(time.Minute)
		_, err = v.Verify(t.Context(), sign(t, newKey(t), "k2", goodClaims()))
		require.ErrorIs(t, err, events.ErrUnavailable, "the key may be a new one")
	})
}

func TestOneFlight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, key := newIssuer(t)
		v := verifier(f)
		token := sign(t, key, "k1", goodClaims())
		var wg sync.WaitGroup
		for range 50 {
			wg.Go(func() {
				if _, err := v.Verify(t.Context(), token); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		require.Equal(t, 2, f.count(), "one discovery and one set of keys")
	})
}

func TestRotation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, old := newIssuer(t)
		v := verifier(f)
		_, err := v.Verify(t.Context(), sign(t, old, "k1", goodClaims()))
		require.NoError(t, err)

		pass(time.Minute)
		next := newKey(t)
		f.publish("k2", next)
		_, err = v.Verify(t.Context(), sign(t, next, "k2", goodClaims()))
		require.NoError(t, err, "a new key is looked for at once")
		_, err = v.Verify(t.Context(), sign(t, old, "k1", with(map[string]any{"sub": "bob"})))
		requireCode(t, err, "token_invalid")

		before := f.count()
		for range 100 {
			_, err = v.Verify(t.Context(), sign(t, newKey(t), "k3", goodClaims()))
			requireCode(t, err, "token_invalid")
		}
		require.Equal(t, before, f.count(), "bad tokens do not become requests to the issuer")
	})
}

func TestWithdrawnKeyIsDropped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, old := newIssuer(t)
		v := verifier(f)
		require.NoError(t, v.Ping(t.Context()))
		f.publish("k2", newKey(t))
		pass(16 * time.Minute)
		_, err := v.Verify(t.Context(), sign(t, old, "k1", goodClaims()))
		require.NoError(t, err, "the old keys serve until the new ones are there")
		synctest.Wait()
		_, err = v.Verify(t.Context(), sign(t, old, "k1", with(map[string]any{"sub": "bob"})))
		requireCode(t, err, "token_invalid")
	})
}

func TestWrongIssuerIsAnOutage(t *testing.T) {
	f, key := newIssuer(t)
	f.name = "http://somebody.else"
	_, err := verifier(f).Verify(t.Context(), sign(t, key, "k1", goodClaims()))
	require.ErrorIs(t, err, events.ErrUnavailable)
	v := oidc.New(oidc.Config{Issuer: issuerURL, DiscoveryURL: "http://inner.test", Client: &http.Client{Transport: f}})
	_, err = v.Verify(t.Context(), sign(t, key, "k1", goodClaims()))
	require.ErrorContains(t, err, `calls itself "http://somebody.else"`)
}

func TestDiscoveryElsewhere(t *testing.T) {
	f, key := newIssuer(t)
	v := oidc.New(oidc.Config{Issuer: issuerURL, DiscoveryURL: "http://inner.test", Client: &http.Client{Transport: f}})
	_, err := v.Verify(t.Context(), sign(t, key, "k1", goodClaims()))
	require.NoError(t, err)
}

func TestCanceledCaller(t *testing.T) {
	f, key := newIssuer(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	block := make(chan struct{})
	defer close(block)
	v := oidc.New(oidc.Config{Issuer: issuerURL, Client: &http.Client{Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
		<-block
		return f.RoundTrip(r)
	})}})
	_, err := v.Verify(ctx, sign(t, key, "k1", goodClaims()))
	require.ErrorIs(t, err, context.Canceled)
	require.ErrorIs(t, err, events.ErrUnavailable)
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func TestCacheIsBounded(t *testing.T) {
	f, key := newIssuer(t)
	v := verifier(f)
	v.Shrink(64)
	for i := range 300 {
		_, err := v.Verify(t.Context(), sign(t, key, "k1", with(map[string]any{"jti": i})))
		require.NoError(t, err)
		require.LessOrEqual(t, v.Cached(), 64)
	}
	require.Greater(t, v.Cached(), 32)
}

func FuzzVerify(f *testing.F) {
	fake, key := newIssuer(f)
	v := verifier(fake)
	f.Add(sign(f, key, "k1", goodClaims()))
	f.Add("a.b.c")
	f.Add(`{"payload":"","signatures":[]}`)
	f.Fuzz(func(t *testing.T, token string) {
		if _, err := v.Verify(t.Context(), token); err != nil && !errors.Is(err, events.ErrUnauthenticated) && !errors.Is(err, events.ErrUnavailable) {
			t.Fatalf("error of no kind: %v", err)
		}
	})
}

// BenchmarkVerifyCached is what each request after a token's first one pays.
func BenchmarkVerifyCached(b *testing.B) {
	f, key := newIssuer(b)
	v := verifier(f)
	token := sign(b, key, "k1", goodClaims())
	b.ReportMetric(float64(len(token)), "token-B")
	if _, err := v.Verify(b.Context(), token); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, err := v.Verify(b.Context(), token); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkVerifyNew is what a token's first request pays: ES256.
func BenchmarkVerifyNew(b *testing.B) {
	f, key := newIssuer(b)
	v := verifier(f)
	token := sign(b, key, "k1", goodClaims())
	for b.Loop() {
		v.Shrink(32)
		if _, err := v.Verify(b.Context(), token); err != nil {
			b.Fatal(err)
		}
	}
}

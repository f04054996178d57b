package issuer

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/chat-platform/chat/events"
)

// Client asks an issuer for tokens on behalf of tools: load, replay, tests. It
// works with any issuer that has a public client chat-tools with the password
// grant, as the development realm of Keycloak has.
type Client struct {
	HTTP     *http.Client
	Endpoint string   // the token endpoint
	Scopes   []string // that the issuer knows; nil: it does not say
	Secret   string   // the password of all users; the development issuer asks for none
}

// NewClient finds the issuer's token endpoint by discovery.
func NewClient(ctx context.Context, client *http.Client, issuerURL string) (*Client, error) {
	var doc struct {
		TokenEndpoint string   `json:"token_endpoint"`
		Scopes        []string `json:"scopes_supported"`
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimRight(issuerURL, "/")+"/.well-known/openid-configuration", nil)
	if err != nil {
		return nil, fmt.Errorf("discovery of %s: %w", issuerURL, err)
	}
	if err := do(client, req, &doc); err != nil {
		return nil, fmt.Errorf("discovery of %s: %w", issuerURL, err)
	}
	if doc.TokenEndpoint == "" {
		return nil, fmt.Errorf("discovery of %s: no token_endpoint", issuerURL)
	}
	return &Client{HTTP: client, Endpoint: doc.TokenEndpoint, Scopes: doc.Scopes}, nil
}

// Password gets tokens for a user. Scopes that the issuer does not know are left
// out: with Keycloak a role is the user's, and not asked for. Errors match
// [events.ErrInvalid] where the issuer refuses and [events.ErrUnavailable]
// where it cannot answer.
func (c *Client) Password(ctx context.Context, user string, scopes ...string) (Token, error) {
	form := url.Values{"grant_type": {"password"}, "client_id": {"chat-tools"}, "username": {user}}
	if c.Secret != "" {
		form.Set("password", c.Secret)
	}
	if c.Scopes != nil {
		scopes = slices.DeleteFunc(slices.Clone(scopes), func(s string) bool { return !slices.Contains(c.Scopes, s) })
	}
	if len(scopes) > 0 {
		form.Set("scope", strings.Join(scopes, " "))
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.Endpoint, strings.NewReader(form.Encode()))
	if err != nil {
		return Token{}, fmt.Errorf("token of %q: %w", user, err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	var t Token
	if err := do(c.HTTP, req, &t); err != nil {
		return Token{}, fmt.Errorf("token of %q: %w", user, err)
	}
	return t, nil
}

// PasswordToken is discovery and [Client.Password] in one; for more than a few
// users use a [Client].
func PasswordToken(ctx context.Context, client *http.Client, issuerURL, user string, scopes ...string) (Token, error) {
	c, err := NewClient(ctx, client, issuerURL)
	if err != nil {
		return Token{}, err
	}
	return c.Password(ctx, user, scopes...)
}

func do(client *http.Client, req *http.Request, answer any) error {
	resp, err := client.Do(req)
	if err != nil {
		return fmt.Errorf("%w: %w", err, events.ErrUnavailable)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err != nil {
		return fmt.Errorf("%w: %w", err, events.ErrUnavailable)
	}
	if resp.StatusCode != http.StatusOK {
		kind := events.ErrInvalid
		if resp.StatusCode >= 500 || resp.StatusCode == http.StatusTooManyRequests {
			kind = events.ErrUnavailable
		}
		var e oauthError
		if json.Unmarshal(b, &e) == nil && e.Code != "" {
			return fmt.Errorf("status %d, %s: %s: %w", resp.StatusCode, e.Code, e.Description, kind)
		}
		return fmt.Errorf("status %d: %w", resp.StatusCode, kind)
	}
	if err := json.Unmarshal(b, answer); err != nil {
		return fmt.Errorf("answer: %w", err)
	}
	return nil
}

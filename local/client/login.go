package client

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// Platform is what a platform tells its clients before they log in.
type Platform struct {
	Issuer        string `json:"issuer"`
	ClientID      string `json:"client_id"`
	WebSocketPath string `json:"websocket_path"`
}

// Platform asks for the public configuration.
func (c *Client) Platform(ctx context.Context) (Platform, error) {
	var p Platform
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.base.String()+"/v1/config", nil)
	if err != nil {
		return p, fmt.Errorf("platform configuration: %w", err)
	}
	_, err = c.send(req, &p)
	return p, err
}

// Token is a bearer token of the client's user. It is asked for by the password
// grant, at first use and again shortly before it expires; the password is the
// user's name, which the development issuer does not look at.
func (c *Client) Token(ctx context.Context) (string, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.token != "" && time.Until(c.expires) > 30*time.Second {
		return c.token, nil
	}
	p, err := c.Platform(ctx)
	if err != nil {
		return "", fmt.Errorf("log in %s: %w", c.user, err)
	}
	endpoint, err := c.tokenEndpoint(ctx, p.Issuer)
	if err != nil {
		return "", fmt.Errorf("log in %s: %w", c.user, err)
	}
	form := url.Values{
		"grant_type": {"password"}, "client_id": {p.ClientID}, "username": {c.user}, "password": {c.user},
		"scope": {strings.Join(append([]string{"openid"}, c.scopes...), " ")},
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, endpoint, strings.NewReader(form.Encode()))
	if err != nil {
		return "", fmt.Errorf("log in %s: %w", c.user, err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	var answer struct {
		AccessToken string `json:"access_token"`
		ExpiresIn   int    `json:"expires_in"`
	}
	if _, err := c.send(req, &answer); err != nil {
		return "", fmt.Errorf("log in %s: %w", c.user, err)
	}
	c.token, c.expires = answer.AccessToken, time.Now().Add(time.Duration(answer.ExpiresIn)*time.Second)
	return c.token, nil
}

func (c *Client) tokenEndpoint(ctx context.Context, issuer string) (string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimSuffix(issuer, "/")+"/.well-known/openid-configuration", nil)
	if err != nil {
		return "", fmt.Errorf("discover %s: %w", issuer, err)
	}
	res, err := c.http.Do(req)
	if err != nil {
		return "", fmt.Errorf("discover %s: %w", issuer, err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return "", fmt.Errorf("discover %s: %w", issuer, problem(res))
	}
	var d struct {
		TokenEndpoint string `json:"token_endpoint"`
	}
	if err := json.NewDecoder(res.Body).Decode(&d); err != nil {
		return "", fmt.Errorf("discover %s: %w", issuer, err)
	}
	return d.TokenEndpoint, nil
}

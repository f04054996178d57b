package client

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/chat-platform/chat/local/issuer"
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

// Token is a bearer token of the client's user. It is asked for at first use and
// again shortly before it expires, see [issuer.Client].
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
	var t issuer.Token
	at, err := issuer.NewClient(ctx, c.http, p.Issuer)
	if err == nil {
		at.Secret = c.secret
		t, err = at.Password(ctx, c.user, c.scopes...)
	}
	if err != nil {
		return "", fmt.Errorf("log in %s: %w", c.user, err)
	}
	c.token, c.expires = t.AccessToken, time.Now().Add(time.Duration(t.ExpiresIn)*time.Second)
	return c.token, nil
}

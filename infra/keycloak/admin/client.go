package admin

import (
	"cmp"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/chat-platform/chat/events"
)

const (
	timeout = 10 * time.Second
	maxBody = 16 << 20
)

// Config says which realm is read, and by whom.
type Config struct {
	Issuer      string        `env:"OIDC_ISSUER"`                               // of the realm's tokens, like https://id.example/realms/chat
	Reached     string        `env:"OIDC_DISCOVERY_URL"`                        // the same, where it is not reached at Issuer
	ClientID    string        `env:"CHAT_WATCHER_ID" envDefault:"chat-watcher"` // of the service account
	Secret      string        `env:"CHAT_WATCHER_SECRET"`                       // and its secret
	TokenMaxAge time.Duration `env:"TOKEN_MAX_AGE" envDefault:"1h"`             // no token lives longer; user events have to be kept for as long
	Client      *http.Client  `env:"-"`                                         // nil: one of its own
}

// Validate says which variable cannot be.
func (c Config) Validate() error {
	if c.Secret == "" {
		return nil // not to be used
	}
	if _, _, err := c.urls(); err != nil {
		return err
	}
	return nil
}

// urls are those of the realm and of its admin API.
func (c Config) urls() (realm, admin string, err error) {
	realm = strings.TrimRight(cmp.Or(c.Reached, c.Issuer), "/")
	u, err := url.Parse(realm)
	i := strings.LastIndex(realm, "/realms/")
	if err != nil || u.Host == "" || i < 0 || strings.Contains(realm[i+len("/realms/"):], "/") {
		return "", "", fmt.Errorf("OIDC_ISSUER is %q, expected the URL of a Keycloak realm, like https://id.example/realms/chat, as CHAT_WATCHER_SECRET is set", realm)
	}
	return realm, realm[:i] + "/admin" + realm[i:], nil
}

// Client asks one realm's admin API.
type Client struct {
	cfg          Config
	realm, admin string
	http         *http.Client
	checked      bool // the realm keeps the events that are needed, as of this token

	token   string
	fetched time.Time // the token, by this process's clock
	issued  time.Time // the token, by Keycloak's
	renew   time.Time
}

// New makes a client; it does not call Keycloak.
func New(cfg Config) (*Client, error) {
	realm, admin, err := cfg.urls()
	if err != nil {
		return nil, err
	}
	if cfg.Secret == "" {
		return nil, fmt.Errorf("CHAT_WATCHER_SECRET is not set, expected the secret of the client %s", cfg.ClientID)
	}
	c := &Client{cfg: cfg, realm: realm, admin: admin, http: cfg.Client}
	if c.http == nil {
		c.http = &http.Client{Timeout: timeout}
	}
	return c, nil
}

// now is Keycloak's time, to a second: it tells it with every token.
func (c *Client) now() time.Time { return c.issued.Add(time.Since(c.fetched)) }

// get reads from the admin API. A token that is refused (all were revoked,
// perhaps) is renewed once.
func (c *Client) get(ctx context.Context, path string, query url.Values, out any) error {
	for again := true; ; again = false {
		if err := c.login(ctx); err != nil {
			return err
		}
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.admin+path+"?"+query.Encode(), nil)
		if err != nil {
			return fmt.Errorf("read %s of Keycloak: %w", path, err)
		}
		req.Header.Set("Authorization", "Bearer "+c.token)
		status, err := c.do(req, out)
		if status == http.StatusUnauthorized && again {
			c.token = ""
			continue
		}
		if err != nil {
			return fmt.Errorf("read %s of Keycloak: %w", path, err)
		}
		return nil
	}
}

// login gets a token where there is none that is good for a while.
func (c *Client) login(ctx context.Context) error {
	if c.token != "" && time.Now().Before(c.renew) {
		return nil
	}
	form := url.Values{"grant_type": {"client_credentials"}, "client_id": {c.cfg.ClientID}, "client_secret": {c.cfg.Secret}}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.realm+"/protocol/openid-connect/token", strings.NewReader(form.Encode()))
	if err != nil {
		return fmt.Errorf("log in at Keycloak as %s: %w", c.cfg.ClientID, err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	var answer struct {
		Token   string `json:"access_token"`
		Expires int    `json:"expires_in"`
	}
	asked := time.Now()
	if _, err := c.do(req, &answer); err != nil {
		return fmt.Errorf("log in at Keycloak as %s: %w", c.cfg.ClientID, err)
	}
	issued, err := issuedAt(answer.Token)
	if err != nil {
		return fmt.Errorf("log in at Keycloak as %s: %w", c.cfg.ClientID, err)
	}
	c.token, c.fetched, c.issued, c.checked = answer.Token, asked, issued, false
	c.renew = asked.Add(time.Duration(answer.Expires) * time.Second * 3 / 4)
	return nil
}

// issuedAt reads when a token of our own was issued; nobody relies on its
// signature.
func issuedAt(token string) (time.Time, error) {
	_, rest, _ := strings.Cut(token, ".")
	payload, _, _ := strings.Cut(rest, ".")
	var claims struct {
		Issued int64 `json:"iat"`
	}
	b, err := base64.RawURLEncoding.DecodeString(payload)
	if err == nil {
		err = json.Unmarshal(b, &claims)
	}
	if err != nil || claims.Issued == 0 {
		return time.Time{}, events.Invalid("invalid_token", "", "the token does not tell when it was issued")
	}
	return time.Unix(claims.Issued, 0), nil
}

// do sends a request and decodes the answer. What is not 2xx is an error, of
// kind events.ErrUnavailable where it may be another time.
func (c *Client) do(req *http.Request, out any) (status int, err error) {
	resp, err := c.http.Do(req)
	if err != nil {
		return 0, fmt.Errorf("%w: %w", events.ErrUnavailable, err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(io.LimitReader(resp.Body, maxBody))
	switch {
	case err != nil:
		return 0, fmt.Errorf("%w: %w", events.ErrUnavailable, err)
	case resp.StatusCode >= 500:
		return resp.StatusCode, fmt.Errorf("%w: status %d", events.ErrUnavailable, resp.StatusCode)
	case resp.StatusCode == http.StatusUnauthorized:
		return resp.StatusCode, fmt.Errorf("%w: status %d", events.ErrUnauthenticated, resp.StatusCode)
	case resp.StatusCode == http.StatusForbidden:
		return resp.StatusCode, fmt.Errorf("%w: the service account needs the roles view-events and view-users", events.ErrForbidden)
	case resp.StatusCode >= 300:
		return resp.StatusCode, fmt.Errorf("status %d: %.200s", resp.StatusCode, b)
	}
	if err := json.Unmarshal(b, out); err != nil {
		return resp.StatusCode, fmt.Errorf("the answer is not of the expected form: %w", err)
	}
	return resp.StatusCode, nil
}

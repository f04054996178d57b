// Package client speaks the platform's public API, REST and WebSocket, for the
// tools of this folder. It knows nothing of what stands behind the API.
//
// Every call takes a context, sends one request and returns the decoded answer
// or an error; an answer of the platform that is no success is a [*Problem].
// [Retry] repeats what is worth repeating. A Client is safe for use by many
// goroutines.
package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/chat-platform/chat/events"
)

// Client calls one platform as one user.
type Client struct {
	base   *url.URL
	http   *http.Client
	user   string
	secret string // the user's password

	mu      sync.Mutex
	scopes  []string
	token   string
	expires time.Time
}

// New makes a client of the platform at base, like "http://localhost:8080", for
// a user of its issuer, with the given scopes (like "chat-import"). The first
// call logs in, at the development issuer without a password, at another one by
// [Client.WithPassword].
func New(base, user string, scopes ...string) (*Client, error) {
	u, err := url.Parse(strings.TrimSuffix(base, "/"))
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, events.Invalid("invalid_url", "url", "platform URL %q is not like http://localhost:8080", base)
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.MaxIdleConnsPerHost = 256
	return &Client{base: u, http: &http.Client{Transport: transport, Timeout: 60 * time.Second}, user: user, scopes: scopes}, nil
}

// As makes a client of the same platform for another user; both share their
// connections.
func (c *Client) As(user string, scopes ...string) *Client {
	return &Client{base: c.base, http: c.http, user: user, secret: c.secret, scopes: scopes}
}

// WithPassword makes the same client for an issuer that asks for a password. The
// clients that it makes by As use the same one.
func (c *Client) WithPassword(secret string) *Client {
	with := c.As(c.user, c.scopes...)
	with.secret = secret
	return with
}

// User is the name under which the client logs in.
func (c *Client) User() string { return c.user }

// Problem is an answer of the platform that is no success (RFC 9457).
type Problem struct {
	Status     int           `json:"status"`
	Title      string        `json:"title"`
	Detail     string        `json:"detail"`
	Code       string        `json:"code"`
	RequestID  string        `json:"request_id"`
	RetryAfter time.Duration `json:"-"` // 0 where the answer named none
}

func (p *Problem) Error() string {
	return fmt.Sprintf("%d %s: %s (request %s)", p.Status, p.Code, p.Detail, p.RequestID)
}

// Temporary tells whether the same request may succeed later.
func (p *Problem) Temporary() bool {
	return p.Status == http.StatusTooManyRequests || p.Status == http.StatusRequestTimeout ||
		p.Status == http.StatusBadGateway || p.Status == http.StatusServiceUnavailable || p.Status == http.StatusGatewayTimeout
}

// Do sends in as JSON (nil: no body) and decodes the answer into out (nil: not
// wanted). It returns the answer's status.
func (c *Client) Do(ctx context.Context, method, path string, in, out any) (int, error) {
	token, err := c.Token(ctx)
	if err != nil {
		return 0, err
	}
	var body io.Reader
	if in != nil {
		b, err := json.Marshal(in)
		if err != nil {
			return 0, fmt.Errorf("%s %s: %w", method, path, err)
		}
		body = bytes.NewReader(b)
	}
	req, err := http.NewRequestWithContext(ctx, method, c.base.String()+path, body)
	if err != nil {
		return 0, fmt.Errorf("%s %s: %w", method, path, err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	if in != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	return c.send(req, out)
}

func (c *Client) send(req *http.Request, out any) (int, error) {
	res, err := c.http.Do(req)
	if err != nil {
		return 0, fmt.Errorf("%s %s: %w", req.Method, req.URL.Path, err)
	}
	defer res.Body.Close()
	if res.StatusCode >= 300 {
		return res.StatusCode, fmt.Errorf("%s %s: %w", req.Method, req.URL.Path, problem(res))
	}
	if out == nil {
		_, err = io.Copy(io.Discard, res.Body)
	} else {
		err = json.NewDecoder(res.Body).Decode(out)
	}
	if err != nil {
		return res.StatusCode, fmt.Errorf("%s %s: read the answer: %w", req.Method, req.URL.Path, err)
	}
	return res.StatusCode, nil
}

func problem(res *http.Response) *Problem {
	p := &Problem{}
	b, _ := io.ReadAll(io.LimitReader(res.Body, 1<<20))
	if json.Unmarshal(b, p) != nil {
		p.Detail = strings.TrimSpace(string(b[:min(len(b), 200)]))
	}
	p.Status = res.StatusCode
	if s, err := strconv.Atoi(res.Header.Get("Retry-After")); err == nil {
		p.RetryAfter = time.Duration(s) * time.Second
	}
	return p
}

// Retry calls f until it succeeds, fails for good or ctx ends. Answers that say
// "later" and broken connections are tried again with growing, jittered pauses
// of at most 5 s, or those that the answer asks for; within gives up after so
// long without a success.
func Retry(ctx context.Context, within time.Duration, f func(context.Context) error) error {
	started, pause := time.Now(), 50*time.Millisecond
	for {
		err := f(ctx)
		var p *Problem
		if err == nil || errors.As(err, &p) && !p.Temporary() || ctx.Err() != nil || errors.Is(err, events.ErrInvalid) {
			return err
		}
		if time.Since(started) > within {
			return fmt.Errorf("gave up after %s: %w", within, err)
		}
		wait := time.Duration(float64(pause) * (0.5 + rand.Float64()))
		if p != nil {
			wait = max(wait, p.RetryAfter)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(wait):
		}
		pause = min(2*pause, 5*time.Second)
	}
}

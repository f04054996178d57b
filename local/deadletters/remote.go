package deadletters

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/chat-platform/chat/events"
	"github.com/chat-platform/chat/local/datadir"
)

// remoteTimeout bounds a request; a redrive waits for the sink's answer.
const remoteTimeout = 2 * time.Minute

// Remote is Letters of a running platform.
type Remote struct {
	base   *url.URL
	client *http.Client
}

// OfPlatform finds the platform that runs on a data folder by the file in which
// it says where it listens. It is of kind events.ErrUnavailable if none does.
func OfPlatform(dataDir string) (*Remote, error) {
	path := filepath.Join(dataDir, datadir.Internal)
	b, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, events.NewFault(events.ErrUnavailable, "no_platform", "", "no platform runs on the data folder %s (there is no %s)", dataDir, path)
	}
	if err != nil {
		return nil, fmt.Errorf("find the platform on %s: %w", dataDir, err)
	}
	base, err := url.Parse(strings.TrimSpace(string(b)))
	if err != nil || base.Host == "" {
		return nil, events.Invalid("invalid_url", "", "%s holds no URL", path)
	}
	return &Remote{base: base, client: &http.Client{Timeout: remoteTimeout}}, nil
}

// List is of [Letters].
func (r *Remote) List(ctx context.Context, consumer string, after uint64, limit int) ([]Letter, error) {
	q := url.Values{"consumer": {consumer}, "after": {strconv.FormatUint(after, 10)}, "limit": {strconv.Itoa(limit)}}
	var p page
	err := r.do(ctx, http.MethodGet, "", q, &p)
	return p.Letters, err
}

// Show is of [Letters].
func (r *Remote) Show(ctx context.Context, seq uint64) (l Letter, err error) {
	return l, r.do(ctx, http.MethodGet, fmt.Sprintf("/%d", seq), nil, &l)
}

// Redrive is of [Letters].
func (r *Remote) Redrive(ctx context.Context, seq uint64) (o Outcome, err error) {
	return o, r.do(ctx, http.MethodPost, fmt.Sprintf("/%d/redrive", seq), nil, &o)
}

// Discard is of [Letters].
func (r *Remote) Discard(ctx context.Context, seq uint64) error {
	return r.do(ctx, http.MethodDelete, fmt.Sprintf("/%d", seq), nil, &struct{}{})
}

func (r *Remote) do(ctx context.Context, method, path string, q url.Values, out any) error {
	u := *r.base // its user and password go along as basic authentication
	u.Path, u.RawQuery = Path+path, q.Encode()
	req, err := http.NewRequestWithContext(ctx, method, u.String(), nil)
	if err != nil {
		return fmt.Errorf("dead letters: %w", err)
	}
	res, err := r.client.Do(req)
	if err != nil {
		if ctx.Err() != nil {
			return fmt.Errorf("dead letters: %w", ctx.Err())
		}
		return events.NewFault(events.ErrUnavailable, "no_platform", "", "the platform does not answer, has it ended? %v", errors.Unwrap(err))
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		return fmt.Errorf("dead letters: read the answer: %w", err)
	}
	if res.StatusCode != http.StatusOK {
		return fault(res.StatusCode, body)
	}
	if err := json.Unmarshal(body, out); err != nil {
		return fmt.Errorf("dead letters: answer: %w", err)
	}
	return nil
}

// fault is the problem that the platform answered with.
func fault(status int, body []byte) error {
	var p struct {
		Code   string `json:"code"`
		Detail string `json:"detail"`
	}
	if json.Unmarshal(body, &p) != nil || p.Code == "" {
		return fmt.Errorf("dead letters: the platform answers %d: %.200q", status, body)
	}
	kind := events.ErrInvalid
	switch status {
	case http.StatusNotFound:
		kind = events.ErrNotFound
	case http.StatusForbidden:
		kind = events.ErrForbidden
	case http.StatusServiceUnavailable:
		kind = events.ErrUnavailable
	case http.StatusInternalServerError:
		return fmt.Errorf("dead letters: the platform answers %d: %s", status, p.Detail)
	}
	return events.NewFault(kind, p.Code, "", "%s", p.Detail)
}

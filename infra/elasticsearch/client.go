package elasticsearch

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"time"

	"github.com/chat-platform/chat/events"
)

// maxWait bounds the wait between two attempts.
const maxWait = 2 * time.Second

var errClosed = fmt.Errorf("%w: the store is closed", events.ErrUnavailable)

// once sends one request and reads a JSON answer into out, unless that is nil.
// body is bytes of NDJSON or a value for JSON.
func (s *Store) once(ctx context.Context, method, path string, body, out any) error {
	if s.closed.Load() {
		return errClosed
	}
	var reader io.Reader
	kind := "application/json"
	switch b := body.(type) {
	case nil:
	case []byte:
		reader, kind = bytes.NewReader(b), "application/x-ndjson"
	default:
		j, err := json.Marshal(body)
		if err != nil {
			return err
		}
		reader = bytes.NewReader(j)
	}
	attempt, cancel := context.WithTimeout(ctx, s.config.Timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(attempt, method, path, reader)
	if err != nil {
		return err
	}
	if reader != nil {
		req.Header.Set("Content-Type", kind)
	}
	res, err := s.client.Perform(req)
	if err != nil {
		return unreachable(ctx, err)
	}
	defer res.Body.Close()
	if res.StatusCode >= 300 {
		return readRefusal(res)
	}
	if out != nil {
		if err := json.NewDecoder(res.Body).Decode(out); err != nil {
			return unreachable(ctx, fmt.Errorf("read the answer: %w", err))
		}
	}
	_, err = io.Copy(io.Discard, res.Body) // so that the connection is used again
	if err != nil {
		return unreachable(ctx, err)
	}
	return nil
}

func unreachable(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return fmt.Errorf("%w: %w", events.ErrUnavailable, err)
}

// call is once, again and again while that may help. All requests of this
// package may be sent twice.
func (s *Store) call(ctx context.Context, method, path string, body, out any) error {
	return s.retry(ctx, func() error { return s.once(ctx, method, path, body, out) })
}

// retry calls f up to Attempts times while it fails with what passes.
func (s *Store) retry(ctx context.Context, f func() error) error {
	for attempt := 1; ; attempt++ {
		err := f()
		if err == nil || ctx.Err() != nil || s.closed.Load() || !errors.Is(err, events.ErrUnavailable) {
			return err
		}
		if attempt == s.config.Attempts {
			return fmt.Errorf("%w (%d attempts)", err, attempt)
		}
		wait := min(maxWait, s.config.RetryWait<<min(attempt-1, 20))
		select {
		case <-time.After(time.Duration(rand.Int64N(int64(wait)) + 1)):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

package invoke

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/chat-platform/chat/events"
)

// postWithin is more than a function takes: it answers within 10 s.
const postWithin = 30 * time.Second

// maxAnswer bounds what is read of an answer.
const maxAnswer = 16 << 20

// request makes the POST of the fixture in a mode.
func (f fixture) request(ctx context.Context, mode, to string) (*http.Request, error) {
	body, contentType := f.raw, events.ContentTypeStructured
	switch mode {
	case "batch":
		body, contentType = slices.Concat([]byte("["), bytes.TrimSpace(f.raw), []byte("]")), events.ContentTypeBatch
	case "binary":
		body = f.event.Data
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, to, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", contentType)
	if mode == "binary" {
		for k, v := range f.event.Header() {
			req.Header.Set(k, v[0])
		}
	}
	return req, nil
}

// post sends the fixture and prints the answer.
func (s *stage) post(ctx context.Context, mode string) error {
	ctx, cancel := context.WithTimeout(ctx, postWithin)
	defer cancel()
	req, err := s.request(ctx, mode, s.url)
	if err != nil {
		return err
	}
	token, err := s.token(ctx)
	if err != nil {
		return err
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer))
	if err != nil {
		return fmt.Errorf("read the answer: %w", err)
	}
	fmt.Fprintf(s.out, "%s ← %s (%s mode%s)\n\nanswer: %s\n", s.function, s.path, mode, s.as(), res.Status)
	for _, h := range slices.Sorted(maps.Keys(res.Header)) {
		if strings.HasPrefix(h, "Ce-") || slices.Contains([]string{"Content-Type", "Retry-After", "Www-Authenticate"}, h) {
			fmt.Fprintf(s.out, "%s: %s\n", h, res.Header.Get(h))
		}
	}
	if len(answer) > 0 {
		fmt.Fprintln(s.out, pretty(answer))
	}
	return nil
}

// as says who calls.
func (f fixture) as() string {
	switch {
	case f.kind == writer:
		return ""
	case f.caller == "":
		return ", without a token"
	case len(f.roles) > 0:
		return fmt.Sprintf(", as %s with the role %s", f.caller, strings.Join(f.roles, ", "))
	}
	return ", as " + f.caller
}

package process

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	mrand "math/rand/v2"
	"net/http"
	"strings"
	"time"

	"github.com/chat-platform/chat/events"
)

// The waits between attempts to open what a process depends on.
const (
	firstWait = 100 * time.Millisecond
	mostWait  = 5 * time.Second
)

// Await opens something that the process cannot do without, and tries again for
// as long as it is away (errors of kind [events.ErrUnavailable]); any other error
// is for the process to end with. The process listens meanwhile, on what Listen
// has opened or on PORT: it is alive, readiness says what it waits for, and every
// other request is refused with 503, until [Process.Serve] takes over.
func Await[T any](ctx context.Context, p *Process, name string, open func(context.Context) (T, error)) (v T, err error) {
	if err := p.listenEarly(ctx); err != nil {
		return v, err
	}
	p.health.starting.Store(&named{name, opening})
	defer p.health.starting.Store(&starting)
	for wait, said := firstWait, false; ; wait = min(2*wait, mostWait) {
		v, err = open(ctx)
		switch {
		case err != nil && ctx.Err() != nil:
			return v, ctx.Err()
		case err == nil && said:
			p.Log.Info(name + " is there")
			return v, nil
		case err == nil, !errors.Is(err, events.ErrUnavailable):
			return v, err
		}
		p.Log.Warn(name+" is away, will try again", "error", err)
		said = true
		failed := err
		p.health.starting.Store(&named{name, func(context.Context) error { return failed }})
		select {
		case <-ctx.Done():
			return v, ctx.Err()
		case <-time.After(wait/2 + mrand.N(wait)):
		}
	}
}

// opening and starting are what readiness says before anything has failed.
func opening(context.Context) error { return errors.New("is being opened") }

var starting = named{"start", func(context.Context) error { return errors.New("the process is starting") }}

// refuse answers requests until the process serves.
func (p *Process) refuse(w http.ResponseWriter, r *http.Request) {
	if strings.HasPrefix(r.URL.Path, "/health/") {
		http.NotFound(w, r) // it has no word on them
		return
	}
	id := rand.Text()
	h := w.Header()
	h.Set("Content-Type", "application/problem+json")
	h.Set("Cache-Control", "no-store")
	h.Set("Retry-After", "1")
	h.Set("X-Request-Id", id)
	w.WriteHeader(http.StatusServiceUnavailable)
	_ = json.NewEncoder(w).Encode(map[string]any{ // or the asker is gone
		"type": "about:blank", "title": http.StatusText(http.StatusServiceUnavailable), "status": http.StatusServiceUnavailable,
		"code": "starting", "detail": "the process is starting; try again later", "request_id": id,
	})
}

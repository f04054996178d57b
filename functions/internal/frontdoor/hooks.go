package frontdoor

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/chat-platform/chat/events"
)

// The hooks that a handler may have, with func-go's signatures.
type (
	// Starter is called once before the first request; an error ends the process.
	Starter interface {
		Start(ctx context.Context, environment map[string]string) error
	}
	// Stopper is called once after the last request.
	Stopper interface {
		Stop(ctx context.Context) error
	}
	// ReadyReporter says whether requests may come.
	ReadyReporter interface {
		Ready(ctx context.Context) (bool, error)
	}
	// AliveReporter says whether the process should go on.
	AliveReporter interface {
		Alive(ctx context.Context) (bool, error)
	}
)

// probeTimeout bounds one health hook, below the probes' own patience.
const probeTimeout = 2 * time.Second

// Start calls the handler's hook, if there is one.
func (f *Function) Start(ctx context.Context, environment map[string]string) error {
	if s, ok := f.hooks.(Starter); ok {
		if err := s.Start(ctx, environment); err != nil {
			return fmt.Errorf("start function %s: %w", f.spec.Name, err)
		}
	}
	f.started.Store(true)
	return nil
}

// Stop makes the function report that it is not ready, and calls the handler's
// hook, if there is one.
func (f *Function) Stop(ctx context.Context) error {
	f.stopped.Store(true)
	if s, ok := f.hooks.(Stopper); ok {
		if err := s.Stop(ctx); err != nil {
			return fmt.Errorf("stop function %s: %w", f.spec.Name, err)
		}
	}
	return nil
}

// Ready tells whether requests may come: not after Stop, not before the hook
// Start has succeeded, and else as the hook Ready says.
func (f *Function) Ready(ctx context.Context) (bool, error) {
	if f.stopped.Load() {
		return false, nil
	}
	if _, ok := f.hooks.(Starter); ok && !f.started.Load() {
		return false, nil
	}
	if h, ok := f.hooks.(ReadyReporter); ok {
		return h.Ready(ctx)
	}
	return true, nil
}

// Alive tells what the hook Alive says, or true.
func (f *Function) Alive(ctx context.Context) (bool, error) {
	if h, ok := f.hooks.(AliveReporter); ok {
		return h.Alive(ctx)
	}
	return true, nil
}

func (f *Function) serveLiveness(w http.ResponseWriter, r *http.Request) {
	f.serveHealth(w, r, "not_alive", f.Alive)
}

func (f *Function) serveReadiness(w http.ResponseWriter, r *http.Request) {
	f.serveHealth(w, r, "not_ready", f.Ready)
}

func (f *Function) serveHealth(w http.ResponseWriter, r *http.Request, code string, hook func(context.Context) (bool, error)) {
	ctx, cancel := context.WithTimeout(r.Context(), probeTimeout)
	defer cancel()
	ok, err := probe(ctx, hook)
	if ok && err == nil {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		w.Header()["Cache-Control"] = noStore
		_, _ = w.Write([]byte("ok\n"))
		return
	}
	id := requestID(r.Header)
	f.log.WarnContext(ctx, "health check", "code", code, "request_id", id, "error", err)
	WriteProblem(w, id, events.NewFault(events.ErrUnavailable, code, "", "function %s is %s", f.spec.Name, map[string]string{"not_alive": "not alive", "not_ready": "not ready"}[code]))
}

func probe(ctx context.Context, hook func(context.Context) (bool, error)) (ok bool, err error) {
	defer func() {
		if v := recover(); v != nil {
			ok, err = false, fmt.Errorf("panic in a health hook: %v", v)
		}
	}()
	return hook(ctx)
}

package frontdoor

import (
	"context"
	"log/slog"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/chat-platform/chat/events"
)

// Verifier tells who a bearer token belongs to. rawToken is never empty. Errors
// are faults of kind [events.ErrUnauthenticated], or [events.ErrUnavailable].
type Verifier interface {
	Verify(ctx context.Context, rawToken string) (events.Caller, error)
}

// Option changes how a function is served, not what it does.
type Option func(*Function)

// WithVerifier sets who checks tokens. Without it a command or query refuses
// every call.
func WithVerifier(v Verifier) Option { return func(f *Function) { f.verifier = v } }

// WithLimiter sets who says how often a caller may call. Without it everybody
// may call as often as they like.
func WithLimiter(l Limiter) Option { return func(f *Function) { f.limiter = l } }

// WithLogger sets where requests and errors are logged; slog.Default otherwise.
func WithLogger(l *slog.Logger) Option { return func(f *Function) { f.log = l } }

// WithRegisterer sets where metrics are registered; nowhere otherwise. Functions
// that share a registerer share the collectors and differ by label.
func WithRegisterer(r prometheus.Registerer) Option { return func(f *Function) { f.registerer = r } }

// WithHooks gives the value, usually the handler, whose Start, Stop, Ready and
// Alive methods (any of them) become the function's, see [Starter].
func WithHooks(handler any) Option { return func(f *Function) { f.hooks = handler } }

// WithOrigins lets pages of these origins ("https://app.example", or "*") call
// the function that [Function.Alone] serves. On a common mux use [CORS].
func WithOrigins(origins ...string) Option { return func(f *Function) { f.origins = origins } }

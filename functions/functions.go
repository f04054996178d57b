// Package functions is the list of all functions, for whoever runs them in one
// process: the local platform mounts them on one mux. (In a cluster each has a
// process of its own, see functions/cmd.) It wires handlers to the interfaces
// that they declare and knows no adapter: infra/nats.Log and the stores fit.
//
// Commands and queries are public and verify tokens. Writers ask for none, and
// belong on a listener that only the source reaches.
package functions

import (
	"log/slog"
	"net/http"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/chat-platform/chat/functions/internal/frontdoor"
	"github.com/chat-platform/chat/functions/internal/hot"
)

// What the front door is made of, for those outside this folder.
type (
	// Function is a handler with its endpoints.
	Function = frontdoor.Function
	// Spec says how a function is reached.
	Spec = frontdoor.Spec
	// Mux is a mux whose own refusals are problems.
	Mux = frontdoor.Mux
	// Verifier tells who a bearer token belongs to.
	Verifier = frontdoor.Verifier
	// Limiter says how often a caller may call.
	Limiter = frontdoor.Limiter
	// Pages keeps the latest pages of busy channels.
	Pages = hot.Pages
	// PagesConfig says how many.
	PagesConfig = hot.Config
	// SharedPages is what processes share of them.
	SharedPages = hot.Shared
)

// NotFound answers every request with the problem of status 404.
var NotFound = frontdoor.NotFound

// NewPages makes what keeps pages; shared and reg may be nil.
func NewPages(cfg PagesConfig, shared SharedPages, reg prometheus.Registerer) *Pages {
	return hot.New(cfg, shared, reg)
}

// NewMux makes a mux with the functions mounted on it: the REST routes and
// POST /functions/<name>.
func NewMux(fns ...*Function) *Mux { return frontdoor.NewMux(fns...) }

// CORS lets pages of other origins call what next serves.
func CORS(origins []string, next http.Handler) http.Handler { return frontdoor.CORS(origins, next) }

// WriteProblem answers a request with the problem that an error makes.
func WriteProblem(w http.ResponseWriter, requestID string, err error) {
	frontdoor.WriteProblem(w, requestID, err)
}

// Serving is how functions are served. The zero value refuses every token, knows
// no rate limits, logs to slog's default and registers no metrics.
type Serving struct {
	Verifier   Verifier
	Limiter    Limiter
	Logger     *slog.Logger
	Registerer prometheus.Registerer
}

func (s Serving) options(handler any) []frontdoor.Option {
	opts := []frontdoor.Option{frontdoor.WithHooks(handler)}
	if s.Verifier != nil {
		opts = append(opts, frontdoor.WithVerifier(s.Verifier))
	}
	if s.Limiter != nil {
		opts = append(opts, frontdoor.WithLimiter(s.Limiter))
	}
	if s.Logger != nil {
		opts = append(opts, frontdoor.WithLogger(s.Logger))
	}
	if s.Registerer != nil {
		opts = append(opts, frontdoor.WithRegisterer(s.Registerer))
	}
	return opts
}

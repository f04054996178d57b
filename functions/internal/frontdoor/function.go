package frontdoor

import (
	"context"
	"log/slog"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/chat-platform/chat/events"
)

// Function is a handler with its endpoints. Make one with [Command] or
// [Writer]; it may serve any number of requests at a time.
type Function struct {
	spec       Spec
	verifier   Verifier
	limiter    Limiter
	log        *slog.Logger
	registerer prometheus.Registerer
	hooks      any
	origins    []string

	// One of the two is set.
	command func(*exchange, events.Caller, input) (any, error)
	write   func(context.Context, []events.Event) error

	params   *params // of the request's type; commands only
	accepted []string
	source   string // of answers
	metrics  *metrics
	inFlight atomic.Int64
	blind    atomic.Bool // the limiter fails
	started  atomic.Bool
	stopped  atomic.Bool
}

// input fills a request of a command's type.
type input interface{ fill(req any) error }

// Command makes a function of a command or a query: handle gets the verified
// caller and the decoded request, and returns the answer, which is sent as JSON.
// An answer with a method StatusCode() int chooses its own REST status, a request
// with a method Cost() int the units of the rate limit that it uses, otherwise 1.
//
// Req is a struct. Its fields come from the JSON body (or the CloudEvent's data)
// and, on the REST route, from what their tags path:"…", query:"…" and
// header:"…" name: strings, integers, bools, and pointers to them.
//
// A spec or type that cannot work is a programming error and panics.
func Command[Req, Ans any](spec Spec, handle func(context.Context, events.Caller, Req) (Ans, error), opts ...Option) *Function {
	f := newFunction(spec, DefaultMaxBody, opts)
	f.params = mustParams[Req](f.spec)
	f.command = func(x *exchange, caller events.Caller, in input) (any, error) {
		req := new(Req)
		fault := in.fill(req)
		if err := x.admit(caller, costOf(req, fault)); err != nil {
			return nil, err
		}
		if fault != nil {
			return nil, fault
		}
		return handle(x.ctx, caller, *req)
	}
	return f
}

// Writer makes a function of a handler of events: it gets one event or more,
// each valid and of an accepted type, and returns nil once their effect is
// durable. It must not be reachable by the public: it asks for no token.
func Writer(spec Spec, handle func(context.Context, []events.Event) error, opts ...Option) *Function {
	f := newFunction(spec, DefaultMaxWriterBody, opts)
	f.write = handle
	return f
}

func newFunction(spec Spec, maxBody int64, opts []Option) *Function {
	spec, err := spec.withDefaults(maxBody)
	if err != nil {
		panic(err)
	}
	f := &Function{spec: spec, source: "/functions/" + spec.Name, accepted: slices.Clone(spec.Types)}
	if len(f.accepted) == 0 && spec.Type != "" {
		f.accepted = []string{spec.Type}
	}
	for _, o := range opts {
		o(f)
	}
	if f.log == nil {
		f.log = slog.Default()
	}
	f.log = f.log.With("function", spec.Name)
	f.metrics = newMetrics(f.registerer, spec.Name)
	return f
}

// Name is the spec's.
func (f *Function) Name() string { return f.spec.Name }

// Spec is the spec with its defaults filled in.
func (f *Function) Spec() Spec { return f.spec }

// Mount puts the function's routes on a mux: the REST route, if it has one, and
// POST /functions/<name> for CloudEvents. A pattern that is there already
// panics, as http.ServeMux does.
func (f *Function) Mount(mux *http.ServeMux) {
	if f.spec.Method != "" && f.command != nil {
		mux.HandleFunc(f.spec.Method+" "+f.spec.Path, f.serveREST)
	}
	mux.HandleFunc("POST "+f.source, f.serveEvents)
}

// Alone serves the function as the only one of its process: what Mount mounts,
// CloudEvents on POST / too, and /health/liveness and /health/readiness.
func (f *Function) Alone() http.Handler {
	m := NewMux(f)
	m.HandleFunc("POST /{$}", f.serveEvents)
	m.HandleFunc("GET /health/liveness", f.serveLiveness)
	m.HandleFunc("GET /health/readiness", f.serveReadiness)
	if len(f.origins) > 0 {
		return CORS(f.origins, m)
	}
	return m
}

// accepts tells whether a writer takes the type.
func (f *Function) accepts(typ string) bool {
	return len(f.accepted) == 0 || slices.Contains(f.accepted, typ)
}

func (f *Function) wrongType(e events.Event) *events.Fault {
	return events.Invalid("unexpected_type", "type", "event %q has type %q, %s takes %s", e.ID, e.Type, f.spec.Name, quoted(f.accepted))
}

func quoted(names []string) string {
	all := make([]string, len(names))
	for i, n := range names {
		all[i] = strconv.Quote(n)
	}
	return strings.Join(all, ", ")
}

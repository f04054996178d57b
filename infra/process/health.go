package process

import (
	"context"
	"encoding/json"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/chat-platform/chat/infra/observability"
)

// checkTimeout bounds one look at the health, all checks together; toldTimeout
// those that do not count. Probes give up after a second, if nobody says otherwise.
const (
	checkTimeout = 3 * time.Second
	toldTimeout  = 500 * time.Millisecond
)

// Check tells whether something that the process depends on works.
type Check func(context.Context) error

type health struct {
	draining    atomic.Bool
	starting    atomic.Pointer[named] // what the start waits for; nil once the process serves
	mu          sync.Mutex
	ready, live []named
	told        []named
}

type named struct {
	name  string
	check Check
}

// Ready adds a check to /health/readiness: while it fails, or the process
// drains, no traffic should come.
func (p *Process) Ready(name string, c Check) {
	p.health.mu.Lock()
	defer p.health.mu.Unlock()
	p.health.ready = append(p.health.ready, named{name, c})
}

// Tells adds a check of something that the process can do without: readiness
// says what became of it, and "degraded" where it fails, with status 200.
func (p *Process) Tells(name string, c Check) {
	p.health.mu.Lock()
	defer p.health.mu.Unlock()
	p.health.told = append(p.health.told, named{name, c})
}

// Live adds a check to /health/liveness: while it fails, the process should be
// restarted. An outage elsewhere is no reason.
func (p *Process) Live(name string, c Check) {
	p.health.mu.Lock()
	defer p.health.mu.Unlock()
	p.health.live = append(p.health.live, named{name, c})
}

// Handler puts /metrics, /health/readiness and /health/liveness in front of
// inner. A health path answers 503 where one of the process's own checks fails;
// otherwise inner's answer, if it knows the path too, and else 200.
func (p *Process) Handler(inner http.Handler) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", observability.MetricsHandler(p.Registry, p.Log))
	mux.HandleFunc("GET /health/readiness", func(w http.ResponseWriter, r *http.Request) {
		p.health.mu.Lock()
		checks, told := p.health.ready, p.health.told
		p.health.mu.Unlock()
		if waits := p.health.starting.Load(); waits != nil {
			checks = append([]named{*waits}, checks...)
		}
		if p.health.draining.Load() {
			checks = append([]named{{"drain", func(context.Context) error { return errDraining }}}, checks...)
		}
		p.answer(w, r, checks, told, inner)
	})
	mux.HandleFunc("GET /health/liveness", func(w http.ResponseWriter, r *http.Request) {
		p.health.mu.Lock()
		checks := p.health.live
		p.health.mu.Unlock()
		p.answer(w, r, checks, nil, inner)
	})
	mux.Handle("/", inner)
	return mux
}

type drainError struct{}

func (drainError) Error() string { return "the process is draining" }

var errDraining = drainError{}

func (p *Process) answer(w http.ResponseWriter, r *http.Request, checks, told []named, inner http.Handler) {
	ctx, cancel := context.WithTimeout(r.Context(), checkTimeout)
	defer cancel()
	report := look(ctx, checks, told)
	status := "ok"
	for _, c := range told {
		if report[c.name] != "ok" {
			status = "degraded"
		}
	}
	for _, c := range checks {
		if report[c.name] != "ok" {
			status = "unavailable"
		}
	}
	if status != "unavailable" {
		probe := &answer{header: http.Header{}, status: http.StatusOK}
		inner.ServeHTTP(probe, r.WithContext(ctx))
		if probe.status != http.StatusNotFound && probe.status != http.StatusMethodNotAllowed {
			for k, vs := range probe.header {
				w.Header()[k] = vs
			}
			w.WriteHeader(probe.status)
			_, _ = w.Write(probe.body) // or the asker is gone
			return
		}
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	if status == "unavailable" {
		w.WriteHeader(http.StatusServiceUnavailable)
	}
	_ = json.NewEncoder(w).Encode(map[string]any{"status": status, "checks": report}) // or the asker is gone
}

// look makes all checks at once: one that waits takes no time from the others.
// What is only told may not hold the answer up, lest whoever probes gives up.
func look(ctx context.Context, checks, told []named) map[string]string {
	short, cancel := context.WithTimeout(ctx, toldTimeout)
	defer cancel()
	report := make(map[string]string, len(checks)+len(told))
	var mu sync.Mutex
	var all sync.WaitGroup
	ask := func(ctx context.Context, cs []named) {
		for _, c := range cs {
			all.Go(func() {
				said := "ok"
				if err := c.check(ctx); err != nil {
					said = err.Error()
				}
				mu.Lock()
				defer mu.Unlock()
				report[c.name] = said
			})
		}
	}
	ask(ctx, checks)
	ask(short, told)
	all.Wait()
	return report
}

// answer keeps a small answer until it is known whether it counts.
type answer struct {
	header http.Header
	status int
	wrote  bool
	body   []byte
}

func (a *answer) Header() http.Header { return a.header }

func (a *answer) WriteHeader(status int) {
	if !a.wrote {
		a.status, a.wrote = status, true
	}
}

func (a *answer) Write(b []byte) (int, error) {
	a.wrote = true
	if len(a.body)+len(b) <= 64<<10 {
		a.body = append(a.body, b...)
	}
	return len(b), nil
}

package frontdoor

import (
	"bufio"
	"net"
	"net/http"

	"github.com/chat-platform/chat/events"
)

// Mux is an http.ServeMux whose own refusals, 404 and 405, are problems.
type Mux struct{ http.ServeMux }

// NewMux makes a mux with the functions mounted on it.
func NewMux(fns ...*Function) *Mux {
	m := &Mux{}
	for _, f := range fns {
		f.Mount(&m.ServeMux)
	}
	return m
}

// ServeHTTP serves what is mounted, or a problem.
func (m *Mux) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	m.ServeMux.ServeHTTP(&muxWriter{ResponseWriter: w, r: r}, r)
}

// NotFound answers every request with the problem of status 404.
var NotFound http.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
	WriteProblem(w, requestID(r.Header), routeNotFound(r))
})

func routeNotFound(r *http.Request) error {
	return events.NewFault(events.ErrNotFound, "route_not_found", "", "there is nothing at %s", clip(r.URL.Path))
}

func methodNotAllowed(w http.ResponseWriter, r *http.Request) error {
	return &statusFault{http.StatusMethodNotAllowed, events.NewFault(events.ErrUnsupported, "method_not_allowed", "",
		"%s is not allowed at %s, but %s", clip(r.Method), clip(r.URL.Path), w.Header().Get("Allow"))}
}

// muxWriter replaces what the mux itself writes, which it does only where no
// pattern has matched.
type muxWriter struct {
	http.ResponseWriter
	r       *http.Request
	swallow bool
}

func (w *muxWriter) WriteHeader(status int) {
	if w.r.Pattern == "" && !w.swallow {
		switch status {
		case http.StatusNotFound:
			w.swallow = true
			WriteProblem(w.ResponseWriter, requestID(w.r.Header), routeNotFound(w.r))
			return
		case http.StatusMethodNotAllowed:
			w.swallow = true
			WriteProblem(w.ResponseWriter, requestID(w.r.Header), methodNotAllowed(w, w.r))
			return
		}
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *muxWriter) Write(b []byte) (int, error) {
	if w.swallow {
		return len(b), nil
	}
	return w.ResponseWriter.Write(b)
}

// Unwrap, Flush and Hijack keep the ways open that WebSockets and streams need.
func (w *muxWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func (w *muxWriter) Flush() { _ = http.NewResponseController(w.ResponseWriter).Flush() }

func (w *muxWriter) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	return http.NewResponseController(w.ResponseWriter).Hijack()
}

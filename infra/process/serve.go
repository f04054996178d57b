package process

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strconv"
	"sync/atomic"
	"syscall"
	"time"
)

// Listen opens the process's listener: PORT on LISTEN_ADDRESS, or on
// defaultAddress where that variable is not set ("" is every interface). Its
// error is one line that names the variable to change.
func (p *Process) Listen(ctx context.Context, defaultAddress string) (net.Listener, error) {
	host := p.settings.Address
	if host == "" {
		host = defaultAddress
	}
	port := strconv.Itoa(int(p.settings.Port))
	ln, err := new(net.ListenConfig).Listen(ctx, "tcp", net.JoinHostPort(host, port))
	switch {
	case err == nil:
		p.listener = ln
		return ln, nil
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, fmt.Errorf("port %s is in use by another process: choose another one by PORT", port)
	case errors.Is(err, os.ErrPermission):
		return nil, fmt.Errorf("port %s may not be used by this user: choose one from 1024 on by PORT", port)
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return nil, fmt.Errorf("LISTEN_ADDRESS %q is no address of this host", host)
	}
	var dns *net.DNSError
	if errors.As(err, &dns) {
		return nil, fmt.Errorf("LISTEN_ADDRESS %q cannot be resolved: %s", host, dns.Err)
	}
	return nil, fmt.Errorf("listen on LISTEN_ADDRESS %q, PORT %s: %w", host, port, err)
}

// front is the server of a process. It serves from when the process first waits for
// something.
type front struct {
	ln     net.Listener
	srv    *http.Server
	inner  atomic.Pointer[http.Handler] // nil: the process is starting
	base   context.Context              //nolint:containedctx // of requests
	cut    context.CancelFunc           // of base
	failed chan error
}

// serve begins to serve on ln: inner, or nothing yet where that is nil.
func (p *Process) serve(ctx context.Context, ln net.Listener, inner *http.Handler) *front {
	f := &front{ln: ln, failed: make(chan error, 1)}
	f.inner.Store(inner)
	f.base, f.cut = context.WithCancel(context.WithoutCancel(ctx))
	f.srv = &http.Server{
		Handler: p.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if inner := f.inner.Load(); inner != nil {
				(*inner).ServeHTTP(w, r)
				return
			}
			p.refuse(w, r)
		})),
		BaseContext:       func(net.Listener) context.Context { return f.base },
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    64 << 10,
		ErrorLog:          slog.NewLogLogger(p.Log.Handler(), slog.LevelDebug),
	}
	p.Log.Debug("listening already", "address", ln.Addr().String())
	go func() { f.failed <- f.srv.Serve(ln) }()
	return f
}

// listenEarly makes the process listen before it serves.
func (p *Process) listenEarly(ctx context.Context) error {
	if p.front != nil {
		return nil
	}
	if p.listener == nil {
		if _, err := p.Listen(ctx, ""); err != nil {
			return err
		}
	}
	p.health.starting.Store(&starting)
	p.front = p.serve(ctx, p.listener, nil)
	return nil
}

// closeEarly ends what listenEarly began, of a process that ends before it serves.
func (p *Process) closeEarly() {
	if p.front != nil {
		p.front.cut()
		_ = p.front.srv.Close()
	}
}

// Admit lets the requests of a process that listens already through to handler,
// as ServeOn does. Who tells people that they may come calls it before.
func (p *Process) Admit(handler http.Handler) {
	if p.front != nil {
		p.front.admit(p, handler)
	}
}

func (f *front) admit(p *Process, handler http.Handler) {
	f.inner.Store(&handler)
	p.health.starting.Store(nil)
}

// Serve listens and serves until ctx ends, then drains, see [Process.ServeOn].
func (p *Process) Serve(ctx context.Context, handler http.Handler) error {
	if p.front != nil {
		return p.ServeOn(ctx, p.front.ln, handler)
	}
	ln, err := p.Listen(ctx, "")
	if err != nil {
		return err
	}
	return p.ServeOn(ctx, ln, handler)
}

// ServeOn serves handler on ln, and /metrics and /health/ around it, see
// [Process.Handler]. When ctx ends it is no longer ready but serves on for
// DRAIN_DELAY, so that load balancers notice; then it stops listening, waits
// for requests under way at most DRAIN_TIMEOUT, and cuts off what is left. A
// WebSocket is not waited for: its owner closes it when its own context ends.
//
// Requests' contexts are not ended by ctx but by the cut. There is no limit on
// how long an answer may take, which would cut WebSockets; requests have one
// for their headers (10 s), idle connections 2 min.
func (p *Process) ServeOn(ctx context.Context, ln net.Listener, handler http.Handler) error {
	f := p.front
	if f == nil || f.ln != ln {
		f = p.serve(ctx, ln, &handler)
	}
	defer f.cut()
	f.admit(p, handler)
	p.Log.Info("listening", "address", ln.Addr().String())
	select {
	case err := <-f.failed:
		return fmt.Errorf("serve on %s: %w", ln.Addr(), err)
	case <-ctx.Done():
	}

	p.health.draining.Store(true)
	if p.settings.DrainDelay > 0 {
		delay := time.NewTimer(p.settings.DrainDelay)
		defer delay.Stop()
		select {
		case err := <-f.failed:
			return fmt.Errorf("serve on %s: %w", ln.Addr(), err)
		case <-delay.C:
		}
	}
	limit, cancel := context.WithTimeout(f.base, p.settings.DrainTimeout)
	defer cancel()
	if err := f.srv.Shutdown(limit); err != nil {
		p.Log.Warn("requests cut off at the end of the drain", "after", p.settings.DrainTimeout.String())
		f.cut()
		if err := f.srv.Close(); err != nil {
			p.Log.Debug("close", "error", err)
		}
	}
	if err := <-f.failed; !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve on %s: %w", ln.Addr(), err)
	}
	return nil
}

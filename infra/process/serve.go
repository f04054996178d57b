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

// Serve listens and serves until ctx ends, then drains, see [Process.ServeOn].
func (p *Process) Serve(ctx context.Context, handler http.Handler) error {
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
	base, cut := context.WithCancel(context.WithoutCancel(ctx))
	defer cut()
	srv := &http.Server{
		Handler:           p.Handler(handler),
		BaseContext:       func(net.Listener) context.Context { return base },
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    64 << 10,
		ErrorLog:          slog.NewLogLogger(p.Log.Handler(), slog.LevelDebug),
	}
	p.Log.Info("listening", "address", ln.Addr().String())
	failed := make(chan error, 1)
	go func() { failed <- srv.Serve(ln) }()
	select {
	case err := <-failed:
		return fmt.Errorf("serve on %s: %w", ln.Addr(), err)
	case <-ctx.Done():
	}

	p.health.draining.Store(true)
	if p.settings.DrainDelay > 0 {
		delay := time.NewTimer(p.settings.DrainDelay)
		defer delay.Stop()
		select {
		case err := <-failed:
			return fmt.Errorf("serve on %s: %w", ln.Addr(), err)
		case <-delay.C:
		}
	}
	limit, cancel := context.WithTimeout(base, p.settings.DrainTimeout)
	defer cancel()
	if err := srv.Shutdown(limit); err != nil {
		p.Log.Warn("requests cut off at the end of the drain", "after", p.settings.DrainTimeout.String())
		cut()
		if err := srv.Close(); err != nil {
			p.Log.Debug("close", "error", err)
		}
	}
	if err := <-failed; !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve on %s: %w", ln.Addr(), err)
	}
	return nil
}

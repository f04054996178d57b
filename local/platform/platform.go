// Package platform runs the whole chat in one process: the log, the stores,
// every function, the sources that feed the writers, fan-out, notification, the
// development issuer and the page. It is wiring; each part is the very package
// that runs as a binary of its own elsewhere.
//
// Everything lives in one data folder and survives a restart and a crash. The
// public side is one listener; writers, which ask for no token, are on a
// loopback listener of their own.
//
// It ends in the order of the flow: clients are told to reconnect, requests end,
// the sources finish what they hold, then stores and log are closed.
package platform

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"golang.org/x/sync/errgroup"

	natslog "github.com/chat-platform/chat/infra/nats"
	"github.com/chat-platform/chat/infra/process"
	"github.com/chat-platform/chat/local/datadir"
	"github.com/chat-platform/chat/longrunning/fanout"
	"github.com/chat-platform/chat/longrunning/notification"
	"github.com/chat-platform/chat/longrunning/source"
)

// Run serves the platform until ctx ends, then drains it.
func Run(ctx context.Context, p *process.Process) (err error) {
	var cfg Config
	if err := cfg.read(p); err != nil {
		return err
	}
	public, err := p.Listen(ctx, "localhost")
	if err != nil {
		return err
	}
	defer public.Close()
	if err := datadir.Open(cfg.DataDir); err != nil {
		return err
	}
	log, closeLog, err := openLog(ctx, cfg, p)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, closeLog()) }()
	views, err := openViews(ctx, cfg, p)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, views.close()) }()

	limiter, closeLimiter, err := openLimiter(ctx, cfg, p)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, closeLimiter()) }()
	router, err := newRouter(cfg, p, public.Addr(), log, views, limiter)
	if err != nil {
		return err
	}
	writers, err := serveWriters(ctx, p, views)
	if err != nil {
		return err
	}
	defer writers.close()
	return run(ctx, cfg, p, public, log, router, writers.url)
}

// run runs the parts. The public side ends first, then the sources and the
// fan-out, which the clients' last messages still pass.
func run(ctx context.Context, cfg Config, p *process.Process, public net.Listener, log *natslog.Log, r *router, writers string) error {
	inner, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	behind, inner := errgroup.WithContext(inner)
	sources, err := newSources(log, p, writers)
	if err != nil {
		return err
	}
	for _, s := range sources {
		behind.Go(func() error { return s.Run(inner) })
	}
	fan := cfg.Fanout
	fan.Logger, fan.Registerer = p.Log, p.Registry
	fanOut := fanout.New(log, fan)
	behind.Go(func() error { return fanOut.Run(inner) })

	// A part behind that fails takes the public side down with it.
	front, outer := errgroup.WithContext(ctx)
	front.Go(func() error {
		select {
		case <-inner.Done():
			return errors.New("a part of the platform has ended")
		case <-outer.Done():
			return nil
		}
	})
	front.Go(func() error {
		awaitReady(outer, fanOut.Ready)
		return r.notification.Run(outer)
	})
	front.Go(func() error { return p.ServeOn(outer, public, r.handler) })
	r.banner(p.Stdout)
	err = front.Wait()
	stop()
	return errors.Join(behind.Wait(), ignoreEnded(ctx, err))
}

// awaitReady waits for a part that another one calls at its start. It gives up
// after a second: the other one tries again by itself, and says so.
func awaitReady(ctx context.Context, ready func(context.Context) error) {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for ready(ctx) != nil {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// ignoreEnded drops the error that only says that the end began elsewhere.
func ignoreEnded(ctx context.Context, err error) error {
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

func newNotification(cfg Config, p *process.Process, log *natslog.Log, v notification.Verifier) *notification.Service {
	n := cfg.Notification
	n.Logger, n.Registerer = p.Log, p.Registry
	return notification.New(log, log.Bus(), v, n)
}

func newSources(log *natslog.Log, p *process.Process, writers string) ([]*source.Source, error) {
	var all []*source.Source
	for _, b := range bindings {
		s, err := source.New(log, source.Config{Stream: b.stream, Consumer: b.consumer, Sink: writers + "/functions/" + b.writer},
			source.Options{Logger: p.Log, Registerer: p.Registry})
		if err != nil {
			return nil, fmt.Errorf("source of %s: %w", b.writer, err)
		}
		all = append(all, s)
	}
	return all, nil
}

// internal is the listener of the writers.
type internal struct {
	url   string
	close func()
}

func listenLoopback(ctx context.Context, h http.Handler) (internal, error) {
	ln, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return internal{}, fmt.Errorf("listen for the writers: %w", err)
	}
	srv := &http.Server{Handler: h, ReadHeaderTimeout: headerTimeout}
	go func() { _ = srv.Serve(ln) }()
	return internal{url: "http://" + ln.Addr().String(), close: func() { _ = srv.Close() }}, nil
}

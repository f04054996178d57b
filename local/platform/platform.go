// Package platform runs the whole chat in one process: the log, the stores,
// every function, the sources that feed the writers, fan-out, notification, the
// development issuer and the page. It is wiring; each part is the very package
// that runs as a binary of its own elsewhere.
//
// By default everything lives in one data folder and survives a restart and a
// crash. Where the environment names servers (NATS_URL, STORE_…, OIDC_ISSUER), the
// folder holds what is not on them. One process at a time uses the folder.
//
// The public side is one listener; writers, which ask for no token, are on a
// loopback listener of their own, and so are the dead letters, for whoever can
// read the data folder.
//
// It ends in the order of the flow: clients are told to reconnect, requests end,
// the sources finish what they hold, then stores and log are closed.
package platform

import (
	"context"
	"errors"
	"net"
	"net/http"
	"path/filepath"
	"time"

	"golang.org/x/sync/errgroup"

	natslog "github.com/chat-platform/chat/infra/nats"
	"github.com/chat-platform/chat/infra/process"
	"github.com/chat-platform/chat/local/datadir"
	"github.com/chat-platform/chat/local/deadletters"
	"github.com/chat-platform/chat/local/rebuild"
	"github.com/chat-platform/chat/longrunning/archiver"
	"github.com/chat-platform/chat/longrunning/fanout"
	"github.com/chat-platform/chat/longrunning/identity"
	"github.com/chat-platform/chat/longrunning/notification"
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
	log, err := openLog(ctx, cfg, p)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, log.close()) }()
	views, err := openViews(ctx, cfg, p, log.Log)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, views.close()) }()

	limiter, closeLimiter, err := openLimiter(ctx, cfg, p)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, closeLimiter()) }()
	pages, closePages, err := openPages(ctx, cfg, p)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, closePages()) }()
	router, err := newRouter(cfg, p, public.Addr(), log.Log, views, limiter, pages)
	if err != nil {
		return err
	}
	inside, err := listenInternal(ctx, filepath.Join(cfg.DataDir, datadir.Internal))
	if err != nil {
		return err
	}
	defer inside.close()
	sources, err := newSources(log.Log, p, inside.url)
	if err != nil {
		return err
	}
	writers, err := newWriters(ctx, p, views)
	if err != nil {
		return err
	}
	rebuilds := newRebuilds(ctx, cfg, p, log.Log)
	defer rebuilds.Close()
	if err := inside.serve(writers, map[string]http.Handler{
		deadletters.Path: deadletters.Handler(deadletters.NewDirect(log, sources.redriver, p.Log), p.Log),
		rebuild.Path:     rebuilds,
	}); err != nil {
		return err
	}
	watcher, err := newWatcher(cfg, p, log.Log)
	if err != nil {
		return err
	}
	return run(ctx, cfg, p, public, log, watcher, router, sources)
}

// run runs the parts. The public side ends first, then the sources and the
// fan-out, which the clients' last messages still pass.
func run(ctx context.Context, cfg Config, p *process.Process, public net.Listener, log *platformLog, watcher *identity.Watcher, r *router, sources sources) error {
	inner, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	behind, inner := errgroup.WithContext(inner)
	for _, s := range sources {
		behind.Go(func() error { return s.Run(inner) })
	}
	behind.Go(func() error { r.cutOffs.Run(inner, log); return nil })
	if watcher != nil {
		behind.Go(func() error { watcher.Run(inner); return nil })
	}
	fan := cfg.Fanout
	fan.Logger, fan.Registerer = p.Log, p.Registry
	fanOut := fanout.New(log, fan)
	behind.Go(func() error { return fanOut.Run(inner) })

	if log.archive != nil {
		a := cfg.Archiver
		a.Logger, a.Registerer = p.Log, p.Registry
		behind.Go(func() error { return archiver.New(log, log.archive, a).Run(inner) })
	}

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
	p.Admit(r.handler)
	r.banner(p.Stdout, log.url)
	err := front.Wait()
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

func newNotification(cfg Config, p *process.Process, log *natslog.Log, v notification.Verifier, cutOffs notification.CutOffs) *notification.Service {
	n := cfg.Notification
	n.Logger, n.Registerer, n.CutOffs = p.Log, p.Registry, cutOffs
	return notification.New(log, log.Bus(), v, n)
}

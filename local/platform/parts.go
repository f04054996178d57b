package platform

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"

	"github.com/chat-platform/chat/functions"
	"github.com/chat-platform/chat/infra/archive"
	natslog "github.com/chat-platform/chat/infra/nats"
	"github.com/chat-platform/chat/infra/nats/embedded"
	"github.com/chat-platform/chat/infra/process"
	"github.com/chat-platform/chat/infra/ratelimit"
	"github.com/chat-platform/chat/infra/redis"
	"github.com/chat-platform/chat/infra/stores"
	"github.com/chat-platform/chat/infra/stores/messages"
	"github.com/chat-platform/chat/infra/stores/metadata"
	"github.com/chat-platform/chat/infra/stores/search"
	"github.com/chat-platform/chat/infra/stores/segments"
	"github.com/chat-platform/chat/local/datadir"
	"github.com/chat-platform/chat/local/rebuild"
	viewsof "github.com/chat-platform/chat/local/views"
)

// platformLog is the log, with what the platform holds for it.
type platformLog struct {
	*natslog.Log
	archive *archive.Archive // nil if none is configured
	url     string           // for people; "" where it has no port
	release func() error
}

// openLog connects to the log: to the server that the configuration names, else
// to one that it starts in this process. Either way the data folder is this
// process's alone.
func openLog(ctx context.Context, cfg Config, p *process.Process) (*platformLog, error) {
	l, c := &platformLog{}, cfg.Log
	c.Logger, c.Registerer = p.Log, p.Registry
	if c.Name == "" {
		c.Name = p.Name
	}
	if cfg.OwnLog {
		server, err := embedded.Start(embedded.Config{Dir: filepath.Join(cfg.DataDir, datadir.Log), Port: cfg.NATSPort, SyncAlways: cfg.SyncAlways, Logger: p.Log})
		if err != nil {
			return nil, err
		}
		c.InProcess, l.url = server, server.ClientURL()
		l.release = func() error { server.Shutdown(); return nil }
	} else {
		lock, err := embedded.Lock(cfg.DataDir)
		if err != nil {
			return nil, fmt.Errorf("data folder %s: %w", cfg.DataDir, err)
		}
		l.url, l.release = c.Where(), lock.Close
	}
	var err error
	if l.Log, err = process.Await(ctx, p, "log", func(ctx context.Context) (*natslog.Log, error) { return natslog.Open(ctx, c) }); err != nil {
		return nil, errors.Join(err, l.release())
	}
	if l.archive, err = process.Await(ctx, p, "archive", func(ctx context.Context) (*archive.Archive, error) { return segments.Open(ctx, cfg.Segments, l.Log) }); err != nil {
		return nil, errors.Join(err, l.close())
	}
	p.Ready("log", l.Ping)
	return l, nil
}

func (l *platformLog) close() error { return errors.Join(l.Close(), l.release()) }

// openLimiter makes what keeps rate limits.
func openLimiter(ctx context.Context, cfg Config, p *process.Process) (*ratelimit.Limiter, func() error, error) {
	c := cfg.Redis
	c.Name, c.Logger, c.Registerer = p.Name, p.Log, p.Registry
	return redis.OpenLimiter(ctx, cfg.Limits, c)
}

// openPages makes what keeps the latest pages of busy channels.
func openPages(ctx context.Context, cfg Config, p *process.Process) (*functions.Pages, func() error, error) {
	if cfg.Redis.URL == "" {
		return functions.NewPages(cfg.Pages, nil, p.Registry), func() error { return nil }, nil
	}
	c := cfg.Redis
	c.Name, c.Logger, c.Registerer = p.Name, p.Log, p.Registry
	shared, err := redis.OpenCache(ctx, c, cfg.Pages.TTL)
	if err != nil {
		return nil, nil, err
	}
	return functions.NewPages(cfg.Pages, shared, p.Registry), shared.Close, nil
}

// views are the three stores.
type views struct {
	messages stores.Messages
	metadata stores.Metadata
	search   stores.Search
}

// openViews opens the stores that the configuration names.
func openViews(ctx context.Context, cfg Config, p *process.Process, log *natslog.Log) (v *views, err error) {
	host := stores.Host{Name: p.Name, Log: p.Log, Registerer: p.Registry, Views: log}
	v = &views{}
	defer func() {
		if err != nil {
			err = errors.Join(err, v.close())
		}
	}()
	if v.messages, err = messages.Open(ctx, cfg.Messages, host); err != nil {
		return v, err
	}
	if v.metadata, err = metadata.Open(ctx, cfg.Metadata, host); err != nil {
		return v, err
	}
	v.search, err = search.Open(ctx, cfg.Search, host)
	return v, err
}

// newRebuilds makes what rebuilds views for an operator.
func newRebuilds(ctx context.Context, cfg Config, p *process.Process, log *natslog.Log) *rebuild.Service {
	return rebuild.NewService(ctx, p.Log, func(report func(rebuild.Report)) *rebuild.Rebuilder {
		return &rebuild.Rebuilder{
			Log: log, Views: viewsof.Config{Messages: cfg.Messages, Metadata: cfg.Metadata, Search: cfg.Search},
			Host: stores.Host{Name: p.Name + " rebuild", Log: p.Log, Registerer: p.Registry}, Report: report, Logger: p.Log,
		}
	})
}

func (v *views) close() error {
	var errs []error
	if v.messages != nil {
		errs = append(errs, v.messages.Close())
	}
	if v.metadata != nil {
		errs = append(errs, v.metadata.Close())
	}
	if v.search != nil {
		errs = append(errs, v.search.Close())
	}
	return errors.Join(errs...)
}

func newWriters(ctx context.Context, p *process.Process, v *views) (*functions.Mux, error) {
	fns := functions.Writers(functions.Stores{
		Messages: v.messages, Metadata: v.metadata, Search: v.search,
		Serving: functions.Serving{Logger: p.Log, Registerer: p.Registry},
	})
	return functions.NewMux(fns...), start(ctx, p, fns)
}

// start runs the functions' hooks. Where the store of a query or a writer is away
// the platform still takes commands, so it stays ready and says what is not.
func start(ctx context.Context, p *process.Process, fns []*functions.Function) error {
	for _, f := range fns {
		if err := f.Start(ctx, p.Environ()); err != nil {
			return err
		}
		p.Tells(f.Name(), func(ctx context.Context) error {
			ok, err := f.Ready(ctx)
			if err == nil && !ok {
				err = errors.New(f.Name() + " is not ready")
			}
			return err
		})
	}
	return nil
}

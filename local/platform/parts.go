package platform

import (
	"context"
	"errors"
	"path/filepath"

	"github.com/chat-platform/chat/functions"
	natslog "github.com/chat-platform/chat/infra/nats"
	"github.com/chat-platform/chat/infra/nats/embedded"
	"github.com/chat-platform/chat/infra/process"
	"github.com/chat-platform/chat/infra/sqlite"
	"github.com/chat-platform/chat/local/datadir"
)

// ownLog is the log with its server.
type ownLog struct {
	*natslog.Log
	server *embedded.Server
}

// openLog starts the embedded server and connects to it.
func openLog(ctx context.Context, cfg Config, p *process.Process) (*ownLog, error) {
	server, err := embedded.Start(embedded.Config{Dir: filepath.Join(cfg.DataDir, datadir.Log), Port: cfg.NATSPort, SyncAlways: cfg.SyncAlways, Logger: p.Log})
	if err != nil {
		return nil, err
	}
	c := cfg.Log
	c.InProcess, c.Name, c.Logger, c.Registerer = server, p.Name, p.Log, p.Registry
	log, err := natslog.Open(ctx, c)
	if err != nil {
		server.Shutdown()
		return nil, err
	}
	p.Ready("log", log.Ping)
	return &ownLog{log, server}, nil
}

func (l *ownLog) close() error {
	err := l.Close()
	l.server.Shutdown()
	return err
}

// stores are the three views.
type stores struct {
	messages *sqlite.Messages
	metadata *sqlite.Metadata
	search   *sqlite.Search
}

func openStores(ctx context.Context, cfg Config) (s *stores, err error) {
	var opts []sqlite.Option
	if cfg.SyncAlways {
		opts = append(opts, sqlite.FullSync())
	}
	s = &stores{}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.close())
		}
	}()
	at := func(name string) string { return filepath.Join(cfg.DataDir, name) }
	if s.messages, err = sqlite.OpenMessages(ctx, at(datadir.Messages), opts...); err != nil {
		return s, err
	}
	if s.metadata, err = sqlite.OpenMetadata(ctx, at(datadir.Metadata), opts...); err != nil {
		return s, err
	}
	s.search, err = sqlite.OpenSearch(ctx, at(datadir.Search), opts...)
	return s, err
}

func (s *stores) close() error {
	var errs []error
	if s.messages != nil {
		errs = append(errs, s.messages.Close())
	}
	if s.metadata != nil {
		errs = append(errs, s.metadata.Close())
	}
	if s.search != nil {
		errs = append(errs, s.search.Close())
	}
	return errors.Join(errs...)
}

func newWriters(ctx context.Context, p *process.Process, s *stores) (*functions.Mux, error) {
	fns := functions.Writers(functions.Stores{
		Messages: s.messages, Metadata: s.metadata, Search: s.search,
		Serving: functions.Serving{Logger: p.Log, Registerer: p.Registry},
	})
	return functions.NewMux(fns...), start(ctx, p, fns)
}

// start runs the functions' hooks and takes part in readiness for them.
func start(ctx context.Context, p *process.Process, fns []*functions.Function) error {
	for _, f := range fns {
		if err := f.Start(ctx, p.Environ()); err != nil {
			return err
		}
		p.Ready(f.Name(), func(ctx context.Context) error {
			ok, err := f.Ready(ctx)
			if err == nil && !ok {
				err = errors.New(f.Name() + " is not ready")
			}
			return err
		})
	}
	return nil
}

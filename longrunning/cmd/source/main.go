// Command source carries one consumer's events from the log to a sink (K_SINK).
package main

import (
	"context"
	"errors"
	"net/http"

	"golang.org/x/sync/errgroup"

	natslog "github.com/chat-platform/chat/infra/nats"
	"github.com/chat-platform/chat/infra/process"
	"github.com/chat-platform/chat/longrunning/source"
)

func main() { process.Main("source", run) }

func run(ctx context.Context, p *process.Process) error {
	where := natslog.Config{Name: p.Name, Logger: p.Log, Registerer: p.Registry}
	var cfg source.Config
	if err := errors.Join(p.Config(&where), p.Config(&cfg)); err != nil {
		return err
	}
	log, err := process.Await(ctx, p, "log", func(ctx context.Context) (*natslog.Log, error) { return natslog.Open(ctx, where) })
	if err != nil {
		return err
	}
	defer log.Close() // nothing is left to send
	service, err := source.New(log, cfg, source.Options{Logger: p.Log, Registerer: p.Registry})
	if err != nil {
		return err
	}
	p.Ready("log", log.Ping)
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return service.Run(ctx) })
	g.Go(func() error { return p.Serve(ctx, http.NotFoundHandler()) })
	return g.Wait()
}

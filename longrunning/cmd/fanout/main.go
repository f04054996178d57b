// Command fanout reads the log and sends its events to the notification instances.
package main

import (
	"context"
	"errors"
	"net/http"

	"golang.org/x/sync/errgroup"

	natslog "github.com/chat-platform/chat/infra/nats"
	"github.com/chat-platform/chat/infra/process"
	"github.com/chat-platform/chat/longrunning/fanout"
)

func main() { process.Main("fanout", run) }

func run(ctx context.Context, p *process.Process) error {
	where := natslog.Config{Name: p.Name, Logger: p.Log, Registerer: p.Registry}
	cfg := fanout.Config{Logger: p.Log, Registerer: p.Registry}
	if err := errors.Join(p.Config(&where), p.Config(&cfg)); err != nil {
		return err
	}
	log, err := process.Await(ctx, p, "log", func(ctx context.Context) (*natslog.Log, error) { return natslog.Open(ctx, where) })
	if err != nil {
		return err
	}
	defer log.Close() // nothing is left to send
	service := fanout.New(log, cfg)
	p.Ready("fanout", service.Ready)
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return service.Run(ctx) })
	g.Go(func() error { return p.Serve(ctx, http.NotFoundHandler()) })
	return g.Wait()
}

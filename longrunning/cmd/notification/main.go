// Command notification holds the clients' WebSockets and brings them their events.
package main

import (
	"context"
	"errors"

	"golang.org/x/sync/errgroup"

	natslog "github.com/chat-platform/chat/infra/nats"
	"github.com/chat-platform/chat/infra/oidc"
	"github.com/chat-platform/chat/infra/process"
	"github.com/chat-platform/chat/infra/stores/segments"
	"github.com/chat-platform/chat/longrunning/notification"
)

func main() { process.Main("notification", run) }

func run(ctx context.Context, p *process.Process) error {
	where := natslog.Config{Name: p.Name, Logger: p.Log, Registerer: p.Registry}
	cfg := notification.Config{Logger: p.Log, Registerer: p.Registry}
	var issuer oidc.Config
	var archived segments.Config
	if err := errors.Join(p.Config(&where), p.Config(&cfg), p.Config(&issuer), p.Config(&archived)); err != nil {
		return err
	}
	log, err := natslog.Open(ctx, where)
	if err != nil {
		return err
	}
	defer log.Close() // nothing is left to send
	if _, err := segments.Open(ctx, archived, log); err != nil {
		return err
	}
	service := notification.New(log, log.Bus(), oidc.New(issuer), cfg)
	p.Ready("notification", service.Ready)
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return service.Run(ctx) })
	g.Go(func() error { return p.Serve(ctx, service.Handler()) })
	return g.Wait()
}

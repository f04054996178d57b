// Command notification holds the clients' WebSockets and brings them their events.
package main

import (
	"context"
	"errors"

	"golang.org/x/sync/errgroup"

	"github.com/chat-platform/chat/infra/archive"
	"github.com/chat-platform/chat/infra/cutoff"
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
	revoked := cutoff.Config{Logger: p.Log, Registerer: p.Registry}
	var archived segments.Config
	if err := errors.Join(p.Config(&where), p.Config(&cfg), p.Config(&issuer), p.Config(&revoked), p.Config(&archived)); err != nil {
		return err
	}
	log, err := process.Await(ctx, p, "log", func(ctx context.Context) (*natslog.Log, error) { return natslog.Open(ctx, where) })
	if err != nil {
		return err
	}
	defer log.Close() // nothing is left to send
	_, err = process.Await(ctx, p, "archive", func(ctx context.Context) (*archive.Archive, error) { return segments.Open(ctx, archived, log) })
	if err != nil {
		return err
	}
	cutOffs := cutoff.New(revoked)
	cfg.CutOffs = cutOffs
	service := notification.New(log, log.Bus(), cutOffs.Verifier(oidc.New(issuer)), cfg)
	p.Ready("notification", service.Ready)
	p.Ready("cut-offs", cutOffs.Ready)
	g, ctx := errgroup.WithContext(ctx)
	follow, end := context.WithCancel(context.WithoutCancel(ctx)) // while the service drains, too
	g.Go(func() error { cutOffs.Run(follow, log); return nil })
	g.Go(func() error { defer end(); return service.Run(ctx) })
	g.Go(func() error { return p.Serve(ctx, service.Handler()) })
	return g.Wait()
}

// Command identity tells the log whom the issuer of tokens has cut off.
package main

import (
	"context"
	"errors"
	"net/http"

	"golang.org/x/sync/errgroup"

	"github.com/chat-platform/chat/infra/keycloak/admin"
	natslog "github.com/chat-platform/chat/infra/nats"
	"github.com/chat-platform/chat/infra/process"
	"github.com/chat-platform/chat/longrunning/identity"
)

func main() { process.Main("identity", run) }

func run(ctx context.Context, p *process.Process) error {
	where := natslog.Config{Name: p.Name, Logger: p.Log, Registerer: p.Registry}
	cfg := identity.Config{Logger: p.Log, Registerer: p.Registry}
	var keycloak admin.Config
	if err := errors.Join(p.Config(&where), p.Config(&cfg), p.Config(&keycloak)); err != nil {
		return err
	}
	issuer, err := admin.New(keycloak)
	if err != nil {
		return err
	}
	log, err := process.Await(ctx, p, "log", func(ctx context.Context) (*natslog.Log, error) { return natslog.Open(ctx, where) })
	if err != nil {
		return err
	}
	defer log.Close() // nothing is left to send
	watcher := identity.New(log, issuer, cfg)
	p.Ready("issuer", watcher.Ready)
	p.Ready("log", log.Ping)
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { watcher.Run(ctx); return nil })
	g.Go(func() error { return p.Serve(ctx, http.NotFoundHandler()) })
	return g.Wait()
}

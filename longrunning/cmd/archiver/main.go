// Command archiver moves what the log's streams need no longer into the archive.
package main

import (
	"context"
	"errors"
	"net/http"

	"golang.org/x/sync/errgroup"

	"github.com/chat-platform/chat/infra/archive"
	natslog "github.com/chat-platform/chat/infra/nats"
	"github.com/chat-platform/chat/infra/process"
	"github.com/chat-platform/chat/infra/stores/segments"
	"github.com/chat-platform/chat/longrunning/archiver"
)

func main() { process.Main("archiver", run) }

func run(ctx context.Context, p *process.Process) error {
	where := natslog.Config{Name: p.Name, Logger: p.Log, Registerer: p.Registry}
	cfg := archiver.Config{Logger: p.Log, Registerer: p.Registry}
	var archived segments.Config
	if err := errors.Join(p.Config(&where), p.Config(&cfg), p.Config(&archived), cfg.Validate()); err != nil {
		return err
	}
	if archived.URL == "" {
		return errors.New("ARCHIVE_URL is empty, expected a path, nats://BUCKET or s3://BUCKET/PREFIX")
	}
	log, err := process.Await(ctx, p, "log", func(ctx context.Context) (*natslog.Log, error) { return natslog.Open(ctx, where) })
	if err != nil {
		return err
	}
	defer log.Close() // nothing is left to send
	archive, err := process.Await(ctx, p, "archive", func(ctx context.Context) (*archive.Archive, error) { return segments.Open(ctx, archived, log) })
	if err != nil {
		return err
	}
	p.Ready("log", log.Ping)
	service := archiver.New(log, archive, cfg)
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return service.Run(ctx) })
	g.Go(func() error { return p.Serve(ctx, http.NotFoundHandler()) })
	return g.Wait()
}

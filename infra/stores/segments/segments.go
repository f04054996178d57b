// Package segments opens the archive of the log that the configuration names.
package segments

import (
	"context"
	"fmt"
	"net/url"
	"strings"

	"github.com/chat-platform/chat/infra/archive"
	"github.com/chat-platform/chat/infra/nats"
	"github.com/chat-platform/chat/infra/s3"
)

// Config says where segments lie.
type Config struct {
	// A folder's path, nats://BUCKET (an object store beside the log) or
	// s3://BUCKET/PREFIX; no archive if empty.
	URL      string `env:"ARCHIVE_URL"`
	Replicas int    `env:"NATS_REPLICAS" envDefault:"1"` // of the bucket in NATS, when it is made

	S3 s3.Config
}

// Validate says which variable cannot be.
func (c Config) Validate() error {
	scheme, rest, ok := strings.Cut(c.URL, "://")
	if !ok {
		return nil // a path
	}
	u, err := url.Parse(c.URL)
	switch {
	case err != nil:
	case scheme == "file" && u.Host == "" && u.Path != "":
		return nil
	case scheme == "nats" && u.Host != "" && strings.Trim(u.Path, "/") == "":
		return nil
	case scheme == "s3" && u.Host != "":
		return nil
	}
	return fmt.Errorf("ARCHIVE_URL is %q, expected a path, nats://BUCKET or s3://BUCKET/PREFIX", scheme+"://"+rest)
}

// Open opens the archive and makes the log read it; nil where none is
// configured.
func Open(ctx context.Context, cfg Config, log *nats.Log) (*archive.Archive, error) {
	if cfg.URL == "" {
		return nil, nil
	}
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	store, err := open(ctx, cfg, log)
	if err != nil {
		return nil, fmt.Errorf("ARCHIVE_URL %q: %w", cfg.URL, err)
	}
	a := archive.New(store)
	log.ReadArchive(a)
	return a, nil
}

func open(ctx context.Context, cfg Config, log *nats.Log) (archive.Store, error) {
	scheme, rest, ok := strings.Cut(cfg.URL, "://")
	switch {
	case !ok:
		return archive.OpenFolder(cfg.URL)
	case scheme == "file":
		return archive.OpenFolder(rest)
	case scheme == "nats":
		return log.Objects(ctx, strings.TrimSuffix(rest, "/"), cfg.Replicas)
	}
	bucket, prefix, _ := strings.Cut(rest, "/")
	return s3.Open(ctx, cfg.S3, bucket, prefix)
}

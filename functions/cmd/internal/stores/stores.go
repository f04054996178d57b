// Package stores opens the stores that functions read and write, by the
// environment. The embedded ones are files in DATA_DIR, which any number of
// functions on the same machine may share.
//
//	DATA_DIR  folder of messages.db, metadata.db and search.db; made where it is missing; "data" by default
package stores

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/chat-platform/chat/functions/cmd/internal/start"
	"github.com/chat-platform/chat/infra/sqlite"
)

// Messages opens the message view.
func Messages(ctx context.Context, p *start.Parts) (*sqlite.Messages, error) {
	return open(ctx, p, "messages", sqlite.OpenMessages)
}

// Metadata opens the metadata view.
func Metadata(ctx context.Context, p *start.Parts) (*sqlite.Metadata, error) {
	return open(ctx, p, "metadata", sqlite.OpenMetadata)
}

// Search opens the search view.
func Search(ctx context.Context, p *start.Parts) (*sqlite.Search, error) {
	return open(ctx, p, "search", sqlite.OpenSearch)
}

type store interface {
	Ping(ctx context.Context) error
	Close() error
}

func open[S store](ctx context.Context, p *start.Parts, name string, open func(context.Context, string, ...sqlite.Option) (S, error)) (s S, err error) {
	var cfg struct {
		Dir string `env:"DATA_DIR" envDefault:"data"`
	}
	if err := p.Config(&cfg); err != nil {
		return s, err
	}
	if err := os.MkdirAll(cfg.Dir, 0o750); err != nil {
		return s, fmt.Errorf("DATA_DIR %q cannot be made: %w", cfg.Dir, err)
	}
	if s, err = open(ctx, filepath.Join(cfg.Dir, name+".db")); err != nil {
		return s, fmt.Errorf("DATA_DIR %q: %w", cfg.Dir, err)
	}
	p.Uses(name, s.Ping, s.Close)
	return s, nil
}

// Package search opens the index of messages that the configuration names.
package search

import (
	"context"
	"fmt"

	"github.com/chat-platform/chat/events"
	"github.com/chat-platform/chat/infra/elasticsearch"
	"github.com/chat-platform/chat/infra/sqlite"
	"github.com/chat-platform/chat/infra/stores"
)

// Feed is how the view is filled.
var Feed = stores.Feed{Name: "search", Stream: events.StreamMessages, Consumer: events.ConsumerSearch}

// Config says which store it is. The settings of the others are not looked at.
type Config struct {
	Store string `env:"STORE_SEARCH" envDefault:"sqlite"` // sqlite or elasticsearch

	stores.Embedded
	Elasticsearch elasticsearch.Config
}

// Validate says which variable cannot be.
func (c Config) Validate() error {
	return stores.Known("STORE_SEARCH", c.Store, "sqlite", "elasticsearch")
}

// Open opens the view, whichever generation of it is live; whoever does so closes
// it.
func Open(ctx context.Context, cfg Config, host stores.Host) (stores.Search, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if host.Views == nil {
		return OpenGeneration(ctx, cfg, host, 1)
	}
	s, err := stores.Switch(ctx, Feed, host, func(ctx context.Context, generation int) (stores.Search, error) {
		return OpenGeneration(ctx, cfg, host, generation)
	})
	if err != nil {
		return nil, err
	}
	return stores.SwitchingSearch{Switching: s}, nil
}

// OpenGeneration opens one generation, and makes it where it is missing.
func OpenGeneration(ctx context.Context, cfg Config, host stores.Host, generation int) (stores.Search, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if cfg.Store == "elasticsearch" {
		c := cfg.Elasticsearch
		c.Generation, c.WaitVisible = generation, c.WaitVisible && !host.Bulk
		// Not returned as it is: a nil *Store would not be a nil interface.
		s, err := elasticsearch.Open(ctx, c)
		if err != nil {
			return nil, err
		}
		return s, nil
	}
	path, err := cfg.File(stores.SearchFile, generation)
	if err != nil {
		return nil, err
	}
	var opts []sqlite.Option
	if cfg.SyncAlways {
		opts = append(opts, sqlite.FullSync())
	}
	s, err := sqlite.OpenSearch(ctx, path, opts...)
	if err != nil {
		return nil, fmt.Errorf("DATA_DIR %q: %w", cfg.Dir, err)
	}
	return s, nil
}

// OpenReader opens the store for who may only read: what it gives has no method
// that writes, whatever it is converted to.
func OpenReader(ctx context.Context, cfg Config, host stores.Host) (stores.SearchReader, error) {
	s, err := Open(ctx, cfg, host)
	if err != nil {
		return nil, err
	}
	return struct{ stores.SearchReader }{s}, nil
}

// Package metadata opens the store of channels and memberships that the
// configuration names.
package metadata

import (
	"context"
	"fmt"

	"github.com/chat-platform/chat/events"
	"github.com/chat-platform/chat/infra/mongodb"
	"github.com/chat-platform/chat/infra/sqlite"
	"github.com/chat-platform/chat/infra/stores"
)

// Feed is how the view is filled.
var Feed = stores.Feed{Name: "metadata", Stream: events.StreamMetadata, Consumer: events.ConsumerMetadata}

// Config says which store it is. The settings of the others are not looked at.
type Config struct {
	Store string `env:"STORE_METADATA" envDefault:"sqlite"` // sqlite or mongodb

	stores.Embedded
	MongoDB mongodb.Config
}

// Validate says which variable cannot be.
func (c Config) Validate() error { return stores.Known("STORE_METADATA", c.Store, "sqlite", "mongodb") }

// Open opens the view, whichever generation of it is live; whoever does so closes
// it.
func Open(ctx context.Context, cfg Config, host stores.Host) (stores.Metadata, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if host.Views == nil {
		return OpenGeneration(ctx, cfg, host, 1)
	}
	s, err := stores.Switch(ctx, Feed, host, func(ctx context.Context, generation int) (stores.Metadata, error) {
		return OpenGeneration(ctx, cfg, host, generation)
	})
	if err != nil {
		return nil, err
	}
	return stores.SwitchingMetadata{Switching: s}, nil
}

// OpenGeneration opens one generation, and makes it where it is missing.
func OpenGeneration(ctx context.Context, cfg Config, host stores.Host, generation int) (stores.Metadata, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if cfg.Store == "mongodb" {
		c := cfg.MongoDB
		c.Registerer, c.Generation = host.Registerer, generation
		if c.Name == "" {
			c.Name = host.Name
		}
		// Not returned as it is: a nil *Store would not be a nil interface.
		s, err := mongodb.Open(ctx, c)
		if err != nil {
			return nil, err
		}
		return s, nil
	}
	path, err := cfg.File(stores.MetadataFile, generation)
	if err != nil {
		return nil, err
	}
	var opts []sqlite.Option
	if cfg.SyncAlways {
		opts = append(opts, sqlite.FullSync())
	}
	s, err := sqlite.OpenMetadata(ctx, path, opts...)
	if err != nil {
		return nil, fmt.Errorf("DATA_DIR %q: %w", cfg.Dir, err)
	}
	return s, nil
}

// OpenReader opens the store for who may only read: what it gives has no method
// that writes, whatever it is converted to.
func OpenReader(ctx context.Context, cfg Config, host stores.Host) (stores.MetadataReader, error) {
	s, err := Open(ctx, cfg, host)
	if err != nil {
		return nil, err
	}
	return struct{ stores.MetadataReader }{s}, nil
}

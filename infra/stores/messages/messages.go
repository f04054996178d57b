// Package messages opens the store of messages that the configuration names.
package messages

import (
	"context"
	"fmt"

	"github.com/chat-platform/chat/events"
	"github.com/chat-platform/chat/infra/cassandra"
	"github.com/chat-platform/chat/infra/sqlite"
	"github.com/chat-platform/chat/infra/stores"
)

// Feed is how the view is filled.
var Feed = stores.Feed{Name: "messages", Stream: events.StreamMessages, Consumer: events.ConsumerMessages}

// Config says which store it is. The settings of the others are not looked at.
type Config struct {
	Store string `env:"STORE_MESSAGES" envDefault:"sqlite"` // sqlite or cassandra

	stores.Embedded
	Cassandra cassandra.Config
}

// Validate says which variable cannot be.
func (c Config) Validate() error {
	return stores.Known("STORE_MESSAGES", c.Store, "sqlite", "cassandra")
}

// Open opens the view, whichever generation of it is live; whoever does so closes
// it.
func Open(ctx context.Context, cfg Config, host stores.Host) (stores.Messages, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if host.Views == nil {
		return OpenGeneration(ctx, cfg, host, 1)
	}
	s, err := stores.Switch(ctx, Feed, host, func(ctx context.Context, generation int) (stores.Messages, error) {
		return OpenGeneration(ctx, cfg, host, generation)
	})
	if err != nil {
		return nil, err
	}
	return stores.SwitchingMessages{Switching: s}, nil
}

// OpenGeneration opens one generation, and makes it where it is missing.
func OpenGeneration(ctx context.Context, cfg Config, host stores.Host, generation int) (stores.Messages, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if cfg.Store == "cassandra" {
		c := cfg.Cassandra
		c.Logger, c.Registerer, c.Generation = host.Log, host.Registerer, generation
		// Not returned as it is: a nil *Store would not be a nil interface.
		s, err := cassandra.Open(ctx, c)
		if err != nil {
			return nil, err
		}
		return s, nil
	}
	path, err := cfg.File(stores.MessagesFile, generation)
	if err != nil {
		return nil, err
	}
	var opts []sqlite.Option
	if cfg.SyncAlways {
		opts = append(opts, sqlite.FullSync())
	}
	s, err := sqlite.OpenMessages(ctx, path, opts...)
	if err != nil {
		return nil, fmt.Errorf("DATA_DIR %q: %w", cfg.Dir, err)
	}
	return s, nil
}

// generations tells which generation is live, to whoever keeps what it reads.
type generations interface {
	Generation(ctx context.Context) (int, error)
}

// OpenReader opens the store for who may only read: what it gives has no method
// that writes, whatever it is converted to.
func OpenReader(ctx context.Context, cfg Config, host stores.Host) (stores.MessagesReader, error) {
	s, err := Open(ctx, cfg, host)
	if err != nil {
		return nil, err
	}
	if g, ok := s.(generations); ok {
		return struct {
			stores.MessagesReader
			generations
		}{s, g}, nil
	}
	return struct{ stores.MessagesReader }{s}, nil
}

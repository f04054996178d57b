package mongodb

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/readpref"
)

// closeTimeout is how long Close waits for calls that are under way.
const closeTimeout = 5 * time.Second

// Store keeps channels and memberships. The highest sequence wins.
type Store struct {
	client  *mongo.Client
	db      *mongo.Database
	timeout time.Duration
	suffix  string // of the collections' names
	metrics *metrics
	closed  atomic.Bool
	away    atomic.Bool // the last call found no server
}

// Open connects and creates the indexes that are missing, which takes a while on
// a database that is large already; ctx bounds it. The error matches
// [events.ErrUnavailable] where no primary answers within half the timeout, and
// not where the credentials are refused.
func Open(ctx context.Context, cfg Config) (*Store, error) {
	cfg = cfg.withDefaults()
	opts, err := cfg.options()
	if err != nil {
		return nil, err
	}
	client, err := mongo.Connect(opts)
	if err != nil {
		return nil, fmt.Errorf("MONGODB_URL: %w", withoutSecret(cfg.URL, err))
	}
	s := &Store{client: client, db: client.Database(cfg.Database), timeout: cfg.Timeout, suffix: cfg.suffix(), metrics: newMetrics(cfg.Registerer)}
	if err := s.call(ctx, opOpen, "", s.ensure); err != nil {
		_ = s.Close() //nolint:contextcheck // it closes also when ctx has ended
		if hasCode(err, refusedCodes) {
			return nil, fmt.Errorf("MONGODB_URL: its credentials are refused: %v", err) //nolint:errorlint // no waiting helps, other than in service
		}
		return nil, err
	}
	return s, nil
}

// Reset drops all channels and memberships, and whose they were, and makes the
// indexes anew.
func (s *Store) Reset(ctx context.Context) error {
	return s.call(ctx, opReset, "", func(ctx context.Context) error {
		if err := s.drop(ctx); err != nil {
			return err
		}
		return s.ensure(ctx)
	})
}

// Drop removes the collections of this generation, and closes the store.
func (s *Store) Drop(ctx context.Context) error {
	if err := s.call(ctx, opDrop, "", s.drop); err != nil {
		return err
	}
	return s.Close() //nolint:contextcheck // it has a timeout of its own
}

func (s *Store) drop(ctx context.Context) error {
	for _, name := range []string{channels, members, origin} {
		if err := s.collection(name).Drop(ctx); err != nil {
			return fmt.Errorf("drop %s%s: %w", name, s.suffix, err)
		}
	}
	return nil
}

// collection is the generation's collection of a name.
func (s *Store) collection(name string) *mongo.Collection { return s.db.Collection(name + s.suffix) }

// Ping tells whether a primary answers; events.ErrUnavailable if not.
func (s *Store) Ping(ctx context.Context) error {
	return s.call(ctx, opPing, "", func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, s.timeout)
		defer cancel()
		return s.client.Ping(ctx, readpref.Primary())
	})
}

// Close waits up to five seconds for the calls under way and closes the
// connections. Later calls of any method give events.ErrUnavailable, of Close nil.
func (s *Store) Close() error {
	if s.closed.Swap(true) {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	if err := s.client.Disconnect(ctx); err != nil {
		return fmt.Errorf("close metadata store %s: %w", s.db.Name(), err)
	}
	return nil
}

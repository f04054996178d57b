package cassandra

import (
	"context"

	gocql "github.com/apache/cassandra-gocql-driver/v2"
)

// OpenSmall opens a store whose buckets hold so few messages that small tests
// meet all levels.
func OpenSmall(ctx context.Context, cfg Config, observer gocql.QueryObserver) (*Store, error) {
	return open(ctx, cfg, shape{shift: [levels]uint{3, 5, 7, 63}, full: 8}, observer)
}

// OpenObserved opens a store whose requests can be counted.
func OpenObserved(ctx context.Context, cfg Config, observer gocql.QueryObserver) (*Store, error) {
	return open(ctx, cfg, production, observer)
}

// Session is the driver's, for tests that look at rows or compare with it.
func (s *Store) Session() *gocql.Session { return s.session }

// Forget drops what the store remembers.
func (s *Store) Forget() { s.fills.clear() }

var (
	KindOf     = kindOf
	Statements = statements
	InsertRow  = insertRow
)

// Several pretends that there are so many nodes.
func (s *Store) Several(nodes int64) { s.up.count.Store(nodes) }

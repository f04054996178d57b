package cassandra

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	gocql "github.com/apache/cassandra-gocql-driver/v2"
	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/semaphore"

	"github.com/chat-platform/chat/events"
)

// Store keeps the messages of channels.
type Store struct {
	cfg     Config
	session *gocql.Session
	shape   shape
	names   names
	fills   *fills
	slots   *semaphore.Weighted // requests under way
	up      *hostSet
	spec    gocql.SpeculativeExecutionPolicy

	seconds *prometheus.HistogramVec

	closed atomic.Bool
	once   sync.Once
	mend   sync.Mutex
}

// Open connects, and makes the keyspace and its tables if they are missing,
// which any number of processes may do at once. It tries for Config.ConnectWait.
func Open(ctx context.Context, cfg Config) (*Store, error) { return open(ctx, cfg, production, nil) }

func open(ctx context.Context, cfg Config, sh shape, observer gocql.QueryObserver) (*Store, error) {
	cfg = cfg.withDefaults()
	cluster, err := cfg.cluster()
	if err != nil {
		return nil, err
	}
	if err := migrate(ctx, cfg, cluster, false); err != nil {
		return nil, fail(err, "open messages store at %v", cfg.Hosts)
	}
	s := &Store{
		cfg: cfg, shape: sh, names: names{suffix: cfg.suffix()}, fills: newFills(), slots: semaphore.NewWeighted(int64(cfg.InFlight)), up: newHostSet(),
		seconds: newSeconds(cfg.Registerer),
		spec:    &gocql.SimpleSpeculativeExecution{NumAttempts: 1, TimeoutDelay: max(cfg.Speculate, 1)},
	}
	nodes := gocql.RoundRobinHostPolicy()
	if cfg.Datacenter != "" {
		nodes = gocql.DCAwareRoundRobinPolicy(cfg.Datacenter)
	}
	cluster.PoolConfig.HostSelectionPolicy = gocql.TokenAwareHostPolicy(counting{nodes, s.up}, gocql.ShuffleReplicas())
	cluster.Keyspace = cfg.Keyspace
	cluster.QueryObserver = observer
	if s.session, err = connect(ctx, cfg, cluster); err != nil {
		return nil, fail(err, "open messages store %s at %v", cfg.Keyspace, cfg.Hosts)
	}
	return s, nil
}

// connect tries until a node answers, Config.ConnectWait has passed or ctx ends.
// A node that refuses the credentials ends it at once.
func connect(ctx context.Context, cfg Config, cluster *gocql.ClusterConfig) (*gocql.Session, error) {
	ctx, cancel := context.WithTimeout(ctx, cfg.ConnectWait)
	defer cancel()
	watched, refused := *cluster, &refusal{}
	watched.ConnectObserver = refused
	for wait := 50 * time.Millisecond; ; wait = min(2*wait, 2*time.Second) {
		session, err := watched.CreateSession()
		if err == nil {
			return session, nil
		}
		if words := refused.words.Load(); words != nil {
			return nil, fmt.Errorf("CASSANDRA_USERNAME is %q: %s", cfg.Username, *words)
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("%w: %w", events.ErrUnavailable, err)
		case <-time.After(wait/2 + rand.N(wait)):
		}
	}
}

// refusal notes that a node does not take the credentials, which the driver makes
// a failure like any other.
type refusal struct{ words atomic.Pointer[string] }

// ObserveConnect is of gocql.ConnectObserver.
func (r *refusal) ObserveConnect(c gocql.ObservedConnect) {
	if e, ok := errors.AsType[gocql.RequestError](c.Err); ok && e.Code() == gocql.ErrCodeCredentials {
		words := e.Message()
		r.words.Store(&words)
	}
}

// read prepares a query that may be asked of two nodes at once.
func (s *Store) read(stmt string, args ...any) *gocql.Query {
	q := s.session.Query(s.table(stmt), args...)
	// With one node there is nobody to ask, and the driver then fails the query.
	if s.cfg.Speculate > 0 && s.up.count.Load() > 1 {
		q = q.SetSpeculativeExecutionPolicy(s.spec)
	}
	return q
}

// slot bounds the requests under way; each is followed by a release.
func (s *Store) slot(ctx context.Context) error { return s.slots.Acquire(ctx, 1) }

func (s *Store) release() { s.slots.Release(1) }

// exec runs a write.
func (s *Store) exec(ctx context.Context, stmt string, args ...any) error {
	if err := s.slot(ctx); err != nil {
		return err
	}
	defer s.release()
	return s.session.Query(s.table(stmt), args...).ExecContext(ctx)
}

// query runs a query; f takes the rows.
func (s *Store) query(ctx context.Context, q *gocql.Query, f func(*gocql.Iter)) error {
	if err := s.slot(ctx); err != nil {
		return err
	}
	defer s.release()
	iter := q.IterContext(ctx)
	f(iter)
	return iter.Close()
}

// truncateTimeout is a little more than what nodes give themselves.
const truncateTimeout = 70 * time.Second

// tables of the view. The index comes first: a writer in between leaves an entry
// without rows then, not rows out of sight.
var tables = []string{"channel_buckets", "message_ids", "messages"}

// Reset drops all messages, and whose they were, by truncating the tables, which
// takes all nodes and up to a minute. Cassandra keeps a snapshot unless its auto_snapshot is off.
func (s *Store) Reset(ctx context.Context) error {
	return s.call(ctx, "reset", func(ctx context.Context) error {
		if err := s.define(ctx, "TRUNCATE "); err != nil {
			return err
		}
		s.fills.clear()
		return s.disown(ctx)
	}, "reset messages")
}

// Drop removes the tables of this generation. Cassandra keeps a snapshot unless
// its auto_snapshot is off.
func (s *Store) Drop(ctx context.Context) error {
	return s.call(ctx, "drop", func(ctx context.Context) error {
		err := s.exec(ctx, "DELETE FROM schema_versions WHERE part = ?", s.cfg.part())
		if err == nil {
			err = s.define(ctx, "DROP TABLE IF EXISTS ")
		}
		if err == nil {
			err = s.disown(ctx)
		}
		if err == nil || isMissing(err) {
			err = s.Close()
		}
		return err
	}, "drop messages%s", s.names.suffix)
}

// recreate makes tables that somebody has dropped. What was in them comes back
// by a rebuild.
func (s *Store) recreate(ctx context.Context) {
	if !s.mend.TryLock() {
		return // somebody is at it
	}
	defer s.mend.Unlock()
	cluster, err := s.cfg.cluster()
	if err == nil {
		err = migrate(ctx, s.cfg, cluster, true)
	}
	s.fills.clear()
	if err != nil {
		s.cfg.Logger.Warn("cassandra: tables are missing and cannot be made", "keyspace", s.cfg.Keyspace, "error", err)
		return
	}
	s.cfg.Logger.Warn("cassandra: tables were missing and are made anew, empty: rebuild the messages view", "keyspace", s.cfg.Keyspace)
}

// define runs a statement for each table, over a connection of its own: this
// takes longer than requests may.
func (s *Store) define(ctx context.Context, what string) error {
	cluster, err := s.cfg.cluster()
	if err != nil {
		return err
	}
	cluster.Keyspace, cluster.NumConns, cluster.Timeout = s.cfg.Keyspace, 1, truncateTimeout
	session, err := connect(ctx, s.cfg, cluster)
	if err != nil {
		return err
	}
	defer session.Close()
	for _, table := range tables {
		if err := session.Query(what + table + s.names.suffix).ExecContext(ctx); err != nil {
			return fmt.Errorf("%s%s: %w", what, table, err)
		}
	}
	return nil
}

// Ping asks a node for a sign of life; events.ErrUnavailable if none comes.
func (s *Store) Ping(ctx context.Context) error {
	return s.call(ctx, "ping", func(ctx context.Context) error {
		return s.session.Query("SELECT key FROM system.local").ExecContext(ctx)
	}, "ping messages store")
}

// Close ends the connections. Calls under way fail with events.ErrUnavailable.
func (s *Store) Close() error {
	s.closed.Store(true)
	s.once.Do(s.session.Close)
	return nil
}

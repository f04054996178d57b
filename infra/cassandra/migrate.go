package cassandra

import (
	"context"
	"crypto/rand"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"strings"
	"time"

	gocql "github.com/apache/cassandra-gocql-driver/v2"
	"github.com/google/uuid"

	"github.com/chat-platform/chat/events"
)

//go:embed schema/*.cql
var schema embed.FS

// migrations are the files of the schema by number.
func migrations() (map[int][]string, int, error) {
	files, err := fs.Glob(schema, "schema/*.cql")
	if err != nil {
		return nil, 0, err
	}
	all, last := map[int][]string{}, 0
	for _, f := range files {
		number, _, _ := strings.Cut(strings.TrimPrefix(f, "schema/"), "_")
		n, err := strconv.Atoi(number)
		if err != nil {
			return nil, 0, fmt.Errorf("migration %s: it has no number", f)
		}
		b, err := schema.ReadFile(f)
		if err != nil {
			return nil, 0, err
		}
		all[n], last = statements(string(b)), max(last, n)
	}
	return all, last, nil
}

// statements splits a file at its semicolons, without its comments.
func statements(file string) []string {
	var b strings.Builder
	for line := range strings.Lines(file) {
		code, _, _ := strings.Cut(line, "--")
		b.WriteString(strings.TrimRight(code, " \t\n") + "\n")
	}
	var out []string
	for s := range strings.SplitSeq(b.String(), ";") {
		if s = strings.TrimSpace(s); s != "" {
			out = append(out, s)
		}
	}
	return out
}

// migrator brings a keyspace up to date. Cassandra does not take it well when
// several clients make the same table through different nodes at once, so one
// at a time does it, by a lock that is a row.
type migrator struct {
	cfg     Config
	session *gocql.Session
	owner   string
}

// lockTime is for how long a migrator that died holds up the others.
const lockTime = 30 * time.Second

// migrate does nothing where the last migration is on record, unless anew says
// that the tables may be gone all the same.
func migrate(ctx context.Context, cfg Config, cluster *gocql.ClusterConfig, anew bool) error {
	all, last, err := migrations()
	if err != nil {
		return err
	}
	c := *cluster
	c.NumConns, c.Timeout = 1, max(cfg.Timeout, 20*time.Second)
	session, err := connect(ctx, cfg, &c)
	if err != nil {
		return err
	}
	defer session.Close()
	m := migrator{cfg, session, rand.Text()}
	version, err := m.version(ctx)
	if err != nil || version >= last && !anew {
		return err
	}
	if err := m.bootstrap(ctx); err != nil {
		return err
	}
	return m.locked(ctx, func() error {
		version, err := m.version(ctx)
		if err != nil {
			return err
		}
		if anew {
			version = 0
		}
		for n := version + 1; n <= last; n++ {
			for _, stmt := range all[n] {
				if err := m.define(ctx, m.qualified(stmt)); err != nil {
					return fmt.Errorf("migration %d: %w", n, err)
				}
			}
			if err := m.record(ctx, n); err != nil {
				return fmt.Errorf("migration %d: %w", n, err)
			}
		}
		return nil
	})
}

// qualified puts the keyspace before the generation's table: the connection has
// none, since the keyspace may just have been made.
func (m migrator) qualified(stmt string) string {
	return strings.Replace(renamed(stmt, m.cfg.suffix()), "CREATE TABLE IF NOT EXISTS ", "CREATE TABLE IF NOT EXISTS "+m.cfg.Keyspace+".", 1)
}

// version is that of the last migration, 0 if there was none.
func (m migrator) version(ctx context.Context) (int, error) {
	var name string
	err := m.session.Query("SELECT table_name FROM system_schema.tables WHERE keyspace_name = ? AND table_name = 'schema_versions'",
		m.cfg.Keyspace).ScanContext(ctx, &name)
	if errors.Is(err, gocql.ErrNotFound) {
		return 0, nil
	}
	var version *int
	if err == nil {
		err = m.session.Query("SELECT MAX(version) FROM "+m.cfg.Keyspace+".schema_versions WHERE part = ?", m.cfg.part()).ScanContext(ctx, &version)
	}
	if err != nil || version == nil {
		return 0, err
	}
	return *version, nil
}

func (m migrator) record(ctx context.Context, version int) error {
	return m.session.Query("INSERT INTO "+m.cfg.Keyspace+".schema_versions (part, version, at) VALUES (?, ?, ?)",
		m.cfg.part(), version, time.Now()).ExecContext(ctx)
}

// bootstrap makes the keyspace and the two tables that migrations themselves
// need. Their ids follow from their names, so that it does no harm when two
// nodes make them at once.
func (m migrator) bootstrap(ctx context.Context) error {
	where := "replication_factor"
	if m.cfg.Datacenter != "" {
		where = m.cfg.Datacenter
	}
	if err := m.define(ctx, fmt.Sprintf("CREATE KEYSPACE IF NOT EXISTS %s WITH replication = {'class': 'NetworkTopologyStrategy', '%s': %d}",
		m.cfg.Keyspace, where, m.cfg.Replicas)); err != nil {
		return err
	}
	for name, columns := range map[string]string{
		"schema_versions": "part text, version int, at timestamp, PRIMARY KEY ((part), version)",
		"schema_lock":     "part text PRIMARY KEY, owner text",
	} {
		table := m.cfg.Keyspace + "." + name
		id := uuid.NewSHA1(uuid.NameSpaceURL, []byte("cassandra:"+table))
		if err := m.define(ctx, fmt.Sprintf("CREATE TABLE IF NOT EXISTS %s (%s) WITH id = %s", table, columns, id)); err != nil {
			return err
		}
	}
	return nil
}

// define changes the schema and waits until all nodes have it.
func (m migrator) define(ctx context.Context, stmt string) error {
	err := m.session.Query(stmt).ExecContext(ctx)
	if e, ok := errors.AsType[gocql.RequestError](err); ok && e.Code() == gocql.ErrCodeAlreadyExists {
		err = nil
	}
	if err == nil {
		err = m.session.AwaitSchemaAgreement(ctx)
	}
	if err != nil {
		first, _, _ := strings.Cut(stmt, "\n")
		return fmt.Errorf("%s …: %w", first, err)
	}
	return nil
}

// locked runs f when nobody else does.
func (m migrator) locked(ctx context.Context, f func() error) error {
	lock := m.cfg.Keyspace + ".schema_lock"
	wait, cancel := context.WithTimeout(ctx, 2*lockTime)
	defer cancel()
	for {
		var part, owner string
		got, err := m.session.Query("INSERT INTO "+lock+" (part, owner) VALUES ('messages', ?) IF NOT EXISTS USING TTL "+
			strconv.Itoa(int(lockTime/time.Second)), m.owner).SerialConsistency(gocql.LocalSerial).ScanCASContext(wait, &part, &owner)
		if err == nil && got {
			break
		}
		// An attempt that timed out may hold the lock all the same.
		if err == nil && owner == m.owner {
			break
		}
		if err != nil && kindOf(err) == nil {
			return fmt.Errorf("lock the schema: %w", err)
		}
		select {
		case <-wait.Done():
			return fmt.Errorf("%w: lock the schema: another process holds it", events.ErrUnavailable)
		case <-time.After(100 * time.Millisecond):
		}
	}
	err := f()
	release, stop := context.WithTimeout(context.WithoutCancel(ctx), m.cfg.Timeout)
	defer stop()
	_, unlockErr := m.session.Query("DELETE FROM "+lock+" WHERE part = 'messages' IF owner = ?", m.owner).
		SerialConsistency(gocql.LocalSerial).ScanCASContext(release, new(string))
	if unlockErr != nil { // it ends by itself
		m.cfg.Logger.Warn("cassandra: the schema's lock is still there for a while", "error", unlockErr)
	}
	return err
}

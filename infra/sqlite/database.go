package sqlite

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	modernc "modernc.org/sqlite"
	lib "modernc.org/sqlite/lib"

	"github.com/chat-platform/chat/events"
)

// Bounds of what an open store takes: connections that read, how long they stay
// open unused, and each one's page cache.
const (
	maxReaders     = 4
	maxIdleReaders = 2
	readerIdleTime = time.Minute
	readerCacheKiB = 2_000
	busyTimeout    = 5 * time.Second
)

// Option changes how a store is opened.
type Option func(*options)

type options struct{ synchronous string }

// FullSync makes every write wait until the disk has it, so that it survives a
// power failure too. Without it a power failure may lose the last writes, never
// the file's consistency; a rebuild from the log brings them back.
func FullSync() Option { return func(o *options) { o.synchronous = "full" } }

// schema is what a kind of file holds.
type schema struct {
	kind     string // for people
	id       int32  // SQLite's application_id, so that files can't be mixed up
	version  int32  // SQLite's user_version
	ddl      string
	tables   []string // that hold the records
	cacheKiB int      // of the writing connection
}

// database is one open file: a connection that writes and a pool that reads.
type database struct {
	kind, path string
	tables     []string // that hold the records
	read       *sql.DB
	write      *writer
	closed     atomic.Bool
}

var fdatasync sync.Once

func open(ctx context.Context, path string, s schema, opts []Option) (*database, error) {
	o := options{synchronous: "normal"}
	for _, set := range opts {
		set(&o)
	}
	// As durable as fsync and up to twice as fast; platforms without it keep fsync.
	fdatasync.Do(func() { _, _ = modernc.Fdatasync(true) })

	d := &database{kind: s.kind, path: path, tables: s.tables}
	if err := d.open(ctx, s, o); err != nil {
		_ = d.Close()
		return nil, fmt.Errorf("open %s store %s: %w", s.kind, path, err)
	}
	return d, nil
}

func (d *database) open(ctx context.Context, s schema, o options) error {
	abs, err := filepath.Abs(d.path)
	if err != nil {
		return err
	}
	timeout := strconv.FormatInt(busyTimeout.Milliseconds(), 10)
	conn, err := connect(ctx, dsn(abs,
		"busy_timeout", timeout, "journal_mode", "wal", "synchronous", o.synchronous,
		"cache_size", strconv.Itoa(-s.cacheKiB), "wal_autocheckpoint", "4000", "journal_size_limit", "67108864"))
	if err != nil {
		return kindOf(err)
	}
	d.write = newWriter(conn)
	if err := d.write.do(ctx, func() error { return d.ensure(s) }); err != nil {
		return kindOf(err)
	}
	connector, err := modernc.NewConnector(dsn(abs,
		"busy_timeout", timeout, "cache_size", strconv.Itoa(-readerCacheKiB), "query_only", "1"))
	if err != nil {
		return err
	}
	d.read = sql.OpenDB(connector)
	d.read.SetMaxOpenConns(maxReaders)
	d.read.SetMaxIdleConns(maxIdleReaders)
	d.read.SetConnMaxIdleTime(readerIdleTime)
	return d.Ping(ctx)
}

// connect tries again while another process holds the file's lock, which turns
// away a change of the journal mode without waiting.
func connect(ctx context.Context, dsn string) (driver.Conn, error) {
	connector, err := modernc.NewConnector(dsn)
	if err != nil {
		return nil, err
	}
	deadline := time.Now().Add(busyTimeout)
	for {
		conn, err := connector.Connect(ctx)
		if err == nil || !isCode(err, lib.SQLITE_BUSY) || time.Now().After(deadline) {
			return conn, err
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// ensure creates the schema in an empty file and refuses what it doesn't know.
func (d *database) ensure(s schema) error {
	var id, version, tables int64
	for pragma, v := range map[string]*int64{
		"PRAGMA application_id": &id, "PRAGMA user_version": &version, "SELECT count(*) FROM sqlite_schema": &tables} {
		if err := d.write.get(pragma, v); err != nil {
			return err
		}
	}
	switch {
	case id == 0 && version == 0 && tables == 0:
		return d.write.script(s.ddl + originDDL + fmt.Sprintf("\nPRAGMA application_id = %d;\nPRAGMA user_version = %d;\n", s.id, s.version))
	case id != int64(s.id):
		return fmt.Errorf("the file is not a %s store", s.kind)
	case version > int64(s.version):
		return fmt.Errorf("the file has version %d, this program knows versions up to %d: use a newer program, or remove the file and rebuild it from the log", version, s.version)
	case version < int64(s.version):
		return fmt.Errorf("the file has version %d, this program needs version %d: remove the file and rebuild it from the log", version, s.version)
	}
	return d.write.script(originDDL)
}

func dsn(path string, pragmas ...string) string {
	q := url.Values{"_error_rc": {"1"}, "_dqs": {"0"}}
	for p := range slices.Chunk(pragmas, 2) {
		q.Add("_pragma", p[0]+"("+p[1]+")")
	}
	return "file:" + (&url.URL{Path: filepath.ToSlash(path)}).EscapedPath() + "?" + q.Encode()
}

// prepare makes a statement of the reading pool; it is closed with the pool.
func (d *database) prepare(ctx context.Context, into map[string]**sql.Stmt) error {
	for query, st := range into {
		s, err := d.read.PrepareContext(ctx, query) //nolint:sqlclosecheck // the pool closes it
		if err != nil {
			return d.fail("prepare a statement", fmt.Errorf("%w in %q", err, query))
		}
		*st = s
	}
	return nil
}

// Ping tells whether the file can be read; events.ErrUnavailable if not.
func (d *database) Ping(ctx context.Context) error {
	var n int64
	if d.closed.Load() {
		return d.fail("ping", errClosed)
	}
	return d.fail("ping", d.read.QueryRowContext(ctx, "SELECT count(*) FROM sqlite_schema").Scan(&n))
}

// Close waits for the write in progress, if there is one, and closes the file.
// Later calls of any method give events.ErrUnavailable, of Close nil.
func (d *database) Close() error {
	if d.closed.Swap(true) {
		return nil
	}
	var err error
	if d.read != nil {
		err = d.read.Close()
	}
	if d.write != nil {
		if e := d.write.close(); err == nil {
			err = e
		}
	}
	if err != nil {
		return fmt.Errorf("close %s store %s: %w", d.kind, d.path, err)
	}
	return nil
}

// Drop closes the file and removes it. Another process that has it open keeps
// what is left of it to itself.
func (d *database) Drop(ctx context.Context) error {
	if d.closed.Load() {
		return d.fail("drop", errClosed)
	}
	if err := ctx.Err(); err != nil {
		return d.fail("drop", err)
	}
	if err := d.Close(); err != nil {
		return err
	}
	for _, end := range []string{"", "-wal", "-shm"} {
		if err := os.Remove(d.path + end); err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("drop %s store: %w", d.kind, err)
		}
	}
	return nil
}

// transact runs f as one transaction on the writing connection.
func (d *database) transact(ctx context.Context, op string, f func() error) error {
	if d.closed.Load() {
		return d.fail(op, errClosed)
	}
	return d.fail(op, d.write.do(ctx, f))
}

// fail says what failed and where, and of which kind the error is.
func (d *database) fail(op string, err error) error {
	if err == nil {
		return nil
	}
	if d.closed.Load() {
		err = fmt.Errorf("%w: %w", events.ErrUnavailable, errClosed)
	}
	return fmt.Errorf("%s in %s store %s: %w", op, d.kind, d.path, kindOf(err))
}

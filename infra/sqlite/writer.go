package sqlite

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
)

// checkEvery is after how many rows of a batch a cancelled context is noticed.
const checkEvery = 256

// writer is the connection that writes. It speaks to the driver without
// database/sql in between, and runs one prepared statement a row: half the cost
// of rows by the dozen in one statement, which SQLite first writes to a
// temporary table.
type writer struct {
	turn chan struct{} // whoever holds its one token may use the connection
	conn driver.Conn

	prepared                []stmt // all of them are closed with the connection, which would stay open behind its back otherwise
	begin, commit, rollback *statement
	ended                   func(committed bool) // called after each transaction; may be nil
}

func newWriter(conn driver.Conn) *writer {
	w := &writer{turn: make(chan struct{}, 1), conn: conn}
	w.turn <- struct{}{}
	return w
}

// do runs f as one transaction, which is undone if f or ctx fails.
func (w *writer) do(ctx context.Context, f func() error) (err error) {
	select {
	case <-w.turn:
		defer func() { w.turn <- struct{}{} }()
	case <-ctx.Done():
		return ctx.Err()
	}
	if w.conn == nil {
		return errClosed
	}
	if w.begin == nil {
		if err := w.prepare(map[string]**statement{
			"BEGIN IMMEDIATE": &w.begin, "COMMIT": &w.commit, "ROLLBACK": &w.rollback}); err != nil {
			return err
		}
	}
	if _, err := w.begin.stmt.ExecContext(ctx, nil); err != nil {
		return err
	}
	if err = f(); err == nil {
		err = ctx.Err()
	}
	if err == nil {
		_, err = w.commit.exec()
	}
	if err != nil {
		_, _ = w.rollback.exec() // SQLite may have done so already
	}
	if w.ended != nil {
		w.ended(err == nil)
	}
	return err
}

func (w *writer) close() error {
	<-w.turn
	defer func() { w.turn <- struct{}{} }()
	if w.conn == nil {
		return nil
	}
	conn := w.conn
	w.conn = nil
	var errs []error
	for _, s := range w.prepared {
		errs = append(errs, s.Close())
	}
	return errors.Join(append(errs, conn.Close())...)
}

func (w *writer) prepare(into map[string]**statement) error {
	for query, st := range into {
		s, err := w.conn.(driver.ConnPrepareContext).PrepareContext(context.Background(), query)
		if err != nil {
			return fmt.Errorf("%w in %q", err, query)
		}
		*st = &statement{stmt: s.(stmt)}
		w.prepared = append(w.prepared, s.(stmt))
	}
	return nil
}

// get reads one number.
func (w *writer) get(query string, n *int64) error {
	var st *statement
	if err := w.prepare(map[string]**statement{query: &st}); err != nil {
		return err
	}
	defer func() {
		_ = st.stmt.Close()
		w.prepared = w.prepared[:len(w.prepared)-1]
	}()
	row := make([]driver.Value, 1)
	if err := st.get(row); err != nil {
		return err
	}
	*n, _ = row[0].(int64)
	return nil
}

func (w *writer) script(sql string, args ...driver.NamedValue) error {
	_, err := w.conn.(driver.ExecerContext).ExecContext(context.Background(), sql, args)
	return err
}

type stmt interface {
	driver.Stmt
	driver.StmtExecContext
	driver.StmtQueryContext
}

// statement is prepared on the writing connection and used only inside its
// transactions.
type statement struct {
	stmt stmt
	args []driver.NamedValue
}

func (s *statement) bind(args []driver.Value) []driver.NamedValue {
	for len(s.args) < len(args) {
		s.args = append(s.args, driver.NamedValue{Ordinal: len(s.args) + 1})
	}
	for i, v := range args {
		s.args[i].Value = v
	}
	return s.args[:len(args)]
}

// exec runs the statement and tells how many rows it changed. Arguments are
// int64, string, []byte or nil.
func (s *statement) exec(args ...driver.Value) (int64, error) {
	r, err := s.stmt.ExecContext(context.Background(), s.bind(args))
	if err != nil {
		return 0, err
	}
	return r.RowsAffected()
}

// get reads the first row; errNoRow where there is none.
func (s *statement) get(row []driver.Value, args ...driver.Value) error {
	rows, err := s.stmt.QueryContext(context.Background(), s.bind(args))
	if err != nil {
		return err
	}
	defer rows.Close()
	if err := rows.Next(row); err != nil {
		if errors.Is(err, io.EOF) {
			return errNoRow
		}
		return err
	}
	return nil
}

var errNoRow = errors.New("no row")

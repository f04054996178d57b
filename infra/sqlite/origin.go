package sqlite

import (
	"context"
	"database/sql"
	"database/sql/driver"
	_ "embed"
	"errors"
	"fmt"
)

//go:embed origin.sql
var originDDL string

// Claim tells of which log the file is, by its epoch. One that is of none yet is
// of the given one from then on, unless that is empty.
func (d *database) Claim(ctx context.Context, epoch string) (string, error) {
	const op = "claim"
	if d.closed.Load() {
		return "", d.fail(op, errClosed)
	}
	of, err := d.origin(ctx)
	if err != nil || of != "" || epoch == "" {
		return of, d.fail(op, err)
	}
	err = d.transact(ctx, op, func() error {
		return d.write.script("INSERT OR IGNORE INTO origin (key, epoch) VALUES (1, ?)", driver.NamedValue{Ordinal: 1, Value: epoch})
	})
	if err == nil {
		of, err = d.origin(ctx)
		err = d.fail(op, err)
	}
	return of, err
}

func (d *database) origin(ctx context.Context) (epoch string, err error) {
	err = d.read.QueryRowContext(ctx, "SELECT epoch FROM origin").Scan(&epoch)
	if errors.Is(err, sql.ErrNoRows) {
		return "", nil
	}
	return epoch, err
}

// Empty tells whether the file holds no record.
func (d *database) Empty(ctx context.Context) (bool, error) {
	if d.closed.Load() {
		return false, d.fail("look", errClosed)
	}
	for _, table := range d.tables {
		var some bool
		if err := d.read.QueryRowContext(ctx, fmt.Sprintf("SELECT EXISTS (SELECT 1 FROM %s)", table)).Scan(&some); err != nil || some {
			return false, d.fail("look", err)
		}
	}
	return true, nil
}

// reset drops all records, and with them whose they were. more is done as well.
func (d *database) reset(ctx context.Context, more string) error {
	return d.transact(ctx, "reset", func() error {
		for _, table := range append([]string{"origin"}, d.tables...) {
			if err := d.write.script("DELETE FROM " + table); err != nil {
				return err
			}
		}
		return d.write.script(more)
	})
}

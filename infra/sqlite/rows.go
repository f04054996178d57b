package sqlite

import (
	"context"
	"database/sql"

	"github.com/chat-platform/chat/events"
)

// each calls f with every row of a query, one at a time.
func each[T any](ctx context.Context, st *sql.Stmt, scan func(scanner) (T, error), f func(T) error, args ...any) error {
	rows, err := st.QueryContext(ctx, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		v, err := scan(rows)
		if err != nil {
			return err
		}
		if err := f(v); err != nil {
			return err
		}
	}
	return rows.Err()
}

// collect gives all rows of a query, which is bounded by its own limit.
func collect[T any](ctx context.Context, st *sql.Stmt, scan func(scanner) (T, error), args ...any) ([]T, error) {
	all := []T{}
	err := each(ctx, st, scan, func(v T) error {
		all = append(all, v)
		return nil
	}, args...)
	return all, err
}

type checksums struct {
	through uint64
	all     map[events.ChannelID]events.Checksum
}

func newChecksums(through uint64) checksums {
	return checksums{through, map[events.ChannelID]events.Checksum{}}
}

func (c checksums) add(channel events.ChannelID, seq uint64, record any) error {
	if seq > c.through {
		return nil
	}
	sum := c.all[channel]
	err := sum.Add(record)
	c.all[channel] = sum
	return err
}

package cassandra

import (
	"context"
	"errors"

	gocql "github.com/apache/cassandra-gocql-driver/v2"
)

// Claim tells of which log the view is, by its epoch. One that is of none yet is
// of the given one from then on, unless that is empty; a row that is made only
// where there is none decides among several.
func (s *Store) Claim(ctx context.Context, epoch string) (of string, err error) {
	err = s.call(ctx, claiming, func(ctx context.Context) error {
		if err := s.slot(ctx); err != nil {
			return err
		}
		defer s.release()
		err := s.session.Query("SELECT epoch FROM origins WHERE part = ?", s.cfg.part()).ScanContext(ctx, &of)
		if !errors.Is(err, gocql.ErrNotFound) {
			return err
		}
		if epoch == "" {
			return nil
		}
		var part string
		made, err := s.session.Query("INSERT INTO origins (part, epoch) VALUES (?, ?) IF NOT EXISTS", s.cfg.part(), epoch).
			SerialConsistency(gocql.LocalSerial).ScanCASContext(ctx, &part, &of)
		if made {
			of = epoch
		}
		return err
	}, "claim messages%s", s.names.suffix)
	return of, err
}

// disown makes the view one of no log.
func (s *Store) disown(ctx context.Context) error {
	if err := s.slot(ctx); err != nil {
		return err
	}
	defer s.release()
	_, err := s.session.Query("DELETE FROM origins WHERE part = ? IF EXISTS", s.cfg.part()).
		SerialConsistency(gocql.LocalSerial).ScanCASContext(ctx)
	return err
}

// Empty tells whether the view holds no message.
func (s *Store) Empty(ctx context.Context) (empty bool, err error) {
	err = s.call(ctx, "empty", func(ctx context.Context) error {
		var id string
		return s.query(ctx, s.read("SELECT id FROM message_ids LIMIT 1"), func(rows *gocql.Iter) { empty = !rows.Scan(&id) })
	}, "look at messages%s", s.names.suffix)
	return empty && err == nil, err
}

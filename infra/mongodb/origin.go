package mongodb

import (
	"context"
	"errors"
	"fmt"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
)

// origin is the collection that says of which log the view is, by the epoch in
// its one document; it has none while the view is of no log.
const origin = "origin"

type originDocument struct {
	ID    string `bson:"_id"`
	Epoch string `bson:"epoch"`
}

const originID = "log"

// Claim tells of which log the view is, by its epoch. One that is of none yet is
// of the given one from then on, unless that is empty.
func (s *Store) Claim(ctx context.Context, epoch string) (of string, err error) {
	err = s.call(ctx, opClaim, "", func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, s.timeout)
		defer cancel()
		if of, err = s.epoch(ctx); err != nil || of != "" || epoch == "" {
			return err
		}
		if _, err := s.collection(origin).InsertOne(ctx, originDocument{originID, epoch}); err != nil && !mongo.IsDuplicateKeyError(err) {
			return err
		}
		of, err = s.epoch(ctx)
		return err
	})
	return of, err
}

func (s *Store) epoch(ctx context.Context) (string, error) {
	var d originDocument
	err := s.collection(origin).FindOne(ctx, bson.D{{Key: "_id", Value: originID}}).Decode(&d)
	if errors.Is(err, mongo.ErrNoDocuments) {
		return "", nil
	}
	return d.Epoch, err
}

// Empty tells whether the view holds no channel and no membership.
func (s *Store) Empty(ctx context.Context) (empty bool, err error) {
	err = s.call(ctx, opEmpty, "", func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, s.timeout)
		defer cancel()
		for _, name := range []string{channels, members} {
			err := s.collection(name).FindOne(ctx, bson.D{}, options.FindOne().SetProjection(bson.D{{Key: "_id", Value: 1}})).Err()
			if !errors.Is(err, mongo.ErrNoDocuments) {
				if err != nil {
					err = fmt.Errorf("%s: %w", name, err)
				}
				return err
			}
		}
		empty = true
		return nil
	})
	return empty, err
}

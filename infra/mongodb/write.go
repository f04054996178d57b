package mongodb

import (
	"context"
	"errors"
	"slices"

	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/chat-platform/chat/events"
)

// maxBulk bounds the writes of one command (MongoDB takes 100,000).
const maxBulk = 10_000

// duplicateKey is MongoDB's code for an _id that is there already.
const duplicateKey = 11000

// PutChannels writes the batch; the highest sequence of a channel wins. Errors
// match [events.ErrInvalid] for a channel without id or sequence, in which case
// nothing is written.
func (s *Store) PutChannels(ctx context.Context, cs []events.Channel) error {
	return put(ctx, s, opPutChannels, writeChannel, cs, writeOfChannel)
}

// PutMembers writes the batch; the highest sequence of a membership wins. Errors
// match [events.ErrInvalid] for a membership without channel, user or sequence,
// in which case nothing is written.
//
// A batch is one round trip for every 10,000 records, stale ones included: a
// bulk, in no order, of upserts by _id that put a record's state in the place of
// a lesser one ($max). A state begins with its sequence, so that the sequence
// decides, on the server and whatever other writers do meanwhile.
func (s *Store) PutMembers(ctx context.Context, ms []events.Member) error {
	return put(ctx, s, opPutMembers, writeMember, ms, writeOfMember)
}

func put[R any](ctx context.Context, s *Store, op operation, q query, records []R, writeOf func(R) (write, error)) error {
	if len(records) == 0 {
		return nil
	}
	return s.call(ctx, op, "", func(ctx context.Context) error {
		models, err := upserts(q, records, writeOf)
		if err != nil {
			return err
		}
		for chunk := range slices.Chunk(models, maxBulk) {
			if err := s.bulk(ctx, q.collection, chunk); err != nil {
				return err
			}
		}
		return nil
	})
}

// upserts makes one write for each key, that of its highest sequence: two for
// the same key in a bulk without order would race.
func upserts[R any](q query, records []R, writeOf func(R) (write, error)) ([]mongo.WriteModel, error) {
	place := make(map[string]int, len(records))
	writes := make([]write, 0, len(records))
	for _, r := range records {
		w, err := writeOf(r)
		if err != nil {
			return nil, err
		}
		i, ok := place[w.id]
		switch {
		case !ok:
			place[w.id] = len(writes)
			writes = append(writes, w)
		case w.seq > writes[i].seq:
			writes[i] = w
		}
	}
	models := make([]mongo.WriteModel, len(writes))
	for i, w := range writes {
		models[i] = mongo.NewUpdateOneModel().SetUpsert(true).
			SetFilter(q.filter(w.id)).SetUpdate(w.update())
	}
	return models, nil
}

// bulk sends once more what the server refused as a duplicate: two writers that
// insert the same key at the same moment may be told so (MongoDB tries again by
// itself, but does not promise it). The key exists by then.
func (s *Store) bulk(ctx context.Context, collection string, models []mongo.WriteModel) error {
	refused, err := s.send(ctx, collection, models)
	if len(refused) > 0 {
		_, err = s.send(ctx, collection, refused)
	}
	return err
}

// send gives those writes that were refused as duplicates, if that is all that
// went wrong.
func (s *Store) send(ctx context.Context, collection string, models []mongo.WriteModel) (refused []mongo.WriteModel, err error) {
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	done, err := s.collection(collection).BulkWrite(ctx, models, options.BulkWrite().SetOrdered(false))
	if err == nil {
		s.metrics.stale.Add(float64(done.MatchedCount - done.ModifiedCount))
		return nil, nil
	}
	return duplicates(err, models), err
}

func duplicates(err error, models []mongo.WriteModel) (refused []mongo.WriteModel) {
	var e mongo.BulkWriteException
	if !errors.As(err, &e) || e.WriteConcernError != nil {
		return nil
	}
	for _, w := range e.WriteErrors {
		if w.Code != duplicateKey {
			return nil
		}
		refused = append(refused, models[w.Index])
	}
	return refused
}

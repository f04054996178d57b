package mongodb

import (
	"context"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/chat-platform/chat/events"
)

// streamBatch is how many documents a step of a stream brings.
const streamBatch = 2_000

// Checksums sums the channels and memberships, ended ones too, with a sequence
// of at most through, by channel. It streams everything past, two thousand
// documents at a time; the timeout is for each of those steps.
func (s *Store) Checksums(ctx context.Context, through uint64) (map[events.ChannelID]events.Checksum, error) {
	sums := map[events.ChannelID]events.Checksum{}
	add := func(id events.ChannelID, seq uint64, record any) error {
		if seq > through {
			return nil
		}
		sum := sums[id]
		err := sum.Add(record)
		sums[id] = sum
		return err
	}
	err := s.call(ctx, opChecksums, "", func(ctx context.Context) error {
		err := each[channelDocument](ctx, s, channels, func(c events.Channel) error { return add(c.ID, c.Seq, c) })
		if err != nil {
			return err
		}
		return each[memberDocument](ctx, s, members, func(m events.Member) error { return add(m.ChannelID, m.Seq, m) })
	})
	if err != nil {
		return nil, err
	}
	return sums, nil
}

// each calls f with every record of a collection, in no order.
func each[D document[R], R any](ctx context.Context, s *Store, collection string, f func(R) error) error {
	step, cancel := context.WithTimeout(ctx, s.timeout)
	cursor, err := s.collection(collection).Find(step, bson.D{}, options.Find().SetBatchSize(streamBatch))
	cancel()
	if err != nil {
		return err
	}
	defer func() { _ = cursor.Close(context.WithoutCancel(ctx)) }()
	for more := true; more && err == nil; {
		more, err = eachOfBatch[D](ctx, s, cursor, f)
	}
	return err
}

// eachOfBatch waits for the next documents, if there are more, and passes all of
// those that came.
func eachOfBatch[D document[R], R any](ctx context.Context, s *Store, cursor *mongo.Cursor, f func(R) error) (more bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	for cursor.Next(ctx) {
		var d D
		if err := cursor.Decode(&d); err != nil {
			return false, err
		}
		if err := f(d.record()); err != nil {
			return false, err
		}
		if cursor.RemainingBatchLength() == 0 {
			return true, nil
		}
	}
	return false, cursor.Err()
}

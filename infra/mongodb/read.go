package mongodb

import (
	"context"
	"errors"
	"slices"

	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/chat-platform/chat/events"
)

// Bounds of the ids that one statement asks for, and of the documents of one
// reply; beyond that it takes more than one.
const (
	maxIn    = 1_000
	maxBatch = 10_000
)

// ChannelByID gives events.ErrChannelNotFound where there is none.
func (s *Store) ChannelByID(ctx context.Context, id events.ChannelID) (c events.Channel, err error) {
	err = s.call(ctx, opChannelByID, string(id), func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, s.timeout)
		defer cancel()
		var d channelDocument
		err := s.collection(channels).FindOne(ctx, channelByID.filter(string(id))).Decode(&d)
		if errors.Is(err, mongo.ErrNoDocuments) {
			return events.ErrChannelNotFound
		}
		c = d.record()
		return err
	})
	if err != nil {
		return events.Channel{}, err
	}
	return c, nil
}

// PublicChannels lists by id, those after the given one.
func (s *Store) PublicChannels(ctx context.Context, after events.ChannelID, limit int) (cs []events.Channel, err error) {
	err = s.call(ctx, opPublicChannels, "", func(ctx context.Context) error {
		cs, err = page[channelDocument](ctx, s, publicChannels, limit, string(events.Public), string(after))
		return err
	})
	return cs, err
}

// ChannelsOf lists a user's active memberships by channel id. A channel whose
// own event has not come yet has but its id. It costs two statements: the page,
// and the page's channels by their ids.
func (s *Store) ChannelsOf(ctx context.Context, user events.UserID, after events.ChannelID, limit int) (ms []events.Membership, err error) {
	err = s.call(ctx, opChannelsOf, string(user), func(ctx context.Context) error {
		rows, err := page[memberDocument](ctx, s, channelsOf, limit, string(user), true, string(after))
		if err != nil {
			return err
		}
		known, err := s.channelsOf(ctx, rows)
		if err != nil {
			return err
		}
		ms = make([]events.Membership, len(rows))
		for i, m := range rows {
			c := known[m.ChannelID]
			c.ID = m.ChannelID
			ms[i] = events.Membership{Channel: c, Member: m}
		}
		return nil
	})
	return ms, err
}

func (s *Store) channelsOf(ctx context.Context, rows []events.Member) (map[events.ChannelID]events.Channel, error) {
	known := make(map[events.ChannelID]events.Channel, len(rows))
	for chunk := range slices.Chunk(rows, maxIn) {
		ids := make([]string, len(chunk))
		for i, m := range chunk {
			ids[i] = string(m.ChannelID)
		}
		cs, err := find[channelDocument](ctx, s, channelsByID, options.Find().SetBatchSize(int32(len(ids)+1)), in(ids))
		if err != nil {
			return nil, err
		}
		for _, c := range cs {
			known[c.ID] = c
		}
	}
	return known, nil
}

// MembersOf lists a channel's active members by user id.
func (s *Store) MembersOf(ctx context.Context, channel events.ChannelID, after events.UserID, limit int) (ms []events.Member, err error) {
	err = s.call(ctx, opMembersOf, string(channel), func(ctx context.Context) error {
		ms, err = page[memberDocument](ctx, s, membersOf, limit, string(channel), true, string(after))
		return err
	})
	return ms, err
}

// page reads the first limit documents after a key, in the query's order.
func page[D document[R], R any](ctx context.Context, s *Store, q query, limit int, values ...any) ([]R, error) {
	if limit <= 0 {
		return nil, events.Invalid("invalid_limit", "limit", "the limit is %d, at least 1 is needed", limit)
	}
	return find[D](ctx, s, q, options.Find().SetLimit(int64(limit)).SetBatchSize(int32(min(limit, maxBatch))), values...)
}

func find[D document[R], R any](ctx context.Context, s *Store, q query, opts *options.FindOptionsBuilder, values ...any) ([]R, error) {
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	if order := q.order(); order != nil {
		opts.SetSort(order)
	}
	cursor, err := s.collection(q.collection).Find(ctx, q.filter(values...), opts)
	if err != nil {
		return nil, err
	}
	var docs []D
	if err := cursor.All(ctx, &docs); err != nil {
		return nil, err
	}
	records := make([]R, len(docs))
	for i, d := range docs {
		records[i] = d.record()
	}
	return records, nil
}

//go:build integration

package mongodb_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/chat-platform/chat/events"
	"github.com/chat-platform/chat/infra/mongodb"
	"github.com/chat-platform/chat/infra/storetest"
)

func BenchmarkMetadata(b *testing.B) {
	storetest.BenchmarkMetadata(b, func(b *testing.B) storetest.Metadata {
		b.Helper()
		return openStore(b, config(b))
	})
}

// fill writes n memberships of one user, n of one channel, and the channels.
func fill(b *testing.B, s *mongodb.Store, n int) {
	b.Helper()
	for i := 0; i < n; i += 1_000 {
		var cs []events.Channel
		var ms []events.Member
		for k := i; k < min(i+1_000, n); k++ {
			id := events.ChannelID(fmt.Sprintf("ch_%06d", k))
			cs = append(cs, channel(id, uint64(k+1)))
			ms = append(ms, member(id, "ann", uint64(k+1), true), member("ch_big", events.UserID(fmt.Sprintf("user %06d", k)), uint64(k+1), true))
		}
		require.NoError(b, s.PutChannels(b.Context(), cs))
		require.NoError(b, s.PutMembers(b.Context(), ms))
	}
}

func stateOf(m events.Member) bson.D {
	return bson.D{{Key: "seq", Value: int64(m.Seq)}, {Key: "active", Value: m.Active}, {Key: "role", Value: string(m.Role)}, {Key: "at", Value: bson.DateTime(m.At.UnixMilli())}}
}

// BenchmarkAgainstDriver compares the store with the bare driver, which makes no
// records of the answers.
func BenchmarkAgainstDriver(b *testing.B) {
	cfg := config(b)
	s := openStore(b, cfg)
	fill(b, s, 200)
	members, channels := s.Database().Collection("members"), s.Database().Collection("channels")
	var seq atomic.Uint64
	seq.Store(1_000_000)

	write := func(user events.UserID, size int) []events.Member {
		ms := make([]events.Member, size)
		for i := range ms {
			n := seq.Add(1)
			ms[i] = member(events.ChannelID(fmt.Sprintf("ch_w%d", n%1_000)), user, n, true)
		}
		return ms
	}
	put := func(size int) [2]func(context.Context, int) error {
		return [2]func(context.Context, int) error{
			func(ctx context.Context, _ int) error { return s.PutMembers(ctx, write("store", size)) },
			func(ctx context.Context, _ int) error {
				var models []mongo.WriteModel
				for _, m := range write("driver", size) {
					models = append(models, mongo.NewUpdateOneModel().SetUpsert(true).SetFilter(bson.D{{Key: "_id", Value: string(m.ChannelID + "/" + events.ChannelID(m.UserID))}}).
						SetUpdate(bson.D{{Key: "$max", Value: bson.D{{Key: "state", Value: stateOf(m)}}},
							{Key: "$setOnInsert", Value: bson.D{{Key: "channel", Value: string(m.ChannelID)}, {Key: "user", Value: string(m.UserID)}}}}))
				}
				_, err := members.BulkWrite(ctx, models, options.BulkWrite().SetOrdered(false))
				return err
			},
		}
	}
	find := func(ctx context.Context, c *mongo.Collection, filter, sort bson.D) ([]bson.Raw, error) {
		o := options.Find()
		if sort != nil {
			o.SetSort(sort).SetLimit(50).SetBatchSize(50)
		}
		cursor, err := c.Find(ctx, filter, o)
		if err != nil {
			return nil, err
		}
		var raws []bson.Raw
		err = cursor.All(ctx, &raws)
		return raws, err
	}
	for _, c := range []struct {
		name string
		size int
		do   [2]func(context.Context, int) error
	}{
		{"write 1", 1, put(1)},
		{"write 100", 100, put(100)},
		{"channel by id", 1, [2]func(context.Context, int) error{
			func(ctx context.Context, n int) error {
				_, err := s.ChannelByID(ctx, events.ChannelID(fmt.Sprintf("ch_%06d", n%200)))
				return err
			},
			func(ctx context.Context, n int) error {
				_, err := channels.FindOne(ctx, bson.D{{Key: "_id", Value: fmt.Sprintf("ch_%06d", n%200)}}).Raw()
				return err
			},
		}},
		{"members of a channel, 50", 1, [2]func(context.Context, int) error{
			func(ctx context.Context, n int) error {
				_, err := s.MembersOf(ctx, "ch_big", events.UserID(fmt.Sprintf("user %06d", n%100)), 50)
				return err
			},
			func(ctx context.Context, n int) error {
				_, err := find(ctx, members, bson.D{{Key: "channel", Value: "ch_big"}, {Key: "state.active", Value: true},
					{Key: "user", Value: bson.D{{Key: "$gt", Value: fmt.Sprintf("user %06d", n%100)}}}}, bson.D{{Key: "user", Value: 1}})
				return err
			},
		}},
		{"channels of a user, 50", 1, [2]func(context.Context, int) error{
			func(ctx context.Context, n int) error {
				_, err := s.ChannelsOf(ctx, "ann", events.ChannelID(fmt.Sprintf("ch_%06d", n%100)), 50)
				return err
			},
			func(ctx context.Context, n int) error {
				rows, err := find(ctx, members, bson.D{{Key: "user", Value: "ann"}, {Key: "state.active", Value: true},
					{Key: "channel", Value: bson.D{{Key: "$gt", Value: fmt.Sprintf("ch_%06d", n%100)}}}}, bson.D{{Key: "channel", Value: 1}})
				if err != nil {
					return err
				}
				ids := make([]string, len(rows))
				for i, r := range rows {
					ids[i] = r.Lookup("channel").StringValue()
				}
				_, err = find(ctx, channels, bson.D{{Key: "_id", Value: bson.D{{Key: "$in", Value: ids}}}}, nil)
				return err
			},
		}},
	} {
		for _, inFlight := range storetest.InFlight {
			b.Run(fmt.Sprintf("%s/%d", c.name, inFlight), func(b *testing.B) {
				var calls atomic.Int64
				numbered := func(do func(context.Context, int) error) storetest.Call {
					return func(ctx context.Context, _ int) error { return do(ctx, int(calls.Add(1))) }
				}
				storetest.Duel{InFlight: inFlight, Size: c.size}.Run(b, numbered(c.do[0]), numbered(c.do[1]))
			})
		}
	}
}

// BenchmarkPages reads first, middle and last pages of 50 of a user with many
// memberships and a channel with many members: with MongoDB's indexes they cost
// the same at any size. A server that has none behind its createIndexes can't
// show it.
func BenchmarkPages(b *testing.B) {
	for _, size := range []int{100, 100_000} {
		s := openStore(b, config(b))
		fill(b, s, size)
		for _, at := range []int{0, size / 4, size - 51} {
			b.Run(fmt.Sprintf("members of a channel/%d after %d", size, at), func(b *testing.B) {
				for b.Loop() {
					ms, err := s.MembersOf(b.Context(), "ch_big", events.UserID(fmt.Sprintf("user %06d", at)), 50)
					require.NoError(b, err)
					require.Len(b, ms, 50)
				}
			})
			b.Run(fmt.Sprintf("channels of a user/%d after %d", size, at), func(b *testing.B) {
				for b.Loop() {
					ms, err := s.ChannelsOf(b.Context(), "ann", events.ChannelID(fmt.Sprintf("ch_%06d", at)), 50)
					require.NoError(b, err)
					require.Len(b, ms, 50)
				}
			})
		}
	}
}

// BenchmarkBytes tells how large documents are, without indexes.
func BenchmarkBytes(b *testing.B) {
	s := openStore(b, config(b))
	fill(b, s, 100)
	for _, c := range []string{"channels", "members"} {
		b.Run(c, func(b *testing.B) {
			bytes, n := 0, 0
			for b.Loop() {
				cursor, err := s.Database().Collection(c).Find(b.Context(), bson.D{})
				require.NoError(b, err)
				for cursor.Next(b.Context()) {
					bytes, n = bytes+len(cursor.Current), n+1
				}
				require.NoError(b, cursor.Err())
			}
			b.ReportMetric(float64(bytes)/float64(n), "B/message")
			b.ReportMetric(0, "ns/op")
		})
	}
}

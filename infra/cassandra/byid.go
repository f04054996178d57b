package cassandra

import (
	"context"
	"slices"
	"sync"

	gocql "github.com/apache/cassandra-gocql-driver/v2"

	"github.com/chat-platform/chat/events"
)

// idsAtOnce is how many rows of a partition one request asks for.
const idsAtOnce = 100

// MessagesByID gives those of the ids that exist in the channel, for one request
// an id and one for each hundred rows of a partition.
func (s *Store) MessagesByID(ctx context.Context, channel events.ChannelID, ids []events.MessageID) (map[events.MessageID]events.Message, error) {
	found := make(map[events.MessageID]events.Message, len(ids))
	err := s.call(ctx, "messages_by_id", func(ctx context.Context) error {
		ids := askable(ids)
		if len(ids) == 0 || channel == "" || len(channel) > maxKey {
			return nil
		}
		return s.messagesByID(ctx, channel, ids, found)
	}, "read %d messages of %s by id", len(ids), channel)
	if err != nil {
		return nil, err
	}
	return found, nil
}

// askable are the ids, once each, that may be a key.
func askable(ids []events.MessageID) []events.MessageID {
	ids = slices.Clone(ids)
	slices.Sort(ids)
	return slices.DeleteFunc(slices.Compact(ids), func(id events.MessageID) bool { return id == "" || len(id) > maxKey })
}

func (s *Store) messagesByID(ctx context.Context, channel events.ChannelID, ids []events.MessageID, found map[events.MessageID]events.Message) error {
	spots := make([][]spot, len(ids))
	if err := s.parallel(ctx, len(ids), func(ctx context.Context, i int) (err error) {
		spots[i], err = s.spots(ctx, ids[i])
		return err
	}); err != nil {
		return err
	}
	// Duplicates are asked for as well: while a message is being written that
	// takes another one's place, that one is still it.
	seqs := map[partition][]int64{}
	for _, of := range spots {
		for _, p := range of {
			if p.channel == channel {
				key := partition{channel, p.level, s.shape.bucket(p.level, p.seq)}
				seqs[key] = append(seqs[key], int64(p.seq))
			}
		}
	}
	type ask struct {
		partition
		seqs []int64
	}
	var asks []ask
	for p, of := range seqs {
		for chunk := range slices.Chunk(of, idsAtOnce) {
			asks = append(asks, ask{p, chunk})
		}
	}
	var mu sync.Mutex
	return s.parallel(ctx, len(asks), func(ctx context.Context, i int) error {
		a := asks[i]
		return s.query(ctx, s.read("SELECT "+rowColumns+" FROM messages WHERE channel = ? AND level = ? AND bucket = ? AND seq IN ?",
			string(channel), int8(a.level), a.bucket, a.seqs), func(i *gocql.Iter) {
			mu.Lock()
			defer mu.Unlock()
			scan := newScanner(i)
			scan.row.m.ChannelID = channel
			for scan.next() {
				if old, ok := found[scan.row.m.ID]; scan.row.visible() && (!ok || scan.row.m.Seq < old.Seq) {
					found[scan.row.m.ID] = scan.row.m
				}
			}
		})
	})
}

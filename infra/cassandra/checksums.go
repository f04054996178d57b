package cassandra

import (
	"context"

	gocql "github.com/apache/cassandra-gocql-driver/v2"

	"github.com/chat-platform/chat/events"
)

// scanPage is how many rows one request of Checksums brings; the next ones are
// asked for while these are worked on.
const scanPage = 2_000

// Checksums sums the messages with a sequence of at most through, by channel. It
// reads everything, in the order of the partitions' tokens.
func (s *Store) Checksums(ctx context.Context, through uint64) (sums map[events.ChannelID]events.Checksum, err error) {
	err = s.call(ctx, "checksums", func(ctx context.Context) error {
		sums, err = s.checksums(ctx, through)
		return err
	}, "checksum messages")
	return sums, err
}

func (s *Store) checksums(ctx context.Context, through uint64) (map[events.ChannelID]events.Checksum, error) {
	sums := map[events.ChannelID]events.Checksum{}
	var channel string
	var failed error
	q := s.session.Query(s.table("SELECT " + rowColumns + ", channel FROM messages")).PageSize(scanPage).Prefetch(0.5)
	err := s.query(ctx, q, func(i *gocql.Iter) {
		scan := newScanner(i, &channel)
		for scan.next() && failed == nil {
			m := scan.row.m
			if scan.row.state != 0 || m.ID == "" || m.Seq > through { // what is marked is counted elsewhere, or not at all
				continue
			}
			m.ChannelID = events.ChannelID(channel)
			sum := sums[m.ChannelID]
			failed = sum.Add(m)
			sums[m.ChannelID] = sum
		}
	})
	if err == nil {
		err = failed
	}
	if err != nil {
		return nil, err
	}
	return sums, nil
}

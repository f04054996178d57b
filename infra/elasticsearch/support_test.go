package elasticsearch_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/chat-platform/chat/events"
	"github.com/chat-platform/chat/infra/elasticsearch"
	"github.com/chat-platform/chat/infra/stores"
)

// messages makes the first n of always the same messages, all of one channel.
func messages(n int) []events.Message {
	ms := make([]events.Message, n)
	for i := range ms {
		ms[i] = events.Message{Seq: uint64(i) + 1, MessageSent: events.MessageSent{
			ID: events.MessageID(fmt.Sprintf("msg_%026d", i)), ChannelID: "ch_a", AuthorID: "a.b",
			Text: fmt.Sprintf("<number> %d of Straße & 東京都", i), SentAt: time.UnixMilli(1_700_000_000_000 + int64(i)).UTC(),
		}}
	}
	return ms
}

func requireHolds(t testing.TB, s *elasticsearch.Store, ms []events.Message, why ...any) {
	t.Helper()
	var sum events.Checksum
	for _, m := range ms {
		require.NoError(t, sum.Add(m))
	}
	sums, err := s.Checksums(t.Context(), stores.All)
	require.NoError(t, err)
	require.Equal(t, map[events.ChannelID]events.Checksum{"ch_a": sum}, sums, why...)
}

//go:build integration

package search_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/chat-platform/chat/events"
	"github.com/chat-platform/chat/infra/elasticsearch"
	"github.com/chat-platform/chat/infra/servertest"
	"github.com/chat-platform/chat/infra/stores"
	"github.com/chat-platform/chat/infra/stores/search"
)

func TestMain(m *testing.M) { servertest.Main(m) }

func TestElasticsearchByConfiguration(t *testing.T) {
	cfg := search.Config{Store: "elasticsearch", Elasticsearch: elasticsearch.Config{
		URLs: []string{servertest.Elasticsearch(t)}, Index: servertest.Name(t), Shards: 1, WaitVisible: true,
	}}
	s, err := search.Open(t.Context(), cfg, stores.Host{Name: "test"})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	t.Cleanup(func() { require.NoError(t, s.Drop(context.WithoutCancel(t.Context()))) })

	m := events.Message{Seq: 1, MessageSent: events.MessageSent{ID: "msg_1", ChannelID: "ch_1", AuthorID: "ann", Text: "hello there"}}
	require.NoError(t, s.IndexMessages(t.Context(), []events.Message{m}))
	page, err := s.SearchMessages(t.Context(), events.SearchQuery{Text: "hello", Channels: []events.ChannelID{"ch_1"}, Limit: 10})
	require.NoError(t, err)
	require.Len(t, page.Hits, 1)
	require.Equal(t, m.ID, page.Hits[0].Message.ID)

	cfg.Elasticsearch.URLs = []string{"http://127.0.0.1:1"}
	_, err = search.Open(t.Context(), cfg, stores.Host{Name: "test"})
	require.ErrorIs(t, err, events.ErrUnavailable)
}

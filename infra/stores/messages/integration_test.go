//go:build integration

package messages_test

import (
	"log/slog"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/chat-platform/chat/events"
	"github.com/chat-platform/chat/infra/cassandra"
	"github.com/chat-platform/chat/infra/servertest"
	"github.com/chat-platform/chat/infra/stores"
	"github.com/chat-platform/chat/infra/stores/messages"
)

func TestMain(m *testing.M) { servertest.Main(m) }

func TestCassandraByConfiguration(t *testing.T) {
	registry := prometheus.NewRegistry()
	host := stores.Host{Name: "test", Registerer: registry, Log: slog.New(slog.DiscardHandler)}
	cfg := messages.Config{Store: "cassandra", Cassandra: cassandra.Config{Hosts: strings.Split(servertest.Cassandra(t), ","), Keyspace: servertest.Name(t)}}
	writes, err := messages.Open(t.Context(), cfg, host)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, writes.Close()) })
	reads, err := messages.OpenReader(t.Context(), cfg, host)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, reads.Close()) })
	require.NotImplements(t, (*stores.Messages)(nil), reads)

	m := events.Message{Seq: 1, MessageSent: events.MessageSent{ID: "msg_1", ChannelID: "ch_1", AuthorID: "ann", Text: "hello"}}
	require.NoError(t, writes.PutMessages(t.Context(), []events.Message{m}))
	page, err := reads.History(t.Context(), events.HistoryQuery{Channel: "ch_1", Limit: 10})
	require.NoError(t, err)
	require.Len(t, page.Messages, 1)
	require.Equal(t, m.Text, page.Messages[0].Text)
	families, err := registry.Gather()
	require.NoError(t, err)
	require.NotEmpty(t, families, "the host's metrics")
	require.NoError(t, writes.Reset(t.Context()))
}

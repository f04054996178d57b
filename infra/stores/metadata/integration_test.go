//go:build integration

package metadata_test

import (
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/chat-platform/chat/events"
	"github.com/chat-platform/chat/infra/mongodb"
	"github.com/chat-platform/chat/infra/servertest"
	"github.com/chat-platform/chat/infra/stores"
	"github.com/chat-platform/chat/infra/stores/metadata"
)

func TestMain(m *testing.M) { servertest.Main(m) }

func TestMongoDBByConfiguration(t *testing.T) {
	registry := prometheus.NewRegistry()
	host := stores.Host{Name: "test", Registerer: registry}
	cfg := metadata.Config{Store: "mongodb", MongoDB: mongodb.Config{URL: servertest.MongoDB(t), Database: servertest.Name(t)}}
	writes, err := metadata.Open(t.Context(), cfg, host)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, writes.Close()) })
	reads, err := metadata.OpenReader(t.Context(), cfg, host)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, reads.Close()) })
	require.NotImplements(t, (*stores.Metadata)(nil), reads)

	m := events.Member{Seq: 1, ChannelID: "ch_1", UserID: "ann", Role: events.RoleOwner, Active: true}
	require.NoError(t, writes.PutMembers(t.Context(), []events.Member{m}))
	got, err := reads.MembersOf(t.Context(), "ch_1", "", 10)
	require.NoError(t, err)
	require.Equal(t, []events.Member{m}, got)
	families, err := registry.Gather()
	require.NoError(t, err)
	require.NotEmpty(t, families, "the host's metrics")
	require.NoError(t, writes.Reset(t.Context()))
}

package nats_test

import (
	"bytes"
	"strings"
	"testing"

	driver "github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"

	"github.com/chat-platform/chat/events"
	"github.com/chat-platform/chat/infra/nats/natstest"
)

func TestSnapshots(t *testing.T) {
	srv := natstest.Start(t)
	log, other := natstest.Connect(t, srv), natstest.Connect(t, srv)
	ctx := t.Context()
	got, err := log.ReadSnapshot(ctx, "memberships.of ann")
	require.NoError(t, err)
	require.Nil(t, got)
	for _, size := range []int{10, 3_000_000, 512 << 10, 512<<10 + 1, 1, 2_000_000, 0} {
		data := bytes.Repeat([]byte("abcdefg"), size/7+1)[:size]
		require.NoError(t, log.WriteSnapshot(ctx, "memberships.of ann", data))
		require.NoError(t, other.WriteSnapshot(ctx, "another", []byte("x")))
		got, err = other.ReadSnapshot(ctx, "memberships.of ann")
		require.NoError(t, err)
		require.True(t, bytes.Equal(data, got), size)
	}
	require.ErrorIs(t, log.WriteSnapshot(ctx, "", nil), events.ErrInvalid)
	_, err = log.ReadSnapshot(ctx, "")
	require.ErrorIs(t, err, events.ErrInvalid)
	require.NoError(t, other.Close())
	_, err = other.ReadSnapshot(ctx, "another")
	require.ErrorIs(t, err, events.ErrUnavailable)
	require.ErrorIs(t, other.WriteSnapshot(ctx, "another", nil), events.ErrUnavailable)
}

// A snapshot that another writer has replaced in part is none.
func TestSnapshotsInPieces(t *testing.T) {
	srv := natstest.Start(t)
	log := natstest.Connect(t, srv)
	ctx := t.Context()
	_, js := raw(t, srv.ClientURL())
	replace := func(subject, id string) {
		_, err := js.PublishMsg(ctx, &driver.Msg{Subject: subject, Header: driver.Header{"Snapshot": {id}}, Data: []byte("b")})
		require.NoError(t, err)
	}
	long := []byte(strings.Repeat("a", 1<<20))
	require.NoError(t, log.WriteSnapshot(ctx, "x", long))
	replace("snapshots.x.1", "another.2")
	got, err := log.ReadSnapshot(ctx, "x")
	require.NoError(t, err)
	require.Nil(t, got)
	require.NoError(t, log.WriteSnapshot(ctx, "x", long))
	got, err = log.ReadSnapshot(ctx, "x")
	require.NoError(t, err)
	require.Len(t, got, len(long))
	for _, id := range []string{"", "no number", "a.0", "a.1001"} {
		replace("snapshots.x.0", id)
		got, err = log.ReadSnapshot(ctx, "x")
		require.NoError(t, err)
		require.Nil(t, got, id)
	}
}

package searchmessages_test

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/chat-platform/chat/events"
	"github.com/chat-platform/chat/functions/internal/fixtures"
	"github.com/chat-platform/chat/functions/internal/frontdoor"
	"github.com/chat-platform/chat/functions/internal/membership"
	"github.com/chat-platform/chat/functions/internal/records"
	"github.com/chat-platform/chat/functions/query/searchmessages"
	"github.com/chat-platform/chat/infra/nats"
	"github.com/chat-platform/chat/infra/sqlite"
)

// The index has everything and its consumer has said so; who is in which channel
// comes from the log alone, since the metadata view has nothing yet.
func TestFixtures(t *testing.T) {
	fixtures.Run(t, func(t *testing.T, log *nats.Log, given []events.Event) *frontdoor.Function {
		metadata, err := sqlite.OpenMetadata(t.Context(), filepath.Join(t.TempDir(), "metadata.db"))
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, metadata.Close()) })
		index, err := sqlite.OpenSearch(t.Context(), filepath.Join(t.TempDir(), "search.db"))
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, index.Close()) })

		sent := given[:0:0]
		for _, e := range given {
			if events.StreamOf(e.Subject) == events.StreamMessages {
				sent = append(sent, e)
			}
		}
		ms, err := records.Messages(sent)
		require.NoError(t, err)
		require.NoError(t, index.IndexMessages(t.Context(), ms))
		acknowledge(t, log, len(sent))

		h := searchmessages.New(log, membership.New(log), metadata, index)
		return frontdoor.Command(searchmessages.Spec, h.Handle, append(fixtures.Options(), frontdoor.WithHooks(h))...)
	})
}

// acknowledge is what the source does after the search writer's success.
func acknowledge(t *testing.T, log *nats.Log, n int) {
	t.Helper()
	c, err := log.Consumer(t.Context(), nats.ConsumerConfig{Stream: events.StreamMessages, Name: events.ConsumerSearch, AckWait: time.Minute, MaxAckPending: 100})
	require.NoError(t, err)
	defer c.Close()
	for done := 0; done < n; {
		ds, err := c.Fetch(t.Context(), n, time.Minute)
		require.NoError(t, err)
		require.NotEmpty(t, ds)
		for _, d := range ds {
			require.NoError(t, d.Ack())
		}
		done += len(ds)
	}
	require.Eventually(t, func() bool {
		seq, err := log.Applied(t.Context(), events.StreamMessages, events.ConsumerSearch)
		return err == nil && seq == uint64(n)
	}, time.Minute, time.Millisecond)
}

package listchannels_test

import (
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/chat-platform/chat/events"
	"github.com/chat-platform/chat/functions/internal/fixtures"
	"github.com/chat-platform/chat/functions/internal/frontdoor"
	"github.com/chat-platform/chat/functions/internal/records"
	"github.com/chat-platform/chat/functions/query/listchannels"
	"github.com/chat-platform/chat/infra/nats"
	"github.com/chat-platform/chat/infra/sqlite"
)

// The answers are the same from a view that has something and from one that has
// nothing yet.
func TestFixtures(t *testing.T) {
	for name, share := range map[string]float64{"half a view": 0.5, "empty view": 0} {
		t.Run(name, func(t *testing.T) {
			fixtures.Run(t, func(t *testing.T, log *nats.Log, given []events.Event) *frontdoor.Function {
				t.Helper()
				view, err := sqlite.OpenMetadata(t.Context(), filepath.Join(t.TempDir(), "metadata.db"))
				require.NoError(t, err)
				t.Cleanup(func() { require.NoError(t, view.Close()) })
				metadata := given[:0:0]
				for _, e := range given {
					if events.StreamOf(e.Subject) == events.StreamMetadata {
						metadata = append(metadata, e)
					}
				}
				cs, ms, err := records.Metadata(metadata[:int(share*float64(len(metadata)))])
				require.NoError(t, err)
				require.NoError(t, view.PutChannels(t.Context(), cs))
				require.NoError(t, view.PutMembers(t.Context(), ms))
				h := listchannels.New(log, view)
				return frontdoor.Command(listchannels.Spec, h.Handle, append(fixtures.Options(), frontdoor.WithHooks(h))...)
			})
		})
	}
}

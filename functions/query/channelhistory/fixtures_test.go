package channelhistory_test

import (
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/chat-platform/chat/events"
	"github.com/chat-platform/chat/functions/internal/fixtures"
	"github.com/chat-platform/chat/functions/internal/frontdoor"
	"github.com/chat-platform/chat/functions/internal/membership"
	"github.com/chat-platform/chat/functions/internal/records"
	"github.com/chat-platform/chat/functions/query/channelhistory"
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
				view, err := sqlite.OpenMessages(t.Context(), filepath.Join(t.TempDir(), "messages.db"))
				require.NoError(t, err)
				t.Cleanup(func() { require.NoError(t, view.Close()) })
				sent := given[:0:0]
				for _, e := range given {
					if events.StreamOf(e.Subject) == events.StreamMessages {
						sent = append(sent, e)
					}
				}
				ms, err := records.Messages(sent[:int(share*float64(len(sent)))])
				require.NoError(t, err)
				require.NoError(t, view.PutMessages(t.Context(), ms))
				h := channelhistory.New(log, membership.New(log), view, nil)
				return frontdoor.Command(channelhistory.Spec, h.Handle, append(fixtures.Options(), frontdoor.WithHooks(h))...)
			})
		})
	}
}

func TestREST(t *testing.T) {
	h := channelhistory.New(nil, nil, nil, nil) // nothing below is asked
	f := frontdoor.Command(channelhistory.Spec, h.Handle, fixtures.Options()...)
	for target, code := range map[string]string{
		"/v1/channels/ch_1/messages?limit=101":          "invalid_limit",
		"/v1/channels/ch_1/messages?limit=many":         "limit",
		"/v1/channels/ch_1/messages?before=-1":          "before",
		"/v1/channels/ch_1/messages?before=1&around=2":  "exclusive_fields",
		"/v1/channels/ch%201/messages":                  "invalid_channel_id",
		"/v1/channels/ch_1/messages?before=2&after=0":   "exclusive_fields",
		"/v1/channels/ch_1/messages?before=0":           "invalid_before",
		"/v1/channels/ch_1/messages?after=1e3&limit=10": "after",
	} {
		status, body := fixtures.REST(t, f, fixtures.Token("ann"), "GET", target, "")
		require.Equal(t, 400, status, target)
		require.Contains(t, string(body), code, target)
	}
	status, _ := fixtures.REST(t, f, "", "GET", "/v1/channels/ch_1/messages", "")
	require.Equal(t, 401, status)
}

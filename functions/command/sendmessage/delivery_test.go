package sendmessage_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/chat-platform/chat/events"
	"github.com/chat-platform/chat/functions/internal/fixtures"
)

// A broker may deliver an event twice: without a client_id the event itself is
// the key.
func TestAnEventDeliveredTwiceIsOneMessage(t *testing.T) {
	log := opened(t)
	f := function(log, view{})
	send := func(source, id string) (messageID string, seq float64) {
		event := fmt.Sprintf(`{"specversion":"1.0","id":%q,"source":%q,"type":"chat.command.sendmessage.v1",
			"authtype":"user","authid":"alice","data":{"channel_id":"ch_general","text":"once"}}`, id, source)
		status, body := fixtures.Post(t, f, []byte(event))
		require.Equal(t, http.StatusOK, status, "%s", body)
		var answer struct {
			Data map[string]any `json:"data"`
		}
		require.NoError(t, json.Unmarshal(body, &answer))
		return answer.Data["id"].(string), answer.Data["seq"].(float64)
	}
	first, seq := send("/broker", "1")
	again, seqAgain := send("/broker", "1")
	assert.Equal(t, first, again)
	assert.InDelta(t, seq, seqAgain, 0)
	other, _ := send("/broker", "2")
	assert.NotEqual(t, first, other, "another event is another message")
	elsewhere, _ := send("/another", "1")
	assert.NotEqual(t, first, elsewhere, "ids are unique per source")

	last, err := log.LastSequence(t.Context(), events.StreamMessages)
	require.NoError(t, err)
	assert.InDelta(t, seq+2, float64(last), 0)
}

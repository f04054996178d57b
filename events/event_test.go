package events_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/chat-platform/chat/events"
)

func TestEventValidate(t *testing.T) {
	good := events.Event{ID: "1", Source: "/s", Type: "t"}
	assert.NoError(t, good.Validate())
	for _, field := range []string{"id", "source", "type"} {
		e := good
		switch field {
		case "id":
			e.ID = ""
		case "source":
			e.Source = ""
		case "type":
			e.Type = ""
		}
		err := e.Validate()
		assertFault(t, err, "invalid_event")
		assert.ErrorContains(t, err, "no "+field)
	}
}

func TestSequenceIsATwentyDigitString(t *testing.T) {
	for n, want := range map[uint64]string{0: "00000000000000000000", 7: "00000000000000000007", 1<<64 - 1: "18446744073709551615"} {
		assert.Equal(t, want, events.FormatSequence(n))
		back, err := events.ParseSequence(want)
		require.NoError(t, err)
		assert.Equal(t, n, back)
	}
	for _, bad := range []string{"", "-1", "1e3", "18446744073709551616"} {
		_, err := events.ParseSequence(bad)
		assertFault(t, err, "invalid_event")
	}
}

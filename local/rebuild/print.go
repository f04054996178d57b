package rebuild

import (
	"maps"
	"slices"

	"github.com/chat-platform/chat/events"
)

func sorted(sums map[events.ChannelID]events.Checksum) []events.ChannelID {
	return slices.Sorted(maps.Keys(sums))
}

func show(sums map[events.ChannelID]events.Checksum, c events.ChannelID) string {
	sum, ok := sums[c]
	if !ok {
		return "-"
	}
	return sum.String()
}

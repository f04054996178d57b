package searchmessages

import (
	"cmp"
	"context"
	"slices"

	"github.com/chat-platform/chat/events"
)

// maxChannels is how many channels one question to the index names. Engines
// bound it (Elasticsearch takes 65,536 terms by default, SQLite 32,766
// variables); a user in more channels costs one question for each so many.
const maxChannels = 30_000

// search asks the index, in parts where there are too many channels for one
// question. The newest of all parts' hits are the newest of all channels.
func (h *Handler) search(ctx context.Context, q events.SearchQuery, channels []events.ChannelID) (events.SearchPage, error) {
	var all events.SearchPage
	for part := range slices.Chunk(channels, maxChannels) {
		q.Channels = part
		p, err := h.index.SearchMessages(ctx, q)
		if err != nil {
			return events.SearchPage{}, err
		}
		all.Hits = append(all.Hits, p.Hits...)
		all.More = all.More || p.More
	}
	slices.SortStableFunc(all.Hits, func(a, b events.Hit) int { return cmp.Compare(b.Message.Seq, a.Message.Seq) })
	if len(all.Hits) > q.Limit {
		all.Hits, all.More = all.Hits[:q.Limit], true
	}
	all.More = all.More && len(all.Hits) > 0
	return all, nil
}

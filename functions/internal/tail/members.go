package tail

import (
	"context"

	"github.com/chat-platform/chat/events"
	"github.com/chat-platform/chat/functions/internal/records"
)

// Memberships gives what became of a user's memberships after a sequence: the
// last state of each that changed, by channel, and the sequence of the last
// change (the given one where there was none). More than [MaxEvents] changes
// are [View.Behind]. Events that no view would take are passed over, as the
// writer does.
func (v View) Memberships(ctx context.Context, user events.UserID, after uint64) (map[events.ChannelID]events.Member, uint64, error) {
	es, to, err := v.After(ctx, events.MembershipsOf(user), after, nil)
	if err != nil {
		return nil, 0, err
	}
	if to != Everything {
		return nil, 0, v.Behind()
	}
	changed := make(map[events.ChannelID]events.Member, len(es))
	for _, e := range es {
		if m, ok, err := records.Member(e); ok && err == nil {
			changed[m.ChannelID] = m
		}
		after = e.Sequence
	}
	return changed, after, nil
}

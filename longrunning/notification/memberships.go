package notification

import (
	"context"

	"github.com/chat-platform/chat/events"
)

// membership is how a user stands to a channel, by the last event about it.
type membership struct {
	seq    uint64
	active bool
}

// memberships is a user's channels as the log has them up to a position: no view
// can lag behind it.
type memberships map[events.ChannelID]membership

// read folds the user's events of METADATA in [from, to], and gives the channels
// that they changed. It costs one read of the log that yields the user's own
// events only.
func (m memberships) read(ctx context.Context, log Log, user events.UserID, from, to uint64) (changed map[events.ChannelID]bool, err error) {
	if from > to {
		return nil, nil
	}
	changed = map[events.ChannelID]bool{}
	err = log.Range(ctx, events.StreamMetadata, []string{events.MembershipsOf(user)}, from, to, func(e events.Event) error {
		s, err := events.MemberOf(e)
		if err != nil {
			return nil //nolint:nilerr // nobody's membership: the writers put it among the dead letters
		}
		m[s.ChannelID] = membership{s.Seq, s.Active}
		changed[s.ChannelID] = true
		return nil
	})
	return changed, err
}

// filters of the log's reads that a server takes at once without pain; whoever
// is in more channels reads everything and sifts.
const maxFilters = 100

// messageFilters select the channels' messages; wide means that they select
// those of others, too.
func messageFilters(channels []events.ChannelID) (filters []string, wide bool) {
	if len(channels) > maxFilters {
		return nil, true
	}
	f := make([]string, len(channels))
	for i, c := range channels {
		f[i] = events.MessagesOf(c)
	}
	return f, false
}

// metadataFilters select the channels' own events and all their memberships, and
// of the channels left only the user's.
func metadataFilters(channels, left []events.ChannelID, user events.UserID) (filters []string, wide bool) {
	if 2*len(channels)+len(left) > 2*maxFilters {
		return nil, true
	}
	f := make([]string, 0, 2*len(channels)+len(left))
	for _, c := range channels {
		f = append(f, events.ChannelSubject(c), events.MembersOf(c))
	}
	for _, c := range left {
		f = append(f, events.MemberSubject(c, user))
	}
	return f, false
}

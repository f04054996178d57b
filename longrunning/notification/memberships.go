package notification

import (
	"context"
	"iter"
	"maps"

	"github.com/chat-platform/chat/events"
)

// membership is how a user stands to a channel, by the last event about it.
type membership struct {
	seq    uint64
	active bool
}

// memberships is a user's channels as the log has them up to a place: no view
// can lag behind it. What was known before is shared and never written; what
// changes goes on top of it.
type memberships struct {
	base  map[events.ChannelID]membership // shared
	delta map[events.ChannelID]membership // later than base
	known uint64                          // METADATA is folded up to here
	size  int                             // bytes, roughly
}

// of is the membership in a channel; zero where there was none.
func (m *memberships) of(c events.ChannelID) membership {
	if s, ok := m.delta[c]; ok {
		return s
	}
	return m.base[c]
}

// all are the channels that the user is or was in.
func (m *memberships) all() iter.Seq2[events.ChannelID, membership] {
	return func(yield func(events.ChannelID, membership) bool) {
		for c, s := range m.delta {
			if !yield(c, s) {
				return
			}
		}
		for c, s := range m.base {
			if _, later := m.delta[c]; !later && !yield(c, s) {
				return
			}
		}
	}
}

// slotBytes is about what a membership takes in a map besides the channel's name.
const slotBytes = 64

func (m *memberships) set(c events.ChannelID, s membership) {
	if m.delta == nil {
		m.delta = map[events.ChannelID]membership{}
	}
	before := len(m.delta)
	m.delta[c] = s
	m.size += (len(m.delta) - before) * (slotBytes + len(c))
}

// read folds the user's events of METADATA after known up to to, and gives the
// channels that they changed, some perhaps several times. It costs one read of
// the log that yields the user's own events only.
func (m *memberships) read(ctx context.Context, log Log, user events.UserID, to uint64) (changed []events.ChannelID, err error) {
	if m.known >= to {
		return nil, nil
	}
	f := newFolder(user)
	err = log.Range(ctx, events.StreamMetadata, []string{events.MembershipsOf(user)}, m.known+1, to, func(e events.Event) error {
		c, active, err := f.fold(e)
		if err != nil {
			return nil //nolint:nilerr // nobody's membership: the writers put it among the dead letters
		}
		m.set(c, membership{e.Sequence, active})
		changed = append(changed, c)
		return nil
	})
	if err == nil {
		m.known = to
	}
	return changed, err
}

// share gives the memberships to others, who may read them and add to their own
// copy. Little is copied unless much has changed.
func (m *memberships) share() memberships {
	switch {
	case len(m.base) == 0:
		m.base, m.delta = m.delta, nil
	case len(m.delta) > 64+len(m.base)/16:
		merged := make(map[events.ChannelID]membership, len(m.base)+len(m.delta))
		size := 0
		for c, s := range m.all() {
			merged[c] = s
			size += slotBytes + len(c)
		}
		m.base, m.delta, m.size = merged, nil, size
	}
	s := *m
	s.delta = maps.Clone(m.delta)
	return s
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

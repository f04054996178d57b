package notification

import (
	"context"
	"errors"
	"iter"

	"github.com/chat-platform/chat/events"
)

// membership is how a user stands to a channel, by the last event about it.
type membership struct {
	seq    uint64 // 0: some time before the events that were read
	active bool
}

// memberships is a user's channels as the log has them up to a place: no view
// can lag behind it. Of a user in many channels they are a snapshot and the
// events since it.
type memberships struct {
	base  snapshot
	later map[events.ChannelID]membership // by the events read; goes before base
	known uint64                          // METADATA is folded up to here
	last  eventID                         // of the user's memberships, as far as read
	met   bool                            // the log has base's last event
	fresh int                             // events read that are not in base
}

// eventID is an event's place and name: a log that has it there is the same up
// to it.
type eventID struct {
	seq uint64
	id  string
}

// of is the membership in a channel; zero where there was none.
func (m *memberships) of(c events.ChannelID) membership {
	if s, ok := m.later[c]; ok {
		return s
	}
	return membership{active: m.base.has(c)}
}

// active are the channels that the user is in, in no order.
func (m *memberships) active() iter.Seq[events.ChannelID] {
	return func(yield func(events.ChannelID) bool) {
		for c, s := range m.later {
			if s.active && !yield(c) {
				return
			}
		}
		for _, c := range m.base.channels {
			if _, later := m.later[c]; !later && !yield(c) {
				return
			}
		}
	}
}

// errMany ends a read of memberships that proves long.
var errMany = errors.New("many memberships")

// read makes the memberships true up to a place in METADATA, or later, and gives
// the channels that changed, some perhaps several times. It costs a read of the
// log that yields the user's own events only: those after known. At first it is
// all of them; but where these are many and a snapshot is kept, those since the
// snapshot. Events after since are read in any case.
func (m *memberships) read(ctx context.Context, svc *Service, user events.UserID, since, to uint64) (changed []events.ChannelID, err error) {
	switch {
	case m.known >= to:
		return nil, nil
	case m.known > 0:
		return m.fold(ctx, svc, user, m.known+1, to, unbounded)
	}
	changed, err = m.fold(ctx, svc, user, 1, to, svc.cfg.SnapshotAfter)
	if !errors.Is(err, errMany) {
		return changed, err
	}
	if s := svc.recall(ctx, user); s.last.seq > 0 {
		kept := memberships{base: s}
		later, err := kept.fold(ctx, svc, user, min(s.last.seq-1, since)+1, max(s.last.seq, to), unbounded)
		if err != nil {
			return nil, err
		}
		if kept.met { // else the snapshot is another log's
			*m = kept
			return append(later, s.channels...), nil
		}
	}
	more, err := m.fold(ctx, svc, user, m.last.seq+1, to, unbounded)
	return append(changed, more...), err
}

const unbounded = 1<<63 - 1

// fold reads the user's events of METADATA in [from, to]; of more than most it
// reads no further.
func (m *memberships) fold(ctx context.Context, svc *Service, user events.UserID, from, to uint64, most int) (changed []events.ChannelID, err error) {
	if m.later == nil {
		m.later = map[events.ChannelID]membership{}
	}
	err = svc.log.Range(ctx, events.StreamMetadata, []string{events.MembershipsOf(user)}, from, to, func(e events.Event) error {
		s, err := events.MemberOf(e)
		if err != nil {
			return nil //nolint:nilerr // nobody's membership: the writers put it among the dead letters
		}
		if len(changed) == most {
			return errMany
		}
		m.later[s.ChannelID] = membership{e.Sequence, s.Active}
		changed = append(changed, s.ChannelID)
		m.last = eventID{e.Sequence, e.ID}
		m.met = m.met || m.last == m.base.last
		if e.Sequence > m.base.last.seq {
			m.fresh++
		}
		return nil
	})
	svc.metrics.members.Add(float64(len(changed)))
	if err == nil {
		m.known = to
	}
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

package records

import "github.com/chat-platform/chat/events"

// Channel reads a channel's own event; ok is false where the event is of
// another type of the METADATA stream.
func Channel(e events.Event) (c events.Channel, ok bool, err error) {
	if e.Type != events.TypeChannelCreated {
		return c, false, foreign(e, events.StreamMetadata)
	}
	if c, err = events.ChannelFrom(e); err != nil {
		return c, false, err
	}
	return c, true, placed(e, events.ChannelSubject(c.ID))
}

// Member reads the state that a membership event leaves behind; ok is false
// where the event is of another type of the METADATA stream.
func Member(e events.Event) (m events.Member, ok bool, err error) {
	if e.Type != events.TypeMemberJoined && e.Type != events.TypeMemberLeft {
		return m, false, foreign(e, events.StreamMetadata)
	}
	if m, err = events.MemberOf(e); err != nil {
		return m, false, err
	}
	return m, true, placed(e, events.MemberSubject(m.ChannelID, m.UserID))
}

// Metadata reads a batch of the METADATA stream: for each channel and each
// membership the state with the highest sequence, in the order in which the
// batch first names them.
func Metadata(batch []events.Event) ([]events.Channel, []events.Member, error) {
	channels := latest[events.ChannelID, events.Channel]{}
	members := latest[[2]string, events.Member]{}
	var faults events.Faults
	for i, e := range batch {
		var err error
		switch e.Type {
		case events.TypeChannelCreated:
			var c events.Channel
			if c, _, err = Channel(e); err == nil {
				channels.put(c.ID, c.Seq, c)
			}
		default:
			var m events.Member
			var ok bool
			if m, ok, err = Member(e); ok && err == nil {
				members.put([2]string{string(m.ChannelID), string(m.UserID)}, m.Seq, m)
			}
		}
		if err != nil {
			faults = append(faults, fault(i, e, err))
		}
	}
	if faults != nil {
		return nil, nil, faults
	}
	return channels.states, members.states, nil
}

// latest keeps the state with the highest sequence of each key.
type latest[K comparable, S any] struct {
	at     map[K]int
	seqs   []uint64
	states []S
}

func (l *latest[K, S]) put(key K, seq uint64, state S) {
	i, seen := l.at[key]
	switch {
	case !seen:
		if l.at == nil {
			l.at = map[K]int{}
		}
		l.at[key] = len(l.states)
		l.seqs, l.states = append(l.seqs, seq), append(l.states, state)
	case seq > l.seqs[i]:
		l.seqs[i], l.states[i] = seq, state
	}
}

package notification

import (
	"context"
	"errors"
	"fmt"
	"sort"

	"github.com/chat-platform/chat/events"
	"github.com/chat-platform/chat/longrunning/internal/link"
)

// fill works off what was held until nothing is, and makes the session live.
func (s *session) fill(ctx context.Context) {
	for {
		batch, at := s.take(true)
		if len(batch) == 0 {
			return
		}
		out, at, err := s.catchUp(ctx, batch, at)
		if err == nil {
			err = s.sendAll(ctx, out)
		}
		if err != nil {
			s.fail(fmt.Errorf("catch up: %w", err))
			return
		}
		s.mu.Lock()
		s.at = at
		s.mu.Unlock()
	}
}

// take gives what is held, and the place before it. Where nothing is held it
// makes the session live, if it may.
func (s *session) take(mayLive bool) ([]*delivery, cursor) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stage != filling {
		return nil, s.at
	}
	batch := s.held[:0]
	for _, d := range s.held {
		if !d.within(s.floor) {
			batch = append(batch, d)
		}
	}
	s.held = nil
	if len(batch) == 0 && mayLive {
		s.enter(live)
	}
	return batch, s.at
}

// catchUp gives the frames of a batch of held events, with what the log has of
// the channels joined in it, merged in the log's order, and the place after it.
func (s *session) catchUp(ctx context.Context, batch []*delivery, at cursor) ([]outgoing, cursor, error) {
	j := &joins{session: s, since: map[events.ChannelID]uint64{}, at: at}
	fresh := j.note(batch)
	for len(fresh) > 0 {
		pos, err := s.svc.hub.add(ctx, s, fresh)
		if err == nil {
			err = s.svc.hub.await(ctx, pos)
		}
		if err != nil {
			return nil, at, fmt.Errorf("join %d channels: %w", len(fresh), err)
		}
		// Where the session is ahead of the link, what the link brings up to there
		// is passed over: the session has it, but not of the channels joined now.
		j.upTo = later(j.upTo, later(pos, s.floor))
		more, _ := s.take(false) // everything up to upTo is held, was, or is in the log only
		fresh = j.note(more)
		batch = append(batch, more...)
	}
	if err := j.read(ctx); err != nil {
		return nil, at, fmt.Errorf("read %d channels joined: %w", len(j.since), err)
	}
	j.merge(batch)
	return j.out, j.at, nil
}

// joins is the work of letting a session into channels while events go on.
type joins struct {
	*session
	since map[events.ChannelID]uint64 // joined now, at this place in METADATA
	upTo  link.Positions              // from here on the session gets their events by the link

	messages map[events.ChannelID][]*delivery // of the log
	metadata map[events.ChannelID][]*delivery
	due      []*delivery // of them, whose join is out
	out      []outgoing
	at       cursor // after out
}

// note finds the user's own joins and leaves, and gives the keys to announce.
func (j *joins) note(batch []*delivery) (keys []string) {
	fresh := map[events.ChannelID]bool{}
	for _, d := range batch {
		if !j.own(d) {
			continue
		}
		key := link.ChannelKey(d.channel)
		if !d.active {
			delete(j.since, d.channel)
			delete(fresh, d.channel)
			j.svc.hub.drop(j.session, d.channel)
		} else if _, known := j.since[d.channel]; !known && !j.svc.hub.has(j.session, key) {
			j.since[d.channel] = d.Seq()
			fresh[d.channel] = true
		}
	}
	for c := range fresh {
		keys = append(keys, link.ChannelKey(c))
	}
	return keys
}

// read gets from the log what the channels joined had since then up to upTo.
func (j *joins) read(ctx context.Context) error {
	j.messages, j.metadata = map[events.ChannelID][]*delivery{}, map[events.ChannelID][]*delivery{}
	if len(j.since) == 0 {
		return nil
	}
	var channels []events.ChannelID
	bases := map[events.ChannelID]uint64{}
	first := link.Positions{Messages: ^uint64(0), Metadata: ^uint64(0)}
	for c, seq := range j.since {
		channels = append(channels, c)
		bases[c] = j.svc.witness.base(seq - 1)
		first.Messages = min(first.Messages, bases[c])
		first.Metadata = min(first.Metadata, seq)
	}
	var all []*delivery
	n := 0
	read := func(stream string, filters []string, after, to uint64) error {
		if after >= to {
			return nil
		}
		return j.svc.log.Range(ctx, stream, filters, after+1, to, func(e events.Event) error {
			if n++; n > j.svc.cfg.ReplayScan || len(all) > j.svc.cfg.ReplayEvents {
				return errTooMuch
			}
			if _, ok := j.since[events.ChannelOf(e.Subject)]; !ok {
				return nil
			}
			if d := j.svc.read(link.Item{Event: e, Stream: stream}); d != nil {
				all = append(all, d)
			}
			return nil
		})
	}
	filters, _ := metadataFilters(channels, nil, j.user)
	err := read(events.StreamMetadata, filters, first.Metadata, j.upTo.Metadata)
	if err == nil {
		filters, _ = messageFilters(channels)
		err = read(events.StreamMessages, filters, first.Messages, j.upTo.Messages)
	}
	if err == nil {
		p := prevs{j.svc.log, map[events.ChannelID]uint64{}}
		err = p.fill(ctx, first.Messages, all)
	}
	for _, d := range all {
		switch c := d.channel; {
		case d.message() && d.Seq() > bases[c]:
			j.messages[c] = append(j.messages[c], d)
		case !d.message() && d.user != j.user && d.Seq() > j.since[c]:
			j.metadata[c] = append(j.metadata[c], d)
		}
	}
	return err
}

// errTooMuch ends a session that joined a channel too far away; by its cursor it
// gets a `limited` for it.
var errTooMuch = errors.New("more events since the join than are read at once")

// merge puts the batch out, and between its events those of the log.
func (j *joins) merge(batch []*delivery) {
	outside := map[events.ChannelID]bool{} // left, or not joined yet
	for _, d := range batch {
		if _, known := outside[d.channel]; !known && j.own(d) {
			_, joins := j.since[d.channel]
			outside[d.channel] = d.active && joins // whoever leaves first was in
		}
	}
	last := map[events.ChannelID]uint64{} // message put out
	entered := map[events.ChannelID]bool{}
	for _, d := range batch {
		since, joins := j.since[d.channel]
		own := j.own(d)
		switch {
		case own && d.active && joins && d.Seq() == since:
			j.upToNext(d)
			j.join(d, last[d.channel])
			outside[d.channel], entered[d.channel] = false, true
			continue
		case own:
			outside[d.channel] = !d.active
		case outside[d.channel] || entered[d.channel] && d.within(j.upTo):
			continue // not theirs to see, or the log's part has it
		}
		if d.message() {
			last[d.channel] = d.Seq()
		}
		j.upToNext(d)
		j.put(d, j.natural(d))
	}
	for _, d := range j.due {
		j.put(d, j.step(d))
	}
	j.due = nil
}

// join puts out the event of a join. Messages that stand before the session's
// place come right after it, and the client's place stays before the join until
// they are out. Messages up to have are out already, from before a leave.
func (j *joins) join(d *delivery, have uint64) {
	var early []*delivery
	for _, m := range j.messages[d.channel] {
		switch {
		case m.Seq() <= have:
		case m.Seq() <= j.at.at.Messages:
			early = append(early, m)
		default:
			j.due = append(j.due, m)
		}
	}
	j.due = append(j.due, j.metadata[d.channel]...)
	sort.SliceStable(j.due, func(a, b int) bool {
		if x, y := j.due[a].message(), j.due[b].message(); x != y {
			return y // METADATA first
		}
		return j.due[a].Seq() < j.due[b].Seq()
	})
	after, before := j.natural(d), j.at
	if len(early) == 0 {
		j.put(d, after)
		return
	}
	// The log keeps the messages after base for those who join later; base must
	// not pass the early ones.
	before.base = min(before.base, early[0].Seq()-1)
	j.put(d, before)
	for i, m := range early {
		if i == len(early)-1 {
			before = after
		}
		j.put(m, before)
	}
}

// upToNext puts out the log's events that stand before d in its stream.
func (j *joins) upToNext(d *delivery) {
	rest := j.due[:0]
	for _, m := range j.due {
		if m.message() == d.message() && m.Seq() < d.Seq() {
			j.put(m, j.step(m))
		} else {
			rest = append(rest, m)
		}
	}
	j.due = rest
}

// natural is the place after an event of the link, as far as nothing is due
// before it.
func (j *joins) natural(d *delivery) cursor {
	c := furthest(d.after, j.at)
	for _, m := range j.due {
		if m.message() {
			c.at.Messages = min(c.at.Messages, m.Seq()-1)
		} else {
			c.at.Metadata = min(c.at.Metadata, m.Seq()-1)
		}
	}
	c.base = min(c.base, c.at.Messages)
	return c
}

// step is the place after an event of the log.
func (j *joins) step(d *delivery) cursor {
	return cursor{at: d.advance(j.at.at), base: j.at.base}
}

func (j *joins) put(d *delivery, at cursor) {
	var frame []byte
	if at == d.after {
		frame = d.frame(j.user, j.svc.epochNow())
	} else {
		frame = d.frameAt(j.user, at, j.svc.epochNow())
	}
	j.out = append(j.out, outgoing{frame, d.at()})
	j.at = at
}

// furthest is the later place of the two.
func furthest(a, b cursor) cursor {
	at := later(a.at, b.at)
	return cursor{at: at, base: min(max(a.base, b.base), at.Messages)}
}

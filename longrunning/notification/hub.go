package notification

import (
	"context"
	"slices"
	"strings"
	"sync"

	"github.com/chat-platform/chat/events"
	"github.com/chat-platform/chat/longrunning/internal/link"
)

// hub knows which sessions each key (a channel, a user) is for, counts them, and
// says which keys the fan-out is to be told about: a key's first session
// announces it, its last one takes it back.
//
// pos is how far the link has been routed. A session that is added sees every
// event after the positions that add returns: what comes before pos was routed
// without it, and what comes before told may never come, since the fan-out may
// not have known the key.
type hub struct {
	mu    sync.Mutex
	keys  map[string]*entry
	pos   link.Positions
	told  link.Positions  // the fan-out's last answer: the keys that it has are effective from here on
	open  *announcement   // takes further keys
	queue []*announcement // not yet told to the fan-out, open included
	idle  []*entry        // perhaps to be taken back
	waits []reached
	kick  chan struct{} // there is something to announce
}

// entry is a key. Its sessions stand in no order.
type entry struct {
	key      string
	sessions []seat
	wait     *announcement // nil once the fan-out knows the key
	idle     bool          // listed in hub.idle
}

// seat is a session in an entry, and where the entry stands in its session.
type seat struct {
	session *session
	at      int32
}

// sub is an entry in a session, and where the session sits there.
type sub struct {
	entry *entry
	at    int32
}

// announcement is a set of keys on their way to the fan-out.
type announcement struct {
	entries []*entry
	done    chan struct{}  // closed when the fan-out has them
	pos     link.Positions // what comes after it is on the link
}

type reached struct {
	pos  link.Positions
	done chan struct{}
}

func newHub() *hub { return &hub{keys: map[string]*entry{}, kick: make(chan struct{}, 1)} }

// chunk bounds how many keys are worked on while the lock is held, so that a
// user in very many channels holds nobody else up.
const chunk = 2048

// add lets the session in under the keys, and waits until the fan-out knows
// them all. Everything after the positions returned will be offered to it.
func (h *hub) add(ctx context.Context, s *session, keys []string) (link.Positions, error) {
	var pos link.Positions
	var waits []*announcement
	for len(keys) > 0 {
		part := keys[:min(chunk, len(keys))]
		keys = keys[len(part):]
		at, more := h.enter(s, part)
		pos = later(pos, at)
		waits = append(waits, more...)
	}
	for _, a := range waits {
		select {
		case <-a.done:
			pos = later(pos, a.pos)
		case <-ctx.Done():
			return pos, context.Cause(ctx)
		}
	}
	return pos, nil
}

func (h *hub) enter(s *session, keys []string) (link.Positions, []*announcement) {
	h.mu.Lock()
	defer h.mu.Unlock()
	var waits []*announcement
	if len(keys) > 1 {
		s.subs = slices.Grow(s.subs, len(keys))
	}
	for _, k := range keys {
		e := h.keys[k]
		if e == nil {
			e = &entry{key: strings.Clone(k)} // it may be part of something much larger
			h.keys[e.key] = e
			h.announce(e)
		}
		if s.seatIn(e) < 0 {
			s.subs = append(s.subs, sub{e, int32(len(e.sessions))})
			e.sessions = append(e.sessions, seat{s, int32(len(s.subs) - 1)})
		}
		if e.wait != nil && (len(waits) == 0 || waits[len(waits)-1] != e.wait) {
			waits = append(waits, e.wait)
		}
	}
	return later(h.pos, h.told), waits
}

func (h *hub) announce(e *entry) {
	if h.open == nil || len(h.open.entries) >= chunk {
		h.open = &announcement{done: make(chan struct{})}
		h.queue = append(h.queue, h.open)
	}
	h.open.entries = append(h.open.entries, e)
	e.wait = h.open
	h.call()
}

// call has the announcements looked at.
func (h *hub) call() {
	select {
	case h.kick <- struct{}{}:
	default:
	}
}

// has tells whether the session is in under the key.
func (h *hub) has(s *session, key string) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	e := h.keys[key]
	return e != nil && s.seatIn(e) >= 0
}

// drop takes the session out from under a channel that its user has left. What
// it holds of the channel came after that, and goes, too.
func (h *hub) drop(s *session, channel events.ChannelID) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.leave(s, link.ChannelKey(channel))
	s.mu.Lock()
	defer s.mu.Unlock()
	s.held = slices.DeleteFunc(s.held, func(d *delivery) bool { return d.channel == channel && !s.own(d) })
}

func (h *hub) leave(s *session, key string) {
	if e := h.keys[key]; e != nil {
		if i := s.seatIn(e); i >= 0 {
			h.unseat(s, i)
		}
	}
}

// remove takes the session out from everywhere.
func (h *hub) remove(s *session) {
	for {
		h.mu.Lock()
		for range min(chunk, len(s.subs)) {
			h.unseat(s, len(s.subs)-1)
		}
		left := len(s.subs)
		if left == 0 {
			s.subs = nil
		}
		h.mu.Unlock()
		if left == 0 {
			return
		}
	}
}

// unseat takes the session out of its i-th entry, in constant time.
func (h *hub) unseat(s *session, i int) {
	e, at := s.subs[i].entry, s.subs[i].at
	last := len(e.sessions) - 1
	if moved := e.sessions[last]; int(at) != last {
		e.sessions[at] = moved
		moved.session.subs[moved.at].at = at
	}
	e.sessions[last] = seat{}
	e.sessions = e.sessions[:last]
	if tail := len(s.subs) - 1; i != tail {
		s.subs[i] = s.subs[tail]
		s.subs[i].entry.sessions[s.subs[i].at].at = int32(i)
	}
	s.subs[len(s.subs)-1] = sub{}
	s.subs = s.subs[:len(s.subs)-1]
	if len(e.sessions) == 0 {
		e.sessions = nil
		h.rest(e)
	}
}

// rest lists an entry without sessions for being taken back.
func (h *hub) rest(e *entry) {
	if !e.idle && e.wait == nil {
		e.idle = true
		h.idle = append(h.idle, e)
	}
}

// seatIn is the place of the entry among the session's, or −1. It looks where
// fewer are. The hub's lock is held.
func (s *session) seatIn(e *entry) int {
	if len(e.sessions) < len(s.subs) {
		for _, seat := range e.sessions {
			if seat.session == s {
				return int(seat.at)
			}
		}
		return -1
	}
	for i := range s.subs {
		if s.subs[i].entry == e {
			return i
		}
	}
	return -1
}

// changes takes what the fan-out has not been told yet, about limit keys of it, so
// that others need not wait for a user in very many channels. Keys to remove are
// forgotten here and now: who asks for them later announces them anew, after
// these changes. They are taken at most limit at a time, and only if removals
// is set.
func (h *hub) changes(removals bool, limit int) (add, remove []string, batch []*announcement) {
	h.mu.Lock()
	defer h.mu.Unlock()
	told := 0
	for told < len(h.queue) && len(add) < limit {
		for _, e := range h.queue[told].entries {
			add = append(add, e.key)
		}
		told++
	}
	batch = h.queue[:told:told]
	if told == len(h.queue) {
		h.open = nil
	} else {
		h.call()
	}
	if !removals {
		return add, nil, batch
	}
	n := min(limit, len(h.idle))
	for _, e := range h.idle[:n] {
		e.idle = false
		if len(e.sessions) == 0 && h.keys[e.key] == e {
			delete(h.keys, e.key)
			remove = append(remove, e.key)
		}
	}
	if h.idle = h.idle[n:]; len(h.idle) == 0 {
		h.idle = nil
	}
	return add, remove, batch
}

// announced marks the batch, which is the front of the queue, as known to the
// fan-out from pos on. A fan-out may be behind the one before it: what it brings
// up to the place routed so far is passed over, so the keys count from there.
func (h *hub) announced(batch []*announcement, pos link.Positions) {
	h.mu.Lock()
	defer h.mu.Unlock()
	pos = later(pos, h.pos)
	h.queue = h.queue[len(batch):]
	if len(h.queue) == 0 {
		h.queue = nil
	}
	h.told = later(h.told, pos)
	for _, a := range batch {
		for _, e := range a.entries {
			e.wait = nil
			if len(e.sessions) == 0 {
				h.rest(e)
			}
		}
		a.entries, a.pos = nil, pos
		close(a.done)
	}
}

// all is every key, for a new link, and what of it was still to be announced.
func (h *hub) all() (keys []string, batch []*announcement) {
	h.mu.Lock()
	defer h.mu.Unlock()
	keys = make([]string, 0, len(h.keys))
	for k := range h.keys {
		keys = append(keys, k)
	}
	h.open = nil
	return keys, h.queue[:len(h.queue):len(h.queue)]
}

// position is how far the link has been routed.
func (h *hub) position() link.Positions {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.pos
}

// reach sets the position forward and wakes those who waited for it.
func (h *hub) reach(pos link.Positions) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.pos = later(h.pos, pos)
	waits := h.waits[:0]
	for _, w := range h.waits {
		if covers(h.pos, w.pos) {
			close(w.done)
		} else {
			waits = append(waits, w)
		}
	}
	clear(h.waits[len(waits):])
	h.waits = waits
}

// reset sets the position back or over a gap; nobody relies on it any more.
func (h *hub) reset(pos link.Positions) {
	h.mu.Lock()
	h.pos, h.told = pos, pos
	h.mu.Unlock()
	h.reach(pos)
}

// await returns once the link has been routed up to pos.
func (h *hub) await(ctx context.Context, pos link.Positions) error {
	h.mu.Lock()
	if covers(h.pos, pos) {
		h.mu.Unlock()
		return nil
	}
	w := reached{pos, make(chan struct{})}
	h.waits = append(h.waits, w)
	h.mu.Unlock()
	select {
	case <-w.done:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (h *hub) size() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.keys)
}

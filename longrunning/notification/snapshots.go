package notification

import (
	"container/list"
	"context"
	"sync"
	"time"

	"github.com/chat-platform/chat/events"
	"github.com/chat-platform/chat/longrunning/internal/link"
)

// snapshots keeps the memberships of users in many channels with the place up to
// which they are true, so that a session that begins reads of the log only what
// comes after that. They are what reading the log from its beginning gives, and
// nothing else: another log, or one that was set back, drops them.
//
// They are dropped, too, some time after the user's last session has ended, and
// the ones that were longest not asked for where all together take too many bytes.
type snapshots struct {
	from  int           // memberships; users who have fewer read the log in one request
	limit int           // bytes, roughly
	after time.Duration // since the user's last session

	mu      sync.Mutex
	log     uint64 // counts how often the log may have become another
	users   map[events.UserID]*list.Element
	order   list.List // of *snapshot, the last asked for first
	bytes   int
	reading map[events.UserID]chan struct{} // closed when the reader has told
}

// snapshot is what is kept of a user.
type snapshot struct {
	user        events.UserID
	memberships memberships // shared
	used        time.Time
}

// kept is what snapshots tells a session.
type kept struct {
	memberships memberships // its own to add to
	log         uint64
	done        func() // to be called at the end; more than once does no harm
}

func newSnapshots(cfg Config) *snapshots {
	return &snapshots{from: cfg.SnapshotFrom, limit: cfg.SnapshotBytes, after: cfg.SnapshotKeep,
		users: map[events.UserID]*list.Element{}, reading: map[events.UserID]chan struct{}{}}
}

// recall gives what is kept of the user. Where nothing is, and another session
// is about to find out, it waits for that, once.
func (s *snapshots) recall(ctx context.Context, user events.UserID) (kept, error) {
	s.mu.Lock()
	if reader := s.reading[user]; reader != nil && s.users[user] == nil {
		s.mu.Unlock()
		select {
		case <-reader:
		case <-ctx.Done():
			return kept{}, context.Cause(ctx)
		}
		s.mu.Lock()
	}
	defer s.mu.Unlock()
	k := kept{log: s.log, done: func() {}}
	switch at, reader := s.users[user], s.reading[user]; {
	case at != nil:
		s.order.MoveToFront(at)
		snap := at.Value.(*snapshot) //nolint:forcetypeassert // nothing else is in it
		snap.used = time.Now()
		k.memberships = snap.memberships.share()
	case reader == nil:
		mine := make(chan struct{})
		s.reading[user] = mine
		k.done = sync.OnceFunc(func() {
			s.mu.Lock()
			delete(s.reading, user)
			s.mu.Unlock()
			close(mine)
		})
	}
	return k, nil
}

// keep takes what a session has found out, if it is worth it and no older than
// what is there.
func (s *snapshots) keep(user events.UserID, k kept, m *memberships) {
	defer k.done()
	if len(m.base)+len(m.delta) < s.from {
		return
	}
	shared := m.share()
	s.mu.Lock()
	defer s.mu.Unlock()
	at := s.users[user]
	if k.log != s.log || shared.size > s.limit {
		return
	}
	if at != nil {
		if at.Value.(*snapshot).memberships.known >= shared.known { //nolint:forcetypeassert // as above
			return
		}
		s.drop(at)
	}
	s.users[user] = s.order.PushFront(&snapshot{user, shared, time.Now()})
	s.bytes += shared.size
	for s.bytes > s.limit {
		s.drop(s.order.Back())
	}
}

func (s *snapshots) drop(at *list.Element) {
	snap := s.order.Remove(at).(*snapshot) //nolint:forcetypeassert // as above
	s.bytes -= snap.memberships.size
	delete(s.users, snap.user)
}

// trust drops what cannot be of the log that ends at last in METADATA (0: all),
// and what sessions find out that began before.
func (s *snapshots) trust(last uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.log++
	for at := s.order.Back(); at != nil; {
		snap, before := at.Value.(*snapshot), at.Prev() //nolint:forcetypeassert // as above
		if snap.memberships.known > last {
			s.drop(at)
		}
		at = before
	}
}

// sweep drops the snapshots of users who have had no session for a while.
func (s *snapshots) sweep(h *hub, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for at := s.order.Back(); at != nil; {
		snap, before := at.Value.(*snapshot), at.Prev() //nolint:forcetypeassert // as above
		switch {
		case now.Sub(snap.used) <= s.after:
		case h.present(link.UserKey(snap.user)):
			snap.used = now
		default:
			s.drop(at)
		}
		at = before
	}
}

// size is how many bytes are kept, roughly.
func (s *snapshots) size() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.bytes
}

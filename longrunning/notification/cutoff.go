package notification

import (
	"context"
	"time"

	"github.com/gobwas/ws"

	"github.com/chat-platform/chat/events"
)

// CutOffs knows whose tokens are refused before their end.
type CutOffs interface {
	// Check gives an error that matches events.ErrUnauthenticated for a caller who
	// was cut off.
	Check(ctx context.Context, caller events.Caller) error
	// Watch has f called with cut-offs once checks know them. f does not wait.
	Watch(f func([]events.UserCutOff))
}

// cutOff takes cut-offs in; sever looks for the sessions.
func (s *Service) cutOff(cs []events.UserCutOff) {
	s.cutMu.Lock()
	s.cuts = append(s.cuts, cs...)
	s.cutMu.Unlock()
	select {
	case s.cutting <- struct{}{}:
	default:
	}
}

// sever closes the sessions of those who are cut off. All that came meanwhile is
// done in one look at the sessions (about 10 ms for 100,000), and then it rests,
// so that many logouts a second cost a tenth of a core at most.
func (s *Service) sever(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.cutting:
		}
		began := time.Now()
		s.cutMu.Lock()
		cs := s.cuts
		s.cuts = nil
		s.cutMu.Unlock()
		index := indexCuts(cs)
		for _, c := range s.all() {
			c.cut(index)
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(9 * time.Since(began)):
		}
	}
}

// cuts are cut-offs by whom they are of.
type cuts struct {
	users    map[events.UserID][]events.UserCutOff
	sessions map[string]events.UserCutOff
	everyone []events.UserCutOff
}

func indexCuts(cs []events.UserCutOff) cuts {
	x := cuts{users: map[events.UserID][]events.UserCutOff{}, sessions: map[string]events.UserCutOff{}}
	for _, c := range cs {
		switch {
		case c.SessionID != "":
			x.sessions[c.SessionID] = c
		case c.Everyone:
			x.everyone = append(x.everyone, c)
		default:
			x.users[c.UserID] = append(x.users[c.UserID], c)
		}
	}
	return x
}

// of is the cut-off of a caller. The end of the session goes before a change of
// what the session may do.
func (x cuts) of(caller events.Caller) (worst events.UserCutOff, found bool) {
	look := func(c events.UserCutOff) {
		if c.Concerns(caller) && (!found || worst.Reason == events.CutOffRolesChanged) {
			worst, found = c, true
		}
	}
	if caller.Session != "" {
		look(x.sessions[caller.Session])
	}
	for _, c := range x.users[caller.User] {
		look(c)
	}
	for _, c := range x.everyone {
		look(c)
	}
	return worst, found
}

// cut closes the session if its user or login is among the cut-offs.
func (s *session) cut(x cuts) {
	s.mu.Lock()
	wake := false
	if s.user != "" && !s.final {
		if c, found := x.of(s.caller()); found {
			wake = s.shut(closeOf(c.Reason), string(c.Reason))
		}
	}
	s.mu.Unlock()
	if wake {
		go s.flush()
	}
}

func closeOf(r events.CutOffReason) ws.StatusCode {
	if r == events.CutOffRolesChanged {
		return CloseTokenExpired
	}
	return CloseSignedOut
}

// bear notes whose token the session rests on. It tells whether that is still
// good: a cut-off that came between the token's check and now has not found the
// session.
func (s *session) bear(ctx context.Context, caller events.Caller) bool {
	s.mu.Lock()
	if s.user == "" { // it stays the same, and is read without the lock
		s.user = caller.User
	}
	s.expires, s.login, s.issued = unixNano(caller.Expires), caller.Session, unixNano(caller.Issued)
	s.mu.Unlock()
	if s.svc.cfg.CutOffs == nil {
		return true
	}
	if err := s.svc.cfg.CutOffs.Check(ctx, caller); err != nil {
		s.refuse(err)
		return false
	}
	return true
}

// caller is whose token the session rests on, without the roles: nothing on a
// socket depends on one. The session's lock is held.
func (s *session) caller() events.Caller {
	c := events.Caller{User: s.user, Session: s.login}
	if s.issued != 0 {
		c.Issued = time.Unix(0, s.issued)
	}
	return c
}

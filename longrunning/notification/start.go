package notification

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"crypto/rand"

	"github.com/chat-platform/chat/events"
	"github.com/chat-platform/chat/longrunning/internal/link"
)

// begin takes a session from identify or resume to live. Everything that the
// link brings meanwhile is held; what lies before is read from the log.
func (s *session) begin(ctx context.Context, r request) {
	started := time.Now()
	caller, ok := s.verify(ctx, r.Token)
	if !ok {
		return
	}
	if !s.bear(ctx, caller) {
		return
	}
	err := s.start(ctx, r)
	var refused refusal
	switch {
	case err == nil:
		s.svc.metrics.start(r.Op, "ok", started)
		s.fill(ctx)
	case errors.As(err, &refused):
		s.svc.metrics.start(r.Op, "invalid_session", started)
		s.svc.hub.remove(s)
		s.mu.Lock()
		s.user, s.expires, s.login, s.held, s.over = "", 0, "", nil, false
		if s.stage == starting {
			s.enter(greeting)
		}
		s.mu.Unlock()
		s.send(answer{Op: "invalid_session", Reason: refused.Error()}.frame())
	default:
		s.svc.metrics.start(r.Op, "failed", started)
		s.fail(err)
	}
}

// fail closes a session that cannot go on; one that is closed already stays as
// it is.
func (s *session) fail(err error) {
	s.mu.Lock()
	final := s.final
	s.mu.Unlock()
	if final || errors.Is(err, errClosed) {
		return
	}
	s.svc.logger.Warn("session ended", "user", s.user, "error", err)
	s.close(CloseUnavailable, "the log can't be read now: resume later")
}

// refusal says why a cursor can't be resumed from: identify and reload.
type refusal struct{ error }

// start is begin without its end.
func (s *session) start(ctx context.Context, r request) error {
	svc := s.svc
	select {
	case <-svc.linked:
	case <-ctx.Done():
		return fmt.Errorf("wait for a fan-out: %w", context.Cause(ctx))
	}
	select {
	case svc.starts <- struct{}{}:
		defer func() { <-svc.starts }()
	case <-ctx.Done():
		return fmt.Errorf("wait for a turn: %w", context.Cause(ctx))
	}
	st := &start{session: s, channels: &memberships{}, since: ^uint64(0)}
	resume := r.Op == opResume
	var rep *replay
	if resume {
		from, err := parseCursor(r.Cursor, svc.epochNow())
		if err != nil {
			return refusal{err}
		}
		rep, st.since = newReplay(s, st.channels, from), from.at.Metadata
	}
	at, err := svc.hub.add(ctx, s, []string{link.UserKey(s.user)})
	if err != nil {
		return fmt.Errorf("announce user %s: %w", s.user, err)
	}
	if resume {
		if err := svc.notAhead(ctx, rep.from.at, at); err != nil {
			return err
		}
		at = later(at, rep.from.at)
	}
	for {
		if at, err = st.settle(ctx, at); err != nil {
			return err
		}
		if resume {
			if err := rep.run(ctx, at); err != nil {
				return err
			}
		}
		c := svc.witness.cursor(at)
		s.mu.Lock()
		if !s.over {
			s.floor, s.at = at, c
			wake := s.push(s.greet(c, rep), 0)
			if s.stage == starting {
				s.enter(filling)
			}
			s.mu.Unlock()
			if wake {
				go s.flush()
			}
			svc.keep(s.user, st.channels)
			return nil
		}
		s.mu.Unlock()
		at = later(at, svc.hub.restart(s)) // the log has what was too much to hold
	}
}

// greet is ready or resumed. The session's lock is held.
func (s *session) greet(c cursor, rep *replay) []byte {
	var raw [12]byte
	_, _ = rand.Read(raw[:]) // never fails
	s.id = hex.EncodeToString(raw[:])
	at := string(c.append(nil, s.svc.epochNow()))
	if rep == nil {
		return answer{Op: "ready", User: string(s.user), Session: s.id, Cursor: at}.frame()
	}
	return answer{Op: "resumed", Session: s.id, Cursor: at, Replayed: &rep.sent, Limited: rep.limited, LimitedAll: rep.all}.frame()
}

// restart drops what the session held, and gives the place from which on it
// holds again.
func (h *hub) restart(s *session) link.Positions {
	h.mu.Lock()
	defer h.mu.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.held, s.over = nil, false
	return h.pos
}

// notAhead refuses a cursor that lies after the log's end: the log was set back,
// and what comes now is not what the client will think.
func (s *Service) notAhead(ctx context.Context, c, at link.Positions) error {
	for _, stream := range []struct {
		name    string
		c, have uint64
	}{{events.StreamMessages, c.Messages, at.Messages}, {events.StreamMetadata, c.Metadata, at.Metadata}} {
		if stream.c <= stream.have {
			continue // a fan-out has been there
		}
		last, err := s.log.LastSequence(ctx, stream.name)
		if err != nil {
			return fmt.Errorf("read the end of %s: %w", stream.name, err)
		}
		if stream.c > last {
			return refusal{errCursorAhead}
		}
	}
	return nil
}

// start is what a session finds out about itself as it begins.
type start struct {
	*session
	channels *memberships
	since    uint64 // what changed after this place in METADATA is wanted by itself
}

// settle makes the memberships true up to a place from which on all their
// channels are on the link, and gives that place: at or later.
func (st *start) settle(ctx context.Context, at link.Positions) (link.Positions, error) {
	hub, user := st.svc.hub, st.user
	for st.channels.known < at.Metadata {
		changed, err := st.channels.read(ctx, st.svc, user, st.since, at.Metadata)
		if err != nil {
			return at, fmt.Errorf("read the memberships of %s: %w", user, err)
		}
		at.Metadata = max(at.Metadata, st.channels.known) // a snapshot may be ahead of this instance
		var keys []string
		for _, c := range changed {
			if st.channels.of(c).active {
				keys = append(keys, link.ChannelKey(c))
			} else {
				hub.drop(st.session, c)
			}
		}
		pos, err := hub.add(ctx, st.session, keys)
		if err != nil {
			return at, fmt.Errorf("announce %d channels of %s: %w", len(keys), user, err)
		}
		at = later(at, pos)
	}
	return at, nil
}

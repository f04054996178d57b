package notification

import (
	"context"
	"errors"
	"io"
	"time"

	"github.com/gobwas/ws"

	"github.com/chat-platform/chat/events"
)

type closeCode = ws.StatusCode

// verifyTimeout bounds a wait for the issuer.
const verifyTimeout = 10 * time.Second

// serve is a session's goroutine: it reads until the connection ends, and then
// takes the session out from everywhere.
func (s *session) serve() {
	defer s.svc.dismiss(s)
	s.send(s.svc.hello)
	err := s.read(s.handle)
	var fault wireError
	switch {
	case errors.As(err, &fault):
		s.close(fault.code, fault.reason)
		s.settle()
		s.linger()
	case errors.Is(err, errBye):
		s.settle()
	}
	s.abort()
	s.mu.Lock()
	worker := s.worker
	s.mu.Unlock()
	if worker != nil {
		<-worker
	}
	s.svc.hub.remove(s)
}

// settle waits for what is queued to be written, as long as a close may take.
func (s *session) settle() {
	s.mu.Lock()
	if !s.writing {
		s.mu.Unlock()
		return
	}
	if s.drained == nil {
		s.drained = make(chan struct{})
	}
	wait := s.drained
	s.mu.Unlock()
	select {
	case <-wait:
	case <-time.After(s.svc.cfg.CloseTimeout):
	}
}

// linger takes what the client still sends, so that closing does not reset the
// connection before the client has read why. The deadline of the close ends it.
func (s *session) linger() { _, _ = io.Copy(io.Discard, s.conn) }

// handle does an op of the client.
func (s *session) handle(message []byte) {
	r, err := parseRequest(message)
	if err != nil {
		s.close(CloseProtocolError, err.Error())
		return
	}
	switch r.Op {
	case opHeartbeat:
		s.send(heartbeatAck(s.cursor(s.svc.place()), s.svc.epochNow()))
	case opReauthenticate:
		s.reauthenticate(r.Token)
	default:
		s.mu.Lock()
		defer s.mu.Unlock()
		switch s.stage {
		case greeting:
			s.enter(starting)
			s.work(s.svc.cfg.StartTimeout, func(ctx context.Context) { s.begin(ctx, r) })
		case closing:
		default:
			if s.shut(CloseProtocolError, r.Op+": the session is identified already") {
				go s.flush()
			}
		}
	}
}

// verify asks who the bearer of the token is, and closes where that is not to
// be had.
func (s *session) verify(ctx context.Context, token string) (events.Caller, bool) {
	ctx, cancel := context.WithTimeout(ctx, verifyTimeout)
	defer cancel()
	caller, err := s.svc.verifier.Verify(ctx, token)
	switch {
	case err == nil && (caller.Expires.IsZero() || time.Now().Before(caller.Expires)):
		return caller, true
	case err == nil:
		s.close(CloseUnauthenticated, "token_expired")
	default:
		s.refuse(err)
	}
	return events.Caller{}, false
}

// refuse closes a session whose token is not good, or can't be judged.
func (s *session) refuse(err error) {
	if !errors.Is(err, events.ErrUnauthenticated) {
		s.svc.logger.Warn("verify a token", "error", err)
		s.close(CloseUnavailable, "the token can't be verified now: try again")
		return
	}
	reason := "token_invalid"
	var fault *events.Fault
	if errors.As(err, &fault) {
		reason = fault.Code
	}
	s.close(CloseUnauthenticated, reason)
}

// reauthenticate prolongs the session by a new token of the same user. Where the
// issuer can't be reached the old token's end stands.
func (s *session) reauthenticate(token string) {
	s.mu.Lock()
	user, g := s.user, s.stage
	s.mu.Unlock()
	switch {
	case g == closing:
		return
	case user == "":
		s.close(CloseProtocolError, "reauthenticate: the session is not identified")
		return
	}
	ctx, cancel := context.WithTimeout(s.svc.background, verifyTimeout)
	defer cancel()
	caller, err := s.svc.verifier.Verify(ctx, token)
	if err != nil && !errors.Is(err, events.ErrUnauthenticated) {
		s.svc.logger.Warn("verify a new token", "user", user, "error", err)
		return
	}
	if err == nil && caller.User != user {
		s.close(CloseUnauthenticated, "the token is another user's")
		return
	}
	if err != nil {
		s.refuse(err)
		return
	}
	s.bear(ctx, caller)
}

func unixNano(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixNano()
}

// expire closes the session if its time is over.
func (s *session) expire(now int64) {
	cfg := &s.svc.cfg
	s.mu.Lock()
	wake := false
	switch {
	case s.final:
	case s.stage == greeting && now-s.since > int64(cfg.IdentifyTimeout):
		wake = s.shut(CloseNotIdentified, "neither identify nor resume came in time")
	case now-s.heard.Load() > int64(cfg.HeartbeatInterval+cfg.HeartbeatTimeout):
		wake = s.shut(CloseHeartbeat, "no heartbeat came")
	case s.expires != 0 && now >= s.expires:
		wake = s.shut(CloseTokenExpired, "the token has expired")
	}
	s.mu.Unlock()
	if wake {
		go s.flush()
	}
}

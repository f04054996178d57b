package notification

import (
	"context"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gobwas/ws"

	"github.com/chat-platform/chat/events"
	"github.com/chat-platform/chat/longrunning/internal/link"
)

// stage is what a session is doing.
type stage uint8

const (
	greeting stage = iota // waits for identify or resume
	starting              // reads the log; what the link brings is held
	filling               // catches up with what was held, joins included
	live                  // what the link brings goes to the queue
	closing               // the close frame is queued; nothing more is taken
)

// session is a socket and who sits behind it. It is kept small: there may be a
// hundred thousand.
type session struct {
	svc    *Service
	conn   net.Conn
	early  []byte       // read by the HTTP server already
	heard  atomic.Int64 // when the client last sent anything, Unix nanoseconds
	header [ws.MaxHeaderSize]byte

	subs []sub // guarded by the hub's lock

	mu      sync.Mutex
	stage   stage
	writing bool // a goroutine writes the queue
	final   bool // the close frame stands in the queue or is written
	over    bool // held was too much, and dropped: read on in the log
	user    events.UserID
	id      string
	expires int64  // of the token, Unix nanoseconds; 0 never
	issued  int64  // the token, Unix nanoseconds; 0 not told
	login   string // the issuer's session that the token belongs to
	since   int64  // of the stage, Unix nanoseconds

	queue   []outgoing
	bytes   int           // queued or being written
	drained chan struct{} // closed once the queue is written, where somebody waits for it

	held   []*delivery
	floor  link.Positions // nothing at or below is delivered: the session has it
	at     cursor         // while filling: what the client has
	cancel context.CancelFunc
	worker chan struct{} // closed when the goroutine that starts or fills ends
}

// outgoing is a frame in a queue. at is when its event was made, 0 for ops.
type outgoing struct {
	frame []byte
	at    int64
}

// own tells whether the event lets the session's user in or out.
func (s *session) own(d *delivery) bool { return d.membership() && d.user == s.user }

// frame is an event's frame for this session. Its place never goes back: where
// the session began ahead of the link, by a cursor of another instance or by what
// a fan-out said before it died, the event's own place lies before the session's,
// and whoever resumed from there would be told again of what it has. The
// session's lock is held.
func (s *session) frame(d *delivery) []byte {
	if covers(d.after.at, s.floor) {
		return d.frame(s.user, s.svc.epochNow())
	}
	return d.frameAt(s.user, cursor{at: later(d.after.at, s.floor), base: d.after.base}, s.svc.epochNow())
}

// offer hands the session what the link brought. The hub's lock is held, so it
// never blocks; it tells whether the session's queue is to be written now.
func (s *session) offer(d *delivery) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if d.within(s.floor) {
		return false
	}
	switch s.stage {
	case live:
		return s.push(s.frame(d), d.at())
	case starting, filling:
		return s.hold(d)
	}
	return false
}

// offerOwn hands the session an event of its own user's memberships. before is
// the place of all sessions just before the event.
func (s *session) offerOwn(d *delivery, before cursor) (wake, left bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if d.within(s.floor) {
		return false, false
	}
	switch s.stage {
	case live:
		if !d.active {
			return s.push(s.frame(d), d.at()), true
		}
		// The channel's events begin somewhere before the moment at which the
		// fan-out will know that this instance wants them: the log has them.
		s.enter(filling)
		s.at = cursor{at: later(before.at, s.floor), base: before.base}
		d.frame(s.user, s.svc.epochNow()) // as hold does
		s.held = append(s.held, d)
		s.work(s.svc.cfg.StartTimeout, s.fill)
	case starting, filling:
		return s.hold(d), false
	}
	return false, false
}

// hold keeps an event for later. Too many while the session starts are read
// from the log again; too many while it catches up close it.
func (s *session) hold(d *delivery) bool {
	d.frame(s.user, s.svc.epochNow()) // encoded here, where one goroutine does it
	switch {
	case len(s.held) < s.svc.cfg.QueueEvents:
		s.held = append(s.held, d)
	case s.stage == starting:
		s.over, s.held = true, nil
	default:
		return s.slow()
	}
	return false
}

// push queues a frame. It tells whether the caller is to have the queue
// written. The session's lock is held.
func (s *session) push(frame []byte, at int64) bool {
	if s.final {
		return false
	}
	if len(s.queue) >= s.svc.cfg.QueueEvents || s.bytes+len(frame) > s.svc.cfg.QueueBytes && s.bytes > 0 {
		return s.slow()
	}
	if s.queue == nil {
		s.queue = takeQueue()
	}
	s.queue = append(s.queue, outgoing{frame, at})
	s.bytes += len(frame)
	return s.wake()
}

// wake tells whether a goroutine is to be started for the queue.
func (s *session) wake() bool {
	if s.writing {
		return false
	}
	s.writing = true
	return true
}

func (s *session) slow() bool {
	s.svc.metrics.dropped.Add(float64(len(s.queue) + len(s.held)))
	giveQueue(s.queue)
	s.queue = nil
	return s.shut(CloseSlow, "the client does not keep up: resume")
}

// shut queues the close frame after what is queued. The session's lock is held.
func (s *session) shut(code ws.StatusCode, reason string) bool {
	if s.final {
		return false
	}
	s.svc.metrics.close(code)
	frame := closeFrame(code, reason)
	s.queue = append(s.queue, outgoing{frame: frame})
	s.bytes += len(frame)
	s.final, s.held = true, nil
	s.enter(closing)
	if s.cancel != nil {
		s.cancel()
	}
	// The client has this long to take what is under way and to answer.
	deadline := time.Now().Add(s.svc.cfg.CloseTimeout)
	_ = s.conn.SetDeadline(deadline) // fails only where the connection is closed already
	return s.wake()
}

func (s *session) enter(g stage) {
	s.stage, s.since = g, time.Now().UnixNano()
}

// close ends the session with a code; a second close changes nothing.
func (s *session) close(code ws.StatusCode, reason string) {
	s.mu.Lock()
	wake := s.shut(code, reason)
	s.mu.Unlock()
	if wake {
		go s.flush()
	}
}

// send queues an op.
func (s *session) send(frame []byte) {
	s.mu.Lock()
	wake := s.push(frame, 0)
	s.mu.Unlock()
	if wake {
		go s.flush()
	}
}

// sendAll queues frames as the client takes them: it waits for each part to be
// written. It fails once the session ends.
func (s *session) sendAll(ctx context.Context, frames []outgoing) error {
	for len(frames) > 0 {
		n, size := 0, 0
		for n < len(frames) && n < s.svc.cfg.QueueEvents/2 && (n == 0 || size+len(frames[n].frame) <= s.svc.cfg.QueueBytes/2) {
			size += len(frames[n].frame)
			n++
		}
		if err := s.drain(ctx); err != nil {
			return err
		}
		s.mu.Lock()
		wake := false
		for _, f := range frames[:n] {
			wake = s.push(f.frame, f.at) || wake
		}
		over := s.final
		s.mu.Unlock()
		if wake {
			go s.flush()
		}
		if over {
			return errClosed
		}
		frames = frames[n:]
	}
	return nil
}

// drain returns once the queue is written.
func (s *session) drain(ctx context.Context) error {
	s.mu.Lock()
	if s.final {
		s.mu.Unlock()
		return errClosed
	}
	if !s.writing {
		s.mu.Unlock()
		return nil
	}
	if s.drained == nil {
		s.drained = make(chan struct{})
	}
	wait := s.drained
	s.mu.Unlock()
	select {
	case <-wait:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// work runs f in the session's own goroutine, of which there is one at a time.
// The session's lock is held.
func (s *session) work(timeout time.Duration, f func(context.Context)) {
	ctx, cancel := context.WithTimeoutCause(s.svc.background, timeout, errTooLong)
	done := make(chan struct{})
	before := s.worker
	s.cancel, s.worker = cancel, done
	go func() {
		defer close(done)
		defer cancel()
		if before != nil {
			<-before // it has nothing left to do but to return
		}
		f(ctx)
	}()
}

// cursor is what the client has, or nil while that is not certain. The hub's
// place must be read before it is called.
func (s *session) cursor(place cursor) *cursor {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch s.stage {
	case live:
		return &cursor{at: later(place.at, s.floor), base: place.base}
	case filling:
		c := s.at
		return &c
	}
	return nil
}

package notification

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/chat-platform/chat/events"
	natslog "github.com/chat-platform/chat/infra/nats"
	"github.com/chat-platform/chat/longrunning/internal/link"
)

// Log is what the service reads of the log.
type Log interface {
	Range(ctx context.Context, stream string, filters []string, from, to uint64, f func(events.Event) error) error
	LastBefore(ctx context.Context, subjects []string, seq uint64) (map[string]uint64, error)
	LastSequence(ctx context.Context, stream string) (uint64, error)
	FirstSequence(ctx context.Context, stream string) (uint64, error) // what is before it, the archive has
	ReadSnapshot(ctx context.Context, name string) ([]byte, error)    // nil where there is none
	WriteSnapshot(ctx context.Context, name string, data []byte) error
	Epoch(ctx context.Context) (string, error)
}

// Bus is how the service talks to the fan-outs.
type Bus interface {
	Request(ctx context.Context, subject string, data []byte) ([]byte, error)
	Subscribe(subject, queue string, f func(natslog.BusMessage)) (unsubscribe func(), err error)
}

// Verifier says who a token's bearer is. Its errors match
// events.ErrUnauthenticated or events.ErrUnavailable.
type Verifier interface {
	Verify(ctx context.Context, rawToken string) (events.Caller, error)
}

// Service is an instance. Make it with [New], mount [Service.Handler], and call
// [Service.Run] once.
type Service struct {
	cfg      Config
	log      Log
	bus      Bus
	verifier Verifier
	logger   *slog.Logger
	metrics  *metrics
	hub      *hub
	witness  witness
	hello    []byte

	epoch      atomic.Uint64 // of the log; set before the first link, another one closes every session
	linked     chan struct{} // closed by the first link
	background context.Context
	stop       context.CancelFunc
	starts     chan struct{}
	keepings   chan keeping

	frames   chan []byte   // of the subscription
	attached atomic.Bool   // there is a link that works
	draining chan struct{} // closed when Run is to end
	broken   chan link.ID  // a link that did not answer

	linkMu sync.Mutex // held while a request to the fan-out is under way
	link   link.ID
	fanout string

	cutMu   sync.Mutex
	cuts    []events.UserCutOff // not done yet
	cutting chan struct{}       // there are some

	mu       sync.Mutex
	sessions map[*session]struct{}
	closed   bool
	gone     sync.WaitGroup
}

// New makes an instance; it does nothing until Run.
func New(log Log, bus Bus, verifier Verifier, cfg Config) *Service {
	cfg = cfg.withDefaults()
	s := &Service{
		cfg: cfg, log: log, bus: bus, verifier: verifier,
		logger: cfg.Logger.With("instance", cfg.Instance), hub: newHub(), hello: hello(cfg),
		starts: make(chan struct{}, cfg.Starts), keepings: make(chan keeping, 2), frames: make(chan []byte, 256), draining: make(chan struct{}),
		broken: make(chan link.ID, 1), linked: make(chan struct{}), sessions: map[*session]struct{}{}, cutting: make(chan struct{}, 1),
	}
	if cfg.CutOffs != nil {
		cfg.CutOffs.Watch(s.cutOff)
	}
	s.background, s.stop = context.WithCancel(context.Background())
	s.metrics = newMetrics(cfg, s)
	return s
}

// Ready is nil while the instance can take clients: it is attached to a fan-out
// and does not drain.
func (s *Service) Ready(context.Context) error {
	select {
	case <-s.draining:
		return errors.New("notification drains")
	default:
	}
	if !s.attached.Load() {
		return fmt.Errorf("notification is attached to no fan-out: %w", events.ErrUnavailable)
	}
	return nil
}

// Run attaches to a fan-out and serves the sockets until ctx ends. Then it
// drains: every client is told to reconnect, and the sockets are closed with
// 4000, spread over Config.DrainSpread, while events go on. It returns once all
// are closed, with an error only where it could not begin.
func (s *Service) Run(ctx context.Context) error {
	defer s.stop()
	inner, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	unsubscribe, err := s.bus.Subscribe(link.NotifySubject(s.cfg.Instance), "", func(m natslog.BusMessage) {
		select {
		case s.frames <- m.Data:
		case <-inner.Done():
		}
	})
	if err != nil {
		return fmt.Errorf("subscribe to the frames of %s: %w", s.cfg.Instance, err)
	}
	defer unsubscribe()
	var g errgroup.Group
	g.Go(func() error { s.follow(inner); return nil })
	g.Go(func() error { s.announce(inner); return nil })
	g.Go(func() error { s.observe(inner); return nil })
	g.Go(func() error { s.sweep(inner); return nil })
	g.Go(func() error { s.sever(inner); return nil })
	g.Go(func() error { s.remember(inner); return nil })
	<-ctx.Done()
	s.drain()
	cancel()
	return g.Wait()
}

// drain closes all sockets and returns once they are gone.
func (s *Service) drain() {
	close(s.draining)
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	all := s.all()
	frame := answer{Op: "reconnect"}.frame()
	for _, c := range all {
		c.send(frame)
	}
	s.closeSpread(all, CloseGoingAway, "the instance goes away: resume", s.cfg.DrainSpread)
	s.gone.Wait()
}

// closeSpread closes the sessions in random order, evenly spread over a time,
// so that they do not come back all at once.
func (s *Service) closeSpread(all []*session, code closeCode, reason string, spread time.Duration) {
	rand.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	steps := max(1, min(len(all), int(spread/(10*time.Millisecond))))
	tick := time.NewTicker(max(spread/time.Duration(steps), time.Microsecond))
	defer tick.Stop()
	for i := range steps {
		if i > 0 {
			<-tick.C
		}
		for _, c := range all[len(all)*i/steps : len(all)*(i+1)/steps] {
			c.close(code, reason)
		}
	}
}

// all are the sessions that there are.
func (s *Service) all() []*session {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make([]*session, 0, len(s.sessions))
	for c := range s.sessions {
		all = append(all, c)
	}
	return all
}

// anew closes every session, to have it resumed, and then does what none of them
// may see. Nobody comes in meanwhile: who resumes finds it done.
func (s *Service) anew(reason string, do func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.sessions {
		c.close(CloseUnavailable, reason)
	}
	do()
}

// admit registers a session, unless the instance drains.
func (s *Service) admit(c *session) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	s.sessions[c] = struct{}{}
	s.gone.Add(1)
	return true
}

func (s *Service) dismiss(c *session) {
	s.mu.Lock()
	delete(s.sessions, c)
	s.mu.Unlock()
	s.gone.Done()
}

// sweep closes the sessions whose time is over.
func (s *Service) sweep(ctx context.Context) {
	every := min(time.Second, s.cfg.HeartbeatTimeout/4, s.cfg.IdentifyTimeout/4, max(time.Millisecond, s.cfg.HeartbeatInterval/4))
	tick := time.NewTicker(max(every, 5*time.Millisecond))
	defer tick.Stop()
	var all []*session
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		s.mu.Lock()
		for c := range s.sessions {
			all = append(all, c)
		}
		s.mu.Unlock()
		now := time.Now().UnixNano()
		for _, c := range all {
			c.expire(now)
		}
		clear(all)
		all = all[:0]
	}
}

func (s *Service) epochNow() epoch { return epoch(s.epoch.Load()) }

// place is where a session is that has everything routed so far.
func (s *Service) place() cursor { return s.witness.cursor(s.hub.position()) }

package cutoff

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/chat-platform/chat/events"
)

// MaxEntries is how many users and sessions a set holds. Beyond it those go
// whose cut-off ends first, which is logged and counted.
const MaxEntries = 1 << 20

// skew is by how much the clocks of issuer, log and this process may differ.
const skew = 5 * time.Minute

// ErrTokenRevoked refuses a token that was cut off.
var ErrTokenRevoked = events.NewFault(events.ErrUnauthenticated, "token_revoked", "", "the user or the session has been signed out, or has lost a role")

// Log is where cut-offs come from.
type Log interface {
	FollowSince(ctx context.Context, stream string, filters []string, since time.Time, ready func(last uint64), f func([]events.Event) error) error
}

// Config is a set's settings.
type Config struct {
	TokenMaxAge time.Duration         `env:"TOKEN_MAX_AGE" envDefault:"1h"` // no token lives longer; the same for all processes
	MaxEntries  int                   `env:"-"`                             // MaxEntries if 0
	Now         func() time.Time      `env:"-"`                             // nil: time.Now
	Logger      *slog.Logger          `env:"-"`                             // slog.Default if nil
	Registerer  prometheus.Registerer `env:"-"`                             // no metrics if nil
}

// Validate says what cannot be.
func (c Config) Validate() error {
	if c.TokenMaxAge < 0 || c.TokenMaxAge > 24*time.Hour {
		return fmt.Errorf("TOKEN_MAX_AGE is %s, expected up to 24h", c.TokenMaxAge)
	}
	return nil
}

// entry is what is remembered of a user: tokens issued before are refused, and
// from until on all of them have expired. Both are Unix nanoseconds.
type entry struct{ before, until int64 }

// Set knows who has been cut off lately. It is safe for concurrent use.
type Set struct {
	cfg     Config
	log     *slog.Logger
	metrics *metrics
	watches []func([]events.UserCutOff)

	complete chan struct{} // closed once all that the log held is known
	once     sync.Once
	size     atomic.Int64

	mu       sync.RWMutex
	users    map[events.UserID]entry
	sessions map[string]int64 // until
	everyone entry
	roles    entry // whoever's token carries a role
	pruned   time.Time
}

// New makes a set; it knows nothing until Run.
func New(cfg Config) *Set {
	if cfg.TokenMaxAge == 0 {
		cfg.TokenMaxAge = time.Hour
	}
	if cfg.MaxEntries <= 0 {
		cfg.MaxEntries = MaxEntries
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.Default()
	}
	s := &Set{cfg: cfg, log: cfg.Logger, complete: make(chan struct{}), users: map[events.UserID]entry{}, sessions: map[string]int64{}}
	s.metrics = newMetrics(cfg.Registerer, s)
	return s
}

// Watch has f called with cut-offs as they come, after checks refuse what they
// concern; f holds the others up. It is to be called before Run.
func (s *Set) Watch(f func([]events.UserCutOff)) { s.watches = append(s.watches, f) }

// Run follows the log until ctx ends. It is called once.
func (s *Set) Run(ctx context.Context, log Log) {
	for wait := 50 * time.Millisecond; ; wait = min(2*wait, 5*time.Second) {
		var last uint64
		since := s.cfg.Now().Add(-s.cfg.TokenMaxAge - skew)
		err := log.FollowSince(ctx, events.StreamCutOffs, nil, since, func(at uint64) {
			if last = at; last == 0 {
				s.finish()
			}
		}, func(es []events.Event) error {
			s.apply(es)
			if es[len(es)-1].Sequence >= last {
				s.finish()
			}
			return nil
		})
		if ctx.Err() != nil {
			return
		}
		s.log.Warn("cut-offs: begin anew", "error", err) // another log, in most cases; what is known stays
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait/2 + rand.N(wait)):
		}
	}
}

func (s *Set) finish() { s.once.Do(func() { close(s.complete) }) }

// Ready is nil once the set is complete.
func (s *Set) Ready(context.Context) error {
	select {
	case <-s.complete:
		return nil
	default:
		return fmt.Errorf("cut-offs are not read yet: %w", events.ErrUnavailable)
	}
}

// Wait returns once the set is complete, or ctx ends.
func (s *Set) Wait(ctx context.Context) {
	select {
	case <-s.complete:
	case <-ctx.Done():
	}
}

// Check gives [ErrTokenRevoked] where the caller's token was cut off, another
// fault of kind [events.ErrUnauthenticated] where it lives too long, and
// [events.ErrUnavailable] where the set is not complete before ctx ends.
func (s *Set) Check(ctx context.Context, caller events.Caller) error {
	if s.Ready(ctx) != nil {
		if s.Wait(ctx); s.Ready(ctx) != nil {
			return s.Ready(ctx)
		}
	}
	if s.tooLong(caller) {
		return events.NewFault(events.ErrUnauthenticated, "token_invalid", "", "the token lives longer than %s, which is the most that is allowed here", s.cfg.TokenMaxAge)
	}
	if s.size.Load() == 0 {
		return nil
	}
	now := s.cfg.Now().UnixNano()
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.users[caller.User].refuses(caller, now) || s.everyone.refuses(caller, now) ||
		len(caller.Roles) > 0 && s.roles.refuses(caller, now) || caller.Session != "" && s.sessions[caller.Session] > now {
		return ErrTokenRevoked
	}
	return nil
}

// tooLong tells whether a token lives longer than cut-offs are remembered.
func (s *Set) tooLong(caller events.Caller) bool {
	if caller.Expires.IsZero() {
		return true
	}
	issued := caller.Issued
	if issued.IsZero() {
		issued = s.cfg.Now()
	}
	return caller.Expires.Sub(issued) > s.cfg.TokenMaxAge
}

func (e entry) refuses(caller events.Caller, now int64) bool {
	return e.until > now && (caller.Issued.IsZero() || caller.Issued.UnixNano() < e.before)
}

func (e entry) merge(c events.UserCutOff) entry {
	return entry{max(e.before, c.NotBefore.UnixNano()), max(e.until, c.Until.UnixNano())}
}

// apply takes cut-offs in.
func (s *Set) apply(es []events.Event) {
	now := s.cfg.Now()
	fresh := make([]events.UserCutOff, 0, len(es))
	for _, e := range es {
		c, err := events.CutOffOf(e)
		if err != nil {
			var fault *events.Fault
			if !errors.As(err, &fault) || fault.Code != "unexpected_type" { // a newer type is for newer processes
				s.log.Error("cut-offs: an event that can't be read", "event", e.ID, "sequence", e.Sequence, "error", err)
			}
			continue
		}
		s.metrics.received.WithLabelValues(reason(c.Reason)).Inc()
		if now.Before(c.Until) {
			fresh = append(fresh, c)
		}
	}
	s.mu.Lock()
	for _, c := range fresh {
		switch {
		case c.SessionID != "":
			s.sessions[c.SessionID] = max(s.sessions[c.SessionID], c.Until.UnixNano())
		case c.WithRoles:
			s.roles = s.roles.merge(c)
		case c.Everyone:
			s.everyone = s.everyone.merge(c)
		default:
			s.users[c.UserID] = s.users[c.UserID].merge(c)
		}
	}
	s.prune(now)
	s.mu.Unlock()
	if len(fresh) > 0 {
		for _, f := range s.watches {
			f(fresh)
		}
	}
}

// reason is a label of few values.
func reason(r events.CutOffReason) string {
	switch r {
	case events.CutOffDisabled, events.CutOffDeleted, events.CutOffLoggedOut, events.CutOffSessionEnded, events.CutOffRolesChanged:
		return string(r)
	}
	return "other"
}

package identity

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/chat-platform/chat/events"
)

const (
	// LookBack is how far back a watcher reads at most: as long as the log keeps
	// cut-offs.
	LookBack = 7 * 24 * time.Hour

	skew       = 5 * time.Minute // by which clocks may differ where nothing tells
	settled    = 5 * time.Minute // no event of the issuer becomes visible later: its transactions end before
	sweepEvery = time.Minute     // as far back as that is read now and then
	maxBackOff = 2 * time.Second
	stale      = 10 * time.Second // without an answer, and the watcher is not ready
)

// source is the events' source.
const source = "/identity"

// Log is where cut-offs go.
type Log interface {
	Publish(ctx context.Context, e events.Event) (events.Ack, error)
	FollowSince(ctx context.Context, stream string, filters []string, since time.Time, ready func(last uint64), f func([]events.Event) error) error
}

// Issuer tells what has cut tokens off.
type Issuer interface {
	// Changes calls f with what happened at or after a time of the issuer's, oldest
	// first, with the id and the time of the issuer's event and without Until; it
	// gives the issuer's time as of just before it was asked.
	Changes(ctx context.Context, from time.Time, f func(id string, at time.Time, c events.UserCutOff) error) (now time.Time, err error)
}

// Config is a watcher's settings. The zero value gives the defaults that the
// tags state.
type Config struct {
	Poll        time.Duration         `env:"IDENTITY_POLL" envDefault:"400ms"`  // how often the issuer is asked
	Overlap     time.Duration         `env:"IDENTITY_OVERLAP" envDefault:"15s"` // how far back it is asked: an event that becomes visible still later is found within a minute
	TokenMaxAge time.Duration         `env:"TOKEN_MAX_AGE" envDefault:"1h"`     // no token lives longer; the same for all processes
	Logger      *slog.Logger          `env:"-"`                                 // slog.Default if nil
	Registerer  prometheus.Registerer `env:"-"`                                 // no metrics if nil
}

// Validate says which variable cannot be.
func (c Config) Validate() error {
	for name, d := range map[string]time.Duration{"IDENTITY_POLL": c.Poll, "IDENTITY_OVERLAP": c.Overlap} {
		if d < 0 || d > time.Hour {
			return fmt.Errorf("%s is %s, expected up to 1h", name, d)
		}
	}
	return nil
}

func orDefault(v *time.Duration, d time.Duration) {
	if *v <= 0 {
		*v = d
	}
}

// Watcher watches one issuer. Make it with [New] and call [Watcher.Run] once.
type Watcher struct {
	cfg     Config
	log     Log
	issuer  Issuer
	logger  *slog.Logger
	metrics *metrics
	answer  atomic.Int64 // when the issuer last answered and the log took it, Unix nanoseconds

	from  time.Time            // the issuer's time from which on it is asked; zero: the log tells
	swept time.Time            // when as far back as settled was last read
	seen  map[string]time.Time // events that the log has, and the time of the issuer's
}

// New makes a watcher; it does nothing until Run.
func New(log Log, issuer Issuer, cfg Config) *Watcher {
	orDefault(&cfg.Poll, 400*time.Millisecond)
	orDefault(&cfg.Overlap, 15*time.Second)
	orDefault(&cfg.TokenMaxAge, time.Hour)
	if cfg.Logger == nil {
		cfg.Logger = slog.Default()
	}
	w := &Watcher{cfg: cfg, log: log, issuer: issuer, logger: cfg.Logger, seen: map[string]time.Time{}}
	w.metrics = newMetrics(cfg.Registerer, w)
	return w
}

// Ready is nil while the issuer answers.
func (w *Watcher) Ready(context.Context) error {
	if at := w.answer.Load(); at == 0 || time.Since(time.Unix(0, at)) > stale {
		return fmt.Errorf("the issuer's events are not read: %w", events.ErrUnavailable)
	}
	return nil
}

// Run watches until ctx ends.
func (w *Watcher) Run(ctx context.Context) {
	failed := 0
	for {
		began := time.Now()
		err := w.turn(ctx)
		if ctx.Err() != nil {
			return
		}
		wait := w.cfg.Poll - time.Since(began)
		switch {
		case err == nil && failed > 0:
			w.logger.Info("identity: the issuer's events are read again", "attempts", failed)
			failed = 0
		case err != nil:
			w.metrics.failures.Inc()
			if failed++; failed == 1 || failed%100 == 0 {
				w.logger.Warn("identity: the issuer's events can't be read, or not be stored; will try again", "attempts", failed, "error", err)
			}
			limit := min(maxBackOff, w.cfg.Poll<<min(failed, 8))
			wait = limit/2 + rand.N(limit/2)
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
	}
}

// turn asks once and writes what is new.
func (w *Watcher) turn(ctx context.Context) error {
	if w.from.IsZero() {
		if err := w.recover(ctx); err != nil {
			return err
		}
	}
	began, from := time.Now(), w.from
	sweep := began.Sub(w.swept) >= sweepEvery
	if sweep {
		from = from.Add(-settled)
	}
	now, err := w.issuer.Changes(ctx, from, func(id string, at time.Time, c events.UserCutOff) error { return w.tell(ctx, id, at, c) })
	if err != nil {
		return err
	}
	if sweep {
		w.swept = began
	}
	w.answer.Store(time.Now().UnixNano())
	if from := now.Add(-w.cfg.Overlap); from.After(w.from) {
		w.from = from
	}
	for id, at := range w.seen {
		if at.Before(w.from.Add(-settled)) {
			delete(w.seen, id)
		}
	}
	return nil
}

// tell writes a cut-off, unless the log has it. Where that fails nobody knows
// whether the log has it now, or what other watchers have told meanwhile: the log
// is read again.
func (w *Watcher) tell(ctx context.Context, id string, at time.Time, c events.UserCutOff) error {
	c.Until = c.NotBefore.Add(w.cfg.TokenMaxAge)
	e, err := c.Event(source, id)
	if err != nil { // an account whose name cannot be a user's here has no tokens either
		w.logger.Debug("identity: passed over", "event", id, "error", err)
		return nil
	}
	if _, known := w.seen[e.ID]; known {
		return nil
	}
	e.Time = at.UTC()
	ack, err := w.log.Publish(ctx, e)
	if err != nil {
		w.from, w.swept = time.Time{}, time.Time{}
		return fmt.Errorf("tell the log of %s: %w", id, err)
	}
	w.seen[e.ID] = e.Time
	if !ack.Duplicate {
		w.metrics.told.WithLabelValues(string(c.Reason)).Inc()
		w.logger.Info("identity: cut off", "user", c.UserID, "reason", c.Reason, "one_session", c.SessionID != "", "everyone", c.Everyone)
	}
	return nil
}

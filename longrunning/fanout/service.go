package fanout

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/chat-platform/chat/events"
	"github.com/chat-platform/chat/longrunning/internal/link"
)

var streams = []string{events.StreamMessages, events.StreamMetadata}

// errReplaced means that the log is another one than when the session began.
var errReplaced = errors.New("the log has been replaced")

// Service is a fan-out.
type Service struct {
	log   Log
	cfg   Config
	m     *metrics
	ready atomic.Bool
}

// New makes a fan-out that reads log and sends on its bus.
func New(log Log, cfg Config) *Service {
	cfg = cfg.withDefaults()
	return &Service{log: log, cfg: cfg, m: newMetrics(cfg.Registerer, cfg.ID)}
}

// ID is the fan-out's id: Config.ID or the one made up for it.
func (s *Service) ID() string { return s.cfg.ID }

// Ready is nil while both streams are followed and instances may attach.
func (s *Service) Ready(context.Context) error {
	if !s.ready.Load() {
		return fmt.Errorf("fan-out %s: %w: the streams are not followed yet", s.cfg.ID, events.ErrUnavailable)
	}
	return nil
}

// Run serves until ctx ends, and then ends every link with a last frame, so that
// the instances go elsewhere at once. It returns nil. The caller closes the log
// after that.
//
// Where a stream can't be followed any more, or the log has been replaced, all
// links end in the same way and the service begins anew, after a pause with jitter.
func (s *Service) Run(ctx context.Context) error {
	for wait := 100 * time.Millisecond; ; wait = min(2*wait, 5*time.Second) {
		begun := time.Now()
		err := s.session(ctx)
		if ctx.Err() != nil {
			return nil //nolint:nilerr // it was to end
		}
		if time.Since(begun) > time.Minute {
			wait = 100 * time.Millisecond
		}
		s.cfg.Logger.Error("fanout: begins anew", "fanout", s.cfg.ID, "error", err)
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(wait/2 + rand.N(wait)):
		}
	}
}

// session serves from "now" until ctx ends or the log can no longer be trusted to
// be without a gap.
func (s *Service) session(ctx context.Context) error {
	epoch, err := s.log.Epoch(ctx)
	if err != nil {
		return fmt.Errorf("read the log's epoch: %w", err)
	}
	r := &router{log: s.cfg.Logger, bus: s.log.Bus(), last: s.log.LastBefore, m: s.m, table: NewTable()}
	c := newControl(s.cfg, r)

	g, ctx := errgroup.WithContext(ctx)
	var pending sync.WaitGroup
	for _, stream := range streams {
		pending.Add(1)
		var once sync.Once
		ready := func(last uint64) { once.Do(func() { r.begin(stream, last); pending.Done() }) }
		g.Go(func() error {
			defer once.Do(pending.Done)
			err := s.log.Follow(ctx, stream, nil, 0, ready, func(es []events.Event) error { return r.batch(ctx, stream, es) })
			if err == nil && ctx.Err() == nil {
				err = errors.New("ended by itself")
			}
			if err != nil {
				return fmt.Errorf("follow %s: %w", stream, err)
			}
			return nil
		})
	}
	g.Go(func() error {
		pending.Wait()
		if ctx.Err() != nil {
			return nil
		}
		stop, err := c.open(s.log.Bus())
		if err != nil {
			return err
		}
		defer stop()
		s.ready.Store(true)
		defer s.ready.Store(false)
		s.cfg.Logger.Info("fanout: ready", "fanout", s.cfg.ID, "messages", r.positions().Messages, "metadata", r.positions().Metadata)
		return c.run(ctx, s.log.Bus())
	})
	g.Go(func() error { return every(ctx, link.TickEvery, r.tick) })
	g.Go(func() error { return every(ctx, s.cfg.LagEvery, func() error { return s.watch(ctx, r, epoch) }) })
	err = g.Wait()
	c.close()
	return err
}

// watch measures the lag and makes sure that the log is the same one still.
func (s *Service) watch(ctx context.Context, r *router, epoch string) error {
	now, err := s.log.Epoch(ctx)
	if err == nil && now != epoch {
		return fmt.Errorf("%w: epoch %s after %s", errReplaced, now, epoch)
	}
	for _, stream := range streams {
		last, err := s.log.LastSequence(ctx, stream)
		if err != nil {
			continue // the log is away; Follow says so in its own log lines
		}
		r.sending.Lock()
		at := *r.position(stream)
		r.sending.Unlock()
		s.m.lag.WithLabelValues(stream).Set(float64(last - min(at, last)))
	}
	return nil
}

// every calls f at that interval until ctx ends (nil) or f fails.
func every(ctx context.Context, interval time.Duration, f func() error) error {
	t := time.NewTicker(interval)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-t.C:
			if err := f(); err != nil {
				return err
			}
		}
	}
}

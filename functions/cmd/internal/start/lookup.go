package start

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/chat-platform/chat/events"
	"github.com/chat-platform/chat/infra/stores"
)

// openWait is how long a start waits for a store that it can do without. What
// fails by then in a way that no waiting helps still ends the process.
const openWait = 2 * time.Second

// Originals is the message view of a command that looks there for what was sent
// before. The command works without it but for that.
type Originals struct {
	open atomic.Pointer[stores.MessagesReader]
}

// Lookup opens a message view as its configuration says, in the background where
// it is away. Readiness tells of it and does not depend on it: a view's outage
// keeps no message from being sent.
func Lookup[C any](ctx context.Context, p *Parts, open func(context.Context, C, stores.Host) (stores.MessagesReader, error)) (*Originals, error) {
	var cfg C
	if err := p.Config(&cfg); err != nil {
		return nil, err
	}
	log, err := p.Log(ctx)
	if err != nil {
		return nil, err
	}
	o := &Originals{}
	opening, stop := context.WithCancel(context.WithoutCancel(ctx))
	failed, done := make(chan error, 1), make(chan struct{})
	go func() {
		defer close(done)
		for wait := 100 * time.Millisecond; opening.Err() == nil; wait = min(2*wait, 5*time.Second) {
			s, err := open(opening, cfg, stores.Host{Name: p.Name, Log: p.Process.Log, Registerer: p.Registry, Views: log})
			if err == nil {
				o.open.Store(&s)
				return
			}
			if !errors.Is(err, events.ErrUnavailable) {
				failed <- err
				return
			}
			p.Process.Log.Warn("the message view is away, will try again", "error", err)
			select {
			case <-opening.Done():
			case <-time.After(wait/2 + rand.N(wait)):
			}
		}
	}()
	p.Tells("messages", o.ping)
	p.closers = append(p.closers, func() error {
		stop()
		<-done
		if s := o.open.Load(); s != nil {
			return (*s).Close()
		}
		return nil
	})
	late := time.NewTimer(openWait)
	defer late.Stop()
	select {
	case err := <-failed:
		return nil, fmt.Errorf("open messages: %w", err)
	case <-done:
		select {
		case err := <-failed:
			return nil, fmt.Errorf("open messages: %w", err)
		default:
		}
	case <-late.C:
	case <-ctx.Done():
	}
	return o, nil
}

var errNotOpen = fmt.Errorf("%w: the message view has not been there since the start", events.ErrUnavailable)

func (o *Originals) ping(ctx context.Context) error {
	s := o.open.Load()
	if s == nil {
		return errNotOpen
	}
	return (*s).Ping(ctx)
}

// MessagesByID gives those of the ids that exist in the channel.
func (o *Originals) MessagesByID(ctx context.Context, channel events.ChannelID, ids []events.MessageID) (map[events.MessageID]events.Message, error) {
	s := o.open.Load()
	if s == nil {
		return nil, errNotOpen
	}
	return (*s).MessagesByID(ctx, channel, ids)
}

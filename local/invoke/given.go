package invoke

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/chat-platform/chat/events"
	natslog "github.com/chat-platform/chat/infra/nats"
	"github.com/chat-platform/chat/local/views"
)

// give publishes the events that the fixture assumes, fills the views with them
// and notes where the streams end.
func (s *stage) give(ctx context.Context) error {
	acks, errs := s.log.PublishAll(ctx, s.given, nil)
	if err := errors.Join(errs...); err != nil {
		return err
	}
	for i := range s.given {
		s.given[i].Sequence = acks[i].Seq
	}
	for _, v := range views.All() {
		if err := s.fill(ctx, v); err != nil {
			return fmt.Errorf("fill %s: %w", v.Name, err)
		}
	}
	s.before = map[string]uint64{}
	for _, stream := range streams {
		seq, err := s.log.LastSequence(ctx, stream)
		if err != nil {
			return err
		}
		s.before[stream] = seq
	}
	return nil
}

// fill does what the source and the view's writer do in service.
func (s *stage) fill(ctx context.Context, v views.View) error {
	var batch []events.Event
	for _, e := range s.given {
		if events.StreamOf(e.Subject) == v.Stream {
			batch = append(batch, e)
		}
	}
	if len(batch) == 0 {
		return nil
	}
	store, write, err := v.Open(ctx, s.dir)
	if err != nil {
		return err
	}
	if err := errors.Join(write(ctx, batch), store.Close()); err != nil {
		return err
	}
	return s.acknowledge(ctx, v, len(batch))
}

// acknowledge makes the view's consumer know that the view holds everything.
func (s *stage) acknowledge(ctx context.Context, v views.View, n int) error {
	c, err := s.log.Consumer(ctx, natslog.ConsumerConfig{Stream: v.Stream, Name: v.Consumer})
	if err != nil {
		return err
	}
	defer c.Close()
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	for done := 0; done < n; {
		ds, err := c.Fetch(ctx, n, time.Second)
		if err != nil {
			return err
		}
		if ctx.Err() != nil {
			return fmt.Errorf("acknowledged %d of %d events: %w", done, n, ctx.Err())
		}
		for _, d := range ds {
			if err := d.Ack(); err != nil {
				return err
			}
		}
		done += len(ds)
	}
	return s.applied(ctx, v)
}

// applied waits until the acknowledgements, which are sent without a receipt,
// have arrived.
func (s *stage) applied(ctx context.Context, v views.View) error {
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for {
		applied, last, err := s.log.Position(ctx, v.Stream, v.Consumer)
		if err != nil || applied >= last {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("applied %d of %d: %w", applied, last, ctx.Err())
		case <-tick.C:
		}
	}
}

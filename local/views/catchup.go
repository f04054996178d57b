package views

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/chat-platform/chat/events"
	natslog "github.com/chat-platform/chat/infra/nats"
)

// Apply writes a batch. An event that the writer refuses for good is left out
// and counted; in service the source makes it a dead letter.
func Apply(ctx context.Context, write Write, batch []events.Event) (refused int, err error) {
	if len(batch) == 0 {
		return 0, nil
	}
	err = write(ctx, batch)
	if err == nil || !events.IsPermanent(err) {
		return 0, err
	}
	if len(batch) == 1 {
		return 1, nil
	}
	half := len(batch) / 2
	a, err := Apply(ctx, write, batch[:half])
	if err != nil {
		return a, err
	}
	b, err := Apply(ctx, write, batch[half:])
	return a + b, err
}

// CatchUp does at once what the source does in service: it hands the view's
// writer what the view's consumer has not acknowledged, and acknowledges it. It
// counts the events that the writer refuses. One process at a time.
func (v View) CatchUp(ctx context.Context, log *natslog.Log, dir string) (refused int, err error) {
	_, last, err := log.Position(ctx, v.Stream, v.Consumer)
	if err != nil || last == 0 {
		return 0, err
	}
	store, write, err := v.Open(ctx, dir)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	c, err := log.Consumer(ctx, natslog.ConsumerConfig{Stream: v.Stream, Name: v.Consumer})
	if err != nil {
		return 0, err
	}
	defer c.Close()
	for {
		applied, last, err := log.Position(ctx, v.Stream, v.Consumer)
		if err != nil || applied >= last {
			return refused, err
		}
		// Acknowledgements have no receipt: nothing may come for a moment.
		ds, err := c.Fetch(ctx, natslog.FetchMost, 50*time.Millisecond)
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return refused, fmt.Errorf("%s has applied %d of %d: %w", v.Name, applied, last, err)
		}
		n, err := v.apply(ctx, write, ds)
		refused += n
		if err != nil {
			return refused, err
		}
	}
}

// apply writes deliveries and acknowledges them. What is no event is refused.
func (v View) apply(ctx context.Context, write Write, ds []*natslog.Delivery) (int, error) {
	batch := make([]events.Event, 0, len(ds))
	for _, d := range ds {
		if d.Err == nil {
			batch = append(batch, d.Event)
		}
	}
	refused, err := Apply(ctx, write, batch)
	if err != nil {
		return refused, err
	}
	for _, d := range ds {
		if err := d.Ack(); err != nil {
			return refused, err
		}
	}
	return refused + len(ds) - len(batch), nil
}

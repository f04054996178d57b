package nats

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/chat-platform/chat/events"
)

// Follow calls f with the events of a stream, from the sequence from on or, if
// it is 0, those stored after Follow has begun: in order, without a hole or a
// repetition, as many at a time as are there (up to 500). ready, if not nil, is
// called once, before f, with the stream's last sequence when nothing after it
// can be missed any more. filters (none: all) are subjects.
//
// A lost connection, a restarted server and a deleted consumer make Follow
// wait, not fail. It returns nil when ctx ends, f's error, ErrOtherLog, or
// ErrArchived where the stream has let go of what comes next.
// f delays only itself: up to 1,000 events wait here and the rest in the log.
func (l *Log) Follow(ctx context.Context, stream string, filters []string, from uint64, ready func(last uint64), f func([]events.Event) error) error {
	o := l.newOrdered(stream, filters, from)
	defer o.close()
	err := o.reopen(ctx)
	if err == nil && ready != nil {
		ready(o.last)
	}
	for err == nil {
		var es []events.Event
		next := o.next
		if es, err = o.read(ctx, followBatch); err == nil && !dense(next, es) {
			err = l.stillThere(ctx, stream, next)
		}
		if err == nil {
			err = f(es)
		}
	}
	if ctx.Err() != nil && errors.Is(err, ctx.Err()) {
		return nil
	}
	return fmt.Errorf("follow %s after %d: %w", stream, o.next-1, err)
}

// stillThere asks, for as long as it takes, whether the stream has all that
// follows next.
func (l *Log) stillThere(ctx context.Context, stream string, next uint64) error {
	for {
		err := l.untouched(ctx, stream, next)
		var t *trimmed
		if errors.As(err, &t) {
			return fmt.Errorf("%w: %w", ErrArchived, err)
		}
		if err == nil || ctx.Err() != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(100 * time.Millisecond):
		}
	}
}

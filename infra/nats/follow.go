package nats

import (
	"context"
	"errors"
	"fmt"

	"github.com/chat-platform/chat/events"
)

// Follow calls f with the events of a stream, from the sequence from on or, if
// it is 0, those stored after Follow has begun: in order, without a hole or a
// repetition, as many at a time as are there (up to 500). ready, if not nil, is
// called once, before f, with the stream's last sequence when nothing after it
// can be missed any more. filters (none: all) are subjects.
//
// A lost connection, a restarted server and a deleted consumer make Follow
// wait, not fail. It returns nil when ctx ends, f's error, or ErrOtherLog.
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
		if es, err = o.read(ctx, followBatch); err == nil {
			err = f(es)
		}
	}
	if ctx.Err() != nil && errors.Is(err, ctx.Err()) {
		return nil
	}
	return fmt.Errorf("follow %s after %d: %w", stream, o.next-1, err)
}

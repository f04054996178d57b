package nats

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/chat-platform/chat/events"
)

// Range begins with stateless requests of rangeBatch events each. A range that is
// longer than a few of them goes on with a consumer, which costs more to make
// (0.5 ms; in a cluster several) and a third for each event.
const (
	rangeBatch   = 1000
	rangeBatches = 3
)

// errEnough stops a range from inside.
var errEnough = errors.New("enough")

// Range calls f with the events of a stream whose sequence is in [from, to], in
// order; filters (none: all) are subjects, with wildcards if need be. It ends
// early only with an error: that a replica has no more is confirmed by the
// leader. What the stream has let go of, also while Range reads, comes from the
// archive; ErrArchived where it does not. Long ranges, and those with more than
// one filter, make a consumer on the server for the time of the call.
func (l *Log) Range(ctx context.Context, stream string, filters []string, from, to uint64, f func(events.Event) error) error {
	from = max(from, 1)
	if err := l.rangeAll(ctx, stream, filters, from, to, rangeBatch, f); err != nil {
		return fmt.Errorf("range %d to %d of %s: %w", from, to, stream, err)
	}
	return nil
}

// rangeAll reads the stream and, where that has let go of something, the archive.
func (l *Log) rangeAll(ctx context.Context, stream string, filters []string, from, to uint64, size int, f func(events.Event) error) error {
	for from <= to {
		var err error
		if len(filters) > 1 {
			err = l.rangeConsumer(ctx, stream, filters, from, to, f)
		} else {
			err = l.rangeDirect(ctx, stream, filters, from, to, size, f)
		}
		var t *trimmed
		if !errors.As(err, &t) {
			return err
		}
		if err := l.rangeArchive(ctx, stream, filters, t.next, min(to, t.first-1), f); err != nil {
			return enough(err)
		}
		from = t.first
	}
	return nil
}

// Tail gives up to limit events that match one subject filter and have a
// sequence of at least from, oldest first. There are no more than that, by the
// leader's word, where fewer come back.
func (l *Log) Tail(ctx context.Context, subject string, from uint64, limit int) ([]events.Event, error) {
	if limit <= 0 {
		return nil, nil
	}
	err := checkSubject(subject)
	var es []events.Event
	if err == nil {
		err = l.rangeAll(ctx, events.StreamOf(subject), []string{subject}, max(from, 1), 1<<63, limit, func(e events.Event) error {
			if es = append(es, e); len(es) == limit {
				return errEnough
			}
			return nil
		})
	}
	if err != nil {
		return nil, fmt.Errorf("tail of %s from %d: %w", subject, from, err)
	}
	return es, nil
}

// rangeDirect reads in batches of size. There is one filter at most. A range
// that proves long goes on with a consumer.
func (l *Log) rangeDirect(ctx context.Context, stream string, filters []string, from, to uint64, size int, f func(events.Event) error) error {
	filter := ""
	if len(filters) > 0 {
		filter = filters[0]
	}
	err := l.rangeStored(ctx, stream, filter, from, to, size, rangeBatches, func(s stored) error {
		e, err := s.event()
		if err != nil {
			l.skip(stream, s.subject, s.seq, err)
			return nil
		}
		return f(e)
	})
	var long *longRange
	if errors.As(err, &long) {
		return l.rangeConsumer(ctx, stream, filters, long.next, to, f)
	}
	return enough(err)
}

// longRange ends rangeStored when its batches are used up.
type longRange struct{ next uint64 }

func (r *longRange) Error() string { return fmt.Sprintf("there is more at %d", r.next) }

// rangeStored calls f with messages as they are stored; the next batch is on its
// way while f works on this one. After so many batches (0: any number) it ends
// with a longRange.
func (l *Log) rangeStored(ctx context.Context, stream, filter string, from, to uint64, size, batchesMost int, f func(stored) error) error {
	size = min(size, rangeBatch)
	b, err := l.newBatcher(stream, 2*rangeBatch)
	if err != nil {
		return translate(err)
	}
	defer b.close()
	ask := func(next uint64) error {
		n := uint64(size)
		if filter == "" {
			n = min(n, to-next+1)
		}
		return translate(b.ask(getRequest{Seq: next, NextFor: storedFilter(filter), Batch: int(n)}))
	}
	if err := ask(from); err != nil {
		return err
	}
	for next, batches := from, 1; ; batches++ {
		batch, left, err := b.collect(ctx, size)
		if err != nil {
			return err
		}
		begin := next
		if n := len(batch); n > 0 {
			next = batch[n-1].seq + 1
			if batch[0].seq != begin || next-begin != uint64(n) { // gaps: other subjects, or what was taken away
				if err := l.untouched(ctx, stream, begin); err != nil {
					return err
				}
			}
		}
		enoughBatches := batchesMost > 0 && batches >= batchesMost
		asked := left > 0 && next <= to && !enoughBatches
		if asked {
			if err := ask(next); err != nil {
				return err
			}
		}
		for _, s := range batch {
			if s.seq > to {
				return nil
			}
			if err := f(s); err != nil {
				return err
			}
		}
		if next > to {
			return nil
		}
		if enoughBatches && left > 0 {
			return &longRange{next}
		}
		if !asked {
			more, err := l.moreThan(ctx, stream, filter, next, to)
			if err == nil && !more {
				err = l.untouched(ctx, stream, next)
			}
			if err != nil || !more {
				return err
			}
			if err := ask(next); err != nil {
				return err
			}
		}
	}
}

func enough(err error) error {
	if errors.Is(err, errEnough) {
		return nil
	}
	return err
}

// collect reads one answer to its end.
func (b *batcher) collect(ctx context.Context, size int) (batch []stored, left uint64, err error) {
	ctx, cancel := context.WithTimeout(ctx, b.l.timeout)
	defer cancel()
	batch = make([]stored, 0, size)
	for {
		s, more, left, err := b.next(ctx)
		if err != nil || !more {
			return batch, left, err
		}
		batch = append(batch, s)
	}
}

// moreThan asks the leader whether a matching event in [next, to] exists that a
// replica did not have, and gives the replica a moment if so.
func (l *Log) moreThan(ctx context.Context, stream, filter string, next, to uint64) (bool, error) {
	if filter == "" {
		filter = ">"
	}
	s, ok, err := l.leader(ctx, stream, getRequest{Seq: next, NextFor: storedFilter(filter)})
	if err != nil || !ok || s.seq > to {
		return false, err
	}
	select {
	case <-ctx.Done():
		return false, translate(ctx.Err())
	case <-time.After(5 * time.Millisecond):
		return true, nil
	}
}

// rangeConsumer reads through an ordered consumer.
func (l *Log) rangeConsumer(ctx context.Context, stream string, filters []string, from, to uint64, f func(events.Event) error) error {
	o := l.newOrdered(stream, filters, from)
	o.drain = true
	defer o.close()
	if err := o.open(ctx); err != nil {
		return err
	}
	for o.pending > 0 && o.next <= to {
		next := o.next
		es, err := o.read(ctx, followBatch)
		if err == nil && !dense(next, es) {
			err = l.untouched(ctx, stream, next)
		}
		if err != nil {
			return err
		}
		for _, e := range es {
			if e.Sequence > to {
				return nil
			}
			if err := f(e); err != nil {
				return enough(err)
			}
		}
	}
	if o.next > to {
		return nil
	}
	if len(filters) == 0 {
		filters = []string{">"}
	}
	for _, filter := range filters { // what the consumer's replica did not have yet
		if more, err := l.moreThan(ctx, stream, filter, o.next, to); err != nil {
			return err
		} else if more {
			return l.rangeConsumer(ctx, stream, filters, o.next, to, f)
		}
	}
	return l.untouched(ctx, stream, o.next)
}

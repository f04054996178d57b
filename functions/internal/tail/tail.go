// Package tail completes what a view tells with what the log holds beyond it,
// so that callers read their own writes while a view lags.
//
// The order of reading is what makes it sound: first [View.Position], then the
// view, then [View.After]. Whatever the view's consumer had acknowledged when it
// was asked is in the view, everything later comes from the log, and what is in
// both is one record, because it is keyed by its id. Where the position says that
// the view was whole, what was accepted before the query began is in it, and the
// log need not be read at all.
//
// A rebuild keeps to that: it fills another generation of the view, and readers
// change over when that has all that was acknowledged. Who drops a live view's
// content resets its consumer first, and waits for queries that know the old
// position to end (seconds), or they find holes.
//
// The tail is bounded ([MaxEvents], [MaxBytes]). Where it is longer, the reader
// learns up to which sequence nothing is missing and must not show anything
// later, or must fail with [Behind].
package tail

import (
	"context"
	"fmt"
	"math"

	"github.com/chat-platform/chat/events"
)

// Bounds of what one query reads of the log. They are reached only while a view
// is being rebuilt or its writer is down.
const (
	MaxEvents = 2_000
	MaxBytes  = 16 << 20
)

// Everything is the sequence up to which a tail is whole when the log holds no
// more of it.
const Everything = uint64(math.MaxUint64)

// step is how many events one request to the log asks for.
const step = 256

// Log is what completing needs of the log.
type Log interface {
	// Position is the sequence up to which the consumer has acknowledged all (0
	// where there is none), and the stream's last as of just before.
	Position(ctx context.Context, stream, consumer string) (applied, last uint64, err error)
	// Tail gives the events of one subject filter with a sequence ≥ from, in
	// order, at most limit; fewer only where there are no more.
	Tail(ctx context.Context, subject string, from uint64, limit int) ([]events.Event, error)
}

// View is a view's place in the log.
type View struct {
	log              Log
	stream, consumer string
}

// Of names the view that a durable consumer of a stream feeds.
func Of(log Log, stream, consumer string) View {
	return View{log: log, stream: stream, consumer: consumer}
}

// Position is where a view stands.
type Position struct {
	Applied uint64 // the view holds everything up to this sequence
	Whole   bool   // and the log held nothing more
}

// Position asks where the view stands.
func (v View) Position(ctx context.Context) (Position, error) {
	applied, last, err := v.log.Position(ctx, v.stream, v.consumer)
	if err != nil {
		return Position{}, fmt.Errorf("position of %s: %w", v.consumer, err)
	}
	return Position{applied, applied >= last}, nil
}

// After gives the events of a subject filter with a sequence above the given
// one, in order, and the sequence up to which nothing is missing: [Everything],
// unless enough (which may be nil) stopped the reading after an event or the
// bounds did. One request where there is nothing or little.
func (v View) After(ctx context.Context, subject string, after uint64, enough func(events.Event) bool) (es []events.Event, to uint64, err error) {
	bytes := 0
	for {
		part, err := v.log.Tail(ctx, subject, after+1, step)
		if err != nil {
			return nil, 0, fmt.Errorf("tail of %s after %d: %w", subject, after, err)
		}
		for i, e := range part {
			es = append(es, e)
			bytes += len(e.Data)
			last := i == len(part)-1 && len(part) < step
			if !last && (enough != nil && enough(e) || len(es) >= MaxEvents || bytes >= MaxBytes) {
				return es, e.Sequence, nil
			}
			after = e.Sequence
		}
		if len(part) < step {
			return es, Everything, nil
		}
	}
}

// Behind is the error of a query that a bounded tail cannot complete: an
// [events.ErrUnavailable] that asks to try again.
func (v View) Behind() error {
	return events.NewFault(events.ErrUnavailable, "view_behind", "",
		"%s is too far behind the log to answer this without a gap, try again shortly", v.consumer)
}

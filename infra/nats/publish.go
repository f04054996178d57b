package nats

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/chat-platform/chat/events"
)

// Publish stores an event and returns the log's receipt: about 25 µs in
// process; calls at the same time share the connection's writes. Where the
// error is events.ErrUnavailable the event may or may not be stored: publish it
// again with the same id.
func (l *Log) Publish(ctx context.Context, e events.Event) (events.Ack, error) {
	return l.publish(ctx, e, nil)
}

// PublishExpecting stores an event if the last one of its subject has the
// sequence lastSeq (0: there is none yet); otherwise the error is of kind
// events.ErrConflict. Where the last one has this event's id the publish is a
// repetition, whenever it comes, and its receipt is the original's.
func (l *Log) PublishExpecting(ctx context.Context, e events.Event, lastSeq uint64) (events.Ack, error) {
	return l.publish(ctx, e, &lastSeq)
}

func (l *Log) publish(ctx context.Context, e events.Event, expect *uint64) (events.Ack, error) {
	start := time.Now()
	m, err := l.prepare(ctx, e, expect)
	var ack events.Ack
	if err == nil {
		ack, err = l.publishMsg(ctx, m)
	}
	if err != nil && expect != nil {
		ack, err = l.repeated(ctx, e, err)
	}
	l.metrics.published(start, err)
	if err != nil {
		return events.Ack{}, failedPublish(e, err)
	}
	return ack, nil
}

func (l *Log) publishMsg(ctx context.Context, m *nats.Msg) (events.Ack, error) {
	w, err := l.pub.send(m)
	if err != nil {
		return events.Ack{}, err
	}
	return l.pub.wait(ctx, w)
}

func (l *Log) prepare(ctx context.Context, e events.Event, expect *uint64) (*nats.Msg, error) {
	m, err := l.message(ctx, e)
	if err == nil && expect != nil {
		m.Header[jetstream.ExpectedLastSubjSeqHeader] = []string{strconv.FormatUint(*expect, 10)}
		if f := storedFilter(e.Subject); f != e.Subject && l.divided.Load() { // the last one may lie in another partition
			m.Header[jetstream.ExpectedLastSubjSeqSubjHeader] = []string{f}
		}
	}
	return m, err
}

// repeated turns a conflict with the event itself into a receipt: the server
// compares sequences before it looks for duplicates.
func (l *Log) repeated(ctx context.Context, e events.Event, err error) (events.Ack, error) {
	if !errors.Is(translate(err), events.ErrConflict) {
		return events.Ack{}, err
	}
	last, lerr := l.LastConfirmed(ctx, e.Subject)
	if lerr != nil || last.ID != e.ID {
		return events.Ack{}, err
	}
	return events.Ack{Stream: events.StreamOf(e.Subject), Seq: last.Sequence, Duplicate: true}, nil
}

func failedPublish(e events.Event, err error) error {
	return fmt.Errorf("publish %s to %s: %w", e.ID, e.Subject, translate(err))
}

// publishWindow is how many publishes of one PublishAll wait at once.
const publishWindow = 1024

// PublishAll stores events in their order, pipelined, and waits for all
// receipts. errs[i] is nil where es[i] is stored; expect, if not nil, says for
// each what PublishExpecting would. An invalid or conflicting event does not
// keep the others from being stored; but from the first one on that found the
// log unavailable no further one is sent, so that a repetition keeps the order
// of what had not got through.
func (l *Log) PublishAll(ctx context.Context, es []events.Event, expect []uint64) (acks []events.Ack, errs []error) {
	acks, errs = make([]events.Ack, len(es)), make([]error, len(es))
	waits := make([]*publish, len(es))
	var down error
	settle := func(i int) {
		w := waits[i]
		if w == nil {
			return
		}
		sent := w.sent
		ack, err := l.pub.wait(ctx, w)
		if err != nil && expect != nil {
			ack, err = l.repeated(ctx, es[i], err)
		}
		l.metrics.published(sent, err)
		if err != nil {
			errs[i] = failedPublish(es[i], err)
			if errors.Is(errs[i], events.ErrUnavailable) || ctx.Err() != nil {
				down = err
			}
			return
		}
		acks[i] = ack
	}
	for i, e := range es {
		if i >= publishWindow {
			settle(i - publishWindow)
		}
		if down != nil {
			errs[i] = failedPublish(e, down)
			continue
		}
		var want *uint64
		if expect != nil {
			want = &expect[i]
		}
		m, err := l.prepare(ctx, e, want)
		if err == nil {
			waits[i], err = l.pub.send(m)
		}
		if err != nil {
			errs[i] = failedPublish(e, err)
			if errors.Is(errs[i], events.ErrUnavailable) {
				down = err
			}
		}
	}
	for i := max(0, len(es)-publishWindow); i < len(es); i++ {
		settle(i)
	}
	return acks, errs
}

package nats

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nuid"

	"github.com/chat-platform/chat/events"
)

// ordered reads a stream in order and without a hole: a consumer that lives as
// long as nothing is lost, and is made anew from the next sequence when
// anything is (the connection, the consumer, a message).
type ordered struct {
	l       *Log
	stream  string
	filters []string
	since   time.Time // where to begin while next is 0
	next    uint64    // sequence from which on nothing has been read yet
	last    uint64    // of the stream, when the consumer was made
	pending uint64    // that the consumer has not delivered yet, as far as it is known
	created time.Time
	seen    bool // something has been read
	drain   bool // read returns, with nothing, once nothing is pending

	name  string
	pull  *puller
	count uint64 // last consumer sequence
	again <-chan struct{}
}

// followBatch bounds what Follow hands over at once; twice as much is asked for.
const followBatch = 500

// newOrdered reads from the given sequence on, or only what comes later if it
// is 0.
func (l *Log) newOrdered(stream string, filters []string, from uint64) *ordered {
	return &ordered{l: l, stream: stream, filters: storedFilters(filters), next: from}
}

func (o *ordered) close() {
	if o.pull == nil {
		return
	}
	o.pull.close()
	o.pull = nil
	if !o.l.nc.IsConnected() {
		return // the server forgets it by itself
	}
	// Nobody waits for the answer.
	_ = o.l.nc.Publish("$JS.API.CONSUMER.DELETE."+o.stream+"."+o.name, nil)
}

// open makes the consumer, once.
func (o *ordered) open(ctx context.Context) error {
	o.close()
	o.again = o.l.reconnect()
	info, err := o.l.streamInfo(ctx, o.stream)
	if err != nil {
		return err
	}
	if o.created.IsZero() {
		o.created = info.Created
		if o.next == 0 && o.since.IsZero() {
			o.next = info.State.LastSeq + 1
		}
	} else if !o.created.Equal(info.Created) || info.State.LastSeq+1 < o.next && o.seen {
		return fmt.Errorf("%w: %s", ErrOtherLog, o.stream)
	}
	o.last = info.State.LastSeq
	if info.State.LastTime.Before(o.since) {
		o.last = 0 // nothing is there yet that is young enough
	}
	ctx, cancel := o.l.bounded(ctx)
	defer cancel()
	o.name = "ordered_" + nuid.Next()
	cfg := jetstream.ConsumerConfig{
		Name: o.name, FilterSubjects: o.filters, AckPolicy: jetstream.AckNonePolicy,
		DeliverPolicy: jetstream.DeliverByStartSequencePolicy, OptStartSeq: o.next,
		MemoryStorage: true, Replicas: 1, InactiveThreshold: time.Minute, MaxDeliver: 1,
	}
	if o.next == 0 {
		cfg.DeliverPolicy, cfg.OptStartSeq, cfg.OptStartTime = jetstream.DeliverByStartTimePolicy, 0, &o.since
	}
	c, err := o.l.js.CreateConsumer(ctx, o.stream, cfg)
	if err != nil {
		return fmt.Errorf("consumer of %s: %w", o.stream, translate(err))
	}
	o.pending = c.CachedInfo().NumPending
	o.count = 0
	if o.pull, err = o.l.newPuller(o.stream, o.name, 2*followBatch); err != nil {
		return translate(err)
	}
	return nil
}

// reopen makes the consumer anew, for as long as it takes.
func (o *ordered) reopen(ctx context.Context) error {
	for wait := 20 * time.Millisecond; ; wait = min(2*wait, 2*time.Second) {
		err := o.open(ctx)
		if err == nil || errors.Is(err, ErrOtherLog) {
			return err
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		o.l.log.Warn("log: cannot follow the stream, will try again", "stream", o.stream, "next", o.next, "error", err)
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-o.l.reconnect():
		case <-time.After(wait/2 + rand.N(wait)):
		}
	}
}

// read waits for events and returns up to most that are there.
func (o *ordered) read(ctx context.Context, most int) ([]events.Event, error) {
	alive := time.NewTicker(pullHeartbeat)
	defer alive.Stop()
	var es []events.Event
	for {
		var lost error
		if o.pull == nil {
			lost = errGone
		} else {
			lost = o.pull.ensure(2 * followBatch)
		}
		if lost == nil {
			select {
			case <-ctx.Done():
				return nil, ctx.Err()
			case <-o.again:
				lost = nats.ErrDisconnected
			case <-alive.C:
				if o.pull.owed > 0 && time.Since(o.pull.heard) > pullSilence {
					lost = errGone
				}
			case m := <-o.pull.msgs:
				es, lost = o.take(es, m)
			}
		}
		for lost == nil && len(es) > 0 && len(es) < most {
			select {
			case m := <-o.pull.msgs:
				es, lost = o.take(es, m)
				continue
			default:
			}
			break
		}
		if lost != nil && len(es) == 0 {
			if err := o.reopen(ctx); err != nil {
				return nil, err
			}
			continue
		}
		if lost != nil {
			o.close() // the next read makes it anew
		}
		if len(es) > 0 {
			return es, nil
		}
		if o.pending == 0 && o.drain {
			return nil, nil
		}
	}
}

func (o *ordered) take(es []events.Event, m *nats.Msg) ([]events.Event, error) {
	ok, err := o.pull.take(m)
	if err != nil || !ok {
		return es, err
	}
	d, err := parseDelivery(m.Reply)
	if err != nil {
		return es, err
	}
	if d.consumerSeq != o.count+1 {
		return es, fmt.Errorf("delivery %d follows %d", d.consumerSeq, o.count)
	}
	o.count, o.next, o.pending, o.seen = d.consumerSeq, d.seq+1, d.pending, true
	subject := plainSubject(m.Subject)
	e, err := event(m.Header, m.Data, subject, d.seq)
	if err != nil {
		o.l.skip(o.stream, subject, d.seq, err)
		return es, nil
	}
	return append(es, e), nil
}

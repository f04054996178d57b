package nats

import (
	"context"
	"fmt"

	"github.com/nats-io/nats.go"
)

// Bus is core messaging between processes: nothing is stored, a message reaches
// whoever listens at that moment, or nobody.
type Bus struct{ l *Log }

// Bus uses the log's connection.
func (l *Log) Bus() *Bus { return &Bus{l} }

// BusMessage is a message that came.
type BusMessage struct {
	Subject string
	Data    []byte
	msg     *nats.Msg
}

// Respond answers a request; an error if the message is not one.
func (m BusMessage) Respond(data []byte) error {
	if err := m.msg.Respond(data); err != nil {
		return fmt.Errorf("answer to %s: %w", m.Subject, translate(err))
	}
	return nil
}

// Publish sends without waiting. Messages of one Bus to one subject keep their
// order.
func (b *Bus) Publish(subject string, data []byte) error {
	if err := b.l.nc.Publish(subject, data); err != nil {
		return fmt.Errorf("publish to %s: %w", subject, translate(err))
	}
	return nil
}

// Subscribe calls f with the messages of a subject, one after the other in a
// goroutine of their own, until unsubscribe is called; with a queue, each
// message goes to one of its members. It outlives reconnects, messages in
// between are lost. When f is slow, up to 512 Ki messages or 64 MiB wait, then
// further ones are dropped.
func (b *Bus) Subscribe(subject, queue string, f func(BusMessage)) (unsubscribe func(), err error) {
	sub, err := b.l.nc.QueueSubscribe(subject, queue, func(m *nats.Msg) {
		f(BusMessage{Subject: m.Subject, Data: m.Data, msg: m})
	})
	if err != nil {
		return nil, fmt.Errorf("subscribe to %s: %w", subject, translate(err))
	}
	return func() { _ = sub.Unsubscribe() }, nil // fails only where it is over already
}

// Request sends and waits for the first answer; events.ErrUnavailable where
// nobody listens or none comes in time (Config.RequestTimeout if ctx has no end).
func (b *Bus) Request(ctx context.Context, subject string, data []byte) ([]byte, error) {
	ctx, cancel := b.l.bounded(ctx)
	defer cancel()
	m, err := b.l.nc.RequestWithContext(ctx, subject, data)
	if err != nil {
		return nil, fmt.Errorf("request to %s: %w", subject, translate(err))
	}
	return m.Data, nil
}

// Flush waits until the server has everything sent so far, subscriptions too.
func (b *Bus) Flush(ctx context.Context) error {
	ctx, cancel := b.l.bounded(ctx)
	defer cancel()
	if err := b.l.nc.FlushWithContext(ctx); err != nil {
		return fmt.Errorf("flush: %w", translate(err))
	}
	return nil
}

// Subscriptions is how many subscriptions the connection holds, those of the
// log included.
func (b *Bus) Subscriptions() int { return b.l.nc.NumSubscriptions() }

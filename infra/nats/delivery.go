package nats

import (
	"context"
	"fmt"
	"maps"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/chat-platform/chat/events"
)

// Delivery is one event handed out by a Consumer, until one of Ack, Nak and
// Terminate gives it back. These send and do not wait: one that gets lost shows
// as another delivery after AckWait.
type Delivery struct {
	Event    events.Event
	Err      error // why it is not a CloudEvent, of kind events.ErrInvalid; Event is empty then
	Subject  string
	Header   map[string][]string
	Data     []byte
	Stream   string
	Consumer string
	Sequence uint64
	Attempt  int // 1 the first time, also counting attempts of other processes

	nc      *nats.Conn
	reply   string
	durable string // on the server, for its partition
}

func (d *Delivery) respond(b []byte) error {
	if err := d.nc.Publish(d.reply, b); err != nil {
		return fmt.Errorf("%s of %d of %s: %w", b, d.Sequence, d.Stream, translate(err))
	}
	return nil
}

// Ack says that the event's effect is durable.
func (d *Delivery) Ack() error { return d.respond([]byte("+ACK")) }

// Nak asks for another delivery after delay.
func (d *Delivery) Nak(delay time.Duration) error {
	if delay <= 0 {
		return d.respond([]byte("-NAK"))
	}
	return d.respond(fmt.Appendf(nil, `-NAK {"delay": %d}`, delay.Nanoseconds()))
}

// InProgress begins AckWait anew.
func (d *Delivery) InProgress() error { return d.respond([]byte("+WPI")) }

// Terminate gives the event up: it is not delivered again. The server publishes
// the reason as an advisory.
func (d *Delivery) Terminate(reason string) error {
	return d.respond([]byte("+TERM " + strings.Map(printable, reason)))
}

// Headers that a dead letter has in addition to those of the event.
const (
	HeaderDeadReason   = "dead-reason"
	HeaderDeadStatus   = "dead-status"
	HeaderDeadAttempts = "dead-attempts"
	HeaderDeadStream   = "dead-stream"
	HeaderDeadSubject  = "dead-subject"
	HeaderDeadSequence = "dead-sequence"
	HeaderDeadConsumer = "dead-consumer"
	HeaderDeadTime     = "dead-time"
)

// DeadReason says why an event was given up.
type DeadReason struct {
	Reason   string // a sentence for people; cut at 1 KiB
	Status   int    // of the sink's last answer, 0 if there was none
	Attempts int
}

// PublishDead stores an event as it came, with the reason in its headers, in the
// dead letters of its consumer, and waits for the receipt. The same event of the
// same consumer is stored once within the de-duplication window.
func (l *Log) PublishDead(ctx context.Context, d *Delivery, why DeadReason) error {
	h := make(nats.Header, len(d.Header)+9)
	for k, v := range d.Header {
		// What tells JetStream to do something has been done.
		if !aside(k) {
			h[k] = v
		}
	}
	reason := strings.Map(printable, why.Reason)
	if len(reason) > 1024 {
		reason = strings.ToValidUTF8(reason[:1024], "") + "…"
	}
	seq := strconv.FormatUint(d.Sequence, 10)
	maps.Copy(h, nats.Header{
		HeaderDeadReason: {reason}, HeaderDeadAttempts: {strconv.Itoa(why.Attempts)},
		HeaderDeadStream: {d.Stream}, HeaderDeadSubject: {d.Subject}, HeaderDeadSequence: {seq},
		HeaderDeadConsumer: {d.Consumer}, HeaderDeadTime: {time.Now().UTC().Format(time.RFC3339Nano)},
		jetstream.MsgIDHeader: {events.EventID("dead", d.Consumer, d.Stream, seq)},
	})
	if why.Status != 0 {
		h[HeaderDeadStatus] = []string{strconv.Itoa(why.Status)}
	}
	ctx, cancel := l.bounded(ctx)
	defer cancel()
	_, err := l.publishMsg(ctx, &nats.Msg{Subject: events.DeadLetterSubject(d.Consumer), Header: h, Data: d.Data})
	if err != nil {
		return fmt.Errorf("dead letter of %d of %s for %s: %w", d.Sequence, d.Stream, d.Consumer, translate(err))
	}
	return nil
}

func printable(r rune) rune {
	if r < ' ' || r == 0x7f {
		return ' '
	}
	return r
}

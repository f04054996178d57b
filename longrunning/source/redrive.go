package source

import (
	"context"
	"fmt"
	"net/http"

	"github.com/chat-platform/chat/events"
	"github.com/chat-platform/chat/infra/nats"
)

// Refused is the error of an event that was redriven and not taken. Its dead
// letter stays. Where nobody was there it is of kind events.ErrUnavailable.
type Refused struct {
	Status int    // of the sink's answer, 0 if there was none
	Reason string // the sink's problem, or what hindered the request
}

func (r *Refused) Error() string {
	if r.Status == 0 {
		return "the sink does not answer: " + r.Reason
	}
	return fmt.Sprintf("the sink refused it with %d: %s", r.Status, r.Reason)
}

// Unwrap gives the kind.
func (r *Refused) Unwrap() error {
	switch decide(r.Status) {
	case outage:
		return events.ErrUnavailable
	case bury:
		return events.ErrInvalid
	default:
		return events.ErrConflict
	}
}

// Redrive hands the event of a dead letter to the sink once more, just as Run
// would: alone, with the sequence that it has in its stream, so that the sink
// decides by it as it would have then, and no other consumer sees it again. It
// comes behind events that were later in the log. The letter is discarded after
// the sink's 2xx and at no other time; a crash between the two leaves it, and a
// second redrive does no harm, as sinks take every event twice.
//
// A [*Refused] says that the sink did not take it. A letter of another consumer
// or stream, or one that holds no CloudEvent, is of kind events.ErrInvalid. Any
// number of calls may run beside Run.
func (s *Source) Redrive(ctx context.Context, letter nats.DeadLetter) error {
	if err := s.redrive(ctx, letter); err != nil {
		return fmt.Errorf("redrive dead letter %d: %w", letter.Sequence, err)
	}
	s.metrics.redriven.Inc()
	s.logger.Info("source: dead letter redriven", "letter", letter.Sequence, "event", letter.Event.ID, "stream", letter.Stream, "sequence", letter.OriginalSequence)
	return nil
}

func (s *Source) redrive(ctx context.Context, letter nats.DeadLetter) error {
	switch {
	case letter.Consumer != s.cfg.Consumer || letter.Stream != s.cfg.Stream:
		return events.Invalid("other_consumer", "consumer", "it is of the consumer %q of %q, and this sink is that of %q of %q",
			letter.Consumer, letter.Stream, s.cfg.Consumer, s.cfg.Stream)
	case letter.Err != nil:
		return events.Invalid("not_a_cloudevent", "", "it holds no CloudEvent, which no sink takes: %v", letter.Err)
	case letter.OriginalSequence == 0:
		return events.Invalid("sequence_unknown", "", "it does not say where in %s the event lies", letter.Stream)
	}
	e := letter.Event
	e.Sequence = letter.OriginalSequence
	a := s.sink.post(ctx, []*item{{d: &nats.Delivery{Event: e, Subject: letter.Subject, Header: letter.Header, Data: letter.Data,
		Stream: letter.Stream, Consumer: letter.Consumer, Sequence: letter.OriginalSequence}}})
	if decide(a.status) != accept {
		if a.reason == "" {
			a.reason = http.StatusText(a.status)
		}
		return &Refused{Status: a.status, Reason: a.reason}
	}
	if err := s.log.Discard(ctx, letter.Sequence); err != nil {
		return fmt.Errorf("the sink has taken it, but %w", err)
	}
	return nil
}

// Package records reads what views hold out of the log's events, for writers a
// batch at a time and for queries one by one.
//
// A batch is read whole before anything is written: if an event in it can never
// be accepted, the error is [events.Faults] (of kind [events.ErrInvalid]) with
// one fault for each such event, by its index in the batch and with its id in
// the text, so that the source can cut the culprits out and write the rest.
//
// An event is refused if it has no sequence (the sequence decides who wins, so
// a write without one could never be ordered), if its payload is not valid, or
// if its subject names something else than its payload does. An event of
// another type is skipped, not refused, as long as its subject belongs to the
// stream that the writer reads: the log may carry more than this view shows,
// and a writer must not send tomorrow's events to the dead letters. A subject of
// another stream means that the source is bound wrongly and is refused.
package records

import (
	"errors"

	"github.com/chat-platform/chat/events"
)

// Message reads a sent message; ok is false where the event is of another type
// of the MESSAGES stream.
func Message(e events.Event) (m events.Message, ok bool, err error) {
	if e.Type != events.TypeMessageSent {
		return m, false, foreign(e, events.StreamMessages)
	}
	if m, err = events.MessageOf(e); err != nil {
		return m, false, err
	}
	return m, true, placed(e, events.MessageSubject(m.ChannelID))
}

// Messages reads a batch of the MESSAGES stream: one record for each message
// id, the one with the lowest sequence, in the order of the batch.
func Messages(batch []events.Event) ([]events.Message, error) {
	out := make([]events.Message, 0, len(batch))
	at := make(map[events.MessageID]int, len(batch))
	var faults events.Faults
	for i, e := range batch {
		m, ok, err := Message(e)
		if err != nil {
			faults = append(faults, fault(i, e, err))
			continue
		}
		if !ok {
			continue
		}
		if j, seen := at[m.ID]; !seen {
			at[m.ID] = len(out)
			out = append(out, m)
		} else if m.Seq < out[j].Seq {
			out[j] = m
		}
	}
	if faults != nil {
		return nil, faults
	}
	return out, nil
}

// foreign judges an event of a type that the view does not show.
func foreign(e events.Event, stream string) error {
	if events.StreamOf(e.Subject) == stream {
		return nil
	}
	return events.Invalid("unexpected_event", "subject", "subject %q of type %q does not belong to the stream %s", e.Subject, e.Type, stream)
}

// placed checks what the log says about an event: its sequence, and its
// subject, which events made by hand may leave out.
func placed(e events.Event, subject string) error {
	if e.Sequence == 0 {
		return events.Invalid("missing_sequence", "sequence", "the event has no sequence, and without one no view can order it")
	}
	if e.Subject != "" && e.Subject != subject {
		return events.Invalid("subject_mismatch", "subject", "subject is %q, but the payload belongs to %q", e.Subject, subject)
	}
	return nil
}

func fault(i int, e events.Event, err error) events.ItemFault {
	code, field := "invalid_event", "data"
	if f := (*events.Fault)(nil); errors.As(err, &f) {
		code, field = f.Code, f.Field
	}
	return events.ItemFault{Index: i, Fault: events.Invalid(code, field, "event %s (sequence %d): %v", e.ID, e.Sequence, err)}
}

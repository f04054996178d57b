package frontdoor

import (
	"fmt"
	"net/http"
	"time"

	"github.com/chat-platform/chat/events"
)

// commands runs the events of a request as commands, one after the other, and
// answers in the mode of the request. One event's error is the request's; in a
// batch it becomes an answer of its own, an event of type <Type>.problem, so
// that the other commands' effects are told too.
func (x *exchange) commands() error {
	caller, err := x.authenticate(x.r.Header)
	if err != nil {
		return err
	}
	in, err := x.read()
	if err != nil {
		return err
	}
	if x.mode != modeBatch {
		out, err := x.command(caller, in[0])
		if err != nil {
			return err
		}
		return x.answerEvent(out)
	}
	if len(in) > MaxCommandBatch {
		return events.NewFault(events.ErrTooLarge, "batch_too_large", "", "the batch holds %d commands, at most %d are taken", len(in), MaxCommandBatch)
	}
	out := make([]events.Event, len(in))
	for i, e := range in {
		if out[i], err = x.command(caller, e); err == nil {
			continue
		}
		p := ProblemOf(x.id, err)
		if p.Status >= http.StatusInternalServerError {
			x.logItem(e, p.Status, err)
		}
		if out[i], err = x.reply(e, "problem", p); err != nil {
			return err
		}
	}
	return x.answerBatch(out)
}

// command runs one event and gives the answer as an event.
func (x *exchange) command(caller events.Caller, e events.Event) (events.Event, error) {
	if !x.f.accepts(e.Type) {
		return events.Event{}, x.f.wrongType(e)
	}
	outer := x.ctx
	x.ctx = withDelivery(outer, e)
	defer func() { x.ctx = outer }()
	answer, err := x.invoke(caller, eventInput(e.Data))
	if err != nil {
		return events.Event{}, err
	}
	return x.reply(e, "answer", answer)
}

// eventInput fills a request from a CloudEvent's data.
type eventInput []byte

func (in eventInput) fill(req any) error { return decodeObject(in, req) }

// reply makes the event that answers e. The same event answered twice gives two
// answers of one id.
func (x *exchange) reply(e events.Event, kind string, data any) (events.Event, error) {
	enc := getEncoder()
	defer enc.put()
	if err := enc.encode(data); err != nil {
		return events.Event{}, fmt.Errorf("encode the answer of %s to %s: %w", x.f.spec.Name, e.ID, err)
	}
	b := enc.buf.Bytes()
	typ := x.f.spec.Type + "." + kind
	return events.Event{
		ID: events.EventID(typ, e.Source, e.ID), Source: x.f.source, Type: typ,
		Subject: e.Subject, Time: time.Now().UTC(), PartitionKey: e.PartitionKey, TraceParent: TraceParent(x.ctx),
		Data: append([]byte(nil), b[:len(b)-1]...), // without the encoder's line feed
	}, nil
}

func (x *exchange) answerEvent(e events.Event) error {
	enc := getEncoder()
	defer enc.put()
	if x.mode == modeBinary {
		h := x.w.Header()
		for name, values := range e.Header() {
			if key, known := canonical[name]; known {
				h[key] = values
			}
		}
		enc.buf.Write(e.Data)
		return x.answer(enc, http.StatusOK, contentJSON)
	}
	b, err := e.AppendJSON(enc.buf.AvailableBuffer())
	if err != nil {
		return err
	}
	enc.buf.Write(b)
	return x.answer(enc, http.StatusOK, contentStructured)
}

func (x *exchange) answerBatch(es []events.Event) error {
	enc := getEncoder()
	defer enc.put()
	b, err := events.AppendBatch(enc.buf.AvailableBuffer(), es)
	if err != nil {
		return err
	}
	enc.buf.Write(b)
	return x.answer(enc, http.StatusOK, contentBatch)
}

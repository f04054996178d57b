package frontdoor

import (
	"net/http"
	"strings"

	"github.com/chat-platform/chat/events"
)

func (f *Function) serveEvents(w http.ResponseWriter, r *http.Request) {
	m := modeOf(r.Header)
	answer := (*exchange).commands
	switch {
	case m == modeUnknown:
		answer = (*exchange).noEvent
	case f.write != nil:
		answer = (*exchange).written
	}
	f.serve(w, r, m, answer)
}

// modeOf tells the form of a CloudEvents request by its headers.
func modeOf(h http.Header) mode {
	t := ""
	if v := h["Content-Type"]; len(v) > 0 {
		t = v[0]
	}
	switch t {
	case events.ContentTypeBatch:
		return modeBatch
	case events.ContentTypeStructured:
		return modeStructured
	case events.ContentTypeJSON:
	case "":
	default:
		m, ok := mediaType(t)
		switch {
		case !ok:
			return modeUnknown
		case m == events.ContentTypeBatch:
			return modeBatch
		case m == events.ContentTypeStructured:
			return modeStructured
		case m != events.ContentTypeJSON && !strings.HasSuffix(m, "+json"):
			return modeUnknown
		case strings.HasPrefix(m, "application/cloudevents"):
			return modeUnknown
		}
	}
	if len(h["Ce-Specversion"]) > 0 {
		return modeBinary
	}
	return modeUnknown
}

func (x *exchange) noEvent() error {
	return events.NewFault(events.ErrUnsupported, "not_a_cloudevent", "",
		"the request is no CloudEvent: Content-Type %q and no header ce-specversion; expected JSON in binary mode, %q or %q",
		clip(x.r.Header.Get("Content-Type")), events.ContentTypeStructured, events.ContentTypeBatch)
}

// read gives the request's events, each one valid. They share one body, which is
// theirs from now on.
func (x *exchange) read() (es []events.Event, err error) {
	body, err := x.readBody(nil)
	if err != nil {
		return nil, err
	}
	switch x.mode {
	case modeBatch:
		es, err = events.ParseBatch(body)
	case modeStructured:
		es = make([]events.Event, 1)
		es[0], err = events.ParseJSON(body)
	default:
		es = make([]events.Event, 1)
		es[0], err = events.FromHeader(headerGetter(x.r.Header), body)
	}
	if err != nil {
		return nil, err
	}
	x.events = len(es)
	if x.mode != modeBinary { // whose trace the span continues
		link(x.span, es)
	}
	return es, nil
}

// canonical are the header names of the events package as net/http holds them.
var canonical = func() map[string]string {
	m := map[string]string{}
	for name := range (events.Event{Subject: "s", PartitionKey: "p", TraceParent: "t", Sequence: 1}).Header() {
		m[name] = http.CanonicalHeaderKey(name)
	}
	m["ce-time"] = "Ce-Time"
	return m
}()

func headerGetter(h http.Header) func(string) string {
	return func(name string) string {
		key, known := canonical[name]
		if !known {
			key = http.CanonicalHeaderKey(name)
		}
		if v := h[key]; len(v) > 0 {
			return v[0]
		}
		return ""
	}
}

// written hands the events to a writer and answers 200 without a body.
func (x *exchange) written() error {
	batch, err := x.read()
	if err != nil {
		return err
	}
	if err := x.f.check(batch); err != nil {
		return err
	}
	if err := x.f.write(x.ctx, batch); err != nil {
		return err
	}
	return x.answerEmpty(http.StatusOK)
}

// check refuses events of types that the writer does not take.
func (f *Function) check(batch []events.Event) error {
	var faults events.Faults
	for i, e := range batch {
		if !f.accepts(e.Type) {
			faults = append(faults, events.ItemFault{Index: i, Fault: f.wrongType(e)})
		}
	}
	if len(faults) > 0 {
		return faults
	}
	return nil
}

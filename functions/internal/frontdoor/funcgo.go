package frontdoor

import (
	"context"
	"fmt"
	"net/http"
	"time"

	cloudevents "github.com/cloudevents/sdk-go/v2/event"
	cehttp "github.com/cloudevents/sdk-go/v2/protocol/http"
	"github.com/cloudevents/sdk-go/v2/types"

	"github.com/chat-platform/chat/events"
)

// Handle is the function in func-go's form, for those who serve it with their
// own receiver. It runs within the same limits as a request to the function's
// own routes. A command finds its token in the request's headers, where the
// receiver puts them into ctx ([cehttp.WithRequestDataAtContext]). An error is a
// [cehttp.Result] with the status of [StatusOf]; a writer answers nothing.
func (f *Function) Handle(ctx context.Context, in cloudevents.Event) (*cloudevents.Event, error) {
	header := http.Header{}
	if d := cehttp.RequestDataFromContext(ctx); d != nil && d.Header != nil {
		header = d.Header
	}
	x := &exchange{f: f, parent: ctx, mode: modeFunc, id: requestID(header), begin: time.Now()}
	var out *cloudevents.Event
	err := x.run(func(x *exchange) (err error) {
		out, err = x.handle(header, in)
		if err == nil {
			x.status = http.StatusOK
		}
		return err
	})
	x.done(err)
	if err == nil {
		return out, nil
	}
	p := ProblemOf(x.id, err)
	return nil, cehttp.NewResult(p.Status, "%s: %s", p.Code, p.Detail)
}

func (x *exchange) handle(header http.Header, in cloudevents.Event) (*cloudevents.Event, error) {
	var caller events.Caller
	var err error
	if x.f.write == nil {
		if caller, err = x.authenticate(header); err != nil {
			return nil, err
		}
	}
	e, err := fromSDK(in)
	if err != nil {
		return nil, err
	}
	batch := []events.Event{e}
	x.events = 1
	link(x.span, batch)
	if x.f.write != nil {
		if err := x.f.check(batch); err != nil {
			return nil, err
		}
		return nil, x.f.write(x.ctx, batch)
	}
	answer, err := x.command(caller, e)
	if err != nil {
		return nil, err
	}
	return toSDK(answer)
}

func fromSDK(in cloudevents.Event) (events.Event, error) {
	if in.Context == nil {
		return events.Event{}, events.Invalid("invalid_event", "", "the CloudEvent has no attributes")
	}
	e := events.Event{ID: in.ID(), Source: in.Source(), Type: in.Type(), Subject: in.Subject(), Time: in.Time(), Data: in.Data()}
	for name, value := range in.Extensions() {
		s, err := types.Format(value)
		if err != nil {
			return e, events.Invalid("invalid_event", name, "CloudEvent %q: extension %s: %v", e.ID, name, err)
		}
		switch name {
		case "partitionkey":
			e.PartitionKey = s
		case "traceparent":
			e.TraceParent = s
		case "sequence":
			if e.Sequence, err = events.ParseSequence(s); err != nil {
				return e, err
			}
		}
	}
	return e, e.Validate()
}

func toSDK(e events.Event) (*cloudevents.Event, error) {
	out := cloudevents.New()
	out.SetID(e.ID)
	out.SetSource(e.Source)
	out.SetType(e.Type)
	out.SetTime(e.Time)
	if e.Subject != "" {
		out.SetSubject(e.Subject)
	}
	if e.PartitionKey != "" {
		out.SetExtension("partitionkey", e.PartitionKey)
	}
	if e.TraceParent != "" {
		out.SetExtension("traceparent", e.TraceParent)
	}
	if err := out.SetData(events.ContentTypeJSON, e.Data); err != nil {
		return nil, fmt.Errorf("answer event %s: %w", e.ID, err)
	}
	return &out, nil
}

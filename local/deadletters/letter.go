// Package deadletters is the operators' side of the dead letters: list, show,
// redrive, discard.
//
// [Direct] works on a log and the sinks of its consumers. A running platform
// serves one on its internal listener ([Handler]), and [Remote] speaks to that;
// both are [Letters], on which [Run] carries out a command. A letter is deleted
// by Discard, and by Redrive once the sink that refused its event has taken it;
// nothing else changes or deletes one. Several people may work at once: of two
// who discard or redrive the same letter, one is told that it is gone.
package deadletters

import (
	"context"
	"encoding/json"
	"time"

	natslog "github.com/chat-platform/chat/infra/nats"
)

// Letter is a dead letter as people and programs read it.
type Letter struct {
	Seq      uint64    `json:"seq"` // its own
	Consumer string    `json:"consumer"`
	Reason   string    `json:"reason"`
	Status   int       `json:"status,omitempty"` // of the sink's last answer
	Attempts int       `json:"attempts"`
	Time     time.Time `json:"time,omitzero"`

	Stream      string `json:"stream"`
	Subject     string `json:"subject"`
	EventSeq    uint64 `json:"event_seq"` // where the event lies in its stream
	EventID     string `json:"event_id,omitempty"`
	EventType   string `json:"event_type,omitempty"`
	TraceParent string `json:"traceparent,omitempty"`
	Fault       string `json:"fault,omitempty"` // why it is not a CloudEvent

	// The content, where one letter was asked for: the CloudEvent in structured
	// mode, or what came instead of one.
	Event  json.RawMessage     `json:"event,omitempty"`
	Header map[string][]string `json:"header,omitempty"`
	Data   []byte              `json:"data_base64,omitempty"`
}

// Outcome is what became of a redrive.
type Outcome struct {
	Seq      uint64 `json:"seq"`
	Consumer string `json:"consumer"`
	Redriven bool   `json:"redriven"`         // the sink took it, the letter is gone
	Status   int    `json:"status,omitempty"` // of the sink's answer, where it did not take it
	Reason   string `json:"reason,omitempty"`
	Away     bool   `json:"away,omitempty"` // nobody was there to judge it
}

// Letters are the dead letters of a log.
type Letters interface {
	// List gives up to limit letters of a consumer ("": all) above after, oldest
	// first, without content. There are no more once none come back.
	List(ctx context.Context, consumer string, after uint64, limit int) ([]Letter, error)
	// Show is events.ErrNotFound where there is no such letter; so are the others.
	Show(ctx context.Context, seq uint64) (Letter, error)
	// Redrive fails only where nothing can be said about the event; a sink that
	// refuses it again is an Outcome.
	Redrive(ctx context.Context, seq uint64) (Outcome, error)
	Discard(ctx context.Context, seq uint64) error
}

func letter(d natslog.DeadLetter, content bool) Letter {
	l := Letter{
		Seq: d.Sequence, Consumer: d.Consumer, Reason: d.Reason, Status: d.Status, Attempts: d.Attempts, Time: d.Time,
		Stream: d.Stream, Subject: d.Subject, EventSeq: d.OriginalSequence,
		EventID: d.Event.ID, EventType: d.Event.Type, TraceParent: d.TraceParent,
	}
	if d.Err != nil {
		l.Fault = d.Err.Error()
	}
	if !content {
		return l
	}
	if d.Err == nil {
		var err error
		if l.Event, err = d.Event.AppendJSON(nil); err == nil {
			return l
		}
		l.Event, l.Fault = nil, err.Error()
	}
	l.Header, l.Data = d.Header, d.Data
	return l
}

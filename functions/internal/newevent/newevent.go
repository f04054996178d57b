// Package newevent makes the events that commands publish: one place for the
// subject, the partition key, the trace and, above all, the id of each.
//
// An event's id says which deed it is, so that a retry of a deed is the same
// event to the log's de-duplication:
//
//	message sent      the message's id, which follows from author, channel and client id
//	channel created   the channel and its creator
//	member joined     channel, user, role and the sequence of the membership's event before it
//	member left       channel, user and the sequence of the membership's event before it
//
// The sequence before keeps joining, leaving and joining again three deeds.
package newevent

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"go.opentelemetry.io/otel/propagation"

	"github.com/chat-platform/chat/events"
)

// Maker makes events of one function within one trace.
type Maker struct{ source, trace string }

// From gives the maker of a function's events; ctx tells the trace.
func From(ctx context.Context, function string) Maker {
	carrier := propagation.MapCarrier{}
	propagation.TraceContext{}.Inject(ctx, carrier)
	return Maker{source: "/functions/" + function, trace: carrier["traceparent"]}
}

// Now is the server's time as events carry it: UTC, to the millisecond.
func Now() time.Time { return time.Now().UTC().Truncate(time.Millisecond) }

// MessageEventID is the id of the event by which a message was sent.
func MessageEventID(id events.MessageID) string {
	return "evt_" + strings.TrimPrefix(string(id), "msg_")
}

// MessageSent makes the event of a message; at is when the server took it,
// which for an imported message is not when it was sent.
func (m Maker) MessageSent(p events.MessageSent, at time.Time) (events.Event, error) {
	return m.event(MessageEventID(p.ID), events.TypeMessageSent, events.MessageSubject(p.ChannelID), p.ChannelID, at, p)
}

// ChannelCreated makes the event of a new channel.
func (m Maker) ChannelCreated(p events.ChannelCreated) (events.Event, error) {
	id := events.EventID(events.TypeChannelCreated, string(p.ID), string(p.CreatedBy))
	return m.event(id, events.TypeChannelCreated, events.ChannelSubject(p.ID), p.ID, p.CreatedAt, p)
}

// MemberJoined makes the event of a membership that begins; after is the
// sequence of the membership's last event, 0 if it has none.
func (m Maker) MemberJoined(p events.MemberJoined, after uint64) (events.Event, error) {
	id := events.EventID(events.TypeMemberJoined, string(p.ChannelID), string(p.UserID), string(p.Role), strconv.FormatUint(after, 10))
	return m.event(id, events.TypeMemberJoined, events.MemberSubject(p.ChannelID, p.UserID), p.ChannelID, p.At, p)
}

// MemberLeft makes the event of a membership that ends; after is the sequence
// of the membership's last event.
func (m Maker) MemberLeft(p events.MemberLeft, after uint64) (events.Event, error) {
	id := events.EventID(events.TypeMemberLeft, string(p.ChannelID), string(p.UserID), strconv.FormatUint(after, 10))
	return m.event(id, events.TypeMemberLeft, events.MemberSubject(p.ChannelID, p.UserID), p.ChannelID, p.At, p)
}

func (m Maker) event(id, kind, subject string, channel events.ChannelID, at time.Time, payload events.Payload) (events.Event, error) {
	data, err := json.Marshal(payload)
	if err != nil {
		return events.Event{}, fmt.Errorf("encode %s %s: %w", kind, id, err)
	}
	return events.Event{
		ID: id, Source: m.source, Type: kind, Subject: subject, Time: at,
		PartitionKey: string(channel), TraceParent: m.trace, Data: data,
	}, nil
}

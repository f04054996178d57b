// Package sendmessage sends one message to a channel.
//
// In: a text from a member of the channel. Out: the message's id, its event's id
// and its place in the channel's one order, once the event is durably in the log.
// The same client id from the same author in the same channel is one message for
// good: sent again it gives the original (200), with other content a 422. Without
// a client id a retry is a new message.
package sendmessage

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/chat-platform/chat/events"
	"github.com/chat-platform/chat/functions/internal/frontdoor"
	"github.com/chat-platform/chat/functions/internal/idempotency"
	"github.com/chat-platform/chat/functions/internal/newevent"
)

// Spec is how the function is reached.
var Spec = frontdoor.Spec{
	Name: "sendmessage", Summary: "Send a message to a channel.",
	Method: http.MethodPost, Path: "/v1/channels/{channel}/messages",
	Type: "chat.command.sendmessage.v1", Status: http.StatusAccepted, Limit: "send",
}

// Request is a message to send.
type Request struct {
	ChannelID      string `json:"channel_id" path:"channel"`
	Text           string `json:"text"`                       // 1 to 50,000 characters
	ClientID       string `json:"client_id,omitempty"`        // a UUID, version 7 at best; or use the header
	ReplyTo        string `json:"reply_to,omitempty"`         // id of the message that this one answers
	IdempotencyKey string `json:"-" header:"Idempotency-Key"` // any string up to 255 bytes
}

// Answer is the message as it stands in the log.
type Answer struct {
	ID        events.MessageID `json:"id"`
	ChannelID events.ChannelID `json:"channel_id"`
	ClientID  events.ClientID  `json:"client_id"`
	EventID   string           `json:"event_id"`
	Seq       uint64           `json:"seq"`
	SentAt    time.Time        `json:"sent_at"`

	existing bool
}

// StatusCode is 200 for a message that was there already, else 202.
func (a Answer) StatusCode() int {
	if a.existing {
		return http.StatusOK
	}
	return http.StatusAccepted
}

// Log is what the handler needs of the log.
type Log interface {
	Publish(ctx context.Context, e events.Event) (events.Ack, error)
	BySequence(ctx context.Context, stream string, seq uint64) (events.Event, error)
}

// Members says who may send, see functions/internal/membership.
type Members interface {
	Member(ctx context.Context, channel events.ChannelID, user events.UserID) (events.Member, error)
}

// Originals finds messages that were sent before, see functions/internal/idempotency.
type Originals interface {
	Fresh(id events.ClientID) (bool, error)
	Find(ctx context.Context, wanted map[events.ChannelID][]events.MessageID) (map[events.MessageID]events.Message, error)
	Within(ctx context.Context) (context.Context, context.CancelFunc)
}

// Handler sends messages.
type Handler struct {
	log       Log
	members   Members
	originals Originals
}

// New gives a handler that writes to log and nowhere else.
func New(log Log, members Members, originals Originals) *Handler {
	return &Handler{log: log, members: members, originals: originals}
}

// Handle sends one message.
func (h *Handler) Handle(ctx context.Context, caller events.Caller, req Request) (Answer, error) {
	p, err := payload(ctx, caller, req)
	if err != nil {
		return Answer{}, err
	}
	fresh := true
	if p.ClientID == "" {
		p.ClientID = events.NewClientID()
	} else if fresh, err = h.originals.Fresh(p.ClientID); err != nil {
		return Answer{}, err
	}
	p.ID = events.NewMessageID(p.AuthorID, p.ChannelID, p.ClientID)
	if _, err := h.members.Member(ctx, p.ChannelID, p.AuthorID); err != nil {
		return Answer{}, err
	}
	ctx, cancel := h.originals.Within(ctx)
	defer cancel()
	if !fresh {
		found, err := h.originals.Find(ctx, map[events.ChannelID][]events.MessageID{p.ChannelID: {p.ID}})
		if err != nil {
			return Answer{}, fmt.Errorf("was message %s sent before: %w", p.ID, err)
		}
		if original, ok := found[p.ID]; ok {
			return again(original, p)
		}
	}
	return h.send(ctx, p)
}

func payload(ctx context.Context, caller events.Caller, req Request) (p events.MessageSent, err error) {
	p = events.MessageSent{AuthorID: caller.User, Text: req.Text, SentAt: newevent.Now()}
	if p.ChannelID, err = events.ParseChannelID(req.ChannelID); err != nil {
		return p, err
	}
	if err := events.ValidateText(req.Text); err != nil {
		return p, err
	}
	if req.ReplyTo != "" {
		if p.ReplyTo, err = events.ParseMessageID(req.ReplyTo); err != nil {
			return p, events.Invalid("invalid_reply_to", "reply_to", "reply_to: %v", err)
		}
	}
	p.ClientID, err = idempotency.Key(ctx, req.ClientID, req.IdempotencyKey)
	return p, err
}

func (h *Handler) send(ctx context.Context, p events.MessageSent) (Answer, error) {
	e, err := newevent.From(ctx, Spec.Name).MessageSent(p, p.SentAt)
	if err != nil {
		return Answer{}, err
	}
	ack, err := h.log.Publish(ctx, e)
	if err != nil {
		return Answer{}, fmt.Errorf("publish message %s: %w", p.ID, err)
	}
	if !ack.Duplicate {
		return answer(events.Message{Seq: ack.Seq, MessageSent: p}, false), nil
	}
	first, err := h.log.BySequence(ctx, events.StreamMessages, ack.Seq)
	if err != nil {
		return Answer{}, fmt.Errorf("read original of message %s at %d: %w", p.ID, ack.Seq, err)
	}
	original, err := events.MessageOf(first)
	if err != nil {
		return Answer{}, fmt.Errorf("original of message %s at %d: %s", p.ID, ack.Seq, err.Error()) // ours, not the caller's fault
	}
	return again(original, p)
}

func again(original events.Message, p events.MessageSent) (Answer, error) {
	if fault := idempotency.Compare(original.MessageSent, p.Text, p.ReplyTo, time.Time{}); fault != nil {
		return Answer{}, fault
	}
	return answer(original, true), nil
}

func answer(m events.Message, existing bool) Answer {
	return Answer{ID: m.ID, ChannelID: m.ChannelID, ClientID: m.ClientID, EventID: newevent.MessageEventID(m.ID),
		Seq: m.Seq, SentAt: m.SentAt, existing: existing}
}

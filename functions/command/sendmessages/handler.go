// Package sendmessages sends many messages at once: the way of bots and imports.
//
// In: up to 1,000 messages, to any channels, each with a client id. Out: one
// result for each, in order. All are checked before the first is sent: one bad
// message and none is. Sent in their order, pipelined. The same client id from
// the same author in the same channel is one message for good, in one request
// too; a request that failed half-way is completed by sending it again.
//
// Holders of the role chat-import may name other authors (who have to be
// members) and past times.
package sendmessages

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/chat-platform/chat/events"
	"github.com/chat-platform/chat/functions/internal/frontdoor"
	"github.com/chat-platform/chat/functions/internal/membership"
)

// MaxMessages is how many messages a request may have.
const MaxMessages = 1_000

// Spec is how the function is reached.
var Spec = frontdoor.Spec{
	Name: "sendmessages", Summary: "Send up to 1,000 messages.",
	Method: http.MethodPost, Path: "/v1/messages/batch",
	Type: "chat.command.sendmessages.v1", Status: http.StatusAccepted,
	MaxBody: 16 << 20, MaxInFlight: 64, Limit: "send",
}

// Request is a list of messages to send.
type Request struct {
	Messages []Item `json:"messages"`
}

// Cost is what the request uses of the limit on sending.
func (r Request) Cost() int { return len(r.Messages) }

// Item is one message.
type Item struct {
	ChannelID string `json:"channel_id"`
	Text      string `json:"text"`
	ClientID  string `json:"client_id"` // a UUID
	ReplyTo   string `json:"reply_to,omitempty"`
	AuthorID  string `json:"author_id,omitempty"` // with role chat-import; the caller by default
	SentAt    string `json:"sent_at,omitempty"`   // with role chat-import; RFC 3339, kept to the millisecond; now by default
}

// Answer has a result for each message, in the request's order.
type Answer struct {
	Results []Result `json:"results"`
}

// Result is a message's place in the log.
type Result struct {
	ID       events.MessageID `json:"id"`
	Seq      uint64           `json:"seq"`
	Existing bool             `json:"existing"` // it was sent before
}

// StatusCode is 200 if all messages were there already, else 202.
func (a Answer) StatusCode() int {
	for _, r := range a.Results {
		if !r.Existing {
			return http.StatusAccepted
		}
	}
	return http.StatusOK
}

// Handler sends lists of messages.
type Handler struct {
	log       Log
	members   Members
	originals Originals
}

// New gives a handler that writes to log and nowhere else.
func New(log Log, members Members, originals Originals) *Handler {
	return &Handler{log: log, members: members, originals: originals}
}

// Handle sends a list of messages.
func (h *Handler) Handle(ctx context.Context, caller events.Caller, req Request) (Answer, error) {
	ms, err := parse(caller, req)
	if err != nil {
		return Answer{}, err
	}
	b := &batch{messages: ms, results: make([]Result, len(ms))}
	if err := h.authorise(ctx, caller.User, b); err != nil {
		return Answer{}, err
	}
	if err := b.fold(); err != nil {
		return Answer{}, err
	}
	ctx, cancel := h.originals.Within(ctx)
	defer cancel()
	if err := h.lookUp(ctx, b); err != nil {
		return Answer{}, err
	}
	if err := h.send(ctx, b); err != nil {
		return Answer{}, err
	}
	return b.answer(), nil
}

// authorise lets the batch pass if every author is a member of the channel.
func (h *Handler) authorise(ctx context.Context, caller events.UserID, b *batch) error {
	pairs := make([]membership.Pair, len(b.messages))
	for i, m := range b.messages {
		pairs[i] = membership.Pair{Channel: m.ChannelID, User: m.AuthorID}
	}
	refused, err := h.members.Refused(ctx, pairs)
	if err != nil {
		return fmt.Errorf("authorise %d messages: %w", len(pairs), err)
	}
	var faults events.Faults
	for i, p := range pairs {
		if fault, ok := refused[p]; ok {
			if errors.Is(fault, events.ErrForbidden) && p.User != caller {
				fault = events.NewFault(events.ErrForbidden, fault.Code, "author_id", "author %s is not a member of the channel", p.User)
			}
			faults = append(faults, events.ItemFault{Index: i, Fault: fault})
		}
	}
	return orNil(faults)
}

func orNil(faults events.Faults) error {
	if len(faults) == 0 {
		return nil
	}
	return faults
}

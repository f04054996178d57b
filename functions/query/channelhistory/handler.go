// Package channelhistory answers pages of a channel's messages, in the log's
// order, to the channel's members.
//
// What the message view does not hold yet comes from the log, so that an author
// finds the message that was just accepted; see complete.go. Membership is asked
// of the log, so that a removed member is refused at once. A page never has a
// hole: where the view is so far behind that the log's bounded tail does not
// close the gap, the page ends before it and has_more_after is true, or the
// answer is events.ErrUnavailable if not even that is possible.
//
// A channel's latest page, which is what is read most, may be kept (latest.go).
package channelhistory

import (
	"context"
	"fmt"
	"net/http"

	"github.com/chat-platform/chat/events"
	"github.com/chat-platform/chat/functions/internal/frontdoor"
	"github.com/chat-platform/chat/functions/internal/hot"
	"github.com/chat-platform/chat/functions/internal/seen"
	"github.com/chat-platform/chat/functions/internal/tail"
)

// Spec is how the function is reached.
var Spec = frontdoor.Spec{
	Name:    "channelhistory",
	Summary: "Gives a page of a channel's messages to its members.",
	Method:  http.MethodGet,
	Path:    "/v1/channels/{channel}/messages",
	Type:    "chat.query.channelhistory.v1",
}

// Request asks for a page. At most one of Before, After and Around is given;
// none asks for the latest messages. They are sequences: Before and After are
// exclusive, After 0 is the channel's beginning.
type Request struct {
	ChannelID string  `json:"channel_id" path:"channel"`
	Before    *uint64 `json:"before" query:"before"`
	After     *uint64 `json:"after" query:"after"`
	Around    *uint64 `json:"around" query:"around"`
	Limit     int     `json:"limit" query:"limit"`
}

// Answer is a page in ascending order of sequence.
type Answer struct {
	Messages      []seen.Message `json:"messages"`
	HasMoreBefore bool           `json:"has_more_before"`
	HasMoreAfter  bool           `json:"has_more_after"`
}

// Members tells who may read: an active membership, or [events.ErrNotMember] or
// [events.ErrChannelNotFound].
type Members interface {
	Member(ctx context.Context, channel events.ChannelID, user events.UserID) (events.Member, error)
}

// View is the message view's read side.
type View interface {
	History(ctx context.Context, q events.HistoryQuery) (events.HistoryPage, error)
	MessagesByID(ctx context.Context, channel events.ChannelID, ids []events.MessageID) (map[events.MessageID]events.Message, error)
	Ping(ctx context.Context) error
}

// Log is what completes the view, and tells what is the last of a channel.
type Log interface {
	tail.Log
	// LastConfirmed gives a subject's last event as the leader knows it.
	LastConfirmed(ctx context.Context, subject string) (events.Event, error)
}

// Handler answers pages of history.
type Handler struct {
	log      Log
	members  Members
	view     View
	position tail.View
	pages    *hot.Pages
}

// New makes a handler on the message view, the log that completes it and the
// members of channels. Latest pages are kept in pages, unless that is nil.
func New(log Log, members Members, view View, pages *hot.Pages) *Handler {
	return &Handler{log, members, view, tail.Of(log, events.StreamMessages, events.ConsumerMessages), pages}
}

// Handle answers a page.
func (h *Handler) Handle(ctx context.Context, caller events.Caller, req Request) (Answer, error) {
	q, err := req.parse()
	if err != nil {
		return Answer{}, err
	}
	if _, err := h.members.Member(ctx, q.Channel, caller.User); err != nil {
		return Answer{}, err
	}
	p, err := h.page(ctx, q)
	if err != nil {
		return Answer{}, fmt.Errorf("history of %s: %w", q.Channel, err)
	}
	a := Answer{Messages: make([]seen.Message, len(p.Messages)), HasMoreBefore: p.MoreBefore, HasMoreAfter: p.MoreAfter}
	for i, m := range p.Messages {
		a.Messages[i] = seen.By(caller.User, m)
	}
	return a, nil
}

// Ready tells whether the view answers.
func (h *Handler) Ready(ctx context.Context) (bool, error) {
	err := h.view.Ping(ctx)
	return err == nil, err
}

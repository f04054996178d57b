// Package leavechannel ends the caller's membership of a channel.
//
// In: a channel that the caller is, or was, a member of. Out: the event that
// ended the membership, durably in the log: from then on the caller is refused,
// by this process at once and by others within a second. Who has left already
// gets that event (200). An owner may leave too; the channel's creator may join
// again and is an owner again.
package leavechannel

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/chat-platform/chat/events"
	"github.com/chat-platform/chat/functions/internal/frontdoor"
	"github.com/chat-platform/chat/functions/internal/membership"
	"github.com/chat-platform/chat/functions/internal/newevent"
)

// Spec is how the function is reached.
var Spec = frontdoor.Spec{
	Name: "leavechannel", Summary: "Leave a channel.",
	Method: http.MethodDelete, Path: "/v1/channels/{channel}/members/me",
	Type: "chat.command.leavechannel.v1", Status: http.StatusAccepted,
}

// Request names the channel to leave.
type Request struct {
	ChannelID string `json:"channel_id" path:"channel"`
}

// Answer is the event that ended the membership.
type Answer struct {
	ChannelID events.ChannelID `json:"channel_id"`
	UserID    events.UserID    `json:"user_id"`
	EventID   string           `json:"event_id"`
	Seq       uint64           `json:"seq"`

	existing bool
}

// StatusCode is 200 for who had left already, else 202.
func (a Answer) StatusCode() int {
	if a.existing {
		return http.StatusOK
	}
	return http.StatusAccepted
}

// Log is what the handler needs of the log.
type Log interface {
	LastOf(ctx context.Context, subjects []string) (map[string]events.Event, error)
	LastConfirmed(ctx context.Context, subject string) (events.Event, error)
	PublishExpecting(ctx context.Context, e events.Event, lastSeq uint64) (events.Ack, error)
}

// Members is told whose membership has ended, see functions/internal/membership.
type Members interface {
	Forget(channel events.ChannelID, user events.UserID)
}

// Handler leaves channels.
type Handler struct {
	log     Log
	members Members
}

// New gives a handler that reads and writes log.
func New(log Log, members Members) *Handler { return &Handler{log: log, members: members} }

// Handle ends the caller's membership.
func (h *Handler) Handle(ctx context.Context, caller events.Caller, req Request) (Answer, error) {
	channel, err := events.ParseChannelID(req.ChannelID)
	if err != nil {
		return Answer{}, err
	}
	// Whatever comes of it: a publish that timed out may have been stored.
	defer h.members.Forget(channel, caller.User)
	answer, err := h.leave(ctx, caller, channel)
	if errors.Is(err, events.ErrConflict) {
		answer, err = h.leave(ctx, caller, channel)
	}
	if errors.Is(err, events.ErrConflict) {
		return Answer{}, fmt.Errorf("%w: %w", events.NewFault(events.ErrConflict, "membership_changed", "",
			"the membership is being changed by somebody else; try again"), err)
	}
	return answer, err
}

func (h *Handler) leave(ctx context.Context, caller events.Caller, channel events.ChannelID) (Answer, error) {
	_, standings, err := membership.Read(ctx, h.log, channel, caller.User)
	if err != nil {
		return Answer{}, err
	}
	is := standings[caller.User]
	if is.Seq == 0 {
		if is, err = membership.Confirm(ctx, h.log, channel, caller.User); err != nil {
			return Answer{}, err
		}
	}
	switch {
	case is.Seq == 0:
		return Answer{}, events.ErrNotMember
	case !is.Active:
		return Answer{channel, caller.User, is.EventID, is.Seq, true}, nil
	}
	left := events.MemberLeft{ChannelID: channel, UserID: caller.User, At: newevent.Now()}
	e, err := newevent.From(ctx, Spec.Name).MemberLeft(left, is.Seq)
	if err != nil {
		return Answer{}, err
	}
	ack, err := h.log.PublishExpecting(ctx, e, is.Seq)
	if err != nil {
		return Answer{}, fmt.Errorf("take %s out of channel %s: %w", caller.User, channel, err)
	}
	return Answer{channel, caller.User, e.ID, ack.Seq, ack.Duplicate}, nil
}

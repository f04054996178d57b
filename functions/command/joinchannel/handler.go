// Package joinchannel makes the caller a member of a channel.
//
// In: a public channel (its creator may come back to a private one too, and is
// an owner again). Out: the membership, durably in the log: from then on the
// member may send. Who is a member already gets that membership (200). Two
// writers on one membership: one loses, looks again and tries once more.
package joinchannel

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
	Name: "joinchannel", Summary: "Join a channel.",
	Method: http.MethodPut, Path: "/v1/channels/{channel}/members/me",
	Type: "chat.command.joinchannel.v1", Status: http.StatusAccepted,
}

// Request names the channel to join.
type Request struct {
	ChannelID string `json:"channel_id" path:"channel"`
}

// Answer is the caller's membership.
type Answer struct {
	ChannelID events.ChannelID `json:"channel_id"`
	UserID    events.UserID    `json:"user_id"`
	Role      events.Role      `json:"role"`
	EventID   string           `json:"event_id"`
	Seq       uint64           `json:"seq"`

	existing bool
}

// StatusCode is 200 for who was a member already, else 202.
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

// Handler joins channels.
type Handler struct{ log Log }

// New gives a handler that reads and writes log.
func New(log Log) *Handler { return &Handler{log: log} }

// ErrPrivate refuses who was not added to a private channel.
var ErrPrivate = events.NewFault(events.ErrForbidden, "private_channel", "channel_id", "the channel is private: an owner has to add you")

// Handle makes the caller a member.
func (h *Handler) Handle(ctx context.Context, caller events.Caller, req Request) (Answer, error) {
	channel, err := events.ParseChannelID(req.ChannelID)
	if err != nil {
		return Answer{}, err
	}
	answer, err := h.join(ctx, caller, channel)
	if errors.Is(err, events.ErrConflict) {
		answer, err = h.join(ctx, caller, channel)
	}
	if errors.Is(err, events.ErrConflict) {
		return Answer{}, fmt.Errorf("%w: %w", events.NewFault(events.ErrConflict, "membership_changed", "",
			"the membership is being changed by somebody else; try again"), err)
	}
	return answer, err
}

func (h *Handler) join(ctx context.Context, caller events.Caller, channel events.ChannelID) (Answer, error) {
	c, standings, err := membership.Read(ctx, h.log, channel, caller.User)
	if err != nil {
		return Answer{}, err
	}
	is := standings[caller.User]
	role := membership.RoleIn(c, caller.User)
	refused := c.Visibility == events.Private && role != events.RoleOwner
	if !is.Active && refused {
		if is, err = membership.Confirm(ctx, h.log, channel, caller.User); err != nil {
			return Answer{}, err
		}
	}
	if is.Active {
		return Answer{channel, caller.User, is.Role, is.EventID, is.Seq, true}, nil
	}
	if refused {
		return Answer{}, ErrPrivate
	}
	joined := events.MemberJoined{ChannelID: channel, UserID: caller.User, Role: role, At: newevent.Now()}
	e, err := newevent.From(ctx, Spec.Name).MemberJoined(joined, is.Seq)
	if err != nil {
		return Answer{}, err
	}
	ack, err := h.log.PublishExpecting(ctx, e, is.Seq)
	if err != nil {
		return Answer{}, fmt.Errorf("join %s to channel %s: %w", caller.User, channel, err)
	}
	return Answer{channel, caller.User, role, e.ID, ack.Seq, ack.Duplicate}, nil
}

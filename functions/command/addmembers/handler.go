// Package addmembers makes other users members of a channel.
//
// In: up to 1,000 users, named by an owner of the channel or by a holder of the
// role chat-import. Out: one result for each, in order, once all are durably in
// the log. All are checked before the first is added. Who is a member already
// keeps that membership, role included; naming a user twice is fine. A request
// that failed half-way is completed by sending it again.
package addmembers

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/chat-platform/chat/events"
	"github.com/chat-platform/chat/functions/internal/frontdoor"
)

// MaxUsers is how many users a request may name.
const MaxUsers = 1_000

// Spec is how the function is reached.
var Spec = frontdoor.Spec{
	Name: "addmembers", Summary: "Add up to 1,000 members to a channel.",
	Method: http.MethodPost, Path: "/v1/channels/{channel}/members",
	Type: "chat.command.addmembers.v1", Status: http.StatusAccepted,
}

// Request names the users to add.
type Request struct {
	ChannelID string   `json:"channel_id" path:"channel"`
	UserIDs   []string `json:"user_ids"`
}

// Cost is what the request uses of its rate limit: an event for each user.
func (r Request) Cost() int { return len(r.UserIDs) }

// Answer has a result for each user, in the request's order.
type Answer struct {
	Results []Result `json:"results"`
}

// Result is a membership's place in the log.
type Result struct {
	UserID   events.UserID `json:"user_id"`
	Seq      uint64        `json:"seq"`
	Existing bool          `json:"existing"` // was a member already
}

// StatusCode is 200 if all were members already, else 202.
func (a Answer) StatusCode() int {
	for _, r := range a.Results {
		if !r.Existing {
			return http.StatusAccepted
		}
	}
	return http.StatusOK
}

// Log is what the handler needs of the log.
type Log interface {
	LastOf(ctx context.Context, subjects []string) (map[string]events.Event, error)
	LastConfirmed(ctx context.Context, subject string) (events.Event, error)
	// PublishAll stores events in order, each if its subject's last sequence is
	// the expected one; errs[i] is nil where acks[i] counts.
	PublishAll(ctx context.Context, es []events.Event, expect []uint64) (acks []events.Ack, errs []error)
}

// Members says who is an owner, see functions/internal/membership.
type Members interface {
	Member(ctx context.Context, channel events.ChannelID, user events.UserID) (events.Member, error)
}

// Handler adds members.
type Handler struct {
	log     Log
	members Members
}

// New gives a handler that reads and writes log.
func New(log Log, members Members) *Handler { return &Handler{log: log, members: members} }

// ErrNotOwner refuses who is a member and no owner.
var ErrNotOwner = events.NewFault(events.ErrForbidden, "not_an_owner", "", "only an owner of the channel adds members")

// Handle adds members.
func (h *Handler) Handle(ctx context.Context, caller events.Caller, req Request) (Answer, error) {
	channel, users, err := parse(req)
	if err != nil {
		return Answer{}, err
	}
	if !caller.Has(events.RoleImport) {
		member, err := h.members.Member(ctx, channel, caller.User)
		if err != nil {
			return Answer{}, err
		}
		if member.Role != events.RoleOwner {
			return Answer{}, ErrNotOwner
		}
	}
	done := make(map[events.UserID]Result, len(users))
	err = h.add(ctx, caller, channel, users, done)
	if errors.Is(err, events.ErrConflict) { // look again at those who are not done, once
		err = h.add(ctx, caller, channel, users, done)
	}
	if err != nil {
		return Answer{}, incomplete(err, len(done), users)
	}
	results := make([]Result, len(users))
	seen := make(map[events.UserID]bool, len(users))
	for i, u := range users {
		results[i] = done[u]
		results[i].Existing = done[u].Existing || seen[u]
		seen[u] = true
	}
	return Answer{Results: results}, nil
}

// parse checks all users before the first is added.
func parse(req Request) (events.ChannelID, []events.UserID, error) {
	channel, err := events.ParseChannelID(req.ChannelID)
	if err != nil {
		return "", nil, err
	}
	if n := len(req.UserIDs); n == 0 || n > MaxUsers {
		return "", nil, events.Invalid("invalid_user_count", "user_ids", "%d users, 1 to %d are allowed", n, MaxUsers)
	}
	users := make([]events.UserID, len(req.UserIDs))
	var faults events.Faults
	for i, s := range req.UserIDs {
		var fault *events.Fault
		if users[i], err = events.ParseUserID(s); errors.As(err, &fault) {
			faults = append(faults, events.ItemFault{Index: i, Fault: events.Invalid(fault.Code, "user_ids", "%s", fault.Detail)})
		}
	}
	if len(faults) > 0 {
		return "", nil, faults
	}
	return channel, users, nil
}

// incomplete says what a half-done request means to the caller.
func incomplete(err error, done int, users []events.UserID) error {
	kind, code := events.ErrUnavailable, "partly_added"
	switch {
	case errors.Is(err, events.ErrConflict):
		kind, code = events.ErrConflict, "membership_changed"
	case !errors.Is(err, events.ErrUnavailable) || done == 0:
		return err
	}
	return fmt.Errorf("%w: %w", events.NewFault(kind, code, "",
		"%d users are members now, of %d named; send the same request again, that is safe", done, len(users)), err)
}

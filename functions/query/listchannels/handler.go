// Package listchannels lists a user's own channels, or all public ones, by
// channel id and in pages.
//
// What the metadata view does not hold yet comes from the log, so that whoever
// has just created, joined or left a channel sees it; see list.go. Which of the
// public channels the caller is in is asked of the log. Where the view is so far
// behind that the log's bounded tail does not complete it, the answer is
// events.ErrUnavailable and not a list with holes.
package listchannels

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/chat-platform/chat/events"
	"github.com/chat-platform/chat/functions/internal/frontdoor"
	"github.com/chat-platform/chat/functions/internal/page"
	"github.com/chat-platform/chat/functions/internal/tail"
)

// Spec is how the function is reached.
var Spec = frontdoor.Spec{
	Name:    "listchannels",
	Summary: "Lists the caller's channels, or all public ones.",
	Method:  http.MethodGet,
	Path:    "/v1/channels",
	Type:    "chat.query.listchannels.v1",
}

// Scopes of a list.
const (
	Mine   = "mine"   // channels that the caller is a member of
	Public = "public" // channels that anybody may find and join
)

// Request asks for a page.
type Request struct {
	Scope  string `json:"scope" query:"scope"` // Mine if empty
	Limit  int    `json:"limit" query:"limit"`
	Cursor string `json:"cursor" query:"cursor"`
}

// Answer is a page in order of channel id.
type Answer struct {
	Channels []Channel `json:"channels"`
	HasMore  bool      `json:"has_more"`
	Cursor   string    `json:"cursor,omitempty"` // of the next page, where there is more
}

// Channel is a channel as the caller sees it.
type Channel struct {
	ID         events.ChannelID  `json:"id"`
	Seq        uint64            `json:"seq"` // of the last event that shaped the channel, in METADATA
	Name       string            `json:"name"`
	Topic      string            `json:"topic,omitempty"`
	Visibility events.Visibility `json:"visibility"`
	CreatedBy  events.UserID     `json:"created_by"`
	CreatedAt  time.Time         `json:"created_at"`
	Member     bool              `json:"member"`         // whether the caller is one
	Role       events.Role       `json:"role,omitempty"` // the caller's, if a member
}

// View is the metadata view's read side.
type View interface {
	PublicChannels(ctx context.Context, after events.ChannelID, limit int) ([]events.Channel, error)
	ChannelsOf(ctx context.Context, user events.UserID, after events.ChannelID, limit int) ([]events.Membership, error)
	Ping(ctx context.Context) error
}

// Log is what completes the view.
type Log interface {
	tail.Log
	// LastOf gives the last events of those subjects that have one.
	LastOf(ctx context.Context, subjects []string) (map[string]events.Event, error)
}

// Handler lists channels.
type Handler struct {
	log      Log
	view     View
	position tail.View
}

// New makes a handler on the metadata view and the log that completes it.
func New(log Log, view View) *Handler {
	return &Handler{log, view, tail.Of(log, events.StreamMetadata, events.ConsumerMetadata)}
}

// Handle answers one page.
func (h *Handler) Handle(ctx context.Context, caller events.Caller, req Request) (Answer, error) {
	limit, err := page.Limit(req.Limit)
	if err != nil {
		return Answer{}, err
	}
	var kind page.Kind
	var list func(context.Context, events.UserID, events.ChannelID, int) ([]events.Membership, error)
	switch req.Scope {
	case Mine, "":
		kind, list = page.MyChannels, h.mine
	case Public:
		kind, list = page.PublicChannels, h.public
	default:
		return Answer{}, events.Invalid("invalid_scope", "scope", "scope is %q, expected %q or %q", req.Scope, Mine, Public)
	}
	place, err := page.Place(kind, req.Cursor)
	if err != nil {
		return Answer{}, err
	}
	ms, err := list(ctx, caller.User, events.ChannelID(place), limit+1) // one more tells whether there is more
	if err != nil {
		return Answer{}, fmt.Errorf("channels of scope %q: %w", req.Scope, err)
	}
	a := Answer{Channels: []Channel{}, HasMore: len(ms) > limit}
	for _, m := range ms[:min(limit, len(ms))] {
		a.Channels = append(a.Channels, show(m))
	}
	if a.HasMore {
		a.Cursor = page.Cursor(kind, string(a.Channels[limit-1].ID))
	}
	return a, nil
}

// Ready tells whether the view answers.
func (h *Handler) Ready(ctx context.Context) (bool, error) {
	err := h.view.Ping(ctx)
	return err == nil, err
}

func show(m events.Membership) Channel {
	c := Channel{ID: m.Channel.ID, Seq: m.Channel.Seq, Name: m.Channel.Name, Topic: m.Channel.Topic, Visibility: m.Channel.Visibility,
		CreatedBy: m.Channel.CreatedBy, CreatedAt: m.Channel.CreatedAt.UTC(), Member: m.Member.Active}
	if c.Member {
		c.Role = m.Member.Role
	}
	return c
}

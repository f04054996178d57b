// Package createchannel creates a channel and makes its creator the owner.
//
// In: a name and, where the caller cares, an id. Out: the channel and the event
// that created it, once both the channel and the owner's membership are durably
// in the log. Creating what the caller has created alike gives that (200), and
// completes it if the first attempt ended between the two events; somebody
// else's or another channel of that id is a 409.
//
// Without an id one is made: from the client_id (or Idempotency-Key), so that a
// retry is no second channel, or at random where there is none.
package createchannel

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/chat-platform/chat/events"
	"github.com/chat-platform/chat/functions/internal/frontdoor"
	"github.com/chat-platform/chat/functions/internal/idempotency"
	"github.com/chat-platform/chat/functions/internal/membership"
	"github.com/chat-platform/chat/functions/internal/newevent"
)

// Spec is how the function is reached.
var Spec = frontdoor.Spec{
	Name: "createchannel", Summary: "Create a channel.",
	Method: http.MethodPost, Path: "/v1/channels",
	Type: "chat.command.createchannel.v1", Status: http.StatusAccepted,
}

// Request describes the channel.
type Request struct {
	ID             string `json:"id,omitempty"` // like "ch_general"; made up if missing
	Name           string `json:"name"`
	Topic          string `json:"topic,omitempty"`
	Visibility     string `json:"visibility,omitempty"` // "public" (default) or "private"
	ClientID       string `json:"client_id,omitempty"`  // a UUID, counts where id is missing; or use the header
	IdempotencyKey string `json:"-" header:"Idempotency-Key"`
}

// Answer is the channel as it stands in the log.
type Answer struct {
	Channel events.Channel `json:"channel"`
	EventID string         `json:"event_id"`
	Seq     uint64         `json:"seq"`

	existing bool
}

// StatusCode is 200 for a channel that was there already, else 202.
func (a Answer) StatusCode() int {
	if a.existing {
		return http.StatusOK
	}
	return http.StatusAccepted
}

// Log is what the handler needs of the log.
type Log interface {
	PublishExpecting(ctx context.Context, e events.Event, lastSeq uint64) (events.Ack, error)
	LastOf(ctx context.Context, subjects []string) (map[string]events.Event, error)
	LastConfirmed(ctx context.Context, subject string) (events.Event, error)
}

// Handler creates channels.
type Handler struct{ log Log }

// New gives a handler that reads and writes log.
func New(log Log) *Handler { return &Handler{log: log} }

// Handle creates a channel.
func (h *Handler) Handle(ctx context.Context, caller events.Caller, req Request) (Answer, error) {
	p, keyed, err := payload(ctx, caller, req)
	if err != nil {
		return Answer{}, err
	}
	e, err := newevent.From(ctx, Spec.Name).ChannelCreated(p)
	if err != nil {
		return Answer{}, err
	}
	ack, err := h.log.PublishExpecting(ctx, e, 0)
	switch {
	case errors.Is(err, events.ErrConflict), err == nil && ack.Duplicate:
		return h.existing(ctx, p, keyed)
	case err != nil:
		return Answer{}, fmt.Errorf("create channel %s: %w", p.ID, err)
	}
	if err := h.own(ctx, p, 0); err != nil {
		return Answer{}, err
	}
	return Answer{Channel: events.Channel{Seq: ack.Seq, ChannelCreated: p}, EventID: e.ID, Seq: ack.Seq}, nil
}

// payload is the channel to create, and whether its id follows from a key.
func payload(ctx context.Context, caller events.Caller, req Request) (p events.ChannelCreated, keyed bool, err error) {
	p = events.ChannelCreated{ID: events.ChannelID(req.ID), Name: req.Name, Topic: req.Topic,
		Visibility: events.Visibility(req.Visibility), CreatedBy: caller.User, CreatedAt: newevent.Now()}
	if p.Visibility == "" {
		p.Visibility = events.Public
	}
	key, err := idempotency.Key(ctx, req.ClientID, req.IdempotencyKey)
	if err != nil {
		return p, false, err
	}
	switch {
	case p.ID != "":
		if _, err := events.ParseChannelID(req.ID); err != nil {
			return p, false, events.Invalid("invalid_channel_id", "id", "%v", err)
		}
	case key != "":
		p.ID, keyed = events.DeriveChannelID(caller.User, key), true
	default:
		p.ID = events.NewChannelID()
	}
	return p, keyed, p.Validate()
}

// own makes the creator a member, unless that membership has a history already.
func (h *Handler) own(ctx context.Context, c events.ChannelCreated, lastSeq uint64) error {
	joined := events.MemberJoined{ChannelID: c.ID, UserID: c.CreatedBy, Role: events.RoleOwner, At: newevent.Now()}
	e, err := newevent.From(ctx, Spec.Name).MemberJoined(joined, lastSeq)
	if err != nil {
		return err
	}
	if _, err := h.log.PublishExpecting(ctx, e, lastSeq); err != nil && !errors.Is(err, events.ErrConflict) {
		return fmt.Errorf("make %s the owner of channel %s: %w", c.CreatedBy, c.ID, err)
	}
	return nil
}

// existing answers with the channel that is there, if it is the wanted one.
func (h *Handler) existing(ctx context.Context, p events.ChannelCreated, keyed bool) (Answer, error) {
	c, standings, err := membership.Read(ctx, h.log, p.ID, p.CreatedBy)
	if err != nil {
		return Answer{}, unavailable(err)
	}
	alike := c.CreatedBy == p.CreatedBy && c.Name == p.Name && c.Topic == p.Topic && c.Visibility == p.Visibility
	switch {
	case !alike && keyed:
		return Answer{}, events.NewFault(events.ErrMismatch, "idempotency_mismatch", "client_id",
			"the client_id or Idempotency-Key was used before for channel %s, which is another", p.ID)
	case !alike:
		return Answer{}, events.NewFault(events.ErrConflict, "channel_exists", "id", "there is another channel %s", p.ID)
	}
	if standings[p.CreatedBy].Seq == 0 {
		if err := h.own(ctx, c.ChannelCreated, 0); err != nil {
			return Answer{}, err
		}
	}
	return Answer{Channel: c.Channel, EventID: c.EventID, Seq: c.Seq, existing: true}, nil
}

// unavailable stands for a channel that was there a moment ago and is not: the
// reader has not caught up with the writer.
func unavailable(err error) error {
	if errors.Is(err, events.ErrNotFound) {
		return fmt.Errorf("%w: %s", events.ErrUnavailable, err.Error())
	}
	return err
}

// Package metadatawriter writes channels and memberships into the metadata view.
//
// It takes events of the METADATA stream one by one or in batches, once or more,
// in any order and from any number of replicas: a record is keyed by its channel
// (and user) and the highest sequence wins, so that of each key only the last
// state in a batch is written. A batch is at most two calls to the store and is
// answered only after them; if the second fails, the whole batch comes again and
// the first changes nothing. What package records refuses is refused before
// anything is written. Events of other types are acknowledged and left alone.
package metadatawriter

import (
	"context"
	"fmt"

	"github.com/chat-platform/chat/events"
	"github.com/chat-platform/chat/functions/internal/frontdoor"
	"github.com/chat-platform/chat/functions/internal/records"
)

// Spec is how the function is reached: by the source alone.
var Spec = frontdoor.Spec{
	Name:    "metadatawriter",
	Summary: "Writes channels and memberships into the metadata view.",
}

// Store is the metadata view's write side.
type Store interface {
	PutChannels(ctx context.Context, cs []events.Channel) error
	PutMembers(ctx context.Context, ms []events.Member) error
	Ping(ctx context.Context) error
}

// Handler writes channels and memberships.
type Handler struct{ store Store }

// New makes a handler on a store.
func New(store Store) *Handler { return &Handler{store} }

// Handle returns nil once all states of the batch are in the store. Its errors
// are [events.Faults] for events that can never be written, and the store's.
func (h *Handler) Handle(ctx context.Context, batch []events.Event) error {
	channels, members, err := records.Metadata(batch)
	if err != nil {
		return err
	}
	if len(channels) > 0 {
		if err := h.store.PutChannels(ctx, channels); err != nil {
			return fmt.Errorf("write %d channels from sequence %d: %w", len(channels), channels[0].Seq, err)
		}
	}
	if len(members) > 0 {
		if err := h.store.PutMembers(ctx, members); err != nil {
			return fmt.Errorf("write %d memberships from sequence %d: %w", len(members), members[0].Seq, err)
		}
	}
	return nil
}

// Ready tells whether the store answers.
func (h *Handler) Ready(ctx context.Context) (bool, error) {
	err := h.store.Ping(ctx)
	return err == nil, err
}

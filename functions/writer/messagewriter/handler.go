// Package messagewriter writes sent messages into the message view.
//
// It takes events of the MESSAGES stream one by one or in batches, once or
// more, in any order and from any number of replicas: a record is keyed by its
// message id and the lowest sequence wins. A batch is one call to the store and
// is answered only after it; what package records refuses is refused before
// anything is written. Events of other types are acknowledged and left alone.
package messagewriter

import (
	"context"
	"fmt"

	"github.com/chat-platform/chat/events"
	"github.com/chat-platform/chat/functions/internal/frontdoor"
	"github.com/chat-platform/chat/functions/internal/records"
)

// Spec is how the function is reached: by the source alone.
var Spec = frontdoor.Spec{
	Name:    "messagewriter",
	Summary: "Writes sent messages into the message view.",
}

// Store is the message view's write side.
type Store interface {
	PutMessages(ctx context.Context, ms []events.Message) error
	Ping(ctx context.Context) error
}

// Handler writes messages.
type Handler struct{ store Store }

// New makes a handler on a store.
func New(store Store) *Handler { return &Handler{store} }

// Handle returns nil once all messages of the batch are in the store. Its
// errors are [events.Faults] for events that can never be written, and the
// store's.
func (h *Handler) Handle(ctx context.Context, batch []events.Event) error {
	ms, err := records.Messages(batch)
	if err != nil || len(ms) == 0 {
		return err
	}
	if err := h.store.PutMessages(ctx, ms); err != nil {
		return fmt.Errorf("write %d messages from sequence %d: %w", len(ms), ms[0].Seq, err)
	}
	return nil
}

// Ready tells whether the store answers.
func (h *Handler) Ready(ctx context.Context) (bool, error) {
	err := h.store.Ping(ctx)
	return err == nil, err
}

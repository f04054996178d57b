// Package searchwriter puts sent messages into the search index.
//
// It takes events of the MESSAGES stream one by one or in batches, once or
// more, in any order and from any number of replicas: a document is keyed by its
// message id and the lowest sequence wins. A batch is one call to the index and
// is answered only after it; what package records refuses is refused before
// anything is written. Events of other types are acknowledged and left alone.
package searchwriter

import (
	"context"
	"fmt"

	"github.com/chat-platform/chat/events"
	"github.com/chat-platform/chat/functions/internal/frontdoor"
	"github.com/chat-platform/chat/functions/internal/records"
)

// Spec is how the function is reached: by the source alone.
var Spec = frontdoor.Spec{
	Name:    "searchwriter",
	Summary: "Puts sent messages into the search index.",
}

// Store is the index's write side.
type Store interface {
	IndexMessages(ctx context.Context, ms []events.Message) error
	Ping(ctx context.Context) error
}

// Handler indexes messages.
type Handler struct{ store Store }

// New makes a handler on an index.
func New(store Store) *Handler { return &Handler{store} }

// Handle returns nil once all messages of the batch are in the index. Its
// errors are [events.Faults] for events that can never be indexed, and the
// index's.
func (h *Handler) Handle(ctx context.Context, batch []events.Event) error {
	ms, err := records.Messages(batch)
	if err != nil || len(ms) == 0 {
		return err
	}
	if err := h.store.IndexMessages(ctx, ms); err != nil {
		return fmt.Errorf("index %d messages from sequence %d: %w", len(ms), ms[0].Seq, err)
	}
	return nil
}

// Ready tells whether the index answers.
func (h *Handler) Ready(ctx context.Context) (bool, error) {
	err := h.store.Ping(ctx)
	return err == nil, err
}

package frontdoor

import (
	"context"

	"github.com/chat-platform/chat/events"
)

type deliveryKey struct{}

// DeliveryKey is an idempotency key that follows from the source and the id of
// the CloudEvent that is being served, so that an event that is delivered twice,
// as brokers may, is one deed. It is empty for a REST request.
func DeliveryKey(ctx context.Context) events.ClientID {
	key, _ := ctx.Value(deliveryKey{}).(events.ClientID)
	return key
}

func withDelivery(ctx context.Context, e events.Event) context.Context {
	key, err := events.ClientIDOf(events.EventID("delivery", e.Source, e.ID))
	if err != nil {
		return ctx // an event's id is never too long for a key
	}
	return context.WithValue(ctx, deliveryKey{}, key)
}

package idempotency

import (
	"context"

	"github.com/chat-platform/chat/events"
	"github.com/chat-platform/chat/functions/internal/frontdoor"
)

// Key is the client id of a request that may carry one in its body (a UUID) or
// in its Idempotency-Key header (a UUID or any other string up to 255 bytes). It
// follows from the CloudEvent that carries the request where neither is given,
// and is empty where there is none; both are fine if they say the same.
func Key(ctx context.Context, body, header string) (events.ClientID, error) {
	var id events.ClientID
	var err error
	if body != "" {
		if id, err = events.ParseClientID(body); err != nil {
			return "", err
		}
	}
	if header == "" {
		if id == "" {
			id = frontdoor.DeliveryKey(ctx)
		}
		return id, nil
	}
	key, err := events.ClientIDOf(header)
	if err != nil {
		return "", err
	}
	if id != "" && id != key {
		return "", events.Invalid("client_id_conflict", "client_id", "client_id and the Idempotency-Key header differ; give one of them")
	}
	return key, nil
}

package nats

import (
	"context"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/chat-platform/chat/events"
)

// ErrOtherLog ends a Follow whose stream was replaced by another one of the
// same name, or set back to an earlier state: its position means nothing there.
var ErrOtherLog = errors.New("the stream is not the one that was followed")

var unavailable = []error{
	nats.ErrNoResponders, nats.ErrTimeout, nats.ErrDisconnected, nats.ErrConnectionClosed,
	nats.ErrConnectionReconnecting, nats.ErrConnectionDraining, nats.ErrReconnectBufExceeded, nats.ErrNoServers,
	nats.ErrStaleConnection, jetstream.ErrNoStreamResponse, context.DeadlineExceeded,
}

// translate adds the kind of package events to an error of the driver.
func translate(err error) error {
	if err == nil {
		return nil
	}
	for _, kind := range []error{events.ErrUnavailable, events.ErrConflict, events.ErrTooLarge, events.ErrNotFound, events.ErrInvalid} {
		if errors.Is(err, kind) {
			return err
		}
	}
	var kind error
	var api *jetstream.APIError
	switch {
	case errors.As(err, &api):
		kind = kindOf(api)
	case errors.Is(err, nats.ErrMaxPayload):
		kind = events.ErrTooLarge
	case errors.Is(err, nats.ErrBadSubject):
		kind = events.ErrInvalid
	default:
		for _, u := range unavailable {
			if errors.Is(err, u) {
				kind = events.ErrUnavailable
				break
			}
		}
	}
	if kind == nil {
		return err
	}
	return fmt.Errorf("%w: %w", kind, err)
}

func kindOf(err *jetstream.APIError) error {
	switch err.ErrorCode {
	case jetstream.JSErrCodeStreamWrongLastSequence, jetstream.JSErrCodeStreamWrongLastSequenceConstant:
		return events.ErrConflict
	case jetstream.JSErrCodeStreamMessageExceedsMaximum:
		return events.ErrTooLarge
	case jetstream.JSErrCodeMessageNotFound, jetstream.JSErrCodeConsumerNotFound, jetstream.JSErrCodeConsumerDoesNotExist:
		return events.ErrNotFound
	}
	if err.Code >= 500 || err.Code == 429 {
		return events.ErrUnavailable
	}
	return nil
}

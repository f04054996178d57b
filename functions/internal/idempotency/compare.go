package idempotency

import (
	"time"

	"github.com/chat-platform/chat/events"
)

// Compare gives nil if a message that was sent again is its original, else a
// fault of kind [events.ErrMismatch]. sentAt is the time that the client gave
// for it, zero if it gave none.
func Compare(original events.MessageSent, text string, replyTo events.MessageID, sentAt time.Time) *events.Fault {
	if original.Text == text && original.ReplyTo == replyTo && (sentAt.IsZero() || sentAt.Equal(original.SentAt)) {
		return nil
	}
	return events.NewFault(events.ErrMismatch, "idempotency_mismatch", "client_id",
		"client_id %s was used before for message %s, which says something else", original.ClientID, original.ID)
}

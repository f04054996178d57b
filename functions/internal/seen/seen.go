// Package seen shows records as a reader may see them.
package seen

import (
	"time"

	"github.com/chat-platform/chat/events"
)

// Message is a message in an answer.
type Message struct {
	ID        events.MessageID `json:"id"`
	Seq       uint64           `json:"seq"` // its place in the channel's order
	ChannelID events.ChannelID `json:"channel_id"`
	AuthorID  events.UserID    `json:"author_id"`
	Text      string           `json:"text"`
	SentAt    time.Time        `json:"sent_at"`
	ReplyTo   events.MessageID `json:"reply_to,omitempty"`
	ClientID  events.ClientID  `json:"client_id,omitempty"` // to its author alone
}

// By is the message as the reader sees it. The client id is the author's
// idempotency key and nobody else's business.
func By(reader events.UserID, m events.Message) Message {
	s := Message{ID: m.ID, Seq: m.Seq, ChannelID: m.ChannelID, AuthorID: m.AuthorID,
		Text: m.Text, SentAt: m.SentAt.UTC(), ReplyTo: m.ReplyTo}
	if m.AuthorID == reader {
		s.ClientID = m.ClientID
	}
	return s
}

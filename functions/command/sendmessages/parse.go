package sendmessages

import (
	"errors"
	"time"

	"github.com/chat-platform/chat/events"
	"github.com/chat-platform/chat/functions/internal/newevent"
)

// ahead is by how much an imported message's time may be ahead of ours.
const ahead = time.Minute

// message is a message to send and the time that the client gave for it.
type message struct {
	events.MessageSent
	given time.Time // zero if it gave none
}

// parse checks all messages and makes their payloads. What is malformed comes
// before what is not allowed.
func parse(caller events.Caller, req Request) ([]message, error) {
	if n := len(req.Messages); n == 0 || n > MaxMessages {
		return nil, events.Invalid("invalid_message_count", "messages", "%d messages, 1 to %d are allowed", n, MaxMessages)
	}
	now := newevent.Now()
	mayImport := caller.Has(events.RoleImport)
	ms := make([]message, len(req.Messages))
	var malformed, forbidden events.Faults
	for i := range req.Messages {
		m, err := req.Messages[i].parse(caller, now)
		if err != nil {
			malformed = append(malformed, itemFault(i, err))
			continue
		}
		if !mayImport {
			if fault := req.Messages[i].needsImport(); fault != nil {
				forbidden = append(forbidden, events.ItemFault{Index: i, Fault: fault})
			}
		}
		m.ID = events.NewMessageID(m.AuthorID, m.ChannelID, m.ClientID)
		ms[i] = m
	}
	if len(malformed) > 0 {
		return nil, malformed
	}
	return ms, orNil(forbidden)
}

func (it *Item) parse(caller events.Caller, now time.Time) (m message, err error) {
	m.AuthorID, m.Text, m.SentAt = caller.User, it.Text, now
	if m.ChannelID, err = events.ParseChannelID(it.ChannelID); err != nil {
		return m, err
	}
	if it.ClientID == "" {
		return m, events.Invalid("missing_client_id", "client_id", "client_id is missing: without it a retry would send the message twice")
	}
	if m.ClientID, err = events.ParseClientID(it.ClientID); err != nil {
		return m, err
	}
	if err := events.ValidateText(it.Text); err != nil {
		return m, err
	}
	if it.ReplyTo != "" {
		if m.ReplyTo, err = events.ParseMessageID(it.ReplyTo); err != nil {
			return m, events.Invalid("invalid_reply_to", "reply_to", "reply_to: %v", err)
		}
	}
	if it.AuthorID != "" {
		if m.AuthorID, err = events.ParseUserID(it.AuthorID); err != nil {
			return m, events.Invalid("invalid_author_id", "author_id", "author_id: %v", err)
		}
	}
	if it.SentAt != "" {
		if m.given, err = parseTime(it.SentAt, now); err != nil {
			return m, err
		}
		m.SentAt = m.given
	}
	return m, nil
}

func (it *Item) needsImport() *events.Fault {
	switch {
	case it.AuthorID != "":
		return events.NewFault(events.ErrForbidden, "import_only", "author_id", "author_id needs the role %s", events.RoleImport)
	case it.SentAt != "":
		return events.NewFault(events.ErrForbidden, "import_only", "sent_at", "sent_at needs the role %s", events.RoleImport)
	}
	return nil
}

func parseTime(s string, now time.Time) (time.Time, error) {
	t, err := time.Parse(time.RFC3339Nano, s)
	if err != nil {
		return t, events.Invalid("invalid_sent_at", "sent_at", "sent_at %q is not a time in RFC 3339, like 2026-11-26T09:30:00.123Z", s)
	}
	t = t.UTC().Truncate(time.Millisecond)
	if t.After(now.Add(ahead)) || t.Year() < 1970 {
		return t, events.Invalid("invalid_sent_at", "sent_at", "sent_at %s is not between 1970 and now", s)
	}
	return t, nil
}

func itemFault(i int, err error) events.ItemFault {
	var fault *events.Fault
	if !errors.As(err, &fault) {
		fault = events.Invalid("invalid", "", "%v", err)
	}
	return events.ItemFault{Index: i, Fault: fault}
}

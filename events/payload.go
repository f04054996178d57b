package events

import (
	"encoding/json"
	"fmt"
	"time"
	"unicode/utf8"
)

// Bounds of what people write, in characters (runes).
const (
	MaxMessageRunes     = 50_000
	MaxChannelNameRunes = 128
	MaxTopicRunes       = 1_024
)

// Types of event.
const (
	TypeMessageSent    = "chat.message.sent.v1"
	TypeChannelCreated = "chat.channel.created.v1"
	TypeMemberJoined   = "chat.member.joined.v1"
	TypeMemberLeft     = "chat.member.left.v1"
	TypeUserCutOff     = "chat.user.cutoff.v1"
)

// MessageSent is the payload of [TypeMessageSent].
type MessageSent struct {
	ID        MessageID `json:"id"`
	ChannelID ChannelID `json:"channel_id"`
	AuthorID  UserID    `json:"author_id"`
	Text      string    `json:"text"`
	SentAt    time.Time `json:"sent_at"` // when its author sent it, UTC to the millisecond; imports bring past times
	ClientID  ClientID  `json:"client_id"`
	ReplyTo   MessageID `json:"reply_to,omitempty"` // the message that this one answers
}

// Validate returns the first fault, or nil.
func (m MessageSent) Validate() error {
	if _, err := ParseChannelID(string(m.ChannelID)); err != nil {
		return err
	}
	if _, err := ParseMessageID(string(m.ID)); err != nil {
		return err
	}
	if _, err := ParseUserID(string(m.AuthorID)); err != nil {
		return err
	}
	if m.ReplyTo != "" {
		if _, err := ParseMessageID(string(m.ReplyTo)); err != nil {
			return Invalid("invalid_reply_to", "reply_to", "reply_to: %v", err)
		}
	}
	return ValidateText(m.Text)
}

// ValidateText accepts 1 to 50,000 runes of valid UTF-8. Its errors are
// [ErrEmptyMessage], [ErrMessageTooLong] and a fault of code "invalid_text".
func ValidateText(text string) error {
	if text == "" {
		return ErrEmptyMessage
	}
	if len(text) > MaxMessageRunes && utf8.RuneCountInString(text) > MaxMessageRunes {
		return ErrMessageTooLong
	}
	if !utf8.ValidString(text) {
		return Invalid("invalid_text", "text", "message text is not valid UTF-8")
	}
	return nil
}

// Visibility says who may find and join a channel.
type Visibility string

// Public channels are listed and joined by anybody; private ones only by those
// whom a member with the owner role adds.
const (
	Public  Visibility = "public"
	Private Visibility = "private"
)

// ChannelCreated is the payload of [TypeChannelCreated].
type ChannelCreated struct {
	ID         ChannelID  `json:"id"`
	Name       string     `json:"name"`
	Topic      string     `json:"topic,omitempty"`
	Visibility Visibility `json:"visibility"`
	CreatedBy  UserID     `json:"created_by"`
	CreatedAt  time.Time  `json:"created_at"`
}

// Validate returns the first fault, or nil.
func (c ChannelCreated) Validate() error {
	if _, err := ParseChannelID(string(c.ID)); err != nil {
		return err
	}
	if _, err := ParseUserID(string(c.CreatedBy)); err != nil {
		return err
	}
	if n := utf8.RuneCountInString(c.Name); n == 0 || n > MaxChannelNameRunes || !utf8.ValidString(c.Name) {
		return Invalid("invalid_channel_name", "name", "channel name has %d characters, 1 to %d are allowed", n, MaxChannelNameRunes)
	}
	if n := utf8.RuneCountInString(c.Topic); n > MaxTopicRunes || !utf8.ValidString(c.Topic) {
		return Invalid("invalid_topic", "topic", "topic has %d characters, at most %d are allowed", n, MaxTopicRunes)
	}
	if c.Visibility != Public && c.Visibility != Private {
		return Invalid("invalid_visibility", "visibility", "visibility is %q, expected %q or %q", c.Visibility, Public, Private)
	}
	return nil
}

// Role is what a member may do in a channel.
type Role string

// An owner may add members; its channel's creator is one.
const (
	RoleOwner  Role = "owner"
	RoleMember Role = "member"
)

// MemberJoined is the payload of [TypeMemberJoined].
type MemberJoined struct {
	ChannelID ChannelID `json:"channel_id"`
	UserID    UserID    `json:"user_id"`
	Role      Role      `json:"role"`
	AddedBy   UserID    `json:"added_by,omitempty"` // empty where users join by themselves
	At        time.Time `json:"at"`
}

// Validate returns the first fault, or nil.
func (m MemberJoined) Validate() error {
	if err := validateMember(m.ChannelID, m.UserID); err != nil {
		return err
	}
	if m.Role != RoleOwner && m.Role != RoleMember {
		return Invalid("invalid_role", "role", "role is %q, expected %q or %q", m.Role, RoleOwner, RoleMember)
	}
	return nil
}

// MemberLeft is the payload of [TypeMemberLeft].
type MemberLeft struct {
	ChannelID ChannelID `json:"channel_id"`
	UserID    UserID    `json:"user_id"`
	At        time.Time `json:"at"`
}

// Validate returns the first fault, or nil.
func (m MemberLeft) Validate() error { return validateMember(m.ChannelID, m.UserID) }

func validateMember(c ChannelID, u UserID) error {
	if _, err := ParseChannelID(string(c)); err != nil {
		return err
	}
	_, err := ParseUserID(string(u))
	return err
}

// Payload is what an event carries.
type Payload interface{ Validate() error }

// Decode reads an event's payload of type T and validates it. Its errors match
// [ErrInvalid], so that the event goes to the dead letters.
func Decode[T Payload](e Event) (T, error) {
	var p T
	if err := json.Unmarshal(e.Data, &p); err != nil {
		return p, Invalid("invalid_payload", "data", "payload of %s %s: %v", e.Type, e.ID, err)
	}
	if err := p.Validate(); err != nil {
		return p, fmt.Errorf("payload of %s %s: %w", e.Type, e.ID, err)
	}
	return p, nil
}

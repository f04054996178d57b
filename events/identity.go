package events

import (
	"crypto/sha256"
	"encoding/base32"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/google/uuid"
)

// Bounds of the identities, in bytes.
const (
	MaxUserIDLength    = 128
	MaxChannelIDLength = 64
)

// UserID names a person or a bot: the subject ("sub") of its identity token.
// 1 to 128 bytes of printable UTF-8, without a space at either end.
type UserID string

// ChannelID names a channel: 1 to 64 of A-Z a-z 0-9 _ and -, like "ch_general".
type ChannelID string

// MessageID names a message: "msg_" and 26 characters of lower-case base32. It
// follows from the author, the channel and the client's id, see [NewMessageID].
type MessageID string

// ClientID is the idempotency key that a client gives a message: a UUID in its
// canonical lower-case form. Version 7 is the best choice, see [ClientID.Time].
type ClientID string

var idEncoding = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

// keySpace is the UUID name space in which free-form idempotency keys become
// client ids.
var keySpace = uuid.MustParse("6f1c1a52-6a53-5c0e-9f0b-2f0c6a6f7c11")

// ParseUserID returns s as a user id, or an error that matches [ErrInvalid].
func ParseUserID(s string) (UserID, error) {
	switch {
	case s == "":
		return "", ErrMissingUserID
	case len(s) > MaxUserIDLength:
		return "", Invalid("invalid_user_id", "user_id", "user id has %d bytes, at most %d are allowed", len(s), MaxUserIDLength)
	case !utf8.ValidString(s):
		return "", Invalid("invalid_user_id", "user_id", "user id %q is not valid UTF-8", s)
	case strings.TrimSpace(s) != s:
		return "", Invalid("invalid_user_id", "user_id", "user id %q begins or ends with a space", s)
	}
	for _, r := range s {
		if r != ' ' && !unicode.IsGraphic(r) || unicode.IsSpace(r) && r != ' ' {
			return "", Invalid("invalid_user_id", "user_id", "user id %q holds the unprintable character %U", s, r)
		}
	}
	return UserID(s), nil
}

// ParseChannelID returns s as a channel id, or an error that matches
// [ErrInvalid]; the empty string gives [ErrMissingChannelID].
func ParseChannelID(s string) (ChannelID, error) {
	if s == "" {
		return "", ErrMissingChannelID
	}
	if len(s) > MaxChannelIDLength {
		return "", Invalid("invalid_channel_id", "channel_id", "channel id has %d bytes, at most %d are allowed", len(s), MaxChannelIDLength)
	}
	for i := range len(s) {
		if !plain(s[i]) {
			return "", Invalid("invalid_channel_id", "channel_id", "channel id %q may hold only A-Z a-z 0-9 _ and -", s)
		}
	}
	return ChannelID(s), nil
}

// ParseMessageID returns s as a message id, or an error that matches [ErrInvalid].
func ParseMessageID(s string) (MessageID, error) {
	rest, ok := strings.CutPrefix(s, "msg_")
	if ok && len(rest) == 26 {
		if _, err := idEncoding.DecodeString(rest); err == nil {
			return MessageID(s), nil
		}
	}
	return "", Invalid("invalid_message_id", "message_id", "message id %q is not \"msg_\" and 26 characters of a-z 2-7", s)
}

// ParseClientID returns s, a UUID of any version, in canonical form, or an
// error that matches [ErrInvalid].
func ParseClientID(s string) (ClientID, error) {
	if len(s) == 36 {
		if u, err := uuid.Parse(s); err == nil && u != uuid.Nil {
			return ClientID(u.String()), nil
		}
	}
	return "", Invalid("invalid_client_id", "client_id", "client_id %q is not a UUID like 01912f4e-8d3c-7c7a-b1a0-5a3f0e5f9a10", s)
}

// ClientIDOf turns any non-empty idempotency key of up to 255 bytes into a
// client id: a UUID as it is, anything else by hashing (UUID version 5).
func ClientIDOf(key string) (ClientID, error) {
	if id, err := ParseClientID(key); err == nil {
		return id, nil
	}
	if key == "" || len(key) > 255 {
		return "", Invalid("invalid_idempotency_key", "Idempotency-Key", "Idempotency-Key has %d bytes, 1 to 255 are allowed", len(key))
	}
	return ClientID(uuid.NewSHA1(keySpace, []byte(key)).String()), nil
}

// NewClientID makes a client id (UUID version 7) for a message whose client
// gave none.
func NewClientID() ClientID {
	return ClientID(uuid.Must(uuid.NewV7()).String())
}

// Time is when the id was made, which a UUID of version 7 tells to the
// millisecond by its maker's clock; other versions report false.
func (c ClientID) Time() (time.Time, bool) {
	u, err := uuid.Parse(string(c))
	if err != nil || u.Version() != 7 {
		return time.Time{}, false
	}
	ms := int64(u[0])<<40 | int64(u[1])<<32 | int64(u[2])<<24 | int64(u[3])<<16 | int64(u[4])<<8 | int64(u[5])
	return time.UnixMilli(ms).UTC(), true
}

// NewMessageID derives a message's id, so that the same client id from the same
// author in the same channel is always the same message: the first 128 bits of
// SHA-256 over the three, each ended by a zero byte.
func NewMessageID(author UserID, channel ChannelID, client ClientID) MessageID {
	return MessageID("msg_" + digest(string(author), string(channel), string(client)))
}

// NewChannelID makes an id for a channel whose creator gave none.
func NewChannelID() ChannelID {
	u := uuid.Must(uuid.NewV7())
	return ChannelID("ch_" + idEncoding.EncodeToString(u[:]))
}

// DeriveChannelID gives the id of a channel whose creator gave it an idempotency
// key instead, so that a retry names the same channel.
func DeriveChannelID(creator UserID, key ClientID) ChannelID {
	return ChannelID("ch_" + digest("channel", string(creator), string(key)))
}

// EventID derives the id of an event from what makes it unique, so that a retry
// of the same deed is the same event.
func EventID(parts ...string) string {
	return "evt_" + digest(parts...)
}

func digest(parts ...string) string {
	var buf [256]byte
	b := buf[:0]
	for _, p := range parts {
		b = append(append(b, p...), 0)
	}
	sum := sha256.Sum256(b)
	return idEncoding.EncodeToString(sum[:16])
}

// Caller is who a verified identity token says is calling.
type Caller struct {
	User    UserID
	Name    string // for display; the user id where the token has no name
	Roles   []string
	Expires time.Time // of the token
	Issued  time.Time // the token, to the second; zero where it does not tell
	Session string    // the issuer's name of the login that the token belongs to; empty where it does not tell
}

// RoleImport lets its holder write in other people's names and with past
// times: bulk import.
const RoleImport = "chat-import"

// Has tells whether the caller holds the role.
func (c Caller) Has(role string) bool {
	for _, r := range c.Roles {
		if r == role {
			return true
		}
	}
	return false
}

package events

import (
	"net/url"
	"strings"
)

// Streams of the log.
const (
	StreamMessages    = "MESSAGES"
	StreamMetadata    = "METADATA"
	StreamDeadLetters = "DEADLETTERS"
	StreamCutOffs     = "CUTOFFS" // forgets by age: a cut-off is of no use once the tokens have expired
)

// Subjects that each stream holds.
var (
	MessagesSubjects    = []string{"messages.>"}
	MetadataSubjects    = []string{"channels.>", "members.>", "users.>"}
	DeadLettersSubjects = []string{"dead.>"}
	CutOffsSubjects     = []string{"cutoffs.>"}
)

// Durable consumers of the log, by the view that each feeds.
const (
	ConsumerMessages = "message-writer"
	ConsumerMetadata = "metadata-writer"
	ConsumerSearch   = "search-writer"
)

// MessageSubject is where a channel's sent messages go.
func MessageSubject(c ChannelID) string { return "messages.send." + string(c) }

// MessagesOf matches every verb on a channel's messages.
func MessagesOf(c ChannelID) string { return "messages.*." + string(c) }

// ChannelSubject is where a channel's own events go.
func ChannelSubject(c ChannelID) string { return "channels." + string(c) }

// MemberSubject is where the events of one membership go; its last event says
// whether the user is a member.
func MemberSubject(c ChannelID, u UserID) string {
	return "members." + string(c) + "." + Token(string(u))
}

// MembershipsOf matches every membership of a user.
func MembershipsOf(u UserID) string { return "members.*." + Token(string(u)) }

// MembersOf matches every membership of a channel.
func MembersOf(c ChannelID) string { return "members." + string(c) + ".*" }

// DeadLetterSubject is where a consumer's refused events go.
func DeadLetterSubject(consumer string) string { return "dead." + consumer }

// StreamOf names the stream that holds a subject, or returns "".
func StreamOf(subject string) string {
	head, _, _ := strings.Cut(subject, ".")
	switch head {
	case "messages":
		return StreamMessages
	case "channels", "members", "users":
		return StreamMetadata
	case "dead":
		return StreamDeadLetters
	case "cutoffs":
		return StreamCutOffs
	}
	return ""
}

// ChannelOf is the channel in a subject of the MESSAGES or METADATA stream, or
// "" where it has none.
func ChannelOf(subject string) ChannelID {
	head, rest, _ := strings.Cut(subject, ".")
	if head == "messages" {
		_, rest, _ = strings.Cut(rest, ".")
	} else if head != "channels" && head != "members" {
		return ""
	}
	id, _, _ := strings.Cut(rest, ".")
	return ChannelID(id)
}

func plain(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_' || c == '-'
}

// Token writes an identity as one token of a NATS subject: every byte but
// A-Z a-z 0-9 _ and - as %XX.
func Token(id string) string {
	n := 0
	for i := range len(id) {
		if !plain(id[i]) {
			n++
		}
	}
	if n == 0 {
		return id
	}
	const hex = "0123456789ABCDEF"
	b := make([]byte, 0, len(id)+2*n)
	for i := range len(id) {
		if c := id[i]; plain(c) {
			b = append(b, c)
		} else {
			b = append(b, '%', hex[c>>4], hex[c&15])
		}
	}
	return string(b)
}

// FromToken is the identity that [Token] wrote, or an error that matches
// [ErrInvalid].
func FromToken(token string) (string, error) {
	id, err := url.PathUnescape(token)
	if err != nil {
		return "", Invalid("invalid_subject", "subject", "subject token %q is not %%-encoded: %v", token, err)
	}
	return id, nil
}

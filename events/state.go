package events

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"time"
)

// Message is a message as every view holds it: the payload and its place in
// the channel's one order.
type Message struct {
	Seq uint64 `json:"seq"` // sequence in the MESSAGES stream
	MessageSent
}

// Channel is a channel as the metadata view holds it.
type Channel struct {
	Seq uint64 `json:"seq"` // sequence, in METADATA, of the last event that shaped it
	ChannelCreated
}

// Member is a membership as the metadata view holds it. One that ended stays,
// with Active false, so that a stale join cannot bring it back.
type Member struct {
	Seq       uint64    `json:"seq"`
	ChannelID ChannelID `json:"channel_id"`
	UserID    UserID    `json:"user_id"`
	Role      Role      `json:"role"`
	Active    bool      `json:"active"`
	At        time.Time `json:"at"` // of the last join or leave
}

// Ack is the log's receipt.
type Ack struct {
	Stream    string
	Seq       uint64
	Duplicate bool // the event's id was known already; Seq is the original's
}

// MemberOf folds a membership event into the state it leaves behind.
func MemberOf(e Event) (Member, error) {
	switch e.Type {
	case TypeMemberJoined:
		j, err := Decode[MemberJoined](e)
		return Member{Seq: e.Sequence, ChannelID: j.ChannelID, UserID: j.UserID, Role: j.Role, Active: true, At: j.At}, err
	case TypeMemberLeft:
		l, err := Decode[MemberLeft](e)
		return Member{Seq: e.Sequence, ChannelID: l.ChannelID, UserID: l.UserID, Role: RoleMember, At: l.At}, err
	}
	return Member{}, Invalid("unexpected_type", "type", "event %s has type %q, expected a membership", e.ID, e.Type)
}

// MessageOf reads a sent message with its sequence.
func MessageOf(e Event) (Message, error) {
	if e.Type != TypeMessageSent {
		return Message{}, Invalid("unexpected_type", "type", "event %s has type %q, expected %q", e.ID, e.Type, TypeMessageSent)
	}
	p, err := Decode[MessageSent](e)
	return Message{Seq: e.Sequence, MessageSent: p}, err
}

// ChannelFrom reads a created channel with its sequence.
func ChannelFrom(e Event) (Channel, error) {
	if e.Type != TypeChannelCreated {
		return Channel{}, Invalid("unexpected_type", "type", "event %s has type %q, expected %q", e.ID, e.Type, TypeChannelCreated)
	}
	p, err := Decode[ChannelCreated](e)
	return Channel{Seq: e.Sequence, ChannelCreated: p}, err
}

// Checksum tells whether two views hold the same: how many records, and the sum
// (modulo 2^128) of the first half of each record's SHA-256. Sums commute, so
// that a store may be read in any order.
type Checksum struct {
	Count  uint64
	hi, lo uint64
}

// Add counts one record: the SHA-256 of its JSON form.
func (c *Checksum) Add(record any) error {
	b, err := json.Marshal(record)
	if err != nil {
		return fmt.Errorf("checksum %T: %w", record, err)
	}
	sum := sha256.Sum256(b)
	lo := c.lo + binary.BigEndian.Uint64(sum[8:16])
	c.hi += binary.BigEndian.Uint64(sum[:8])
	if lo < c.lo {
		c.hi++
	}
	c.lo = lo
	c.Count++
	return nil
}

// Merge adds what another checksum counts.
func (c *Checksum) Merge(o Checksum) {
	lo := c.lo + o.lo
	c.hi += o.hi
	if lo < c.lo {
		c.hi++
	}
	c.lo = lo
	c.Count += o.Count
}

func (c Checksum) String() string {
	var b [16]byte
	binary.BigEndian.PutUint64(b[:8], c.hi)
	binary.BigEndian.PutUint64(b[8:], c.lo)
	return fmt.Sprintf("%d:%s", c.Count, hex.EncodeToString(b[:]))
}

// HistoryQuery asks for a page of a channel. At most one of Before, After and
// Around is set; none means the latest messages. Sequences are exclusive but
// for Around, which stands in the middle of its page.
type HistoryQuery struct {
	Channel               ChannelID
	Before, After, Around uint64
	Limit                 int // > 0
}

// HistoryPage is a page in ascending order of sequence, and whether the channel
// goes on at either end of it.
type HistoryPage struct {
	Messages              []Message
	MoreBefore, MoreAfter bool
}

// Membership is a channel as one of its members sees it.
type Membership struct {
	Channel Channel
	Member  Member
}

// SearchQuery asks for messages with all the words of Text, the last word as a
// prefix, in any of the given channels (none gives nothing), with a sequence
// below Before (0: no bound), newest first.
type SearchQuery struct {
	Text     string
	Channels []ChannelID
	Before   uint64
	Limit    int // > 0
}

// SearchPage is a page of hits, newest first.
type SearchPage struct {
	Hits []Hit
	More bool
}

// Hit is a message found and the part of it that matches, in plain text.
type Hit struct {
	Message Message
	Snippet string
}

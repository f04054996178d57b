package mongodb

import (
	"math"
	"time"
	"unicode/utf8"

	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/chat-platform/chat/events"
)

// document is how a record of type R is kept.
type document[R any] interface{ record() R }

type channelDocument struct {
	ID         string        `bson:"_id"`
	Seq        int64         `bson:"seq"`
	Name       string        `bson:"name"`
	Topic      string        `bson:"topic"`
	Visibility string        `bson:"visibility"`
	CreatedBy  string        `bson:"created_by"`
	CreatedAt  bson.DateTime `bson:"created_at"`
}

// memberDocument has _id "channel/user", which is unambiguous: a channel's id
// has no slash.
type memberDocument struct {
	Seq     int64         `bson:"seq"`
	Channel string        `bson:"channel"`
	User    string        `bson:"user"`
	Role    string        `bson:"role"`
	Active  bool          `bson:"active"`
	At      bson.DateTime `bson:"at"`
}

func (d channelDocument) record() events.Channel {
	return events.Channel{Seq: uint64(d.Seq), ChannelCreated: events.ChannelCreated{
		ID: events.ChannelID(d.ID), Name: d.Name, Topic: d.Topic, Visibility: events.Visibility(d.Visibility),
		CreatedBy: events.UserID(d.CreatedBy), CreatedAt: timeOf(d.CreatedAt),
	}}
}

func (d memberDocument) record() events.Member {
	return events.Member{
		Seq: uint64(d.Seq), ChannelID: events.ChannelID(d.Channel), UserID: events.UserID(d.User),
		Role: events.Role(d.Role), Active: d.Active, At: timeOf(d.At),
	}
}

// write is one guarded upsert: key, sequence, and the fields beside _id.
type write struct {
	id  string
	seq int64
	set bson.D
}

func writeOfChannel(c events.Channel) (write, error) {
	if err := validate(c.Seq, []string{string(c.ID)}, c.Name, c.Topic, string(c.Visibility), string(c.CreatedBy)); err != nil {
		return write{}, err
	}
	seq := int64(c.Seq)
	return write{id: string(c.ID), seq: seq, set: bson.D{
		{Key: "seq", Value: seq}, {Key: "name", Value: c.Name}, {Key: "topic", Value: c.Topic},
		{Key: "visibility", Value: string(c.Visibility)}, {Key: "created_by", Value: string(c.CreatedBy)},
		{Key: "created_at", Value: bson.DateTime(c.CreatedAt.UnixMilli())},
	}}, nil
}

func writeOfMember(m events.Member) (write, error) {
	if err := validate(m.Seq, []string{string(m.ChannelID), string(m.UserID)}, string(m.Role)); err != nil {
		return write{}, err
	}
	seq := int64(m.Seq)
	return write{id: string(m.ChannelID) + "/" + string(m.UserID), seq: seq, set: bson.D{
		{Key: "seq", Value: seq}, {Key: "channel", Value: string(m.ChannelID)}, {Key: "user", Value: string(m.UserID)},
		{Key: "role", Value: string(m.Role)}, {Key: "active", Value: m.Active},
		{Key: "at", Value: bson.DateTime(m.At.UnixMilli())},
	}}, nil
}

// validate refuses what MongoDB would keep otherwise than it came, or not at all.
func validate(seq uint64, ids []string, texts ...string) error {
	bad := seq == 0 || seq >= math.MaxInt64
	for _, id := range ids {
		bad = bad || id == "" || !utf8.ValidString(id)
	}
	if bad {
		return events.Invalid("invalid_record", "", "the record %q needs its ids and a sequence from 1 to 2^63-2", ids)
	}
	for _, text := range texts {
		if !utf8.ValidString(text) {
			return events.Invalid("invalid_record", "", "the record %q holds %q, which is not valid UTF-8", ids, text)
		}
	}
	return nil
}

func timeOf(t bson.DateTime) time.Time { return time.UnixMilli(int64(t)).UTC() }

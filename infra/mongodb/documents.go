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

// A document is a key and a state. The state begins with the sequence, so that
// of two states the one with the higher sequence is the greater: MongoDB compares
// documents field by field, in their order. Hence the order of the fields below
// is part of the schema, and new ones go to the end.

type channelDocument struct {
	ID    string       `bson:"_id"`
	State channelState `bson:"state"`
}

type channelState struct {
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
	Channel string      `bson:"channel"`
	User    string      `bson:"user"`
	State   memberState `bson:"state"`
}

type memberState struct {
	Seq    int64         `bson:"seq"`
	Active bool          `bson:"active"`
	Role   string        `bson:"role"`
	At     bson.DateTime `bson:"at"`
}

func (d channelDocument) record() events.Channel {
	s := d.State
	return events.Channel{Seq: uint64(s.Seq), ChannelCreated: events.ChannelCreated{
		ID: events.ChannelID(d.ID), Name: s.Name, Topic: s.Topic, Visibility: events.Visibility(s.Visibility),
		CreatedBy: events.UserID(s.CreatedBy), CreatedAt: timeOf(s.CreatedAt),
	}}
}

func (d memberDocument) record() events.Member {
	return events.Member{
		Seq: uint64(d.State.Seq), ChannelID: events.ChannelID(d.Channel), UserID: events.UserID(d.User),
		Role: events.Role(d.State.Role), Active: d.State.Active, At: timeOf(d.State.At),
	}
}

// write is one record on its way: its key, what never changes beside it, and
// its state.
type write struct {
	id    string
	seq   uint64
	keys  bson.D
	state any
}

func writeOfChannel(c events.Channel) (write, error) {
	if err := validate(c.Seq, []string{string(c.ID)}, c.Name, c.Topic, string(c.Visibility), string(c.CreatedBy)); err != nil {
		return write{}, err
	}
	return write{id: string(c.ID), seq: c.Seq, state: channelState{
		Seq: int64(c.Seq), Name: c.Name, Topic: c.Topic, Visibility: string(c.Visibility),
		CreatedBy: string(c.CreatedBy), CreatedAt: bson.DateTime(c.CreatedAt.UnixMilli()),
	}}, nil
}

func writeOfMember(m events.Member) (write, error) {
	if err := validate(m.Seq, []string{string(m.ChannelID), string(m.UserID)}, string(m.Role)); err != nil {
		return write{}, err
	}
	return write{
		id: string(m.ChannelID) + "/" + string(m.UserID), seq: m.Seq,
		keys:  bson.D{{Key: "channel", Value: string(m.ChannelID)}, {Key: "user", Value: string(m.UserID)}},
		state: memberState{Seq: int64(m.Seq), Active: m.Active, Role: string(m.Role), At: bson.DateTime(m.At.UnixMilli())},
	}, nil
}

// update puts the state in the place of a lesser one, or of none.
func (w write) update() bson.D {
	u := bson.D{{Key: "$max", Value: bson.D{{Key: "state", Value: w.state}}}}
	if w.keys != nil {
		u = append(u, bson.E{Key: "$setOnInsert", Value: w.keys})
	}
	return u
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

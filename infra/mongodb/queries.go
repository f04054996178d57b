package mongodb

import "go.mongodb.org/mongo-driver/v2/bson"

// query is the shape of a statement. Statements are made from it, so that what
// is listed here is what is sent.
type query struct {
	name       string
	collection string
	equal      []string // fields that are compared for equality (or with one of several values)
	after      string   // field that a page continues after, and by which it is ordered
	write      bool     // of the document with that _id
}

// What requests and batches of events read and write.
var (
	channelByID    = query{name: "a channel", collection: channels, equal: []string{"_id"}}
	channelsByID   = query{name: "the channels of a page", collection: channels, equal: []string{"_id"}}
	publicChannels = query{name: "public channels", collection: channels, equal: []string{"state.visibility"}, after: "_id"}
	channelsOf     = query{name: "channels of a user", collection: members, equal: []string{"user", "state.active"}, after: "channel"}
	membersOf      = query{name: "members of a channel", collection: members, equal: []string{"channel", "state.active"}, after: "user"}
	writeChannel   = query{name: "write a channel", collection: channels, equal: []string{"_id"}, write: true}
	writeMember    = query{name: "write a membership", collection: members, equal: []string{"_id"}, write: true}
)

// hotQueries is all of them. What is not listed (checksums, reset) reads
// everything and is for rebuilds.
var hotQueries = []query{channelByID, channelsByID, publicChannels, channelsOf, membersOf, writeChannel, writeMember}

// filter gives the condition: values of equal in their order, then the one that
// the page continues after.
func (q query) filter(values ...any) bson.D {
	f := make(bson.D, len(values))
	for i, v := range values {
		if i < len(q.equal) {
			f[i] = bson.E{Key: q.equal[i], Value: v}
		} else {
			f[i] = bson.E{Key: q.after, Value: bson.D{{Key: "$gt", Value: v}}}
		}
	}
	return f
}

// order is nil where at most one document can come, or the order is of no matter.
func (q query) order() bson.D {
	if q.after == "" {
		return nil
	}
	return bson.D{{Key: q.after, Value: 1}}
}

// in asks for any of the ids.
func in(ids []string) bson.D { return bson.D{{Key: "$in", Value: ids}} }

package mongodb

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
)

// Collections.
const (
	channels = "channels"
	members  = "members"
)

// index is an ascending index. Every collection also has MongoDB's own on _id.
type index struct {
	collection, name string
	fields           []string
}

// indexes serve hotQueries. Memberships are found by user and by channel, the
// active ones next to each other: tombstones cost a page nothing.
var indexes = []index{
	{collection: channels, name: "visibility_id", fields: []string{"state.visibility", "_id"}},
	{collection: members, name: "user_active_channel", fields: []string{"user", "state.active", "channel"}},
	{collection: members, name: "channel_active_user", fields: []string{"channel", "state.active", "user"}},
}

// serves tells whether the index finds what the query asks for, in its order,
// without reading anything else: its fields begin with those that are compared
// for equality, in any order, and go on with the one that orders the page. A
// write goes to one document by its _id.
func (x index) serves(q query) bool {
	n := len(q.equal)
	if x.collection != q.collection || n > len(x.fields) {
		return false
	}
	for _, f := range x.fields[:n] {
		if !slices.Contains(q.equal, f) {
			return false
		}
	}
	if q.write && x.fields[0] != "_id" {
		return false
	}
	return q.after == "" || n < len(x.fields) && x.fields[n] == q.after
}

// ensure creates the indexes that are missing. It may run twice and in several
// processes at once; where nothing is missing, it needs no right to write.
func (s *Store) ensure(ctx context.Context) error {
	for _, name := range []string{channels, members} {
		view := s.collection(name).Indexes()
		there, err := view.ListSpecifications(ctx)
		if err != nil {
			return fmt.Errorf("indexes of %s: %w", name, err)
		}
		var missing []mongo.IndexModel
		for _, x := range indexes {
			if x.collection == name && !slices.ContainsFunc(there, x.is) {
				missing = append(missing, x.model())
			}
		}
		if len(missing) == 0 {
			continue
		}
		if _, err := view.CreateMany(ctx, missing); err != nil {
			return fmt.Errorf("create indexes of %s: %w", name, err)
		}
	}
	return nil
}

func (x index) model() mongo.IndexModel {
	keys := make(bson.D, len(x.fields))
	for i, f := range x.fields {
		keys[i] = bson.E{Key: f, Value: 1}
	}
	return mongo.IndexModel{Keys: keys, Options: options.Index().SetName(x.name)}
}

// is compares fields and direction; whoever made the index may have given it
// another name.
func (x index) is(there mongo.IndexSpecification) bool {
	return strings.Join(fieldsOf(there.KeysDocument), " ") == strings.Join(x.fields, " ")
}

// fieldsOf gives the fields of an index's keys; one that is not ascending has
// its kind added.
func fieldsOf(keys bson.Raw) []string {
	elements, err := keys.Elements()
	if err != nil {
		return nil
	}
	fields := make([]string, 0, len(elements))
	for _, e := range elements {
		field := e.Key()
		if n, ok := e.Value().AsInt64OK(); !ok || n != 1 {
			field += ":" + e.Value().String()
		}
		fields = append(fields, field)
	}
	return fields
}

package mongodb

import (
	"context"

	"go.mongodb.org/mongo-driver/v2/event"
	"go.mongodb.org/mongo-driver/v2/mongo"
)

// Query is the shape of a hot query.
type Query struct {
	Name, Collection, After string
	Equal                   []string
	Write                   bool
}

// Index is an index by its fields.
type Index struct {
	Collection, Name string
	Fields           []string
}

func (x Index) Serves(q Query) bool {
	return index{collection: x.Collection, name: x.Name, fields: x.Fields}.
		serves(query{name: q.Name, collection: q.Collection, equal: q.Equal, after: q.After, write: q.Write})
}

func HotQueries() (qs []Query) {
	for _, q := range hotQueries {
		qs = append(qs, Query{Name: q.name, Collection: q.collection, Equal: q.equal, After: q.after, Write: q.write})
	}
	return qs
}

func Indexes() []Index {
	xs := []Index{
		{Collection: channels, Name: "_id_", Fields: []string{"_id"}},
		{Collection: members, Name: "_id_", Fields: []string{"_id"}},
	}
	for _, x := range indexes {
		xs = append(xs, Index{Collection: x.collection, Name: x.name, Fields: x.fields})
	}
	return xs
}

var FieldsOf = fieldsOf

func (c Config) Monitored(m *event.CommandMonitor) Config {
	c.monitor = m
	return c
}

func (s *Store) Database() *mongo.Database { return s.db }

func KindOf(ctx context.Context, err error) error { return kindOf(ctx, err, false) }

// Duplicates counts the writes that an error of a bulk of n says to send again.
func Duplicates(err error, n int) int { return len(duplicates(err, make([]mongo.WriteModel, n))) }

// States is one of each kind.
func States() []any { return []any{channelState{}, memberState{}} }

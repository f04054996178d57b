package mongodb_test

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/chat-platform/chat/infra/mongodb"
)

func TestEveryHotQueryHasItsIndex(t *testing.T) {
	for _, q := range mongodb.HotQueries() {
		require.True(t, slices.ContainsFunc(mongodb.Indexes(), func(x mongodb.Index) bool { return x.Serves(q) }),
			"no index serves %q: equal %v, then %q", q.Name, q.Equal, q.After)
	}
}

func TestEveryIndexServesAHotQuery(t *testing.T) {
	for _, x := range mongodb.Indexes() {
		require.True(t, slices.ContainsFunc(mongodb.HotQueries(), x.Serves), "%s of %s serves nothing, and every write pays for it", x.Name, x.Collection)
	}
}

func TestPrefixRule(t *testing.T) {
	x := func(fields ...string) mongodb.Index { return mongodb.Index{Collection: "c", Fields: fields} }
	q := func(after string, equal ...string) mongodb.Query {
		return mongodb.Query{Collection: "c", After: after, Equal: equal}
	}
	write := q("", "_id")
	write.Write = true
	writeOfMany := q("", "a")
	writeOfMany.Write = true
	elsewhere := q("", "a")
	elsewhere.Collection = "d"
	for _, c := range []struct {
		name  string
		index mongodb.Index
		query mongodb.Query
		want  bool
	}{
		{"the field itself", x("a"), q("", "a"), true},
		{"a prefix", x("a", "b"), q("", "a"), true},
		{"not the first field", x("a", "b"), q("", "b"), false},
		{"a hole", x("a", "b", "c"), q("", "a", "c"), false},
		{"in another order", x("b", "a"), q("", "a", "b"), true},
		{"equal, then ordered", x("a", "b", "c"), q("c", "a", "b"), true},
		{"ordered too early", x("a", "c", "b"), q("c", "a", "b"), false},
		{"the order is not in it", x("a", "b"), q("c", "a", "b"), false},
		{"more fields than it has", x("a"), q("", "a", "b"), false},
		{"of another collection", x("a"), elsewhere, false},
		{"a write of one document", x("_id"), write, true},
		{"a write of many documents", x("a"), writeOfMany, false},
	} {
		require.Equal(t, c.want, c.index.Serves(c.query), c.name)
	}
}

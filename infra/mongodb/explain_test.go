//go:build integration

package mongodb_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/chat-platform/chat/events"
	"github.com/chat-platform/chat/infra/mongodb"
)

// notJudged is what a stand-in that speaks MongoDB's protocol leaves open.
var notJudged = []string{
	"plans: it has no explain and reads a whole collection where an index is not unique, so that pages are not flat there",
	"a majority of several members, fail-over, repetition of writes by the driver",
	"a crash: its file loses acknowledged writes, where MongoDB's journal keeps them",
	"order of ids with characters beyond U+FFFF (it compares UTF-16 units, MongoDB compares bytes)",
	"a document above 16 MiB (it closes the connection, MongoDB says code 10334)",
	"users and their rights, TLS",
}

func sayWhatIsNotJudged(t *testing.T) {
	t.Helper()
	s := openStore(t, config(t))
	if _, err := explain(t, s, mongodb.HotQueries()[0]); isStandIn(err) {
		for _, what := range notJudged {
			t.Log("the server is a stand-in for MongoDB, not judged: " + what)
		}
	}
}

func explain(t *testing.T, s *mongodb.Store, q mongodb.Query) (bson.M, error) {
	t.Helper()
	values := map[string]any{"_id": "ch_0050", "channel": "ch_0050", "user": "user 0050", "state.active": true, "state.visibility": "public"}
	filter, sort := bson.D{}, bson.D{}
	for _, f := range q.Equal {
		filter = append(filter, bson.E{Key: f, Value: values[f]})
	}
	if q.Collection == "members" && q.Write {
		filter[0].Value = "ch_0050/user 0050"
	}
	if q.After != "" {
		filter = append(filter, bson.E{Key: q.After, Value: bson.D{{Key: "$gt", Value: ""}}})
		sort = bson.D{{Key: q.After, Value: 1}}
	}
	var plan bson.M
	err := s.Database().RunCommand(t.Context(), bson.D{
		{Key: "explain", Value: bson.D{{Key: "find", Value: q.Collection}, {Key: "filter", Value: filter}, {Key: "sort", Value: sort}, {Key: "limit", Value: 50}}},
		{Key: "verbosity", Value: "executionStats"},
	}).Decode(&plan)
	return plan, err
}

// stages gives every stage of a plan, and the fields of the indexes it scans.
func stages(plan any, found map[string]bool, indexes *[][]string) {
	switch v := plan.(type) {
	case bson.M:
		if s, ok := v["stage"].(string); ok {
			found[s] = true
		}
		if keys, ok := v["keyPattern"].(bson.M); ok {
			raw, _ := bson.Marshal(keys)
			*indexes = append(*indexes, mongodb.FieldsOf(raw))
		}
		if keys, ok := v["keyPattern"].(bson.D); ok {
			raw, _ := bson.Marshal(keys)
			*indexes = append(*indexes, mongodb.FieldsOf(raw))
		}
		for _, x := range v {
			stages(x, found, indexes)
		}
	case bson.D:
		m := bson.M{}
		for _, e := range v {
			m[e.Key] = e.Value
		}
		stages(m, found, indexes)
	case bson.A:
		for _, x := range v {
			stages(x, found, indexes)
		}
	}
}

func TestPlans(t *testing.T) {
	s := openStore(t, config(t))
	var ms []events.Member
	var cs []events.Channel
	for i := range 500 {
		id := events.ChannelID(fmt.Sprintf("ch_%04d", i))
		c := channel(id, uint64(i+1))
		if i%10 != 0 {
			c.Visibility = events.Private
		}
		cs = append(cs, c)
		ms = append(ms, member("ch_0050", events.UserID(fmt.Sprintf("user %04d", i)), uint64(2*i+1), i%2 == 0),
			member(id, "user 0050", uint64(2*i+2), i%2 == 0))
	}
	require.NoError(t, s.PutChannels(t.Context(), cs))
	require.NoError(t, s.PutMembers(t.Context(), ms))
	for _, q := range mongodb.HotQueries() {
		plan, err := explain(t, s, q)
		if isStandIn(err) {
			t.Logf("the server is a stand-in for MongoDB, not judged: the plan of %q", q.Name)
			continue
		}
		require.NoError(t, err)
		judge(t, q, plan)
	}
}

// judge refuses a plan that reads a whole collection or sorts in memory, or that
// scans another index than the list's.
func judge(t *testing.T, q mongodb.Query, plan bson.M) {
	t.Helper()
	found, scanned := map[string]bool{}, [][]string{}
	winner := plan["queryPlanner"]
	if m, ok := winner.(bson.D); ok {
		winner = bson.M{}
		for _, e := range m {
			winner.(bson.M)[e.Key] = e.Value
		}
	}
	m, ok := winner.(bson.M)
	require.True(t, ok, "%q: no plan in %v", q.Name, plan)
	stages(m["winningPlan"], found, &scanned)
	require.NotEmpty(t, found, "%q: %v", q.Name, plan)
	require.False(t, found["COLLSCAN"], "%q reads the whole collection: %v", q.Name, plan)
	require.False(t, found["SORT"], "%q sorts in memory: %v", q.Name, plan)
	for _, fields := range scanned {
		x := mongodb.Index{Collection: q.Collection, Fields: fields}
		require.True(t, x.Serves(q), "%q scans the index on %v: %v", q.Name, fields, plan)
	}
}

// A plan as MongoDB prints it, so that judge is known to read one.
func TestJudgeReadsPlans(t *testing.T) {
	scan := func(stage string, keys bson.D) bson.M {
		return bson.M{"queryPlanner": bson.D{{Key: "winningPlan", Value: bson.D{
			{Key: "stage", Value: "LIMIT"}, {Key: "inputStage", Value: bson.D{
				{Key: "stage", Value: "FETCH"}, {Key: "inputStage", Value: bson.D{{Key: "stage", Value: stage}, {Key: "keyPattern", Value: keys}}},
			}},
		}}}}
	}
	found, scanned := map[string]bool{}, [][]string{}
	stages(scan("IXSCAN", bson.D{{Key: "user", Value: 1}, {Key: "state.active", Value: 1}}), found, &scanned)
	require.Equal(t, map[string]bool{"LIMIT": true, "FETCH": true, "IXSCAN": true}, found)
	require.Equal(t, [][]string{{"user", "state.active"}}, scanned)
	for _, q := range mongodb.HotQueries() {
		if q.Name == "members of a channel" {
			judge(t, q, scan("IXSCAN", bson.D{{Key: "channel", Value: 1}, {Key: "state.active", Value: 1}, {Key: "user", Value: 1}}))
		}
	}
}

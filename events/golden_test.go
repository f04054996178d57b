package events_test

import (
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/chat-platform/chat/events"
)

// stored is an event as it lies in a log somewhere, and what every version of
// this package makes of it.
type stored struct {
	Event  json.RawMessage `json:"event"`
	Record json.RawMessage `json:"record"`
}

// variants is a file of testdata: at least those three.
type variants map[string]stored

var needed = []string{"minimal", "full", "future"}

// byType says for each type what it is read into.
var byType = map[string]struct {
	payload any
	record  func(events.Event) (any, error)
	decode  func(events.Event) (any, error)
}{
	events.TypeMessageSent:    {events.MessageSent{}, as(events.MessageOf), as(events.Decode[events.MessageSent])},
	events.TypeChannelCreated: {events.ChannelCreated{}, as(events.ChannelFrom), as(events.Decode[events.ChannelCreated])},
	events.TypeMemberJoined:   {events.MemberJoined{}, as(events.MemberOf), as(events.Decode[events.MemberJoined])},
	events.TypeUserCutOff:     {events.UserCutOff{}, as(events.CutOffOf), as(events.Decode[events.UserCutOff])},
	events.TypeMemberLeft:     {events.MemberLeft{}, as(events.MemberOf), as(events.Decode[events.MemberLeft])},
}

func as[T any](f func(events.Event) (T, error)) func(events.Event) (any, error) {
	return func(e events.Event) (any, error) { return f(e) }
}

func golden(t *testing.T, typ string) variants {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", typ+".json"))
	require.NoError(t, err, "every type has stored events that are read for ever")
	var vs variants
	require.NoError(t, json.Unmarshal(b, &vs))
	return vs
}

// Events are read for ever (docs/adr/0012). What stands in testdata is never
// changed, only added to: if this test fails, it is the code that is wrong.
func TestStoredEventsAreReadForEver(t *testing.T) {
	for typ, read := range byType {
		vs := golden(t, typ)
		assert.Subset(t, slices.Collect(maps.Keys(vs)), needed, typ)
		for name, v := range vs {
			t.Run(typ+"/"+name, func(t *testing.T) {
				e, err := events.ParseJSON(v.Event)
				require.NoError(t, err)
				require.Equal(t, typ, e.Type)
				record, err := read.record(e)
				require.NoError(t, err)
				got, err := json.Marshal(record)
				require.NoError(t, err)
				assert.JSONEq(t, string(v.Record), string(got))

				// The log keeps binary mode.
				h := e.Header()
				binary, err := events.FromHeader(func(k string) string { return strings.Join(h[k], "") }, e.Data)
				require.NoError(t, err)
				assert.Equal(t, e, binary)
			})
		}
	}
}

// What is written today is what was written then, so that readers of any age
// understand it: every variant of today's making encodes to itself, and together
// they name each field of the payload.
func TestEventsAreWrittenAsEver(t *testing.T) {
	for typ, read := range byType {
		fields := map[string]any{}
		for name, v := range golden(t, typ) {
			if name == "minimal" || name == "future" {
				continue
			}
			e, err := events.ParseJSON(v.Event)
			require.NoError(t, err)
			require.NoError(t, json.Unmarshal(e.Data, &fields))
			payload, err := read.decode(e)
			require.NoError(t, err)
			b, err := json.Marshal(payload)
			require.NoError(t, err)
			assert.JSONEq(t, string(e.Data), string(b), "%s %s", typ, name)
		}
		p := reflect.TypeOf(read.payload)
		for i := range p.NumField() {
			tag, _, _ := strings.Cut(p.Field(i).Tag.Get("json"), ",")
			assert.Contains(t, fields, tag, "%s has a new field: add a variant that has it to its stored events", typ)
		}
	}
}

// A type that somebody adds has to come with its stored events.
func TestEveryTypeHasStoredEvents(t *testing.T) {
	f, err := parser.ParseFile(token.NewFileSet(), "payload.go", nil, parser.SkipObjectResolution)
	require.NoError(t, err)
	var declared []string
	ast.Inspect(f, func(n ast.Node) bool {
		if v, ok := n.(*ast.ValueSpec); ok && len(v.Values) == 1 && strings.HasPrefix(v.Names[0].Name, "Type") {
			if lit, ok := v.Values[0].(*ast.BasicLit); ok && lit.Kind == token.STRING {
				typ, err := strconv.Unquote(lit.Value)
				require.NoError(t, err)
				declared = append(declared, typ)
			}
		}
		return true
	})
	require.NotEmpty(t, declared)
	assert.ElementsMatch(t, declared, slices.Collect(maps.Keys(byType)))
	for _, typ := range declared {
		assert.Regexp(t, `^chat(\.[a-z]+)+\.v[1-9]\d*$`, typ, "a type ends in its version")
		assert.NotEmpty(t, golden(t, typ))
	}
}

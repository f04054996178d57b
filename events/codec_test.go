package events_test

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/cloudevents/sdk-go/v2/event"
	"github.com/cloudevents/sdk-go/v2/types"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/chat-platform/chat/events"
)

func full() events.Event {
	return events.Event{
		ID: "evt_1", Source: "/functions/sendmessage", Type: events.TypeMessageSent, Subject: "messages.send.ch_a",
		Time:         time.Date(2026, 3, 4, 5, 6, 7, 890_000_000, time.UTC),
		PartitionKey: "ch_a", TraceParent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", Sequence: 42,
		Data: []byte(`{"text":"hé \"x\" <b>"}`),
	}
}

const fullJSON = `{"specversion":"1.0","id":"evt_1","source":"/functions/sendmessage","type":"chat.message.sent.v1",` +
	`"subject":"messages.send.ch_a","time":"2026-03-04T05:06:07.89Z","datacontenttype":"application/json","partitionkey":"ch_a",` +
	`"traceparent":"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01","sequence":"00000000000000000042","data":{"text":"hé \"x\" <b>"}}`

func TestAppendJSONIsGolden(t *testing.T) {
	b, err := full().AppendJSON([]byte("x"))
	require.NoError(t, err)
	assert.Equal(t, "x"+fullJSON, string(b))

	b, err = events.Event{ID: "a\"\\\n\x7fü\xff\u2028", Source: "s", Type: "t"}.AppendJSON(nil)
	require.NoError(t, err)
	assert.Equal(t, `{"specversion":"1.0","id":"a\"\\\u000a`+"\x7fü\ufffd\u2028"+`","source":"s","type":"t","datacontenttype":"application/json"}`, string(b))

	b, err = events.AppendBatch(nil, []events.Event{full(), full()})
	require.NoError(t, err)
	assert.Equal(t, "["+fullJSON+","+fullJSON+"]", string(b))
}

func TestAppendRefusesDataThatIsNoJSON(t *testing.T) {
	for _, data := range []string{"{", `{"a":1}x`, "01", "nul", `"\x"`, " ", "\"\x01\"", `{"a" 1}`, "[1,]", strings.Repeat("[", 20_000)} {
		e := full()
		e.Data = []byte(data)
		b, err := e.AppendJSON([]byte("x"))
		require.ErrorIs(t, err, events.ErrInvalid, data)
		assert.Equal(t, "x", string(b))
		b, err = events.AppendBatch([]byte("y"), []events.Event{full(), e})
		require.ErrorIs(t, err, events.ErrInvalid, data)
		assert.Equal(t, "y", string(b))
	}
}

func TestParseReadsWhatAppendWrote(t *testing.T) {
	e, err := events.ParseJSON([]byte(" \n" + fullJSON + "\t"))
	require.NoError(t, err)
	assert.Equal(t, full(), e)

	other := full()
	other.ID, other.Data, other.Sequence, other.Time = "evt_2", nil, 0, time.Time{}
	b, err := events.AppendBatch(nil, []events.Event{full(), other})
	require.NoError(t, err)
	es, err := events.ParseBatch(b)
	require.NoError(t, err)
	assert.Equal(t, []events.Event{full(), other}, es)
}

func TestParseJSONTakes(t *testing.T) {
	const head = `{"specversion":"1.0","id":"1","source":"s","type":"t"`
	for body, want := range map[string]events.Event{
		head + `}`:             {},
		head + `,"data":null}`: {Data: []byte("null")},
		head + `,"data": [1, {"a" : -1.5e+3}, true, false, ""] }`:     {Data: []byte(`[1, {"a" : -1.5e+3}, true, false, ""]`)},
		head + `,"subject":null,"extra":{"x":[]},"other":[],"n":0.5}`: {},
		head + `,"s\u0075bject":"\u00e9\ud83d\ude00\n"}`:              {Subject: "é😀\n"},
		head + `,"subject":"` + "\xff" + `"}`:                         {Subject: "\ufffd"},
		head + `,"sequence":7}`:                                       {Sequence: 7},
		head + `,"data_base64":"e30="}`:                               {Data: []byte("{}")},
		head + `,"subject":"a","subject":"b"}`:                        {Subject: "b"},
	} {
		want.ID, want.Source, want.Type = "1", "s", "t"
		got, err := events.ParseJSON([]byte(body))
		require.NoError(t, err, body)
		assert.Equal(t, want, got, body)
	}
}

func TestParseRefuses(t *testing.T) {
	for body, field := range map[string]string{
		``: "", `[]`: "", `null`: "", `{`: "", `{}`: "specversion", `{"specversion":"1.0"}`: "id",
		`{"specversion":"0.3","id":"1","source":"s","type":"t"}`:                       "specversion",
		`{"specversion":"1.0","id":"1","type":"t"}`:                                    "source",
		`{"specversion":"1.0","id":"1","source":"s"}`:                                  "type",
		`{"specversion":"1.0","id":5,"source":"s","type":"t"}`:                         "id",
		`{"specversion":"1.0","id":"1","source":"s","type":"t","time":"noon"}`:         "time",
		`{"specversion":"1.0","id":"1","source":"s","type":"t","sequence":"-1"}`:       "sequence",
		`{"specversion":"1.0","id":"1","source":"s","type":"t","sequence":1.5}`:        "sequence",
		`{"specversion":"1.0","id":"1","source":"s","type":"t","data_base64":"%"}`:     "data_base64",
		`{"specversion":"1.0","id":"1","source":"s","type":"t","data":{"a":}}`:         "data",
		`{"specversion":"1.0","id":"1","source":"s","type":"t","x":+1}`:                "",
		`{"specversion":"1.0","id":"1","source":"s","type":"t",}`:                      "",
		`{"specversion":"1.0","id":"1","source":"s","type":"t"}{}`:                     "",
		`{"specversion":"1.0","id":"1","source":"s","type" "t"}`:                       "",
		`{"specversion":"1.0" "id":"1","source":"s","type":"t"}`:                       "",
		`{"specversion":"1.0","id":"1\u12","source":"s","type":"t"}`:                   "id",
		`{"specversion":"1.0","id":"1","source":"s","type":"t","data":"` + "\n" + `"}`: "data",
	} {
		_, err := events.ParseJSON([]byte(body))
		require.ErrorIs(t, err, events.ErrInvalid, body)
		var f *events.Fault
		require.ErrorAs(t, err, &f)
		assert.Equal(t, field, f.Field, body)
		assert.Equal(t, "invalid_event", f.Code)
	}
	for _, body := range []string{``, `{}`, `[]`, ` [ ] `, `[`, `[{}]`, `[` + fullJSON, `[` + fullJSON + `,]`, `[` + fullJSON + `]]`, `[` + fullJSON + `{}]`} {
		_, err := events.ParseBatch([]byte(body))
		require.ErrorIs(t, err, events.ErrInvalid, body)
	}
	_, err := events.ParseBatch([]byte(`[` + fullJSON + `,{"specversion":"1.0","source":"s","type":"t"}]`))
	var fs events.Faults
	require.ErrorAs(t, err, &fs)
	require.Len(t, fs, 1)
	assert.Equal(t, 1, fs[0].Index)
	assert.Equal(t, "id", fs[0].Field)
	assert.Contains(t, fs[0].Detail, "event 1 of the batch")
}

func TestHeadersArePercentEncoded(t *testing.T) {
	e := full()
	e.Subject = `members.ch_a.a%20b "é"`
	h := http.Header{}
	for k, vs := range e.Header() {
		h.Set(k, vs[0])
	}
	assert.Equal(t, "members.ch_a.a%2520b%20%22%C3%A9%22", h.Get("ce-subject"))
	got, err := events.FromHeader(h.Get, e.Data)
	require.NoError(t, err)
	assert.Equal(t, e, got)

	h.Set("ce-subject", "100% %zz %4 %ff")
	got, err = events.FromHeader(h.Get, nil)
	require.NoError(t, err)
	assert.Equal(t, "100% %zz %4 \ufffd", got.Subject)
}

func TestFromHeaderRefuses(t *testing.T) {
	for name, value := range map[string]string{"ce-specversion": "2.0", "ce-id": "", "ce-source": "", "ce-type": "", "ce-time": "noon", "ce-sequence": "x"} {
		h := http.Header{}
		for k, vs := range full().Header() {
			h.Set(k, vs[0])
		}
		h.Set(name, value)
		_, err := events.FromHeader(h.Get, nil)
		require.ErrorIs(t, err, events.ErrInvalid, name)
	}
}

// reference is what encoding/json makes of an event.
type reference struct {
	SpecVersion  string          `json:"specversion"`
	ID           string          `json:"id"`
	Source       string          `json:"source"`
	Type         string          `json:"type"`
	Subject      string          `json:"subject"`
	Time         string          `json:"time"`
	PartitionKey string          `json:"partitionkey"`
	TraceParent  string          `json:"traceparent"`
	Sequence     json.RawMessage `json:"sequence"`
	Data         json.RawMessage `json:"data"`
	DataBase64   string          `json:"data_base64"`
}

var exact = []string{"specversion", "id", "source", "type", "subject", "time", "partitionkey", "traceparent", "sequence", "data", "data_base64"}

func FuzzParseJSON(f *testing.F) {
	f.Add([]byte(fullJSON))
	f.Add([]byte(`{"specversion":"1.0","id":"1","source":"s","type":"t","data_base64":"e30=","sequence":3}`))
	f.Add([]byte(`{"specversion":"1.0","id":"\ud800","source":"s","type":"t","x":[1,-0.5e3,{"y":null}],"data":"` + "\xff\\u0000" + `"}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		e, err := events.ParseJSON(b)
		var ref reference
		rerr := json.Unmarshal(b, &ref)
		if err != nil {
			require.ErrorIs(t, err, events.ErrInvalid)
		} else {
			require.True(t, json.Valid(b), "taken though it is no JSON")
		}
		// encoding/json also takes "ID" for "id"; we do not.
		var members map[string]json.RawMessage
		if json.Unmarshal(b, &members) != nil {
			require.Error(t, err)
			return
		}
		for m := range members {
			for _, x := range exact {
				if m != x && strings.EqualFold(m, x) {
					return
				}
			}
		}
		if rerr != nil {
			return // a sequence aside, types are as strict here: err tells below
		}
		if err != nil {
			_, terr := time.Parse(time.RFC3339Nano, ref.Time)
			_, berr := base64.StdEncoding.DecodeString(ref.DataBase64)
			bad := ref.SpecVersion != "1.0" || ref.ID == "" || ref.Source == "" || ref.Type == "" || ref.Time != "" && terr != nil || berr != nil || len(ref.Sequence) > 0
			require.True(t, bad, "refused though encoding/json takes it: %v", err)
			return
		}
		assert.Equal(t, ref.ID, e.ID)
		assert.Equal(t, ref.Source, e.Source)
		assert.Equal(t, ref.Type, e.Type)
		assert.Equal(t, ref.Subject, e.Subject)
		assert.Equal(t, ref.PartitionKey, e.PartitionKey)
		assert.Equal(t, ref.TraceParent, e.TraceParent)
		if ref.DataBase64 == "" {
			assert.Equal(t, string(ref.Data), string(e.Data))
		}

		// What was read can be written and read again, the same.
		if len(e.Data) > 0 && !json.Valid(e.Data) {
			return // data_base64 may hold anything
		}
		out, err := e.AppendJSON(nil)
		require.NoError(t, err)
		again, err := events.ParseBatch(append(append([]byte("["), out...), ']'))
		require.NoError(t, err)
		require.Len(t, again, 1)
		assert.True(t, e.Time.Equal(again[0].Time))
		e.Time, again[0].Time = time.Time{}, time.Time{}
		e.Data = []byte(strings.TrimSpace(string(e.Data)))
		assert.Equal(t, string(e.Data), string(again[0].Data))
		e.Data, again[0].Data = nil, nil
		assert.Equal(t, e, again[0])
	})
}

// FuzzAppendJSON holds what we write against what the SDK reads.
func FuzzAppendJSON(f *testing.F) {
	f.Add("1", "/s", "t", "sub", "key", uint64(3), []byte(`{"a":"é"}`))
	f.Add("\x00\"\\", "urn:x", "t\u2028", "", "", uint64(0), []byte(nil))
	f.Fuzz(func(t *testing.T, id, source, typ, subject, key string, seq uint64, data []byte) {
		if id == "" || source == "" || typ == "" {
			return
		}
		in := events.Event{ID: id, Source: source, Type: typ, Subject: subject, PartitionKey: key, Sequence: seq, Data: data}
		b, err := in.AppendJSON(nil)
		if err != nil {
			require.False(t, json.Valid(data))
			return
		}
		require.True(t, json.Valid(b), "%s", b)
		var e event.Event
		if err := e.UnmarshalJSON(b); err != nil {
			return // it is stricter with sources and subjects
		}
		var ref reference
		require.NoError(t, json.Unmarshal(b, &ref))
		assert.Equal(t, ref.ID, e.ID())
		assert.Equal(t, ref.Type, e.Type())
		if seq != 0 {
			s, err := types.ToString(e.Extensions()["sequence"])
			require.NoError(t, err)
			n, err := events.ParseSequence(s)
			require.NoError(t, err)
			assert.Equal(t, seq, n)
		}
		if len(data) > 0 {
			assert.JSONEq(t, string(data), string(e.Data()))
		}
	})
}

// FuzzParseSDK holds what the SDK writes against what we read.
func FuzzParseSDK(f *testing.F) {
	f.Add("1", "/s", "t", "sub", "key", []byte(`{"a":"é"}`))
	f.Fuzz(func(t *testing.T, id, source, typ, subject, key string, data []byte) {
		e := event.New()
		e.SetID(id)
		e.SetSource(source)
		e.SetType(typ)
		e.SetSubject(subject)
		e.SetTime(full().Time)
		e.SetExtension("partitionkey", key)
		if err := e.SetData("application/json", json.RawMessage(data)); err != nil {
			return
		}
		b, err := e.MarshalJSON()
		if err != nil || e.Validate() != nil || !json.Valid(b) {
			return
		}
		got, err := events.ParseJSON(b)
		require.NoError(t, err, "%s", b)
		var ref reference
		require.NoError(t, json.Unmarshal(b, &ref))
		assert.Equal(t, ref.ID, got.ID)
		assert.Equal(t, ref.Source, got.Source)
		assert.Equal(t, ref.Subject, got.Subject)
		assert.Equal(t, ref.PartitionKey, got.PartitionKey)
		assert.Equal(t, full().Time, got.Time)
		assert.Equal(t, string(ref.Data), string(got.Data))
	})
}

func BenchmarkParseBatch(b *testing.B) {
	es := make([]events.Event, 1000)
	for i := range es {
		es[i] = full()
	}
	body, err := events.AppendBatch(nil, es)
	require.NoError(b, err)
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := events.ParseBatch(body); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkAppendBatch(b *testing.B) {
	es := make([]events.Event, 1000)
	for i := range es {
		es[i] = full()
	}
	var buf []byte
	b.ReportAllocs()
	for b.Loop() {
		var err error
		if buf, err = events.AppendBatch(buf[:0], es); err != nil {
			b.Fatal(err)
		}
	}
}

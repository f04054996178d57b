package link_test

import (
	"encoding/binary"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/chat-platform/chat/events"
	"github.com/chat-platform/chat/longrunning/internal/link"
)

func message(seq, prev uint64, data string) link.Item {
	return link.Item{Stream: events.StreamMessages, Prev: prev, Event: events.Event{
		ID: "msg_aaaaaaaaaaaaaaaaaaaaaaaaaa", Source: "/functions/sendmessage", Type: events.TypeMessageSent,
		Subject: "messages.send.ch_general", Time: time.Date(2026, 11, 5, 12, 30, 0, 123456789, time.UTC),
		PartitionKey: "ch_general", TraceParent: "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
		Sequence: seq, Data: []byte(data),
	}}
}

func frames() map[string]link.Frame {
	joined := link.Item{Stream: events.StreamMetadata, Event: events.Event{ID: "e1", Source: "/f", Type: events.TypeMemberJoined,
		Subject: "members.ch_general.a%40b", Sequence: 7, Data: []byte(`{"user_id":"a@b"}`)}}
	old := message(9, 0, `{}`)
	old.Event.Time = time.Date(1066, 10, 14, 9, 0, 0, 0, time.UTC)
	return map[string]link.Frame{
		"tick":   {Link: 1, Number: 1, After: link.Positions{Messages: 10, Metadata: 20}},
		"last":   {Link: 1<<64 - 1, Number: 1<<64 - 1, Last: true, After: link.Positions{Messages: 1<<64 - 1, Metadata: 1<<64 - 1}},
		"both":   {Link: 5, Number: 3, After: link.Positions{Messages: 12, Metadata: 7}, Events: []link.Item{message(11, 4, `{"text":"hi"}`), joined, message(12, 11, "")}},
		"long":   {Link: 5, Number: 4, Events: []link.Item{message(1, 0, strings.Repeat("x", 300_000))}},
		"ancien": {Link: 5, Number: 5, Events: []link.Item{old, {Stream: events.StreamMessages}}},
	}
}

func TestFrameRoundTrip(t *testing.T) {
	for name, f := range frames() {
		t.Run(name, func(t *testing.T) {
			b := f.Append([]byte("before"))
			require.Equal(t, "before", string(b[:6]))
			got, err := link.ParseFrame(b[6:])
			require.NoError(t, err)
			if len(f.Events) > 2 {
				f.Events[2].Event.Data = nil // no data and empty data are the same
			}
			require.Equal(t, f, got)
		})
	}
}

func TestItemsAreEncodedOnceForAllLinks(t *testing.T) {
	f := frames()["both"]
	var items []byte
	for i := range f.Events {
		items = link.AppendItem(items, &f.Events[i])
	}
	b := append(make([]byte, link.HeaderSize), items...)
	link.PutHeader(b, f, len(f.Events))
	require.Equal(t, f.Append(nil), b)
}

func TestDataAliasTheInput(t *testing.T) {
	b := link.Frame{Link: 1, Number: 1, Events: []link.Item{message(1, 0, `{"a":1}`)}}.Append(nil)
	f, err := link.ParseFrame(b)
	require.NoError(t, err)
	require.Same(t, &b[len(b)-1], &f.Events[0].Event.Data[6])
	require.Equal(t, uint64(1), f.Events[0].Seq())
	allocs := testing.AllocsPerRun(100, func() {
		if _, err := link.ParseFrame(b); err != nil {
			t.Fatal(err)
		}
	})
	require.LessOrEqual(t, allocs, 2.0, "one for the list, one for the attributes")
}

func TestMalformedFrames(t *testing.T) {
	good := frames()["both"].Append(nil)
	change := func(at int, to byte) []byte {
		b := append([]byte(nil), good...)
		b[at] = to
		return b
	}
	huge := append([]byte(nil), good[:link.HeaderSize]...)
	binary.BigEndian.PutUint32(huge[3:], 1<<32-1)
	nanos := append([]byte(nil), good...)
	binary.BigEndian.PutUint32(nanos[link.HeaderSize+25:], 1_000_000_000)
	length := append([]byte(nil), good[:link.HeaderSize+29]...)
	length = append(length, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01) // 2^64-1
	length = append(length, make([]byte, 300)...)
	for name, b := range map[string][]byte{
		"empty":             {},
		"kind":              change(0, 'X'),
		"version":           change(1, 99),
		"flags":             change(2, 0x82),
		"count":             huge,
		"stream":            change(link.HeaderSize, 9),
		"nanoseconds":       nanos,
		"length":            length,
		"left over":         append(append([]byte(nil), good...), 0),
		"other kind":        link.Answer{}.Append(nil),
		"varint never ends": append(append([]byte(nil), good[:link.HeaderSize+29]...), strings.Repeat("\xff", 200)...),
	} {
		t.Run(name, func(t *testing.T) {
			_, err := link.ParseFrame(b)
			require.ErrorIs(t, err, link.ErrMalformed)
		})
	}
	for n := range good {
		_, err := link.ParseFrame(good[:n])
		require.ErrorIs(t, err, link.ErrMalformed, "cut after %d bytes", n)
	}
}

func FuzzParseFrame(f *testing.F) {
	for _, frame := range frames() {
		f.Add(frame.Append(nil))
	}
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		frame, err := link.ParseFrame(b)
		if err != nil {
			require.ErrorIs(t, err, link.ErrMalformed)
			return
		}
		again, err := link.ParseFrame(frame.Append(nil))
		require.NoError(t, err)
		require.Equal(t, frame, again)
	})
}

func BenchmarkAppendItem(b *testing.B) {
	it := message(1, 2, strings.Repeat("x", 313))
	buf := make([]byte, 0, 1024)
	b.ReportAllocs()
	for b.Loop() {
		buf = link.AppendItem(buf[:0], &it)
	}
	b.SetBytes(int64(len(buf)))
}

func BenchmarkParseFrame(b *testing.B) {
	for name, n := range map[string]int{"1 event": 1, "100 events": 100} {
		f := link.Frame{Link: 1, Number: 1}
		for i := range n {
			f.Events = append(f.Events, message(uint64(i), 0, strings.Repeat("x", 313)))
		}
		raw := f.Append(nil)
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(len(raw)))
			for b.Loop() {
				if _, err := link.ParseFrame(raw); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

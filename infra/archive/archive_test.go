package archive_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/chat-platform/chat/events"
	"github.com/chat-platform/chat/infra/archive"
	"github.com/chat-platform/chat/infra/archive/archivetest"
)

func open(t testing.TB) (*archive.Archive, string) {
	t.Helper()
	dir := t.TempDir()
	store, err := archive.OpenFolder(dir)
	require.NoError(t, err)
	return archive.New(store), dir
}

// filled has messages 1 to 400 in segments of 100.
func filled(t testing.TB) (a *archive.Archive, dir string, ms []archive.Message, segments []archive.Segment) {
	t.Helper()
	a, dir = open(t)
	ms = archivetest.Messages(400)
	for i := 0; i < len(ms); i += 100 {
		segments = append(segments, archivetest.Add(t, a, "M", "e", ms[i:i+100], archivetest.Prev(ms[:i])))
	}
	return a, dir, ms, segments
}

func TestFolder(t *testing.T) {
	dir := t.TempDir()
	store, err := archive.OpenFolder(dir)
	require.NoError(t, err)
	archivetest.TestStore(t, store)
	for _, name := range []string{"../out", "/abs", "a/../../b", ""} {
		require.ErrorIs(t, store.Put(t.Context(), name, nil), events.ErrInvalid, "%q", name)
		_, err := store.Get(t.Context(), name, 0, -1)
		require.ErrorIs(t, err, events.ErrInvalid, "%q", name)
	}
	_, err = archive.OpenFolder("")
	require.ErrorIs(t, err, events.ErrInvalid)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "file"), nil, 0o600))
	require.ErrorIs(t, store.Put(t.Context(), "file/a", nil), events.ErrUnavailable)
	_, err = archive.OpenFolder(filepath.Join(dir, "file", "a"))
	require.Error(t, err)
}

func TestAMessageIsReadBackAsItWas(t *testing.T) {
	ms := archivetest.Messages(50)
	data, ix := archivetest.Build(t, "M", "e", ms, nil)
	var got []archive.Message
	read, err := archive.Parse(data, func(m archive.Message) error {
		got = append(got, m)
		return nil
	})
	require.NoError(t, err)
	require.Equal(t, ms, got)
	require.Equal(t, ix, read)
	require.Equal(t, uint64(50), read.Count)
	require.Equal(t, ms[0].Time, read.Oldest)
	require.Equal(t, ms[49].Time, read.Newest)

	again, _ := archivetest.Build(t, "M", "e", ms, nil)
	require.True(t, bytes.Equal(data, again), "the same messages make the same segment")
}

func TestAnEmptySegmentSaysThatThereWasNothing(t *testing.T) {
	a, _ := open(t)
	data, ix, err := archive.NewBuilder("M", "e", 5).Finish(9, nil)
	require.NoError(t, err)
	_, err = a.Add(t.Context(), data, ix)
	require.NoError(t, err)
	var got []archive.Message
	require.NoError(t, a.Range(t.Context(), "M", "e", nil, 5, 9, archivetest.Collect(&got)))
	require.Empty(t, got)
}

func TestLongSegmentsHaveSeveralBlocks(t *testing.T) {
	a, _ := open(t)
	ms := archivetest.Messages(40_000)
	archivetest.Add(t, a, "M", "e", ms, nil)
	segments, err := a.Segments(t.Context(), "M", "e")
	require.NoError(t, err)
	ix, err := a.Index(t.Context(), segments[0])
	require.NoError(t, err)
	require.Greater(t, len(ix.Blocks), 3)
	var got []archive.Message
	require.NoError(t, a.Range(t.Context(), "M", "e", []string{"s.2"}, 12_345, 34_567, archivetest.Collect(&got)))
	want := slices.DeleteFunc(slices.Clone(ms[12_344:34_567]), func(m archive.Message) bool { return m.Subject != "s.2" })
	require.Equal(t, want, got)
}

func TestBuilderRefusesWhatCannotBe(t *testing.T) {
	b := archive.NewBuilder("M", "e", 10)
	require.ErrorIs(t, b.Add(archive.Message{Sequence: 9}), events.ErrInvalid)
	require.NoError(t, b.Add(archive.Message{Sequence: 12, Subject: "s"}))
	require.ErrorIs(t, b.Add(archive.Message{Sequence: 12}), events.ErrInvalid)
	_, _, err := b.Finish(11, nil)
	require.ErrorIs(t, err, events.ErrInvalid)
	_, _, err = b.Finish(12, map[string]uint64{"s": 11})
	require.ErrorIs(t, err, archive.ErrDamaged, "a previous message within the segment")
}

func TestRange(t *testing.T) {
	a, _, ms, _ := filled(t)
	for _, c := range []struct {
		filters  []string
		from, to uint64
	}{
		{nil, 1, 400}, {nil, 100, 101}, {nil, 250, 250}, {nil, 7, 6}, {[]string{"s.4"}, 1, 400}, {[]string{"s.*"}, 90, 310},
		{[]string{"s.1", "s.2"}, 50, 350}, {[]string{"other.>", "s.0"}, 1, 400}, {[]string{"none"}, 1, 400}, {[]string{">"}, 399, 400},
	} {
		var got, want []archive.Message
		require.NoError(t, a.Range(t.Context(), "M", "e", c.filters, c.from, c.to, archivetest.Collect(&got)))
		for _, m := range ms {
			if m.Sequence >= c.from && m.Sequence <= c.to && (c.filters == nil || slices.ContainsFunc(c.filters, func(f string) bool { return archive.Matches(f, m.Subject) })) {
				want = append(want, m)
			}
		}
		require.Equal(t, want, got, "%v %d to %d", c.filters, c.from, c.to)
	}
	stop := errors.New("stop")
	n := 0
	err := a.Range(t.Context(), "M", "e", nil, 1, 400, func(uint64, time.Time, string, map[string][]string, []byte) error {
		n++
		return stop
	})
	require.Equal(t, stop, err)
	require.Equal(t, 1, n)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, a.Range(ctx, "M", "e", nil, 1, 400, archivetest.Collect(new([]archive.Message))), context.Canceled)
}

func TestOverlappingSegmentsAreReadOnce(t *testing.T) {
	a, _ := open(t)
	ms := archivetest.Messages(300)
	archivetest.Add(t, a, "M", "e", ms[:100], nil)
	archivetest.Add(t, a, "M", "e", ms[:150], nil)
	archivetest.Add(t, a, "M", "e", ms[100:250], archivetest.Prev(ms[:100]))
	archivetest.Add(t, a, "M", "e", ms[140:300], archivetest.Prev(ms[:140]))
	var got []archive.Message
	require.NoError(t, a.Range(t.Context(), "M", "e", nil, 1, 300, archivetest.Collect(&got)))
	require.Equal(t, ms, got)
	segments, err := a.Segments(t.Context(), "M", "e")
	require.NoError(t, err)
	require.Equal(t, uint64(300), archive.Covered(segments, 0))
	require.Equal(t, uint64(300), archive.Covered(segments, 299))
	require.Equal(t, uint64(300), archive.Covered(segments, 300))
	require.Equal(t, uint64(0), archive.Covered(segments[1:2], 0)-150)
	checkLastBefore(t, a, ms)
}

// checkLastBefore compares every answer with what the messages say.
func checkLastBefore(t *testing.T, a *archive.Archive, ms []archive.Message) {
	t.Helper()
	subjects := []string{"s.0", "s.1", "s.2", "s.4", "none"}
	for seq := uint64(0); seq <= uint64(len(ms))+2; seq += 7 {
		want := map[string]uint64{}
		if seq > 1 {
			before := archivetest.Prev(ms[:min(seq-1, uint64(len(ms)))])
			for _, m := range ms[min(seq-1, uint64(len(ms))):] {
				want[m.Subject] = before[m.Subject]
			}
		}
		got, err := a.LastBefore(t.Context(), "M", "e", subjects, seq)
		require.NoError(t, err)
		require.Equal(t, want, got, "before %d", seq)
	}
}

func TestLastBefore(t *testing.T) {
	a, _, ms, _ := filled(t)
	checkLastBefore(t, a, ms)
}

func TestAMissingSegmentIsNamed(t *testing.T) {
	a, dir, _, segments := filled(t)
	require.NoError(t, os.Remove(filepath.Join(dir, segments[1].Name)))
	n := 0
	count := func(uint64, time.Time, string, map[string][]string, []byte) error { n++; return nil }
	err := a.Range(t.Context(), "M", "e", nil, 1, 400, count)
	require.ErrorIs(t, err, archive.ErrMissing)
	require.ErrorIs(t, err, events.ErrUnavailable)
	require.ErrorContains(t, err, "sequence 101 of M")
	require.Equal(t, 100, n)

	b, err := archive.OpenFolder(dir)
	require.NoError(t, err)
	fresh := archive.New(b)
	require.ErrorContains(t, fresh.Range(t.Context(), "M", "e", nil, 1, 400, count), "sequence 101 of M")
	_, err = fresh.LastBefore(t.Context(), "M", "e", []string{"none"}, 50)
	require.ErrorIs(t, err, archive.ErrMissing)
	require.ErrorIs(t, fresh.Range(t.Context(), "M", "e", nil, 400, 401, count), archive.ErrMissing, "beyond the end")
	require.ErrorIs(t, fresh.Range(t.Context(), "M", "other", nil, 1, 2, count), archive.ErrMissing, "another stream of that name")
	listed, err := fresh.Segments(t.Context(), "M", "e")
	require.NoError(t, err)
	require.Equal(t, uint64(100), archive.Covered(listed, 0))
}

// Whatever byte is changed, some read of the segment says so; what other reads
// give is right.
func TestEveryDamageIsFound(t *testing.T) {
	_, dir, ms, segments := filled(t)
	path := filepath.Join(dir, segments[2].Name)
	whole, err := os.ReadFile(path)
	require.NoError(t, err)
	store, err := archive.OpenFolder(dir)
	require.NoError(t, err)
	for at := 0; at < len(whole); at += 5 {
		damaged := bytes.Clone(whole)
		damaged[at] ^= 0x40
		require.NoError(t, os.WriteFile(path, damaged, 0o600))
		a := archive.New(store)
		err := a.Verify(t.Context(), segments[2])
		require.ErrorIs(t, err, archive.ErrDamaged, "byte %d", at)
		require.ErrorContains(t, err, segments[2].Name)
		var got []archive.Message
		if err := a.Range(t.Context(), "M", "e", nil, 201, 300, archivetest.Collect(&got)); err != nil {
			require.ErrorIs(t, err, archive.ErrDamaged)
			require.ErrorContains(t, err, segments[2].Name)
			continue
		}
		require.Equal(t, ms[200:300], got, "byte %d", at)
	}
	for _, size := range []int{0, 1, 30, len(whole) / 2, len(whole) - 1} {
		require.NoError(t, os.WriteFile(path, whole[:size], 0o600))
		a := archive.New(store)
		require.ErrorIs(t, a.Verify(t.Context(), segments[2]), archive.ErrDamaged, "%d bytes", size)
		require.ErrorIs(t, a.Range(t.Context(), "M", "e", nil, 201, 300, archivetest.Collect(new([]archive.Message))), archive.ErrDamaged, "%d bytes", size)
	}
	require.NoError(t, os.Rename(filepath.Join(dir, segments[1].Name), path))
	require.ErrorContains(t, archive.New(store).Verify(t.Context(), segments[2]), "it is M/e/00000000000000000101-00000000000000000200.segment")
}

func TestWhatIsNoSegmentIsNotListed(t *testing.T) {
	a, dir, _, _ := filled(t)
	for _, name := range []string{"notes.txt", "1-2.segment", "00000000000000000009-00000000000000000001.segment", ".put-123", "0000000000000000000x-00000000000000000001.segment"} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, "M", "e", name), []byte("x"), 0o600))
	}
	segments, err := a.Segments(t.Context(), "M", "e")
	require.NoError(t, err)
	require.Len(t, segments, 4)
}

// failing is a store that does not work.
type failing struct{ archive.Store }

func (failing) Put(context.Context, string, []byte) error { return events.ErrUnavailable }
func (failing) List(context.Context, string, func(string, int64) error) error {
	return events.ErrUnavailable
}

func TestAStoreThatFailsIsAnError(t *testing.T) {
	a := archive.New(failing{})
	data, ix := archivetest.Build(t, "M", "e", archivetest.Messages(1), nil)
	_, err := a.Add(t.Context(), data, ix)
	require.ErrorIs(t, err, events.ErrUnavailable)
	require.ErrorIs(t, a.Range(t.Context(), "M", "e", nil, 1, 2, nil), events.ErrUnavailable)
	_, err = a.LastBefore(t.Context(), "M", "e", []string{"s"}, 2)
	require.ErrorIs(t, err, events.ErrUnavailable)
}

func TestManyIndexesDoNotFillTheMemory(t *testing.T) {
	a, _ := open(t)
	ms := archivetest.Messages(200)
	for i := range ms {
		archivetest.Add(t, a, "M", "e", ms[i:i+1], archivetest.Prev(ms[:i]))
	}
	checkLastBefore(t, a, ms)
}

func TestMatches(t *testing.T) {
	for _, c := range []struct {
		filter, subject string
		want            bool
	}{
		{"a.b", "a.b", true}, {"a.b", "a.b.c", false}, {"a.b.c", "a.b", false}, {"a.*", "a.b", true}, {"a.*", "a.b.c", false}, {"*.b", "a.b", true},
		{"a.>", "a.b", true}, {"a.>", "a.b.c", true}, {"a.>", "a", false}, {">", "a", true}, {"messages.*.ch_a", "messages.send.ch_a", true},
		{"messages.*.ch_a", "messages.send.ch_b", false}, {"a.>.c", "a.b.c", false}, {"*", "a", true}, {"*", "a.b", false},
	} {
		assert.Equal(t, c.want, archive.Matches(c.filter, c.subject), "%s %s", c.filter, c.subject)
	}
}

func FuzzRecords(f *testing.F) {
	f.Add(archive.AppendRecords(archivetest.Messages(20)))
	f.Add([]byte{})
	f.Add([]byte{1, 0, 1, 's', 1, 1, 'k', 1, 1, 'v', 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		var ms []archive.Message
		if err := archive.Records(b, func(m archive.Message) error {
			ms = append(ms, m)
			return nil
		}); err != nil {
			require.ErrorIs(t, err, archive.ErrDamaged)
			return
		}
		var again []archive.Message
		require.NoError(t, archive.Records(archive.AppendRecords(ms), func(m archive.Message) error {
			again = append(again, m)
			return nil
		}))
		require.Equal(t, ms, again)
	})
}

func FuzzParse(f *testing.F) {
	ms := archivetest.Messages(20)
	data, ix := archivetest.Build(f, "M", "e", ms, nil)
	index, err := json.Marshal(ix)
	require.NoError(f, err)
	f.Add(archive.AppendRecords(ms), index)
	f.Add([]byte("x"), []byte(`{"stream":"M","id":"e","first":1,"last":2,"count":1,"blocks":[{"first":1,"last":1,"count":1}]}`))
	f.Add(data, []byte("{}"))
	f.Fuzz(func(t *testing.T, raw, index []byte) {
		for _, b := range [][]byte{raw, archive.Seal(raw, index)} {
			n, last := uint64(0), uint64(0)
			ix, err := archive.Parse(b, func(m archive.Message) error {
				require.Greater(t, m.Sequence, last)
				n, last = n+1, m.Sequence
				return nil
			})
			if err != nil {
				require.ErrorIs(t, err, archive.ErrDamaged)
				continue
			}
			require.Equal(t, ix.Count, n)
			require.LessOrEqual(t, last, ix.Last)
		}
	})
}

func BenchmarkSegment(b *testing.B) {
	ms := archivetest.Messages(50_000)
	data, ix := archivetest.Build(b, "M", "e", ms, nil)
	b.Run("build", func(b *testing.B) {
		for b.Loop() {
			archivetest.Build(b, "M", "e", ms, nil)
		}
		b.ReportMetric(float64(b.N*len(ms))/b.Elapsed().Seconds(), "messages/s")
		b.ReportMetric(float64(ix.Bytes)/float64(len(data)), "ratio")
	})
	b.Run("parse", func(b *testing.B) {
		for b.Loop() {
			if _, err := archive.Parse(data, func(archive.Message) error { return nil }); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(float64(b.N*len(ms))/b.Elapsed().Seconds(), "messages/s")
	})
}

func Example() {
	dir, _ := os.MkdirTemp("", "archive")
	defer os.RemoveAll(dir)
	store, _ := archive.OpenFolder(dir)
	a := archive.New(store)

	b := archive.NewBuilder("MESSAGES", "epoch", 1)
	_ = b.Add(archive.Message{Sequence: 1, Subject: "messages.send.ch_a", Data: []byte("hello")})
	data, index, _ := b.Finish(1, nil)
	s, err := a.Add(context.Background(), data, index)
	fmt.Println(s.Name, err)
	// Output: MESSAGES/epoch/00000000000000000001-00000000000000000001.segment <nil>
}

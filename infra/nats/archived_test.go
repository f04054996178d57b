package nats_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"testing"
	"time"

	driver "github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"

	"github.com/chat-platform/chat/events"
	"github.com/chat-platform/chat/infra/archive"
	"github.com/chat-platform/chat/infra/nats"
	"github.com/chat-platform/chat/infra/nats/natstest"
)

// archived is a log whose oldest messages can be moved to an archive.
type archived struct {
	*nats.Log
	archive *archive.Archive
	id      string
}

func openArchived(t testing.TB, n int) archived {
	t.Helper()
	return archivedLog(t, natstest.Open(t), n)
}

func archivedLog(t testing.TB, log *nats.Log, n int) archived {
	t.Helper()
	es := make([]events.Event, n)
	for i := range es {
		es[i] = message(i)
		es[i].Subject = events.MessageSubject(events.ChannelID(fmt.Sprintf("ch_%d", i*i%11)))
	}
	if n > 2 {
		es[1].Subject = events.MessageSubject("ch_once")
	}
	_, errs := log.PublishAll(t.Context(), es, nil)
	require.NoError(t, errors.Join(errs...))
	folder, err := archive.OpenFolder(t.TempDir())
	require.NoError(t, err)
	state, err := log.State(t.Context(), events.StreamMessages)
	require.NoError(t, err)
	return archived{log, archive.New(folder), state.ID}
}

// move archives the messages in (after, upTo] in segments of 300 and trims the stream.
func (a archived) move(ctx context.Context, after, upTo uint64) error {
	for first := after + 1; first <= upTo; first += 300 {
		last := min(first+299, upTo)
		b := archive.NewBuilder(events.StreamMessages, a.id, first)
		err := a.Copy(ctx, events.StreamMessages, first, last, func(seq uint64, at time.Time, subject string, header map[string][]string, data []byte) error {
			return b.Add(archive.Message{Sequence: seq, Time: at, Subject: subject, Header: header, Data: data})
		})
		if err != nil {
			return err
		}
		subjects := b.Index().Subjects
		prev, err := a.LastBefore(ctx, slices.Collect(maps.Keys(subjects)), first)
		if err != nil {
			return err
		}
		data, ix, err := b.Finish(last, prev)
		if err != nil {
			return err
		}
		if _, err := a.archive.Add(ctx, data, ix); err != nil {
			return err
		}
		notes := map[string]uint64{}
		for s, e := range subjects {
			notes[s] = e.Last
		}
		if err := a.NoteArchived(ctx, events.StreamMessages, a.id, notes, last); err != nil {
			return err
		}
	}
	return a.Trim(ctx, events.StreamMessages, a.id, upTo)
}

func (a archived) all(t testing.TB, filters []string, from, to uint64) (es []events.Event) {
	t.Helper()
	require.NoError(t, a.Range(t.Context(), events.StreamMessages, filters, from, to, func(e events.Event) error {
		es = append(es, e)
		return nil
	}))
	return es
}

// Every read gives after the move what it gave before.
func TestArchiveAndStreamReadAsOne(t *testing.T) {
	a := openArchived(t, 3000)
	type read struct {
		filters  []string
		from, to uint64
	}
	var reads []read
	for _, filters := range [][]string{nil, {"messages.send.ch_4"}, {"messages.*.ch_1"}, {"messages.send.ch_0", "messages.send.ch_once"}, {"messages.send.none"}} {
		for _, bounds := range [][2]uint64{{0, 3000}, {1, 1999}, {1500, 2500}, {2000, 2001}, {2001, 3000}, {2001, 9000}, {5, 5}} {
			reads = append(reads, read{filters, bounds[0], bounds[1]})
		}
	}
	subjects := []string{"messages.send.ch_0", "messages.send.ch_1", "messages.send.ch_4", "messages.send.ch_once", "messages.send.none"}
	before := map[int][]events.Event{}
	for i, r := range reads {
		before[i] = a.all(t, r.filters, r.from, r.to)
	}
	prev := map[uint64]map[string]uint64{}
	for _, seq := range []uint64{0, 1, 2, 3, 299, 300, 301, 1000, 1999, 2000, 2001, 2002, 2500, 3000, 3001, 1 << 60} {
		var err error
		prev[seq], err = a.LastBefore(t.Context(), subjects, seq)
		require.NoError(t, err)
	}
	lasts, err := a.LastOf(t.Context(), subjects)
	require.NoError(t, err)
	one, err := a.BySequence(t.Context(), events.StreamMessages, 17)
	require.NoError(t, err)
	tail, err := a.Tail(t.Context(), "messages.send.ch_4", 1990, 7)
	require.NoError(t, err)
	epoch, err := a.Epoch(t.Context())
	require.NoError(t, err)

	a.ReadArchive(a.archive)
	require.NoError(t, a.move(t.Context(), 0, 2000))
	first, err := a.FirstSequence(t.Context(), events.StreamMessages)
	require.NoError(t, err)
	require.Equal(t, uint64(2001), first)
	check := func() {
		t.Helper()
		for i, r := range reads {
			require.Equal(t, before[i], a.all(t, r.filters, r.from, r.to), "%v", r)
		}
		for seq, want := range prev {
			got, err := a.LastBefore(t.Context(), subjects, seq)
			require.NoError(t, err)
			require.Equal(t, want, got, "before %d", seq)
		}
		got, err := a.LastOf(t.Context(), subjects)
		require.NoError(t, err)
		require.Equal(t, lasts, got)
		for _, s := range subjects {
			e, err := a.Last(t.Context(), s)
			if s == "messages.send.none" {
				require.ErrorIs(t, err, events.ErrNotFound)
				continue
			}
			require.NoError(t, err)
			require.Equal(t, lasts[s], e)
		}
		e, err := a.BySequence(t.Context(), events.StreamMessages, 17)
		require.NoError(t, err)
		require.Equal(t, one, e)
		es, err := a.Tail(t.Context(), "messages.send.ch_4", 1990, 7)
		require.NoError(t, err)
		require.Equal(t, tail, es)
	}
	check()
	require.NoError(t, a.move(t.Context(), 2000, 3000)) // nothing is left in the stream
	check()
	now, err := a.Epoch(t.Context())
	require.NoError(t, err)
	require.Equal(t, epoch, now)
	_, err = a.BySequence(t.Context(), events.StreamMessages, 3001)
	require.ErrorIs(t, err, events.ErrNotFound)
	ack, err := a.Publish(t.Context(), message(77_777))
	require.NoError(t, err)
	require.Equal(t, uint64(3001), ack.Seq)
}

// The stream is trimmed while a range reads it, by each of the ways to read.
func TestTrimInTheMiddleOfARange(t *testing.T) {
	for name, filters := range map[string][]string{"all": nil, "one filter": {"messages.send.ch_4"}, "wildcard": {"messages.*.ch_4"}, "several": {"messages.send.ch_4", "messages.send.ch_1"}} {
		t.Run(name, func(t *testing.T) {
			a := openArchived(t, 5000)
			a.ReadArchive(a.archive)
			want := a.all(t, filters, 1, 5000)
			moved := uint64(0)
			var got []events.Event
			require.NoError(t, a.Range(t.Context(), events.StreamMessages, filters, 1, 5000, func(e events.Event) error {
				got = append(got, e)
				if upTo := e.Sequence + 1200; len(got)%200 == 1 && upTo > moved && upTo < 5000 { // ahead of the reader
					require.NoError(t, a.move(t.Context(), moved, upTo))
					moved = upTo
				}
				return nil
			}))
			require.Equal(t, want, got)
			require.Greater(t, moved, uint64(3500))
		})
	}
}

func TestWithoutAnArchiveWhatIsGoneIsAnError(t *testing.T) {
	a := openArchived(t, 1000)
	require.NoError(t, a.move(t.Context(), 0, 600))
	fail := func(events.Event) error { return errors.New("called") }
	require.ErrorIs(t, a.Range(t.Context(), events.StreamMessages, nil, 1, 1000, fail), nats.ErrArchived)
	require.ErrorIs(t, a.Range(t.Context(), events.StreamMessages, []string{"messages.send.ch_4"}, 600, 1000, fail), nats.ErrArchived)
	require.ErrorIs(t, a.Range(t.Context(), events.StreamMessages, []string{"messages.send.x", "messages.send.y"}, 600, 1000, fail), nats.ErrArchived)
	_, err := a.Tail(t.Context(), "messages.send.ch_4", 1, 10)
	require.ErrorIs(t, err, nats.ErrArchived)
	require.ErrorIs(t, err, events.ErrUnavailable)
	_, err = a.BySequence(t.Context(), events.StreamMessages, 600)
	require.ErrorIs(t, err, nats.ErrArchived)
	require.ErrorIs(t, a.Copy(t.Context(), events.StreamMessages, 600, 1000, nil), nats.ErrArchived)
	require.ErrorIs(t, a.Follow(t.Context(), events.StreamMessages, nil, 600, nil, func([]events.Event) error { return errors.New("called") }), nats.ErrArchived)
	require.Len(t, a.all(t, nil, 601, 1000), 400)

	// What a live message follows is known all the same.
	last, err := a.LastBefore(t.Context(), []string{"messages.send.ch_once", "messages.send.none"}, 1001)
	require.NoError(t, err)
	require.Equal(t, map[string]uint64{"messages.send.ch_once": 2}, last)
	_, err = a.LastBefore(t.Context(), []string{"messages.send.ch_0"}, 300)
	require.ErrorIs(t, err, nats.ErrArchived)
}

func TestAnArchiveWithAHoleIsAnError(t *testing.T) {
	a := openArchived(t, 1000)
	require.NoError(t, a.move(t.Context(), 0, 600))
	empty, err := archive.OpenFolder(t.TempDir())
	require.NoError(t, err)
	a.ReadArchive(archive.New(empty))
	n := 0
	err = a.Range(t.Context(), events.StreamMessages, nil, 1, 1000, func(events.Event) error { n++; return nil })
	require.ErrorIs(t, err, nats.ErrArchived)
	require.ErrorIs(t, err, archive.ErrMissing)
	require.Zero(t, n)
	_, err = a.LastBefore(t.Context(), []string{"messages.send.ch_0"}, 300)
	require.ErrorIs(t, err, nats.ErrArchived)
}

func TestTrimTakesOnlyWhatIsNoted(t *testing.T) {
	a := openArchived(t, 100)
	require.ErrorIs(t, a.Trim(t.Context(), events.StreamMetadata, a.id, 1), events.ErrInvalid)
	require.ErrorIs(t, a.Trim(t.Context(), events.StreamMessages, a.id, 1), nats.ErrNotNoted)
	require.NoError(t, a.NoteArchived(t.Context(), events.StreamMessages, a.id, nil, 50))
	require.ErrorIs(t, a.Trim(t.Context(), events.StreamMessages, a.id, 51), nats.ErrNotNoted)
	require.ErrorIs(t, a.Trim(t.Context(), events.StreamMessages, "another", 50), nats.ErrNotNoted)
	require.NoError(t, a.Trim(t.Context(), events.StreamMessages, a.id, 50))
	require.NoError(t, a.Trim(t.Context(), events.StreamMessages, a.id, 50), "again")
	require.Equal(t, uint64(51), a.all(t, nil, 51, 100)[0].Sequence)
}

func TestOlderNotesNeverReplaceNewerOnes(t *testing.T) {
	a := openArchived(t, 100)
	var wg sync.WaitGroup
	errs := make([]error, 8)
	for i := range errs {
		wg.Go(func() {
			errs[i] = a.NoteArchived(t.Context(), events.StreamMessages, a.id, map[string]uint64{"messages.send.ch_0": uint64(i + 1), "messages.send.ch_1": 50}, uint64(60+i))
		})
	}
	wg.Wait()
	require.NoError(t, errors.Join(errs...))
	noted, err := a.Noted(t.Context(), events.StreamMessages, a.id)
	require.NoError(t, err)
	require.Equal(t, uint64(67), noted)
	require.NoError(t, a.Trim(t.Context(), events.StreamMessages, a.id, 67))
	last, err := a.LastBefore(t.Context(), []string{"messages.send.ch_0"}, 68)
	require.NoError(t, err)
	require.Equal(t, uint64(8), last["messages.send.ch_0"])
	noted, err = a.Noted(t.Context(), events.StreamMessages, "another")
	require.NoError(t, err)
	require.Zero(t, noted)
}

// Losing the notes is noticed, and they can be made anew once the operator has
// made their stream.
func TestLostNotesAreNoticed(t *testing.T) {
	srv := natstest.Start(t)
	a := archivedLog(t, natstest.Connect(t, srv), 500)
	require.NoError(t, a.move(t.Context(), 0, 400))
	nc, err := driver.Connect(srv.ClientURL())
	require.NoError(t, err)
	defer nc.Close()
	js, err := nc.JetStream()
	require.NoError(t, err)
	require.NoError(t, js.DeleteStream(nats.StreamArchived))
	_, err = a.LastBefore(t.Context(), []string{"messages.send.ch_once"}, 501)
	require.ErrorIs(t, err, nats.ErrArchived)
	natstest.Connect(t, srv)
	noted, err := a.Noted(t.Context(), events.StreamMessages, a.id)
	require.NoError(t, err)
	require.Zero(t, noted)
	_, err = a.LastBefore(t.Context(), []string{"messages.send.ch_once"}, 501)
	require.ErrorIs(t, err, nats.ErrArchived, "there are notes, but they are not complete")
	require.NoError(t, a.NoteArchived(t.Context(), events.StreamMessages, a.id, map[string]uint64{"messages.send.ch_once": 2}, 400))
	last, err := a.LastBefore(t.Context(), []string{"messages.send.ch_once"}, 501)
	require.NoError(t, err)
	require.Equal(t, uint64(2), last["messages.send.ch_once"])
}

func TestSettled(t *testing.T) {
	a := openArchived(t, 100)
	upTo, behind, err := a.Settled(t.Context(), events.StreamMessages)
	require.NoError(t, err)
	require.Equal(t, uint64(100), upTo)
	require.Empty(t, behind)
	upTo, behind, err = a.Settled(t.Context(), events.StreamMessages, "writer")
	require.NoError(t, err)
	require.Zero(t, upTo)
	require.Equal(t, "writer", behind)
	c, err := a.Consumer(t.Context(), nats.ConsumerConfig{Stream: events.StreamMessages, Name: "writer"})
	require.NoError(t, err)
	defer c.Close()
	ds, err := c.Fetch(t.Context(), 40, time.Minute)
	require.NoError(t, err)
	for _, d := range ds {
		require.NoError(t, d.Ack())
	}
	want := uint64(len(ds))
	require.Eventually(t, func() bool {
		upTo, behind, err = a.Settled(t.Context(), events.StreamMessages, "writer")
		return err == nil && upTo == want && behind == "writer"
	}, time.Minute, 5*time.Millisecond)
}

func TestRefill(t *testing.T) {
	a := openArchived(t, 10)
	type raw struct {
		seq     uint64
		subject string
		header  map[string][]string
		data    []byte
	}
	var all []raw
	require.NoError(t, a.Copy(t.Context(), events.StreamMessages, 1, 10, func(seq uint64, at time.Time, subject string, header map[string][]string, data []byte) error {
		require.WithinDuration(t, time.Now(), at, time.Hour)
		require.NotContains(t, header, "Nats-Sequence")
		require.Contains(t, header, "Nats-Msg-Id")
		all = append(all, raw{seq, subject, header, data})
		return nil
	}))
	want := a.all(t, nil, 1, 10)
	b := archived{Log: natstest.Open(t)}
	for _, m := range all {
		require.NoError(t, b.Refill(t.Context(), events.StreamMessages, m.seq, m.subject, m.header, m.data))
	}
	require.Equal(t, want, b.all(t, nil, 1, 10))
	m := all[4]
	require.ErrorIs(t, b.Refill(t.Context(), events.StreamMessages, 5, m.subject, m.header, m.data), events.ErrConflict)
	require.NoError(t, b.Refill(t.Context(), events.StreamMessages, 11, m.subject, m.header, m.data), "the same id once more")
	require.Len(t, b.all(t, nil, 1, 100), 11)
}

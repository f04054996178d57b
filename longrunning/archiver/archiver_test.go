package archiver_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/chat-platform/chat/events"
	"github.com/chat-platform/chat/infra/archive"
	natslog "github.com/chat-platform/chat/infra/nats"
	"github.com/chat-platform/chat/infra/nats/embedded"
	"github.com/chat-platform/chat/infra/nats/natstest"
	"github.com/chat-platform/chat/longrunning/archiver"
)

// stand is a log with an archive beside it.
type stand struct {
	*natslog.Log
	server *embedded.Server
	dir    string
	cfg    archiver.Config
}

// consumers of MESSAGES that have to exist.
var consumers = []string{"one", "two"}

func newStand(t *testing.T, n int) *stand {
	t.Helper()
	server := natstest.Start(t)
	log := connect(t, server)
	s := &stand{Log: log, server: server, dir: t.TempDir()}
	s.cfg = archiver.Config{SegmentEvents: 100, Consumers: consumers, KeepMessages: 150, Logger: slog.New(slog.DiscardHandler),
		Now: func() time.Time { return time.Now().Add(time.Minute) }} // everything is older than the window
	s.publish(t, 0, n)
	for _, name := range consumers {
		s.acknowledge(t, name)
	}
	log.ReadArchive(s.archive(t))
	return s
}

func connect(t *testing.T, server *embedded.Server) *natslog.Log {
	t.Helper()
	log, err := natslog.Open(t.Context(), natslog.Config{InProcess: server, DedupWindow: 100 * time.Millisecond, Logger: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	t.Cleanup(func() { _ = log.Close() })
	return log
}

func event(i int) events.Event {
	return events.Event{ID: fmt.Sprintf("evt_%d", i), Source: "/test", Type: events.TypeMessageSent,
		Subject: events.MessageSubject(events.ChannelID(fmt.Sprintf("ch_%d", i*i%7))), Data: fmt.Appendf(nil, `{"n":%d}`, i)}
}

func (s *stand) publish(t *testing.T, from, to int) {
	t.Helper()
	var es []events.Event
	for i := from; i < to; i++ {
		es = append(es, event(i))
	}
	_, errs := s.PublishAll(t.Context(), es, nil)
	require.NoError(t, errors.Join(errs...))
}

// acknowledge makes a consumer deal with all that there is.
func (s *stand) acknowledge(t *testing.T, name string) {
	t.Helper()
	c, err := s.Consumer(t.Context(), natslog.ConsumerConfig{Stream: events.StreamMessages, Name: name})
	require.NoError(t, err)
	defer c.Close()
	require.Eventually(t, func() bool {
		ds, err := c.Fetch(t.Context(), 5000, time.Millisecond)
		require.NoError(t, err)
		for _, d := range ds {
			require.NoError(t, d.Ack())
		}
		applied, last, err := s.Position(t.Context(), events.StreamMessages, name)
		return err == nil && applied == last
	}, time.Minute, time.Millisecond)
}

func (s *stand) archive(t *testing.T) *archive.Archive {
	t.Helper()
	folder, err := archive.OpenFolder(s.dir)
	require.NoError(t, err)
	return archive.New(folder)
}

// round is what an archiver does that has just been started: the second one takes
// away what was settled by the first.
func (s *stand) round(t *testing.T) error {
	t.Helper()
	return twice(t, archiver.New(s, s.archive(t), s.cfg))
}

func twice(t *testing.T, a *archiver.Archiver) error {
	t.Helper()
	if err := a.Round(t.Context()); err != nil {
		return err
	}
	return a.Round(t.Context())
}

func (s *stand) first(t *testing.T) uint64 {
	t.Helper()
	first, err := s.FirstSequence(t.Context(), events.StreamMessages)
	require.NoError(t, err)
	return first
}

func (s *stand) segments(t *testing.T, stream string) []archive.Segment {
	t.Helper()
	state, err := s.State(t.Context(), stream)
	require.NoError(t, err)
	segments, err := s.archive(t).Segments(t.Context(), stream, state.ID)
	require.NoError(t, err)
	return segments
}

// whole checks that all n events are read, and previous messages known.
func (s *stand) whole(t *testing.T, n int) {
	t.Helper()
	i := 0
	last := map[string]uint64{}
	require.NoError(t, s.Range(t.Context(), events.StreamMessages, nil, 1, uint64(n), func(e events.Event) error {
		want := event(i)
		require.Equal(t, want.ID, e.ID)
		require.Equal(t, string(want.Data), string(e.Data))
		last[e.Subject] = e.Sequence
		i++
		return nil
	}))
	require.Equal(t, n, i)
	subjects := make([]string, 7)
	for c := range subjects {
		subjects[c] = events.MessageSubject(events.ChannelID(fmt.Sprintf("ch_%d", c)))
	}
	got, err := s.LastBefore(t.Context(), subjects, uint64(n+1))
	require.NoError(t, err)
	require.Equal(t, last, got)
}

func TestArchiveThenTrim(t *testing.T) {
	s := newStand(t, 1042)
	registry := prometheus.NewRegistry()
	s.cfg.Registerer = registry
	require.NoError(t, s.round(t))
	require.Len(t, s.segments(t, events.StreamMessages), 10, "the last 42 wait for others")
	require.Equal(t, uint64(801), s.first(t), "892 events may go, whole segments only")
	s.whole(t, 1042)
	require.NoError(t, s.round(t))
	require.Equal(t, uint64(801), s.first(t))
	families, err := registry.Gather()
	require.NoError(t, err)
	require.NotEmpty(t, families)

	s.publish(t, 1042, 1100)
	for _, name := range consumers {
		s.acknowledge(t, name)
	}
	require.NoError(t, s.round(t))
	require.Len(t, s.segments(t, events.StreamMessages), 11)
	require.Equal(t, uint64(901), s.first(t))
	s.whole(t, 1100)
}

func TestOldEventsDoNotWaitForOthers(t *testing.T) {
	s := newStand(t, 42)
	_, err := s.Publish(t.Context(), events.Event{ID: "evt_c", Source: "/test", Type: events.TypeChannelCreated, Subject: "channels.ch_1", Data: []byte(`{}`)})
	require.NoError(t, err)
	require.NoError(t, s.round(t))
	require.Empty(t, s.segments(t, events.StreamMessages))
	s.cfg.SegmentAge = 30 * time.Second
	require.NoError(t, s.round(t))
	require.Len(t, s.segments(t, events.StreamMessages), 1)
	require.Len(t, s.segments(t, events.StreamMetadata), 1)
	first, err := s.FirstSequence(t.Context(), events.StreamMetadata)
	require.NoError(t, err)
	require.Equal(t, uint64(1), first, "METADATA stays whole")
}

func TestSegmentsEndByBytes(t *testing.T) {
	s := newStand(t, 300)
	s.cfg.SegmentEvents, s.cfg.SegmentBytes = 1000, 4000
	require.NoError(t, s.round(t))
	require.Greater(t, len(s.segments(t, events.StreamMessages)), 5)
	s.whole(t, 300)
}

// Each condition alone keeps everything in the stream.
func TestWhatKeepsEventsInTheStream(t *testing.T) {
	for name, keep := range map[string]func(*stand){
		"nothing is configured": func(s *stand) { s.cfg.KeepMessages = 0 },
		"a consumer is behind": func(s *stand) {
			_, _ = s.Consumer(context.Background(), natslog.ConsumerConfig{Stream: events.StreamMessages, Name: "three"})
		},
		"a consumer is missing":           func(s *stand) { _ = s.DeleteConsumer(context.Background(), events.StreamMessages, "two") },
		"more is to be kept":              func(s *stand) { s.cfg.KeepMessages = 5000 },
		"it is too young":                 func(s *stand) { s.cfg.KeepAge = time.Hour },
		"it is within the window":         func(s *stand) { s.cfg.Now = func() time.Time { return time.Now().Add(-time.Minute) } },
		"the stream is smaller than that": func(s *stand) { s.cfg.KeepBytes = 1 << 30 },
	} {
		t.Run(name, func(t *testing.T) {
			s := newStand(t, 500)
			keep(s)
			require.NoError(t, s.round(t))
			require.Len(t, s.segments(t, events.StreamMessages), 5)
			require.Equal(t, uint64(1), s.first(t))
			s.whole(t, 500)
		})
	}
}

func TestByBytes(t *testing.T) {
	s := newStand(t, 500)
	before, err := s.State(t.Context(), events.StreamMessages)
	require.NoError(t, err)
	s.cfg.KeepMessages, s.cfg.KeepBytes = 0, before.Bytes/2
	require.NoError(t, s.round(t))
	after, err := s.State(t.Context(), events.StreamMessages)
	require.NoError(t, err)
	require.Greater(t, after.First, uint64(1))
	require.GreaterOrEqual(t, after.Bytes, before.Bytes/2)
	s.whole(t, 500)
}

// A query asks where a view stands, reads the view, and then the stream from there
// on. The view may catch up in between, from very far, and the archiver have its
// turn.
func TestWhatAQueryUnderWayStillReadsIsNotTakenAway(t *testing.T) {
	s := newStand(t, 100)
	functions := connect(t, s.server) // they open no archive
	a := archiver.New(s, s.archive(t), s.cfg)
	s.publish(t, 100, 500)
	require.NoError(t, a.Round(t.Context()))
	stands, _, err := functions.Position(t.Context(), events.StreamMessages, "one")
	require.NoError(t, err)
	require.Equal(t, uint64(100), stands)
	for _, name := range consumers {
		s.acknowledge(t, name)
	}
	require.NoError(t, a.Round(t.Context()))
	rest, err := functions.Tail(t.Context(), "messages.>", stands+1, 1000)
	require.NoError(t, err)
	require.Len(t, rest, 400)
	require.NoError(t, a.Round(t.Context()))
	require.Equal(t, uint64(301), s.first(t))

	// Nor does a consumer that is made anew say that the view has nothing.
	require.NoError(t, s.DeleteConsumer(t.Context(), events.StreamMessages, "one"))
	for range 2 {
		stands, _, err = functions.Position(t.Context(), events.StreamMessages, "one")
		require.NoError(t, err)
		require.Equal(t, uint64(300), stands)
		rest, err = functions.Tail(t.Context(), "messages.>", stands+1, 1000)
		require.NoError(t, err)
		require.Len(t, rest, 200)
		c, err := s.Consumer(t.Context(), natslog.ConsumerConfig{Stream: events.StreamMessages, Name: "one"})
		require.NoError(t, err)
		c.Close()
	}
}

// failing fails at one step, once.
type failing struct {
	*natslog.Log
	step string
}

var errCrash = errors.New("the process ends here")

func (f *failing) at(step string) error {
	if f.step != step {
		return nil
	}
	f.step = ""
	return errCrash
}

func (f *failing) LastBefore(ctx context.Context, subjects []string, seq uint64) (map[string]uint64, error) {
	if err := f.at("before a segment is put"); err != nil {
		return nil, err
	}
	return f.Log.LastBefore(ctx, subjects, seq)
}

func (f *failing) Settled(ctx context.Context, stream string, required ...string) (uint64, string, error) {
	if err := f.at("after segments are put"); err != nil {
		return 0, "", err
	}
	return f.Log.Settled(ctx, stream, required...)
}

func (f *failing) NoteArchived(ctx context.Context, stream, id string, last map[string]uint64, upTo uint64) error {
	if err := f.at("before the notes"); err != nil {
		return err
	}
	if err := f.Log.NoteArchived(ctx, stream, id, last, upTo); err != nil {
		return err
	}
	return f.at("after the notes")
}

func (f *failing) Trim(ctx context.Context, stream, id string, upTo uint64) error {
	if err := f.at("before the trim"); err != nil {
		return err
	}
	if err := f.Log.Trim(ctx, stream, id, upTo); err != nil {
		return err
	}
	return f.at("after the trim")
}

func TestACrashAtAnyPlaceDoesNoHarm(t *testing.T) {
	for _, step := range []string{"before a segment is put", "after segments are put", "before the notes", "after the notes", "before the trim", "after the trim"} {
		t.Run(step, func(t *testing.T) {
			s := newStand(t, 300)
			require.NoError(t, s.round(t)) // so that the crash finds earlier segments
			s.publish(t, 300, 900)
			for _, name := range consumers {
				s.acknowledge(t, name)
			}
			f := &failing{s.Log, step}
			require.ErrorIs(t, twice(t, archiver.New(f, s.archive(t), s.cfg)), errCrash)
			require.Empty(t, f.step)
			s.whole(t, 900)
			require.NoError(t, s.server.Restart())
			require.Eventually(t, func() bool { return s.Ping(t.Context()) == nil }, time.Minute, 10*time.Millisecond)
			require.NoError(t, s.round(t))
			require.Len(t, s.segments(t, events.StreamMessages), 9)
			require.Equal(t, uint64(701), s.first(t))
			s.whole(t, 900)
		})
	}
}

func TestSeveralArchiversAtOnce(t *testing.T) {
	s := newStand(t, 1500)
	var wg sync.WaitGroup
	errs := make([]error, 3)
	for i := range errs {
		cfg := s.cfg
		cfg.SegmentEvents = 100 + 17*i // so that their segments overlap
		a := archiver.New(s, s.archive(t), cfg)
		wg.Go(func() { errs[i] = twice(t, a) })
	}
	wg.Wait()
	for _, err := range errs {
		require.True(t, err == nil || errors.Is(err, natslog.ErrArchived), "%v", err) // it lost the race for what it was to copy
	}
	require.NoError(t, s.round(t))
	require.Greater(t, s.first(t), uint64(1000))
	s.whole(t, 1500)
}

func TestADamagedSegmentIsNotReliedOn(t *testing.T) {
	s := newStand(t, 500)
	s.cfg.KeepMessages = 5000
	require.NoError(t, s.round(t))
	path := filepath.Join(s.dir, s.segments(t, events.StreamMessages)[1].Name)
	b, err := os.ReadFile(path)
	require.NoError(t, err)
	b[len(b)/3] ^= 1
	require.NoError(t, os.WriteFile(path, b, 0o600))
	s.cfg.KeepMessages = 1
	err = s.round(t)
	require.ErrorIs(t, err, archive.ErrDamaged)
	require.ErrorContains(t, err, filepath.Base(path))
	require.Equal(t, uint64(1), s.first(t))
}

func TestWhereArchiveAndStreamDoNotMeet(t *testing.T) {
	s := newStand(t, 500)
	require.NoError(t, s.round(t))
	segments := s.segments(t, events.StreamMessages)
	one, aside := filepath.Join(s.dir, segments[1].Name), filepath.Join(t.TempDir(), "aside")
	require.NoError(t, os.Rename(one, aside))
	require.ErrorIs(t, s.round(t), archive.ErrMissing)
	require.ErrorContains(t, s.round(t), "101 to 300 are neither in the archive nor in the stream")
	require.Len(t, s.segments(t, events.StreamMessages), 4)
	require.NoError(t, os.Rename(aside, one))

	// A segment beyond the stream's end: the log was set back.
	state, err := s.State(t.Context(), events.StreamMessages)
	require.NoError(t, err)
	b := archive.NewBuilder(events.StreamMessages, state.ID, 501)
	require.NoError(t, b.Add(archive.Message{Sequence: 501, Subject: "messages.send.ch_1"}))
	data, ix, err := b.Finish(501, nil)
	require.NoError(t, err)
	_, err = s.archive(t).Add(t.Context(), data, ix)
	require.NoError(t, err)
	require.ErrorIs(t, s.round(t), events.ErrConflict)

	// The log goes on: what is at that place now is another message.
	s.publish(t, 500, 510)
	err = s.round(t)
	require.ErrorIs(t, err, events.ErrConflict)
	require.ErrorContains(t, err, "message 501 is another one")
}

func TestRunGoesOnUntilItsEnd(t *testing.T) {
	s := newStand(t, 500)
	s.cfg.Interval = time.Millisecond
	f := &failing{s.Log, "before the trim"}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- archiver.New(f, s.archive(t), s.cfg).Run(ctx) }()
	require.Eventually(t, func() bool { return s.first(t) == 301 }, time.Minute, time.Millisecond)
	cancel()
	require.NoError(t, <-done)
}

func TestConfig(t *testing.T) {
	require.NoError(t, archiver.Config{}.Validate())
	for name, c := range map[string]archiver.Config{
		"ARCHIVE_INTERVAL": {Interval: -1}, "ARCHIVE_SEGMENT_EVENTS": {SegmentEvents: -1}, "ARCHIVE_SEGMENT_BYTES": {SegmentBytes: 1 << 40},
		"ARCHIVE_SEGMENT_AGE": {SegmentAge: -1}, "ARCHIVE_KEEP_AGE": {KeepAge: -1},
	} {
		require.ErrorContains(t, c.Validate(), name)
	}
}

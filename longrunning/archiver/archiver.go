package archiver

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/chat-platform/chat/events"
	"github.com/chat-platform/chat/infra/archive"
	natslog "github.com/chat-platform/chat/infra/nats"
)

// Log is what the archiver asks of the log.
type Log interface {
	State(ctx context.Context, stream string) (natslog.StreamState, error)
	KeepID(ctx context.Context, stream string) error
	Copy(ctx context.Context, stream string, from, to uint64, f func(seq uint64, at time.Time, subject string, header map[string][]string, data []byte) error) error
	LastBefore(ctx context.Context, subjects []string, seq uint64) (map[string]uint64, error)
	Settled(ctx context.Context, stream string, required ...string) (upTo uint64, behind string, err error)
	Noted(ctx context.Context, stream, id string) (uint64, error)
	NoteArchived(ctx context.Context, stream, id string, last map[string]uint64, upTo uint64) error
	Trim(ctx context.Context, stream, id string, upTo uint64) error
	DedupWindow() time.Duration
}

// Archiver moves events from the log to the archive.
type Archiver struct {
	log     Log
	archive *archive.Archive
	cfg     Config
	metrics *metrics
	before  map[string]lasts  // by stream
	same    map[string]bool   // streams that were compared with their segments
	settled map[string]uint64 // what every consumer had acknowledged at the round before
}

// lasts are the last sequences of the subjects of the segment written last,
// which spare the next one most questions.
type lasts struct {
	upTo     uint64
	subjects map[string]archive.Subject
}

// New makes an archiver; Run runs it. The configuration has to be valid.
func New(log Log, a *archive.Archive, cfg Config) *Archiver {
	cfg = cfg.withDefaults()
	return &Archiver{log: log, archive: a, cfg: cfg, metrics: newMetrics(cfg.Registerer), before: map[string]lasts{}, same: map[string]bool{}, settled: map[string]uint64{}}
}

// Run archives until ctx ends, a round at a time. What fails is logged and tried
// again in the next round.
func (a *Archiver) Run(ctx context.Context) error {
	for {
		if err := a.Round(ctx); err != nil && ctx.Err() == nil {
			a.cfg.Logger.Error("archiver: round failed", "error", err, "again", a.cfg.Interval)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(a.cfg.Interval - a.cfg.Interval/20 + rand.N(a.cfg.Interval/10+1)):
		}
	}
}

// Round archives what is due and trims what may go, of both streams. One that
// fails does not keep the other from its turn.
func (a *Archiver) Round(ctx context.Context) error {
	var errs []error
	for _, stream := range []string{events.StreamMessages, events.StreamMetadata} {
		if err := a.round(ctx, stream); err != nil {
			a.metrics.failures.WithLabelValues(stream).Inc()
			errs = append(errs, fmt.Errorf("archive %s: %w", stream, err))
		}
	}
	return errors.Join(errs...)
}

func (a *Archiver) round(ctx context.Context, stream string) error {
	if err := a.log.KeepID(ctx, stream); err != nil {
		return err
	}
	state, err := a.log.State(ctx, stream)
	if err != nil {
		return err
	}
	segments, err := a.archive.Segments(ctx, stream, state.ID)
	if err != nil {
		return err
	}
	covered := archive.Covered(segments, 0)
	switch {
	case covered < state.First-1:
		return fmt.Errorf("%w: %d to %d are neither in the archive nor in the stream; is it the right archive?", archive.ErrMissing, covered+1, state.First-1)
	case len(segments) > 0 && segments[len(segments)-1].Last > state.Last:
		return fmt.Errorf("%w: the archive goes to %d, the stream only to %d; the log was set back (docs/operations/backup.md)", events.ErrConflict, segments[len(segments)-1].Last, state.Last)
	}
	if err := a.compare(ctx, stream, state, covered); err != nil {
		return err
	}
	written := false
	for covered < state.Last {
		s, err := a.segment(ctx, stream, state, covered+1)
		if err != nil {
			return err
		}
		if s.Last == 0 {
			break // not enough yet
		}
		covered, written = s.Last, true
	}
	a.metrics.waiting.WithLabelValues(stream).Set(float64(state.Last - min(covered, state.Last)))
	a.metrics.first.WithLabelValues(stream).Set(float64(state.First))
	if stream != events.StreamMessages {
		return nil
	}
	if written {
		if segments, err = a.archive.Segments(ctx, stream, state.ID); err != nil {
			return err
		}
	}
	if err := a.renote(ctx, stream, state, segments); err != nil {
		return err
	}
	return a.trim(ctx, stream, state, segments)
}

// compare makes sure, once, that the last archived message is the one that the
// stream has at its place: a log that was set back and went on has another.
func (a *Archiver) compare(ctx context.Context, stream string, state natslog.StreamState, covered uint64) error {
	if a.same[stream] || covered < state.First {
		return nil
	}
	read := func(messages func(f func(seq uint64, at time.Time, subject string, header map[string][]string, data []byte) error) error) (text string, err error) {
		err = messages(func(seq uint64, at time.Time, subject string, header map[string][]string, data []byte) error {
			text = fmt.Sprint(seq, at.UnixNano(), subject, header, string(data)) // maps are printed in order
			return nil
		})
		return text, err
	}
	type each = func(seq uint64, at time.Time, subject string, header map[string][]string, data []byte) error
	there, err := read(func(f each) error { return a.log.Copy(ctx, stream, covered, covered, f) })
	if err != nil {
		return err
	}
	here, err := read(func(f each) error { return a.archive.Range(ctx, stream, state.ID, nil, covered, covered, f) })
	if err != nil {
		return err
	}
	if here != there {
		return fmt.Errorf("%w: message %d is another one in the archive than in the stream; the log was set back (docs/operations/backup.md)", events.ErrConflict, covered)
	}
	a.same[stream] = true
	return nil
}

// errFull ends a copy when the segment has enough.
var errFull = errors.New("the segment is full")

// segment writes the segment that begins at first, if it is due; otherwise what
// it gives is empty.
func (a *Archiver) segment(ctx context.Context, stream string, state natslog.StreamState, first uint64) (archive.Segment, error) {
	if due, err := a.due(ctx, stream, state, first); err != nil || !due {
		return archive.Segment{}, err
	}
	b := archive.NewBuilder(stream, state.ID, first)
	err := a.log.Copy(ctx, stream, first, state.Last, func(seq uint64, at time.Time, subject string, header map[string][]string, data []byte) error {
		if err := b.Add(archive.Message{Sequence: seq, Time: at, Subject: subject, Header: header, Data: data}); err != nil {
			return err
		}
		if ix := b.Index(); ix.Count >= uint64(a.cfg.SegmentEvents) || ix.Bytes >= uint64(a.cfg.SegmentBytes) {
			return errFull
		}
		return nil
	})
	last := state.Last
	if errors.Is(err, errFull) {
		last, err = b.Index().Last, nil
	}
	if err != nil {
		return archive.Segment{}, err
	}
	prev, err := a.prev(ctx, stream, first, b.Index().Subjects)
	if err != nil {
		return archive.Segment{}, err
	}
	data, ix, err := b.Finish(last, prev)
	if err != nil {
		return archive.Segment{}, err
	}
	s, err := a.archive.Add(ctx, data, ix)
	if err != nil {
		return archive.Segment{}, err
	}
	a.before[stream] = lasts{s.Last, ix.Subjects}
	a.metrics.segments.WithLabelValues(stream).Inc()
	a.metrics.events.WithLabelValues(stream).Add(float64(ix.Count))
	a.metrics.raw.WithLabelValues(stream).Add(float64(ix.Bytes))
	a.metrics.compressed.WithLabelValues(stream).Add(float64(s.Size))
	a.cfg.Logger.Info("archiver: segment written", "segment", s.Name, "events", ix.Count, "raw_bytes", ix.Bytes, "bytes", s.Size)
	return s, nil
}

// due tells whether a segment from first on has enough, or waits long enough.
func (a *Archiver) due(ctx context.Context, stream string, state natslog.StreamState, first uint64) (bool, error) {
	waiting := state.Last - first + 1
	bytes := uint64(0)
	if state.Messages > 0 {
		bytes = state.Bytes / state.Messages * waiting
	}
	if waiting >= uint64(a.cfg.SegmentEvents) || bytes >= uint64(a.cfg.SegmentBytes) {
		return true, nil
	}
	oldest := a.cfg.Now()
	err := a.log.Copy(ctx, stream, first, first, func(_ uint64, at time.Time, _ string, _ map[string][]string, _ []byte) error {
		oldest = at
		return nil
	})
	return a.cfg.Now().Sub(oldest) >= a.cfg.SegmentAge, err
}

// prev gives the last sequence before the segment of each of its subjects.
func (a *Archiver) prev(ctx context.Context, stream string, first uint64, subjects map[string]archive.Subject) (map[string]uint64, error) {
	prev := make(map[string]uint64, len(subjects))
	if first == 1 {
		return prev, nil
	}
	before := a.before[stream]
	var ask []string
	for s := range subjects {
		if e, ok := before.subjects[s]; ok && before.upTo == first-1 {
			prev[s] = e.Last
		} else {
			ask = append(ask, s)
		}
	}
	for len(ask) > 0 { // each may cost the server a search
		n := min(500, len(ask))
		found, err := a.log.LastBefore(ctx, ask[:n], first)
		if err != nil {
			return nil, err
		}
		for s, seq := range found {
			prev[s] = seq
		}
		ask = ask[n:]
	}
	return prev, nil
}

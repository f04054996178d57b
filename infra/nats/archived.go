package nats

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/chat-platform/chat/events"
)

// Archive keeps messages that a stream holds no longer (infra/archive). id says
// which of the streams that had the name it is.
type Archive interface {
	// Range calls f with the messages of a stream in [from, to], in order; what
	// the archive lacks of them is an error.
	Range(ctx context.Context, stream, id string, filters []string, from, to uint64, f func(seq uint64, at time.Time, subject string, header map[string][]string, data []byte) error) error
	// LastBefore gives the last sequence before seq, 0 if there is none, of the
	// subjects that the archive has at seq or later.
	LastBefore(ctx context.Context, stream, id string, subjects []string, seq uint64) (map[string]uint64, error)
}

// ErrArchived is the kind of errors that say that events, which the log had,
// cannot be had now: the stream has let go of them, and the archive does not
// give them, or none is configured here.
var ErrArchived = fmt.Errorf("%w: archived events", events.ErrUnavailable)

// ReadArchive makes the log complete its reads from an archive. Call it before
// anybody reads.
func (l *Log) ReadArchive(a Archive) { l.archive = a }

// trims tells whether the archiver may take a stream's oldest messages away.
// METADATA is the preconditions' and stays whole.
func trims(stream string) bool { return stream == events.StreamMessages }

// trimmed says that the stream holds nothing before first any more, and that
// next, which was to be read, is before it.
type trimmed struct{ next, first uint64 }

func (t *trimmed) Error() string {
	return fmt.Sprintf("the stream begins at %d, after %d", t.first, t.next)
}

// mark is what was known of a stream at a time.
type mark struct {
	last uint64
	at   time.Time
}

// marks are the newest and an older one.
type marks struct{ new, old mark }

// note keeps where the stream ended: whatever was stored later than the older
// mark is younger than half the de-duplication window, and nothing that young is
// ever taken away. That saves most readers the question.
func (l *Log) note(stream string, last uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	m := l.marks[stream]
	if m.new.at.IsZero() || now.Sub(m.new.at) > l.window/4 {
		m.old, m.new = m.new, mark{last, now}
		l.marks[stream] = m
	}
}

// untouched is nil if the stream still has all that it ever had from a sequence
// on, as of now: asked after a read, it tells that nothing was taken away under
// the reader. Otherwise the error is a *trimmed. It costs a request where the
// sequence is older than about a quarter of the de-duplication window.
func (l *Log) untouched(ctx context.Context, stream string, from uint64) error {
	if !trims(stream) {
		return nil
	}
	l.mu.Lock()
	old := l.marks[stream].old
	l.mu.Unlock()
	if !old.at.IsZero() && from > old.last && time.Since(old.at) < l.window/2 {
		return nil
	}
	info, err := l.streamInfo(ctx, stream)
	if err != nil {
		return err
	}
	if first := info.State.FirstSeq; first > from {
		return &trimmed{from, first}
	}
	return nil
}

// dense tells whether nothing can be missing before or between the events that
// were read from next on.
func dense(next uint64, es []events.Event) bool {
	n := len(es)
	return n > 0 && es[0].Sequence == next && es[n-1].Sequence == next+uint64(n)-1
}

// rangeArchive reads [from, to] from the archive.
func (l *Log) rangeArchive(ctx context.Context, stream string, filters []string, from, to uint64, f func(events.Event) error) error {
	var stop error
	err := l.archived(ctx, stream, from, to, func(id string) error {
		return l.archive.Range(ctx, stream, id, filters, from, to, func(seq uint64, _ time.Time, subject string, header map[string][]string, data []byte) error {
			e, err := event(nats.Header(header), data, subject, seq)
			if err != nil {
				l.skip(stream, subject, seq, err)
				return nil
			}
			stop = f(e)
			return stop
		})
	})
	if stop != nil {
		return stop
	}
	return err
}

// archived calls read with the stream's id, if there is an archive.
func (l *Log) archived(ctx context.Context, stream string, from, to uint64, read func(id string) error) error {
	if l.archive == nil {
		return fmt.Errorf("%w: %d to %d of %s are in the archive, which is not configured here (ARCHIVE_URL)", ErrArchived, from, to, stream)
	}
	info, err := l.streamInfo(ctx, stream)
	if err == nil {
		if err = read(streamID(info)); err != nil && !errors.Is(err, events.ErrInvalid) && ctx.Err() == nil {
			err = fmt.Errorf("%w: %w", ErrArchived, err)
		}
	}
	return err
}

// archiveKey names, in a stream's metadata, its segments in the archive. It is in
// every backup, so that a restored stream, whose creation time is another, has
// its segments still.
const archiveKey = "chat-archive"

// streamID tells streams of the same name apart.
func streamID(info *jetstream.StreamInfo) string {
	if id := info.Config.Metadata[archiveKey]; id != "" {
		return id
	}
	return firstID(info)
}

// firstID is the id of a stream that was never restored.
func firstID(info *jetstream.StreamInfo) string {
	return strconv.FormatInt(info.Created.UnixNano(), 36)
}

func (l *Log) whenRestored(ctx context.Context) (at time.Time, err error) {
	info, err := l.streamInfo(ctx, events.StreamMessages)
	if err == nil && streamID(info) != firstID(info) {
		at = info.Created
	}
	return at, err
}

// StreamArchived holds, for each subject of a trimmed stream, the last sequence
// that was taken away, and how far that is complete. The archiver can make that
// anew from the segments.
const StreamArchived = "ARCHIVED"

const archivedSubjects = "archived.>"

func archivedSubject(subject string) string { return "archived." + subject }

// gone is what StreamArchived says of a subject.
type gone struct {
	seq      uint64
	id       string
	revision uint64 // sequence of the entry itself
}

// lastGone reads the entries of subjects, in the form of StreamArchived.
func (l *Log) lastGone(ctx context.Context, subjects []string) (map[string]gone, error) {
	all := make(map[string]gone, len(subjects))
	b, err := l.newBatcher(StreamArchived, multiMost)
	if err != nil {
		return nil, translate(err)
	}
	defer b.close()
	for len(subjects) > 0 {
		n := min(multiMost, len(subjects))
		err := b.multi(ctx, getRequest{MultiLast: subjects[:n]}, func(s stored) error {
			seq, id, _ := strings.Cut(string(s.data), " ")
			v, err := strconv.ParseUint(seq, 10, 64)
			if err != nil {
				return fmt.Errorf("entry %d of %s: %w", s.seq, StreamArchived, err)
			}
			all[s.subject] = gone{v, id, s.seq}
			return nil
		})
		if err != nil {
			return nil, fmt.Errorf("%s: %w", StreamArchived, err)
		}
		subjects = subjects[n:]
	}
	return all, nil
}

// goneBefore adds to last, for subjects that the stream was found to have no
// message of before seq, what was taken away of them.
func (l *Log) goneBefore(ctx context.Context, subjects []string, seq uint64, last map[string]uint64) error {
	byStream := map[string][]string{}
	for _, s := range subjects {
		if stream := events.StreamOf(s); trims(stream) {
			if _, ok := last[s]; !ok {
				byStream[stream] = append(byStream[stream], s)
			}
		}
	}
	for stream, missing := range byStream {
		info, err := l.streamInfo(ctx, stream)
		if err != nil {
			return err
		}
		first := info.State.FirstSeq
		if first <= 1 {
			continue
		}
		mark := archivedSubject(stream)
		asked := []string{mark}
		for _, s := range missing {
			asked = append(asked, archivedSubject(s))
		}
		known, err := l.lastGone(ctx, asked)
		if err != nil {
			return fmt.Errorf("%w: %w", ErrArchived, err)
		}
		if upTo := known[mark]; upTo.id != streamID(info) || upTo.seq < first-1 {
			return fmt.Errorf("%w: %s is known to %d, but %s begins at %d; the archiver completes it", ErrArchived, StreamArchived, upTo.seq, stream, first)
		}
		var deeper []string
		for _, s := range missing {
			switch g, ok := known[archivedSubject(s)]; {
			case !ok || g.id != streamID(info):
			case g.seq < seq:
				last[s] = g.seq
			default:
				deeper = append(deeper, s)
			}
		}
		if len(deeper) == 0 {
			continue
		}
		err = l.archived(ctx, stream, 1, seq-1, func(id string) error {
			found, err := l.archive.LastBefore(ctx, stream, id, deeper, seq)
			for _, s := range deeper {
				before, ok := found[s]
				if !ok && err == nil {
					err = fmt.Errorf("%s has %s at %d or later, the segments have not", StreamArchived, s, seq)
				}
				if before > 0 {
					last[s] = before
				}
			}
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

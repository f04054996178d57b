package nats

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"github.com/chat-platform/chat/events"
)

// Last is the last event of a subject. That there is none (events.ErrNotFound)
// is the leader's word; an event found may, where streams are replicated, be
// behind by the time replication takes: see LastConfirmed.
func (l *Log) Last(ctx context.Context, subject string) (events.Event, error) {
	stream := events.StreamOf(subject)
	if err := checkSubject(subject); err != nil {
		return events.Event{}, fmt.Errorf("last of %s: %w", subject, err)
	}
	s, ok, err := l.lastStored(ctx, stream, subject)
	if err == nil && !ok {
		return l.LastConfirmed(ctx, subject)
	}
	var e events.Event
	if err == nil {
		e, err = s.event()
	}
	if err != nil {
		return events.Event{}, fmt.Errorf("last of %s: %w", subject, err)
	}
	return e, nil
}

// LastConfirmed is the last event of a subject as the stream's leader knows it:
// what a refusal rests on.
func (l *Log) LastConfirmed(ctx context.Context, subject string) (events.Event, error) {
	var e events.Event
	err := checkSubject(subject)
	if err == nil {
		var s stored
		var ok bool
		s, ok, err = l.leader(ctx, events.StreamOf(subject), getRequest{LastFor: storedFilter(subject)})
		switch {
		case err == nil && ok:
			e, err = s.event()
		case err == nil:
			e, err = l.lastArchived(ctx, subject)
		}
	}
	if err != nil {
		return events.Event{}, fmt.Errorf("last of %s: %w", subject, err)
	}
	return e, nil
}

// lastArchived is the last event of a subject that the stream has none of.
func (l *Log) lastArchived(ctx context.Context, subject string) (events.Event, error) {
	last := map[string]uint64{}
	if err := l.goneBefore(ctx, []string{subject}, 1<<63, last); err != nil {
		return events.Event{}, err
	}
	if last[subject] == 0 {
		return events.Event{}, events.ErrNotFound
	}
	return l.BySequence(ctx, events.StreamOf(subject), last[subject])
}

func (l *Log) lastStored(ctx context.Context, stream, subject string) (stored, bool, error) {
	if filter := storedFilter(subject); filter != subject {
		return l.direct(ctx, "$JS.API.DIRECT.GET."+stream, encode(getRequest{LastFor: filter}))
	}
	return l.direct(ctx, "$JS.API.DIRECT.GET."+stream+"."+subject, nil)
}

func checkSubject(subject string) error {
	if events.StreamOf(subject) == "" {
		return events.Invalid("invalid_subject", "subject", "%q is not a subject of the log", subject)
	}
	return nil
}

// multiMost is how many subjects one request names; the server answers at most
// 1,024.
const multiMost = 1000

// multiSearched is how many it names where each costs the server a search.
const multiSearched = 50

// LastOf gives the last event of each subject that has one, by subject; about
// 15 µs of CPU a subject. It asks any replica: an expected sequence tells in the end.
func (l *Log) LastOf(ctx context.Context, subjects []string) (map[string]events.Event, error) {
	last := make(map[string]events.Event, len(subjects))
	err := l.multiLast(ctx, subjects, 0, multiMost, func(s stored) error {
		e, err := s.event()
		if err == nil && e.Sequence > last[s.subject].Sequence { // there is one of each partition that the subject was in
			last[s.subject] = e
		}
		return err
	})
	gone := map[string]uint64{}
	if err == nil && len(last) < len(subjects) {
		var missing []string
		for _, s := range subjects {
			if _, ok := last[s]; !ok {
				missing = append(missing, s)
			}
		}
		err = l.goneBefore(ctx, missing, 1<<63, gone)
	}
	for s, seq := range gone {
		if err == nil {
			last[s], err = l.BySequence(ctx, events.StreamOf(s), seq)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("last of %d subjects: %w", len(subjects), err)
	}
	return last, nil
}

// LastBefore gives, for each subject that has one, the sequence of its last
// event with a sequence below seq. A subject without an event from seq on costs
// as little as in LastOf; for any other the server searches a block of the
// stream, about a millisecond. What the stream has let go of is known too; where
// seq lies deep in it, the archive has to tell.
func (l *Log) LastBefore(ctx context.Context, subjects []string, seq uint64) (map[string]uint64, error) {
	last := make(map[string]uint64, len(subjects))
	if seq <= 1 {
		return last, nil
	}
	var later []string
	err := l.multiLast(ctx, subjects, 0, multiMost, func(s stored) error {
		if s.seq < seq {
			last[s.subject] = max(last[s.subject], s.seq)
		} else {
			later = append(later, s.subject)
		}
		return nil
	})
	if err == nil {
		err = l.multiLast(ctx, later, seq-1, multiSearched, func(s stored) error {
			last[s.subject] = max(last[s.subject], s.seq)
			return nil
		})
	}
	if err == nil && len(last) < len(subjects) {
		err = l.goneBefore(ctx, subjects, seq, last)
	}
	if err != nil {
		return nil, fmt.Errorf("last of %d subjects before %d: %w", len(subjects), seq, err)
	}
	return last, nil
}

func (l *Log) multiLast(ctx context.Context, subjects []string, upTo uint64, most int, f func(stored) error) error {
	byStream := map[string][]string{}
	for _, s := range subjects {
		if err := checkSubject(s); err != nil {
			return err
		}
		byStream[events.StreamOf(s)] = append(byStream[events.StreamOf(s)], s)
	}
	for stream, subjects := range byStream {
		b, err := l.newBatcher(stream, most)
		if err != nil {
			return translate(err)
		}
		for len(subjects) > 0 && err == nil {
			n := min(most, len(subjects))
			err = b.multi(ctx, getRequest{MultiLast: storedFilters(subjects[:n]), UpToSeq: upTo}, f)
			if errors.Is(err, errTooMany) && n > 1 {
				most, err = n/2, nil
				continue
			}
			subjects = subjects[n:]
		}
		b.close()
		if err != nil {
			return fmt.Errorf("%s: %w", stream, err)
		}
	}
	return nil
}

// multi asks as often as it takes, since a batch ends early where its bytes are
// used up.
func (b *batcher) multi(ctx context.Context, req getRequest, f func(stored) error) error {
	ctx, cancel := b.l.bounded(ctx)
	defer cancel()
	for {
		if err := b.ask(req); err != nil {
			return translate(err)
		}
		for {
			s, more, left, err := b.next(ctx)
			if err != nil {
				return err
			}
			if !more {
				if left == 0 {
					return nil
				}
				break
			}
			req.Seq = s.seq + 1
			if err := f(s); err != nil {
				return err
			}
		}
	}
}

// BySequence is the event at a sequence; events.ErrNotFound where the stream has
// none there.
func (l *Log) BySequence(ctx context.Context, stream string, seq uint64) (events.Event, error) {
	req := getRequest{Seq: seq}
	s, ok, err := stored{}, false, error(nil)
	if seq > 0 {
		s, ok, err = l.direct(ctx, "$JS.API.DIRECT.GET."+stream, encode(req))
		if err == nil && !ok {
			s, ok, err = l.leader(ctx, stream, req)
		}
	}
	var e events.Event
	switch {
	case err == nil && ok:
		e, err = s.event()
	case err == nil && seq > 0:
		e, err = l.archivedAt(ctx, stream, seq)
	case err == nil:
		err = events.ErrNotFound
	}
	if err != nil {
		return events.Event{}, fmt.Errorf("event %d of %s: %w", seq, stream, err)
	}
	return e, nil
}

// archivedAt is the event at a sequence that the stream has none at.
func (l *Log) archivedAt(ctx context.Context, stream string, seq uint64) (e events.Event, err error) {
	err = l.untouched(ctx, stream, seq)
	var t *trimmed
	if !errors.As(err, &t) {
		return e, cmp.Or(err, events.ErrNotFound)
	}
	found := false
	err = l.rangeArchive(ctx, stream, nil, seq, seq, func(a events.Event) error {
		e, found = a, true
		return nil
	})
	if err == nil && !found {
		err = events.ErrNotFound
	}
	return e, err
}

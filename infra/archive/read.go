package archive

import (
	"context"
	"fmt"
	"maps"
	"strings"
	"time"
)

// readAhead bounds how many bytes of a segment one Get asks for.
const readAhead = 8 << 20

// Range calls f with the messages of a stream whose sequence is in [from, to],
// in order; filters (none: all) are subjects with wildcards. All of the range
// must be covered by segments: what is not is an error of kind ErrMissing. A
// segment without a matching subject costs its index only.
func (a *Archive) Range(ctx context.Context, stream, id string, filters []string, from, to uint64,
	f func(seq uint64, at time.Time, subject string, header map[string][]string, data []byte) error,
) error {
	for from <= to {
		s, err := a.covering(ctx, stream, id, from)
		if err != nil {
			return err
		}
		until := min(to, s.Last)
		err = a.readSegment(ctx, s, filters, from, until, func(m Message) error {
			return f(m.Sequence, m.Time, m.Subject, m.Header, m.Data)
		})
		if err != nil {
			return err
		}
		from = until + 1
	}
	return nil
}

// readSegment reads the messages of one segment in [from, to].
func (a *Archive) readSegment(ctx context.Context, s Segment, filters []string, from, to uint64, f func(Message) error) error {
	ix, err := a.Index(ctx, s)
	if err != nil {
		return err
	}
	wanted := matching(ix.Subjects, filters, from, to)
	if len(filters) > 0 && len(wanted) == 0 {
		return nil
	}
	var blocks []Block
	for _, b := range ix.Blocks {
		if b.Last >= from && b.First <= to {
			blocks = append(blocks, b)
		}
	}
	for len(blocks) > 0 {
		n, length := 1, blocks[0].Length
		for n < len(blocks) && length+blocks[n].Length <= readAhead {
			length += blocks[n].Length
			n++
		}
		start := blocks[0].Offset
		part, err := a.get(ctx, s, start, length)
		if err != nil {
			return err
		}
		for _, b := range blocks[:n] {
			if err := ctx.Err(); err != nil {
				return err
			}
			var stop error
			err := b.read(part[b.Offset-start:b.Offset-start+b.Length], func(m Message) error {
				if m.Sequence < from || m.Sequence > to || len(filters) > 0 && !wanted[m.Subject] {
					return nil
				}
				stop = f(m)
				return stop
			})
			if stop != nil {
				return stop
			}
			if err != nil {
				return fmt.Errorf("archive segment %s: %w", s.Name, err)
			}
		}
		blocks = blocks[n:]
	}
	return nil
}

// matching gives the subjects that a filter matches and that may have a message
// in [from, to].
func matching(subjects map[string]Subject, filters []string, from, to uint64) map[string]bool {
	wanted := map[string]bool{}
	var wild []string
	for _, filter := range filters {
		if strings.ContainsAny(filter, "*>") {
			wild = append(wild, filter)
		} else if s, ok := subjects[filter]; ok && s.First <= to && s.Last >= from {
			wanted[filter] = true
		}
	}
	if len(wild) == 0 {
		return wanted
	}
	for subject, s := range subjects {
		if s.First > to || s.Last < from {
			continue
		}
		for _, filter := range wild {
			if Matches(filter, subject) {
				wanted[subject] = true
				break
			}
		}
	}
	return wanted
}

// Matches tells whether a filter with the wildcards * (one token) and > (one or
// more, at the end) matches a subject.
func Matches(filter, subject string) bool {
	for {
		f, filterRest, moreFilter := strings.Cut(filter, ".")
		s, subjectRest, moreSubject := strings.Cut(subject, ".")
		if f == ">" {
			return !moreFilter
		}
		if f != "*" && f != s || moreFilter != moreSubject {
			return false
		}
		if !moreFilter {
			return true
		}
		filter, subject = filterRest, subjectRest
	}
}

// LastBefore gives, for subjects that the archive has a message of at sequence
// seq or later, the sequence of their last message before seq, 0 where there is
// none. Subjects without any are left out: their last message of all is the
// answer, which the archive does not know quickly. It reads the indexes from
// seq-1 on, and of one segment the messages, until all are found.
func (a *Archive) LastBefore(ctx context.Context, stream, id string, subjects []string, seq uint64) (map[string]uint64, error) {
	found := map[string]uint64{}
	if seq <= 1 || len(subjects) == 0 {
		return found, nil
	}
	left := map[string]bool{}
	for _, s := range subjects {
		left[s] = true
	}
	all, err := a.Segments(ctx, stream, id)
	if err != nil {
		return nil, err
	}
	for at := seq - 1; len(left) > 0; {
		s, ok := best(all, at)
		if !ok {
			if len(all) > 0 && all[len(all)-1].First > at {
				return nil, fmt.Errorf("%w: no segment has sequence %d of %s (%s)", ErrMissing, at, stream, id)
			}
			return found, nil
		}
		ix, err := a.Index(ctx, s)
		if err != nil {
			return nil, err
		}
		var inside []string
		for subject := range maps.Clone(left) {
			e, ok := ix.Subjects[subject]
			switch {
			case !ok || e.Last < seq:
				continue // what comes later tells
			case e.First >= seq:
				found[subject] = e.Prev
			default:
				inside = append(inside, subject)
			}
			delete(left, subject)
		}
		if len(inside) > 0 {
			err := a.readSegment(ctx, s, inside, s.First, seq-1, func(m Message) error {
				found[m.Subject] = m.Sequence
				return nil
			})
			if err != nil {
				return nil, err
			}
		}
		at = s.Last + 1
	}
	return found, nil
}

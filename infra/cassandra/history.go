package cassandra

import (
	"cmp"
	"context"
	"math"
	"slices"

	"golang.org/x/sync/errgroup"

	"github.com/chat-platform/chat/events"
)

// History gives a page of a channel in ascending order of sequence. An unknown
// channel is an empty one. A page takes one request to each side; in a channel
// of more than 16,384 messages some ten, in three rounds. Never does it read
// more buckets than some four times Limit, however far apart messages are.
func (s *Store) History(ctx context.Context, q events.HistoryQuery) (page events.HistoryPage, err error) {
	err = s.call(ctx, "history", func(ctx context.Context) error {
		if err := validate(q); err != nil || q.Channel == "" || len(q.Channel) > maxKey {
			return err
		}
		page, err = s.history(ctx, q)
		return err
	}, "read history of %s", q.Channel)
	return page, err
}

func validate(q events.HistoryQuery) error {
	set := 0
	for _, seq := range []uint64{q.Before, q.After, q.Around} {
		if seq != 0 {
			set++
		}
	}
	if set > 1 {
		return events.Invalid("invalid_page", "", "at most one of before, after and around can be given")
	}
	if q.Limit <= 0 {
		return events.Invalid("invalid_limit", "limit", "limit is %d, expected 1 or more", q.Limit)
	}
	return nil
}

// history reads to both sides at once.
func (s *Store) history(ctx context.Context, q events.HistoryQuery) (page events.HistoryPage, err error) {
	older, newer := walk{channel: q.Channel, down: true}, walk{channel: q.Channel}
	switch {
	case q.Around != 0:
		older.from, older.n = q.Around, q.Limit/2
		newer.from, newer.n = q.Around-1, q.Limit-q.Limit/2
	case q.After != 0:
		older.from = max(q.After, q.After+1) // the end of numbers stays that
		newer.from, newer.n = q.After, q.Limit
	case q.Before != 0:
		older.from, older.n = q.Before, q.Limit
		newer.from = q.Before - 1
	default:
		older.from, older.n = math.MaxUint64, q.Limit
		newer.from = math.MaxUint64 // nothing is there
	}
	var before, after []events.Message
	g, gctx := errgroup.WithContext(ctx)
	g.Go(func() (err error) { before, page.MoreBefore, err = s.walk(gctx, older); return err })
	if newer.from < math.MaxUint64 {
		g.Go(func() (err error) { after, page.MoreAfter, err = s.walk(gctx, newer); return err })
	}
	if err := g.Wait(); err != nil {
		return events.HistoryPage{}, err
	}
	slices.Reverse(before)
	page.Messages = slices.Concat(before, after)
	return page, nil
}

// walk is the way through a channel from a sequence, exclusive, up or down.
type walk struct {
	channel events.ChannelID
	from    uint64
	down    bool
	n       int // messages wanted
}

// order compares in the walk's direction.
func (w walk) order(a, b uint64) int {
	if w.down {
		a, b = b, a
	}
	return cmp.Compare(a, b)
}

// first is the first sequence that the walk may meet.
func (w walk) first() uint64 {
	if w.down {
		return w.from - 1
	}
	return w.from + 1
}

// walk gives up to n messages in the walk's order, and whether more follow.
func (s *Store) walk(ctx context.Context, w walk) ([]events.Message, bool, error) {
	w.from = min(w.from, math.MaxInt64) // no stored sequence is as high
	if w.down && w.from == 0 {
		return nil, false, nil
	}
	wanted := w.n
	w.n++
	rows, full, err := s.readPartition(ctx, partition{w.channel, top, 0}, w)
	if err == nil && len(rows) == 0 && full == unknown {
		full, err = s.topIsFull(ctx, w.channel)
	}
	if err == nil && wanted == 0 && len(rows) > 0 {
		return nil, true, nil
	}
	if err == nil && full == yes {
		var below [top][]stored
		g, gctx := errgroup.WithContext(ctx)
		for level := range below {
			g.Go(func() (err error) { below[level], err = s.walkLevel(gctx, level, w); return err })
		}
		err = g.Wait()
		for _, more := range below {
			rows = append(rows, more...)
		}
	}
	if err != nil {
		return nil, false, err
	}
	ms := merge(rows, w)
	return ms[:min(len(ms), wanted)], len(ms) > wanted, nil
}

// merge orders what the levels gave; of copies one is taken.
func merge(rows []stored, w walk) []events.Message {
	order := func(a, b stored) int { return cmp.Or(w.order(a.m.Seq, b.m.Seq), cmp.Compare(a.state, b.state)) }
	if !slices.IsSortedFunc(rows, order) { // one level's are
		slices.SortFunc(rows, order)
	}
	ms := make([]events.Message, 0, min(len(rows), w.n))
	for _, r := range rows {
		if n := len(ms); n > 0 && ms[n-1].Seq == r.m.Seq {
			continue
		}
		if ms = append(ms, r.m); len(ms) == w.n {
			break
		}
	}
	return ms
}

// walkLevel reads the buckets of one level that have messages until it has w.n.
func (s *Store) walkLevel(ctx context.Context, level int, w walk) (rows []stored, err error) {
	bucket := s.shape.bucket(level, w.first())
	for window := 2; ; window = min(4*window, 64) {
		buckets, err := s.buckets(ctx, level, w, bucket, window)
		if err != nil {
			return nil, err
		}
		found := make([][]stored, len(buckets))
		if err := s.parallel(ctx, len(buckets), func(ctx context.Context, i int) (err error) {
			found[i], _, err = s.readPartition(ctx, partition{w.channel, level, buckets[i]}, w)
			return err
		}); err != nil {
			return nil, err
		}
		for _, f := range found {
			rows = append(rows, f...)
		}
		if len(rows) >= w.n || len(buckets) < window {
			return rows, nil
		}
		if bucket = buckets[len(buckets)-1] + 1; w.down {
			if bucket -= 2; bucket < 0 {
				return rows, nil
			}
		}
	}
}

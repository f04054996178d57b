package sqlite

import (
	"context"
	"database/sql"
	"math"
	"slices"

	"github.com/chat-platform/chat/events"
)

// History gives a page of a channel in ascending order of sequence. An unknown
// channel is an empty one. It costs some 5 µs a message, wherever in the
// channel the page is.
func (s *Messages) History(ctx context.Context, q events.HistoryQuery) (events.HistoryPage, error) {
	if err := validate(q); err != nil {
		return events.HistoryPage{}, err
	}
	var page events.HistoryPage
	var err error
	switch {
	case q.Around != 0:
		page, err = s.around(ctx, q)
	case q.After != 0:
		if page.Messages, page.MoreAfter, err = s.newest(ctx, q.Channel, q.After, q.Limit); err == nil {
			page.MoreBefore, err = exists(ctx, s.older, q.Channel, q.After)
		}
	case q.Before != 0:
		if page.Messages, page.MoreBefore, err = s.oldest(ctx, q.Channel, q.Before, q.Limit); err == nil {
			page.MoreAfter, err = exists(ctx, s.newer, q.Channel, q.Before)
		}
	default:
		page.Messages, page.MoreBefore, err = s.oldest(ctx, q.Channel, math.MaxUint64, q.Limit)
	}
	if err != nil {
		return events.HistoryPage{}, s.fail("read history of "+string(q.Channel), err)
	}
	return page, nil
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
	return validateLimit(q.Limit)
}

func validateLimit(limit int) error {
	if limit <= 0 {
		return events.Invalid("invalid_limit", "limit", "limit is %d, expected 1 or more", limit)
	}
	return nil
}

func (s *Messages) around(ctx context.Context, q events.HistoryQuery) (page events.HistoryPage, err error) {
	half := q.Limit / 2
	if page.Messages, page.MoreBefore, err = s.oldest(ctx, q.Channel, q.Around, half); err != nil {
		return page, err
	}
	newer, more, err := s.newest(ctx, q.Channel, q.Around-1, q.Limit-half)
	page.Messages, page.MoreAfter = append(page.Messages, newer...), more
	return page, err
}

// oldest gives the limit messages that end just before seq, and whether there
// are some before them.
func (s *Messages) oldest(ctx context.Context, c events.ChannelID, seq uint64, limit int) ([]events.Message, bool, error) {
	ms, err := collect(ctx, s.before, scanRecord, string(c), bound(seq), limit+1)
	more := len(ms) > limit
	ms = ms[:min(len(ms), limit)]
	slices.Reverse(ms)
	return ms, more, err
}

// newest gives the limit messages that begin just after seq, and whether there
// are some after them.
func (s *Messages) newest(ctx context.Context, c events.ChannelID, seq uint64, limit int) ([]events.Message, bool, error) {
	ms, err := collect(ctx, s.after, scanRecord, string(c), bound(seq), limit+1)
	more := len(ms) > limit
	return ms[:min(len(ms), limit)], more, err
}

func exists(ctx context.Context, st *sql.Stmt, c events.ChannelID, seq uint64) (found bool, err error) {
	err = st.QueryRowContext(ctx, string(c), bound(seq)).Scan(&found)
	return found, err
}

// bound brings a sequence into SQLite's range of integers, which no stored one
// leaves.
func bound(seq uint64) int64 { return int64(min(seq, math.MaxInt64)) }

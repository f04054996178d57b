package channelhistory

import (
	"github.com/chat-platform/chat/events"
	"github.com/chat-platform/chat/functions/internal/page"
)

// direction is where a page lies as seen from its place.
type direction int

const (
	latest direction = iota
	before
	after
	around
)

// query is a checked request.
type query struct {
	events.HistoryQuery // as the view is asked
	direction           direction
	place               uint64 // the sequence that before, after or around names
	limit               int
}

func (r Request) parse() (query, error) {
	var faults events.Faults
	note := func(f *events.Fault) { faults = append(faults, events.ItemFault{Index: -1, Fault: f}) }

	channel, err := events.ParseChannelID(r.ChannelID)
	if err != nil {
		note(err.(*events.Fault)) //nolint:errorlint // ParseChannelID's errors are faults
	}
	limit, err := page.Limit(r.Limit)
	if err != nil {
		note(err.(*events.Fault)) //nolint:errorlint // Limit's errors are faults
	}
	q := query{HistoryQuery: events.HistoryQuery{Channel: channel, Limit: limit}, limit: limit}
	given := 0
	for _, p := range []struct {
		direction direction
		name      string
		seq       *uint64
		least     uint64
		ask       *uint64
	}{
		{before, "before", r.Before, 1, &q.Before},
		{after, "after", r.After, 0, &q.After},
		{around, "around", r.Around, 1, &q.Around},
	} {
		if p.seq == nil {
			continue
		}
		given++
		if *p.seq < p.least {
			note(events.Invalid("invalid_"+p.name, p.name, "%s is 0, sequences begin with 1", p.name))
		}
		q.direction, q.place, *p.ask = p.direction, *p.seq, *p.seq
	}
	if given > 1 {
		note(events.Invalid("exclusive_fields", "before", "only one of before, after and around may be given"))
	}
	if q.direction == after && q.place == 0 {
		// The view cannot be asked for what is after 0. What is around 1 has nothing
		// older, and as many newer as half a page.
		q.Around, q.Limit = 1, 2*limit
	}
	if faults != nil {
		return query{}, faults
	}
	return q, nil
}

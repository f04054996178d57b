package channelhistory

import (
	"cmp"
	"context"
	"slices"

	"github.com/chat-platform/chat/events"
	"github.com/chat-platform/chat/functions/internal/records"
	"github.com/chat-platform/chat/functions/internal/tail"
)

// maxIDs is how many ids one look-up in the view asks for.
const maxIDs = 500

// slack is how many events more than needed are read of the tail: duplicates and
// refused events do not count for the page, and one request brings them all.
const slack = 16

// read gives the page that a view without lag would give, as far as the log's
// tail reaches.
func (h *Handler) read(ctx context.Context, q query) (events.HistoryPage, error) {
	at, err := h.position.Position(ctx) // first: what it says is in the view then
	if err != nil {
		return events.HistoryPage{}, err
	}
	p, err := h.view.History(ctx, q.HistoryQuery)
	if err != nil || at.Whole || settled(q, p, at.Applied) {
		return p, err
	}
	t, err := h.tail(ctx, q, at.Applied)
	if err == nil && q.direction == after && t.to <= q.place {
		p.MoreBefore = true
		t, err = h.tail(ctx, q, q.place) // a client that is ahead of the view needs no more than the log
	}
	switch {
	case err != nil:
		return p, err
	case q.direction == before && t.to < q.place-1, q.direction == around && t.to < q.place:
		return p, h.position.Behind()
	}
	w := span(q, p, t.to)
	p = pick(q, w, merge(w, p, t), p)
	if n := len(t.messages); n > 0 {
		p.MoreBefore = p.MoreBefore || q.direction == after && t.messages[0].Seq <= q.place
		p.MoreAfter = p.MoreAfter || q.direction == before && t.messages[n-1].Seq >= q.place
	}
	p.MoreAfter = p.MoreAfter || t.to != tail.Everything
	if len(p.Messages) == 0 && t.to != tail.Everything {
		return p, h.position.Behind()
	}
	return p, nil
}

// settled tells whether nothing that came after applied can change the page.
func settled(q query, p events.HistoryPage, applied uint64) bool {
	if !p.MoreAfter {
		return false
	}
	if q.direction == before {
		return q.place-1 <= applied
	}
	return len(p.Messages) > 0 && p.Messages[len(p.Messages)-1].Seq <= applied
}

// ending is what the log holds after the view's position: all messages up to the
// sequence to, each once and none that the view has with a lower sequence.
type ending struct {
	messages []events.Message
	to       uint64
}

func (h *Handler) tail(ctx context.Context, q query, from uint64) (ending, error) {
	count := 0
	enough := func(e events.Event) bool {
		if e.Sequence >= q.place {
			count++
		}
		switch q.direction {
		case before:
			return count > slack
		case after, around:
			return count > 2*q.limit+slack
		}
		return false
	}
	es, to, err := h.position.After(ctx, events.MessageSubject(q.Channel), from, enough)
	if err != nil {
		return ending{}, err
	}
	ms := make([]events.Message, 0, len(es))
	ids := make([]events.MessageID, 0, len(es))
	known := make(map[events.MessageID]uint64, len(es)) // lowest sequence
	for _, e := range es {
		m, ok, err := records.Message(e)
		if _, again := known[m.ID]; !ok || err != nil || again {
			continue // what the writer passes over or refuses, so does the reader
		}
		known[m.ID] = m.Seq
		ms, ids = append(ms, m), append(ids, m.ID)
	}
	for chunk := range slices.Chunk(ids, maxIDs) {
		stored, err := h.view.MessagesByID(ctx, q.Channel, chunk)
		if err != nil {
			return ending{}, err
		}
		for id, m := range stored {
			known[id] = min(known[id], m.Seq)
		}
	}
	ms = slices.DeleteFunc(ms, func(m events.Message) bool { return known[m.ID] < m.Seq })
	return ending{ms, to}, nil
}

// window is the part of the channel of which everything is known from a page of
// the view and the tail, both ends included.
type window struct{ from, to uint64 }

func span(q query, p events.HistoryPage, to uint64) window {
	w := window{0, to}
	if n := len(p.Messages); n > 0 {
		if p.MoreBefore && q.direction != after {
			w.from = p.Messages[0].Seq
		}
		if p.MoreAfter && q.direction != before {
			w.to = min(w.to, p.Messages[n-1].Seq)
		}
	}
	switch q.direction {
	case before:
		w.to = min(w.to, q.place-1)
	case after:
		w.from = q.place + 1
	case around: // between its place and its page the view has nothing
		w.from, w.to = min(w.from, q.place), min(to, max(w.to, q.place))
	}
	return w
}

// merge gives the messages of the window, in order. For one id the lowest
// sequence wins.
func merge(w window, p events.HistoryPage, t ending) []events.Message {
	late := make(map[events.MessageID]uint64, len(t.messages))
	for _, m := range t.messages {
		late[m.ID] = m.Seq
	}
	out := make([]events.Message, 0, len(p.Messages)+len(t.messages))
	for _, m := range p.Messages {
		if seq, both := late[m.ID]; !both || m.Seq < seq {
			out = append(out, m)
			delete(late, m.ID)
		}
	}
	for _, m := range t.messages {
		if late[m.ID] == m.Seq {
			out = append(out, m)
		}
	}
	out = slices.DeleteFunc(out, func(m events.Message) bool { return m.Seq < w.from || m.Seq > w.to })
	slices.SortFunc(out, func(a, b events.Message) int { return cmp.Compare(a.Seq, b.Seq) })
	return out
}

// pick takes the page out of the window's messages.
func pick(q query, w window, ms []events.Message, p events.HistoryPage) events.HistoryPage {
	from, to := 0, len(ms)
	switch q.direction {
	case latest, before:
		from = max(0, to-q.limit)
	case after:
		to = min(to, q.limit)
	case around:
		at, _ := slices.BinarySearchFunc(ms, q.place, func(m events.Message, seq uint64) int { return cmp.Compare(m.Seq, seq) })
		from = max(0, at-q.limit/2)
		to = min(to, at+q.limit-q.limit/2)
	}
	moreAfter := to < len(ms) || w.to != tail.Everything
	if q.direction == before {
		moreAfter = p.MoreAfter
	}
	return events.HistoryPage{Messages: ms[from:to], MoreBefore: from > 0 || p.MoreBefore, MoreAfter: moreAfter}
}

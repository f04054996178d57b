package channelhistory

import (
	"context"
	"strconv"

	"github.com/chat-platform/chat/events"
	"github.com/chat-platform/chat/functions/internal/page"
)

// generations is a view that is made anew beside itself: what was kept of one
// generation is not shown once another is live.
type generations interface {
	// Generation is the live one; what is read afterwards is of that one or a later.
	Generation(ctx context.Context) (int, error)
}

// key is what a channel's latest page is kept under.
func (h *Handler) key(ctx context.Context, channel events.ChannelID) (string, error) {
	g, ok := h.view.(generations)
	if !ok {
		return string(channel), nil
	}
	n, err := g.Generation(ctx)
	return strconv.Itoa(n) + "/" + string(channel), err
}

// page gives a channel's latest messages from what is kept, anything else from
// view and log. One page of the usual length serves all that want no more.
func (h *Handler) page(ctx context.Context, q query) (events.HistoryPage, error) {
	if h.pages == nil || q.direction != latest || q.limit > page.DefaultLimit {
		return h.read(ctx, q)
	}
	key, err := h.key(ctx, q.Channel)
	if err != nil {
		return events.HistoryPage{}, err
	}
	full := q
	full.limit, full.Limit = page.DefaultLimit, page.DefaultLimit
	p, err := h.pages.Get(ctx, key, func(ctx context.Context) (events.Event, error) {
		// All that changes a page comes on this subject.
		return h.log.LastConfirmed(ctx, events.MessageSubject(q.Channel))
	}, func(ctx context.Context) (events.HistoryPage, bool, error) {
		p, err := h.read(ctx, full)
		return p, !p.MoreAfter, err // the latest page ends before the channel's end only where the view is too far behind
	})
	if cut := len(p.Messages) - q.limit; cut > 0 {
		p.Messages, p.MoreBefore = p.Messages[cut:], true
	}
	return p, err
}

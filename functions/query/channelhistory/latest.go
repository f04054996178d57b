package channelhistory

import (
	"context"

	"github.com/chat-platform/chat/events"
	"github.com/chat-platform/chat/functions/internal/page"
)

// page gives a channel's latest messages from what is kept, anything else from
// view and log. One page of the usual length serves all that want no more.
func (h *Handler) page(ctx context.Context, q query) (events.HistoryPage, error) {
	if h.pages == nil || q.direction != latest || q.limit > page.DefaultLimit {
		return h.read(ctx, q)
	}
	full := q
	full.limit, full.Limit = page.DefaultLimit, page.DefaultLimit
	p, err := h.pages.Get(ctx, string(q.Channel), func(ctx context.Context) (events.Event, error) {
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

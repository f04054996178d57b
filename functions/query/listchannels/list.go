package listchannels

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/chat-platform/chat/events"
	"github.com/chat-platform/chat/functions/internal/records"
	"github.com/chat-platform/chat/functions/internal/tail"
)

// mine gives the first memberships after a channel id, at most limit. The log's
// tail overrides the view: it adds what was joined and drops what was left since
// the view's position.
func (h *Handler) mine(ctx context.Context, user events.UserID, after events.ChannelID, limit int) ([]events.Membership, error) {
	at, err := h.position.Position(ctx) // first: what it says is in the view then
	if err != nil {
		return nil, err
	}
	rows, err := h.view.ChannelsOf(ctx, user, after, limit)
	if err != nil {
		return nil, err
	}
	var changed map[events.ChannelID]events.Member
	if !at.Whole {
		if changed, _, err = h.position.Memberships(ctx, user, at.Applied); err != nil {
			return nil, err
		}
	}
	var ms []events.Membership
	listed := map[events.ChannelID]bool{}
	for {
		for _, row := range rows {
			if late, ok := changed[row.Member.ChannelID]; ok && late.Seq > row.Member.Seq {
				row.Member = late
			}
			listed[row.Member.ChannelID] = true
			if row.Member.Active {
				ms = append(ms, row)
			}
		}
		if len(rows) < limit || len(ms) >= limit {
			break
		}
		// Some were dropped: the page is filled up, or it would look like the end.
		if rows, err = h.view.ChannelsOf(ctx, user, rows[len(rows)-1].Member.ChannelID, limit); err != nil {
			return nil, err
		}
	}
	for id, late := range changed {
		if id > after && late.Active && !listed[id] {
			ms = append(ms, events.Membership{Channel: events.Channel{ChannelCreated: events.ChannelCreated{ID: id}}, Member: late})
		}
	}
	ms = first(ms, limit)
	return ms, h.describe(ctx, ms)
}

// public gives the first public channels after a channel id, at most limit, and
// the caller's membership in each.
func (h *Handler) public(ctx context.Context, user events.UserID, after events.ChannelID, limit int) ([]events.Membership, error) {
	at, err := h.position.Position(ctx) // first: what it says is in the view then
	if err != nil {
		return nil, err
	}
	rows, err := h.view.PublicChannels(ctx, after, limit)
	if err != nil {
		return nil, err
	}
	var es []events.Event
	if !at.Whole {
		var to uint64
		if es, to, err = h.position.After(ctx, events.ChannelSubject("*"), at.Applied, nil); err != nil {
			return nil, err
		}
		if to != tail.Everything {
			return nil, h.position.Behind()
		}
	}
	ms := make([]events.Membership, 0, len(rows)+len(es))
	listed := make(map[events.ChannelID]bool, len(rows))
	for _, c := range rows {
		listed[c.ID] = true
		ms = append(ms, events.Membership{Channel: c})
	}
	for _, e := range es {
		c, ok, err := records.Channel(e)
		if ok && err == nil && c.Visibility == events.Public && c.ID > after && !listed[c.ID] {
			listed[c.ID] = true
			ms = append(ms, events.Membership{Channel: c})
		}
	}
	ms = first(ms, limit)
	return ms, h.join(ctx, user, ms)
}

// first sorts by channel id and cuts.
func first(ms []events.Membership, limit int) []events.Membership {
	slices.SortFunc(ms, func(a, b events.Membership) int { return cmp.Compare(a.Channel.ID, b.Channel.ID) })
	return ms[:min(limit, len(ms))]
}

// describe reads the channels that the view does not have yet from the log. One
// request, and none where the view has all.
func (h *Handler) describe(ctx context.Context, ms []events.Membership) error {
	var subjects []string
	for _, m := range ms {
		if m.Channel.Seq == 0 {
			subjects = append(subjects, events.ChannelSubject(m.Channel.ID))
		}
	}
	last, err := h.lastOf(ctx, subjects)
	if err != nil {
		return err
	}
	for i := range ms {
		if e, ok := last[events.ChannelSubject(ms[i].Channel.ID)]; ok {
			if c, ok, err := records.Channel(e); ok && err == nil {
				ms[i].Channel = c
			}
		}
	}
	return nil
}

// join reads the user's memberships in the channels from the log. One request.
func (h *Handler) join(ctx context.Context, user events.UserID, ms []events.Membership) error {
	subjects := make([]string, len(ms))
	for i, m := range ms {
		subjects[i] = events.MemberSubject(m.Channel.ID, user)
	}
	last, err := h.lastOf(ctx, subjects)
	if err != nil {
		return err
	}
	for i, s := range subjects {
		if e, ok := last[s]; ok {
			if m, ok, err := records.Member(e); ok && err == nil {
				ms[i].Member = m
			}
		}
	}
	return nil
}

func (h *Handler) lastOf(ctx context.Context, subjects []string) (map[string]events.Event, error) {
	if len(subjects) == 0 {
		return nil, nil
	}
	last, err := h.log.LastOf(ctx, subjects)
	if err != nil {
		return nil, fmt.Errorf("last of %d subjects: %w", len(subjects), err)
	}
	return last, nil
}

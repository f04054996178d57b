package addmembers

import (
	"context"
	"errors"
	"fmt"

	"github.com/chat-platform/chat/events"
	"github.com/chat-platform/chat/functions/internal/membership"
	"github.com/chat-platform/chat/functions/internal/newevent"
)

// add makes members of those users who are not done, and notes them in done.
// Its error matches events.ErrConflict where nothing else went wrong than that
// memberships changed meanwhile.
func (h *Handler) add(ctx context.Context, caller events.Caller, channel events.ChannelID, users []events.UserID, done map[events.UserID]Result) error {
	var open []events.UserID
	queued := make(map[events.UserID]bool, len(users))
	for _, u := range users {
		if _, ok := done[u]; !ok && !queued[u] {
			open, queued[u] = append(open, u), true
		}
	}
	c, standings, err := membership.Read(ctx, h.log, channel, open...)
	if err != nil {
		return err
	}
	maker, now := newevent.From(ctx, Spec.Name), newevent.Now()
	es, expect := make([]events.Event, 0, len(open)), make([]uint64, 0, len(open))
	added := make([]events.UserID, 0, len(open))
	for _, u := range open {
		is := standings[u]
		if is.Active {
			done[u] = Result{UserID: u, Seq: is.Seq, Existing: true}
			continue
		}
		joined := events.MemberJoined{ChannelID: channel, UserID: u, Role: membership.RoleIn(c, u), AddedBy: caller.User, At: now}
		e, err := maker.MemberJoined(joined, is.Seq)
		if err != nil {
			return err
		}
		es, expect, added = append(es, e), append(expect, is.Seq), append(added, u)
	}
	if len(es) == 0 {
		return nil
	}
	acks, errs := h.log.PublishAll(ctx, es, expect)
	var conflict, other error
	for i, u := range added {
		switch err := errs[i]; {
		case err == nil:
			done[u] = Result{UserID: u, Seq: acks[i].Seq, Existing: acks[i].Duplicate}
		case errors.Is(err, events.ErrConflict):
			conflict = fmt.Errorf("add %s to channel %s: %w", u, channel, err)
		default:
			other = fmt.Errorf("add %s to channel %s: %w", u, channel, err)
		}
	}
	if other != nil {
		return other
	}
	return conflict
}

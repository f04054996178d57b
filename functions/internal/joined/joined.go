// Package joined answers "which channels is this user in now?", exactly, also
// for a user in a hundred thousand channels.
//
// The first question about a user reads all pages of the metadata view (a
// hundred thousand channels are a hundred pages) and completes them with the
// memberships in the log after the view's position. The result is kept with the
// sequence up to which it is known to be right, and every later question reads
// from the log what became of the user's memberships since: one request. So the
// kept answer saves work and never freshness; there is no time for which a
// removed member could still be let in.
//
// Bounded: answers are kept for a minute (so that the log is never scanned from
// far back), and together hold at most 200,000 channel ids, about 20 MB; a larger
// answer is worked out each time. Questions about one user wait for each other.
package joined

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/chat-platform/chat/events"
	"github.com/chat-platform/chat/functions/internal/tail"
)

const (
	keep       = time.Minute // how long an answer is carried forward
	maxKept    = 200_000     // channel ids in all kept answers
	pageOfView = 1_000       // memberships that one question to the view asks for
)

// View is the metadata view's read side, as far as it is needed here.
type View interface {
	// ChannelsOf lists a user's active memberships by channel id.
	ChannelsOf(ctx context.Context, user events.UserID, after events.ChannelID, limit int) ([]events.Membership, error)
}

// Channels knows users' channels. It is safe for concurrent use.
type Channels struct {
	view     View
	position tail.View
	kept     cache
}

// New makes a Channels on the metadata view and the log that completes it.
func New(log tail.Log, view View) *Channels {
	return &Channels{view: view, position: tail.Of(log, events.StreamMetadata, events.ConsumerMetadata)}
}

// Of gives the ids of the channels that the user is an active member of, in no
// order. The slice is shared and must not be changed. More changes since the
// view's position than the log's bounded tail holds are an
// [events.ErrUnavailable].
func (c *Channels) Of(ctx context.Context, user events.UserID) ([]events.ChannelID, error) {
	a, release, err := c.kept.take(ctx, user)
	if err != nil {
		return nil, fmt.Errorf("channels of %s: %w", user, err)
	}
	defer release()
	if a.made.IsZero() || time.Since(a.made) > keep {
		if err := c.load(ctx, user, a); err != nil {
			return nil, fmt.Errorf("channels of %s: %w", user, err)
		}
	}
	changed, through, err := c.position.Memberships(ctx, user, a.through)
	if err != nil {
		if errors.Is(err, events.ErrUnavailable) {
			a.made = time.Time{} // more changes than are carried forward: begin anew
		}
		return nil, fmt.Errorf("channels of %s: %w", user, err)
	}
	if len(changed) > 0 {
		a.channels = apply(a.channels, changed)
	}
	a.through = through
	return a.channels, nil
}

// load reads the whole view. Its rows may be newer than the position that was
// read before; the tail, which is read after both, ends in the same states.
func (c *Channels) load(ctx context.Context, user events.UserID, a *answer) error {
	*a = answer{turn: a.turn}
	made := time.Now()
	at, err := c.position.Position(ctx)
	if err != nil {
		return err
	}
	var channels []events.ChannelID
	for after, more := events.ChannelID(""), true; more; {
		ms, err := c.view.ChannelsOf(ctx, user, after, pageOfView)
		if err != nil {
			return err
		}
		for _, m := range ms {
			after = m.Member.ChannelID
			channels = append(channels, after)
		}
		more = len(ms) == pageOfView
	}
	a.channels, a.through, a.made = channels, at.Applied, made
	return nil
}

// apply gives the channels after some memberships have changed.
func apply(channels []events.ChannelID, changed map[events.ChannelID]events.Member) []events.ChannelID {
	out := make([]events.ChannelID, 0, len(channels)+len(changed))
	for _, id := range channels {
		if _, ok := changed[id]; !ok {
			out = append(out, id)
		}
	}
	for id, m := range changed {
		if m.Active {
			out = append(out, id)
		}
	}
	return out
}

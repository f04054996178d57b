package identity

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"time"

	"github.com/chat-platform/chat/events"
)

// readTimeout bounds the reading of the log at the start.
const readTimeout = time.Minute

var errRead = errors.New("all is read")

// recover finds out where a watcher was: from the log. Cut-offs are told oldest
// first, so that all that is older than the youngest one was told or was not
// visible yet; the first turn reads as far back as that may be.
func (w *Watcher) recover(ctx context.Context) error {
	now := time.Now()
	latest, seen := time.Time{}, map[string]time.Time{}
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	var last uint64
	inner, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	err := w.log.FollowSince(inner, events.StreamCutOffs, nil, now.Add(-LookBack), func(at uint64) {
		if last = at; last == 0 {
			stop(errRead)
		}
	}, func(es []events.Event) error {
		for _, e := range es {
			if e.Source != source {
				continue // another's
			}
			seen[e.ID] = e.Time
			if e.Time.After(latest) {
				latest = e.Time
			}
		}
		if es[len(es)-1].Sequence >= last {
			return errRead
		}
		return nil
	})
	if !errors.Is(err, errRead) && !errors.Is(context.Cause(inner), errRead) {
		return fmt.Errorf("read what the log has of cut-offs: %w", errors.Join(err, context.Cause(inner)))
	}
	w.from = now.Add(-w.cfg.TokenMaxAge - skew)
	if !latest.IsZero() {
		w.from = latest.Add(-w.cfg.Overlap)
		if oldest := now.Add(-LookBack); w.from.Before(oldest) {
			w.from = oldest
		}
	}
	maps.DeleteFunc(seen, func(_ string, at time.Time) bool { return at.Before(w.from.Add(-settled)) })
	w.seen = seen
	w.logger.Info("identity: watching", "from", w.from.UTC().Format(time.RFC3339), "known", len(w.seen))
	return nil
}

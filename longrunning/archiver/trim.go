package archiver

import (
	"context"

	"github.com/chat-platform/chat/infra/archive"
	natslog "github.com/chat-platform/chat/infra/nats"
)

// trim takes away what may go.
func (a *Archiver) trim(ctx context.Context, stream string, state natslog.StreamState, segments []archive.Segment) error {
	if !a.cfg.trims() || state.Last < state.First {
		return nil
	}
	limit, behind, err := a.log.Settled(ctx, stream, a.cfg.Consumers...)
	if err != nil {
		return err
	}
	// Queries under way may know no more than that, and read the stream from there.
	limit, a.settled[stream] = min(limit, a.settled[stream]), limit
	if a.cfg.KeepMessages > 0 {
		limit = min(limit, state.Last-min(a.cfg.KeepMessages, state.Last))
	}
	youngest := a.cfg.Now().Add(-max(a.cfg.KeepAge, a.log.DedupWindow()))
	left, upTo := state.Bytes, state.First-1
	for _, s := range archive.Chain(segments, state.First-1) {
		if s.Last > limit {
			break
		}
		ix, err := a.archive.Index(ctx, s)
		if err != nil {
			return err
		}
		if ix.Count > 0 && ix.Newest.After(youngest) || a.cfg.KeepBytes > 0 && left < a.cfg.KeepBytes+ix.Bytes {
			break
		}
		if err := a.archive.Verify(ctx, s); err != nil {
			return err
		}
		if err := a.note(ctx, s, ix); err != nil {
			return err
		}
		left -= min(left, ix.Bytes)
		upTo = s.Last
	}
	if upTo < state.First {
		if behind != "" {
			a.cfg.Logger.Debug("archiver: nothing may go yet", "stream", stream, "consumer", behind, "acknowledged", limit)
		}
		return nil
	}
	if err := a.log.Trim(ctx, stream, state.ID, upTo); err != nil {
		return err
	}
	a.metrics.first.WithLabelValues(stream).Set(float64(upTo + 1))
	a.cfg.Logger.Info("archiver: stream trimmed", "stream", stream, "from", state.First, "to", upTo)
	return nil
}

func (a *Archiver) note(ctx context.Context, s archive.Segment, ix archive.Index) error {
	last := make(map[string]uint64, len(ix.Subjects))
	for subject, e := range ix.Subjects {
		last[subject] = e.Last
	}
	return a.log.NoteArchived(ctx, ix.Stream, ix.ID, last, s.Last)
}

// renote makes the notes of what is gone from the stream, where they are lost.
func (a *Archiver) renote(ctx context.Context, stream string, state natslog.StreamState, segments []archive.Segment) error {
	if state.First <= 1 {
		return nil
	}
	noted, err := a.log.Noted(ctx, stream, state.ID)
	if err != nil || noted >= state.First-1 {
		return err
	}
	a.cfg.Logger.Warn("archiver: the notes of what is archived are incomplete, making them anew", "stream", stream, "from", noted+1, "to", state.First-1)
	for _, s := range archive.Chain(segments, noted) {
		if s.First >= state.First {
			break
		}
		ix, err := a.archive.Index(ctx, s)
		if err != nil {
			return err
		}
		if err := a.note(ctx, s, ix); err != nil {
			return err
		}
	}
	return nil
}

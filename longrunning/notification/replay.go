package notification

import (
	"context"
	"errors"
	"fmt"

	"github.com/chat-platform/chat/events"
	natslog "github.com/chat-platform/chat/infra/nats"
	"github.com/chat-platform/chat/longrunning/internal/link"
)

// errEnough ends a read of the log whose bound is reached.
var errEnough = errors.New("enough")

// replay sends a session what it missed: first METADATA, then messages, each in
// the log's order. Of a channel joined meanwhile come the messages since its
// base; of channels left come the user's own events only, since the user may not
// read them any more.
type replay struct {
	*session
	channels *memberships
	from     cursor // how far the session is
	prevs    prevs

	sent, scanned int
	counts        map[events.ChannelID]int
	cut           map[events.ChannelID]bool
	limited       []limit
	all           bool

	chunk []*delivery
	start uint64 // messages of a channel first met in the chunk begin after it
}

func newReplay(s *session, channels *memberships, from cursor) *replay {
	return &replay{session: s, channels: channels, from: from,
		prevs:  prevs{s.svc.log, map[events.ChannelID]uint64{}},
		counts: map[events.ChannelID]int{}, cut: map[events.ChannelID]bool{}}
}

// run replays up to a place. It may be called again for a later one.
func (r *replay) run(ctx context.Context, to link.Positions) error {
	if r.all {
		r.from.at = to
		return nil
	}
	var in, joined, left []events.ChannelID
	for c, m := range r.channels.later { // whatever changed after from is here
		switch {
		case m.seq <= r.from.at.Metadata:
		case m.active:
			joined = append(joined, c)
		default:
			left = append(left, c)
		}
	}
	for c := range r.channels.active() {
		if in = append(in, c); len(in) > maxFilters {
			break // more make no difference: the log is sifted
		}
	}
	held := r.from
	early, err := r.early(ctx, joined)
	if err == nil {
		held, err = r.metadata(ctx, in, left, to, len(early) > 0)
	}
	if err == nil {
		last := r.svc.witness.base(to.Metadata) // joins after to need no message before it
		for _, d := range early {
			d.after = held
			d.after.base = max(r.from.base, min(d.Seq(), last))
		}
		err = r.send(ctx, early, r.from.base)
	}
	if err == nil {
		err = r.messages(ctx, in, to)
	}
	if r.all = errors.Is(err, errEnough); err == nil || r.all {
		err = r.flush(ctx)
	}
	if err != nil {
		return fmt.Errorf("replay for %s: %w", r.user, err)
	}
	r.from = cursor{at: to, base: min(r.from.base, to.Messages)}
	return nil
}

// early gives the messages of channels joined meanwhile that stand before the
// cursor but may be later than the join. Mostly there are none.
func (r *replay) early(ctx context.Context, joined []events.ChannelID) (ds []*delivery, err error) {
	if len(joined) == 0 || r.from.base == r.from.at.Messages {
		return nil, nil
	}
	since := map[events.ChannelID]bool{}
	for _, c := range joined {
		since[c] = true
	}
	filters, wide := messageFilters(joined)
	err = r.read(ctx, events.StreamMessages, filters, wide, r.from.base, r.from.at.Messages, func(d *delivery) error {
		if since[d.channel] && r.counted(d) {
			ds = append(ds, d)
		}
		return nil
	})
	return ds, err
}

// metadata sends what METADATA has, and gives the client's place after it. With
// stay, early messages are to follow: the place stays before the first join.
func (r *replay) metadata(ctx context.Context, in, left []events.ChannelID, to link.Positions, stay bool) (at cursor, err error) {
	at = r.from
	held := false
	filters, wide := metadataFilters(in, left, r.user)
	err = r.read(ctx, events.StreamMetadata, filters, wide, r.from.at.Metadata, to.Metadata, func(d *delivery) error {
		own := r.own(d)
		if m := r.channels.of(d.channel); !own && (!m.active || m.seq > r.from.at.Metadata && d.Seq() < m.seq) {
			return nil // left, or not in yet
		}
		switch {
		case held:
		case stay && own && d.active:
			at.at.Metadata, held = d.Seq()-1, true
		default:
			at.at.Metadata = d.Seq()
		}
		d.after = at
		return r.add(ctx, d, r.from.at.Messages)
	})
	return at, err
}

func (r *replay) messages(ctx context.Context, in []events.ChannelID, to link.Positions) error {
	filters, wide := messageFilters(in)
	return r.read(ctx, events.StreamMessages, filters, wide, r.from.at.Messages, to.Messages, func(d *delivery) error {
		if !r.channels.of(d.channel).active || !r.counted(d) {
			return nil
		}
		d.after = cursor{at: link.Positions{Messages: d.Seq(), Metadata: to.Metadata}, base: r.from.base}
		return r.add(ctx, d, r.from.at.Messages)
	})
}

// counted tells whether the channel's bound lets the message in.
func (r *replay) counted(d *delivery) bool {
	if r.counts[d.channel]++; r.counts[d.channel] <= r.svc.cfg.ReplayPerChannel {
		return true
	}
	if !r.cut[d.channel] {
		r.cut[d.channel] = true
		r.limited = append(r.limited, limit{d.channel, d.Seq()})
	}
	return false
}

// read calls f with the events in (after, to], within the bound of events read.
func (r *replay) read(ctx context.Context, stream string, filters []string, wide bool, after, to uint64, f func(*delivery) error) error {
	if after >= to || len(filters) == 0 && !wide {
		return nil
	}
	if left := uint64(r.svc.cfg.ReplayScan - r.scanned); to-after > left {
		if wide {
			return errEnough // it would be for nothing
		}
		// The stream finds a filter's events at once, the archive searches.
		first, err := r.svc.log.FirstSequence(ctx, stream)
		if err != nil {
			return err
		}
		if first > left+after+1 {
			return errEnough
		}
	}
	err := r.svc.log.Range(ctx, stream, filters, after+1, to, func(e events.Event) error {
		if r.scanned++; r.scanned > r.svc.cfg.ReplayScan {
			return errEnough
		}
		if wide {
			if m := r.channels.of(events.ChannelOf(e.Subject)); !m.active && m.seq <= r.from.at.Metadata {
				return nil // not worth a closer look
			}
		}
		d := r.svc.read(link.Item{Event: e, Stream: stream})
		if d == nil {
			return nil
		}
		return f(d)
	})
	if errors.Is(err, natslog.ErrArchived) {
		// Views have it all the same: the client is told to load anew.
		r.svc.logger.Warn("the archive does not give what a resume needs", "stream", stream, "from", after+1, "error", err)
		return errEnough
	}
	return err
}

// add sends an event with others; start is as in replay.
func (r *replay) add(ctx context.Context, d *delivery, start uint64) error {
	if r.sent+len(r.chunk) >= r.svc.cfg.ReplayEvents {
		return errEnough
	}
	r.start = start
	if r.chunk = append(r.chunk, d); len(r.chunk) < 256 {
		return nil
	}
	return r.flush(ctx)
}

// send sends what was chunked so far, and then the events.
func (r *replay) send(ctx context.Context, ds []*delivery, start uint64) error {
	if err := r.flush(ctx); err != nil {
		return err
	}
	for _, d := range ds {
		if err := r.add(ctx, d, start); err != nil {
			return err
		}
	}
	return r.flush(ctx)
}

func (r *replay) flush(ctx context.Context) error {
	if len(r.chunk) == 0 {
		return nil
	}
	if err := r.prevs.fill(ctx, r.start, r.chunk); err != nil {
		return err
	}
	frames := make([]outgoing, len(r.chunk))
	for i, d := range r.chunk {
		frames[i].frame = d.frameAt(r.user, d.after, r.svc.epochNow())
	}
	r.sent += len(frames)
	r.svc.metrics.replayed.Add(float64(len(frames)))
	r.chunk = nil
	return r.sendAll(ctx, frames)
}

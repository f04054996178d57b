package idempotency

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/chat-platform/chat/events"
)

const (
	maxAhead  = time.Minute      // how far clients' clocks may be ahead, if the window allows
	maxMargin = 15 * time.Second // how far our servers' clocks may differ, if the window allows
	tailLimit = 2_000            // events of one channel that are read where the view is behind
	parallel  = 8                // channels that are looked up at once
)

// Log is what a look-up needs of the log.
type Log interface {
	// Applied is the sequence up to which a consumer has acknowledged everything.
	Applied(ctx context.Context, stream, consumer string) (uint64, error)
	// Tail gives at most limit events that match subject, from a sequence on.
	Tail(ctx context.Context, subject string, from uint64, limit int) ([]events.Event, error)
}

// View is the reading side of the message view; commands have no other.
type View interface {
	// MessagesByID gives those of the ids that exist in the channel.
	MessagesByID(ctx context.Context, channel events.ChannelID, ids []events.MessageID) (map[events.MessageID]events.Message, error)
}

// Originals finds messages that were sent before.
type Originals struct {
	log                   Log
	view                  View
	window, ahead, margin time.Duration
	restored              time.Time
}

// New gives the Originals of a log that de-duplicates over the given window.
func New(log Log, view View, window time.Duration) *Originals {
	return &Originals{log: log, view: view, window: window,
		ahead: min(window/2, maxAhead), margin: min(window/20, maxMargin)}
}

// Restored says when the log was restored from a backup: its de-duplication does
// not know what was in there. Zero means never.
func (o *Originals) Restored(at time.Time) *Originals {
	o.restored = at
	return o
}

// Fresh tells whether the log's de-duplication is sure to know a message of this
// client id, if there was one. If not, it has to be looked up by
// [Originals.Find]. The error is a fault of kind [events.ErrInvalid]: the id was
// made by a clock that is too far ahead.
func (o *Originals) Fresh(id events.ClientID) (bool, error) {
	made, ok := id.Time()
	if !ok {
		return false, nil
	}
	age := time.Since(made)
	if age < -o.ahead {
		return false, events.Invalid("client_id_in_future", "client_id",
			"client_id %s was made %s ahead of the server's time; correct the clock by the answer's Date header, or use a UUID of version 4",
			id, (-age).Round(time.Second))
	}
	if made.Before(o.restored.Add(o.ahead)) {
		return false, nil
	}
	return age < o.window-o.ahead-3*o.margin, nil
}

// Within bounds the time between deciding that a message is new and publishing it.
func (o *Originals) Within(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, o.margin)
}

// Find gives those of the wanted messages that were sent before, by id. It is
// complete but for what the log's de-duplication still knows. The error is
// [events.ErrUnavailable] where that cannot be made sure. It costs a read of the
// consumer's state, one of the view for each channel, and where it misses some,
// one more of the consumer's state and one of the log.
func (o *Originals) Find(ctx context.Context, wanted map[events.ChannelID][]events.MessageID) (map[events.MessageID]events.Message, error) {
	before, err := o.applied(ctx)
	if err != nil {
		return nil, err
	}
	found, missing, err := o.inView(ctx, wanted)
	if err != nil || len(missing) == 0 {
		return found, err
	}
	after, err := o.applied(ctx)
	if err != nil {
		return nil, err
	}
	applied := min(before, after) // a view that is being emptied shows as a step back
	next, err := o.log.Tail(ctx, "messages.>", applied+1, 1)
	if err != nil {
		return nil, fmt.Errorf("first message after %d: %w", applied, err)
	}
	if len(next) == 0 || time.Since(next[0].Time) < o.window-3*o.margin && !next[0].Time.Before(o.restored) {
		return found, nil
	}
	for channel, ids := range missing {
		if err := o.inTail(ctx, channel, ids, applied+1, found); err != nil {
			return nil, err
		}
	}
	return found, nil
}

func (o *Originals) applied(ctx context.Context) (uint64, error) {
	seq, err := o.log.Applied(ctx, events.StreamMessages, events.ConsumerMessages)
	if err != nil && !errors.Is(err, events.ErrNotFound) { // no consumer has applied nothing
		return 0, fmt.Errorf("position of the message view: %w", err)
	}
	return seq, nil
}

// inView splits the wanted messages into those that the view has and the rest.
func (o *Originals) inView(ctx context.Context, wanted map[events.ChannelID][]events.MessageID) (found map[events.MessageID]events.Message, missing map[events.ChannelID][]events.MessageID, err error) {
	type part struct {
		channel events.ChannelID
		got     map[events.MessageID]events.Message
	}
	parts := make(chan part, len(wanted))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(parallel)
	for channel, ids := range wanted {
		group.Go(func() error {
			got, err := o.view.MessagesByID(ctx, channel, ids)
			if err != nil {
				return fmt.Errorf("look up %d messages of channel %s: %w", len(ids), channel, err)
			}
			parts <- part{channel, got}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return nil, nil, err
	}
	close(parts)
	found, missing = map[events.MessageID]events.Message{}, map[events.ChannelID][]events.MessageID{}
	for p := range parts {
		for _, id := range wanted[p.channel] {
			if m, ok := p.got[id]; ok {
				found[id] = m
			} else {
				missing[p.channel] = append(missing[p.channel], id)
			}
		}
	}
	return found, missing, nil
}

// inTail adds to found what the log holds of the ids from a sequence on.
func (o *Originals) inTail(ctx context.Context, channel events.ChannelID, ids []events.MessageID, from uint64, found map[events.MessageID]events.Message) error {
	tail, err := o.log.Tail(ctx, events.MessageSubject(channel), from, tailLimit)
	if err != nil {
		return fmt.Errorf("tail of channel %s from %d: %w", channel, from, err)
	}
	if len(tail) == tailLimit {
		return events.NewFault(events.ErrUnavailable, "view_behind", "",
			"the message view is too far behind to tell whether this was sent before; try again")
	}
	wanted := make(map[events.MessageID]bool, len(ids))
	for _, id := range ids {
		wanted[id] = true
	}
	for _, e := range tail {
		m, err := events.MessageOf(e)
		if err != nil || !wanted[m.ID] {
			continue // what does not decode goes to the dead letters and is no message
		}
		if _, ok := found[m.ID]; !ok {
			found[m.ID] = m
		}
	}
	return nil
}

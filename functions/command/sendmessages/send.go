package sendmessages

import (
	"context"
	"fmt"

	"golang.org/x/sync/errgroup"

	"github.com/chat-platform/chat/events"
	"github.com/chat-platform/chat/functions/internal/membership"
	"github.com/chat-platform/chat/functions/internal/newevent"
)

// readers is how many originals are read at a time.
const readers = 16

// Log is what the handler needs of the log.
type Log interface {
	// PublishAll stores events in order; errs[i] is nil where acks[i] counts.
	PublishAll(ctx context.Context, es []events.Event, expect []uint64) (acks []events.Ack, errs []error)
	BySequence(ctx context.Context, stream string, seq uint64) (events.Event, error)
}

// Members says who may send, see functions/internal/membership.
type Members interface {
	Refused(ctx context.Context, pairs []membership.Pair) (map[membership.Pair]*events.Fault, error)
}

// Originals finds messages that were sent before, see functions/internal/idempotency.
type Originals interface {
	Fresh(id events.ClientID) (bool, error)
	Find(ctx context.Context, wanted map[events.ChannelID][]events.MessageID) (map[events.MessageID]events.Message, error)
	Within(ctx context.Context) (context.Context, context.CancelFunc)
}

// lookUp settles the messages that were sent before, but for those that the
// log's de-duplication knows.
func (h *Handler) lookUp(ctx context.Context, b *batch) error {
	var faults events.Faults
	wanted := map[events.ChannelID][]events.MessageID{}
	for i := range b.messages {
		m := &b.messages[i]
		fresh, err := h.originals.Fresh(m.ClientID)
		switch {
		case err != nil:
			faults = append(faults, itemFault(i, err))
		case !fresh && !b.settled(i):
			wanted[m.ChannelID] = append(wanted[m.ChannelID], m.ID)
		}
	}
	if len(faults) > 0 || len(wanted) == 0 {
		return orNil(faults)
	}
	found, err := h.originals.Find(ctx, wanted)
	if err != nil {
		return fmt.Errorf("which of %d messages were sent before: %w", len(b.messages), err)
	}
	for i := range b.messages {
		if o, ok := found[b.messages[i].ID]; ok && !b.settled(i) {
			if fault := b.original(i, o); fault != nil {
				faults = append(faults, events.ItemFault{Index: i, Fault: fault})
			}
		}
	}
	return orNil(faults)
}

// send publishes what is not settled, in order.
func (h *Handler) send(ctx context.Context, b *batch) error {
	maker, now := newevent.From(ctx, Spec.Name), newevent.Now()
	es := make([]events.Event, 0, len(b.messages))
	index := make([]int, 0, len(b.messages))
	for i := range b.messages {
		if b.settled(i) {
			continue
		}
		e, err := maker.MessageSent(b.messages[i].MessageSent, now)
		if err != nil {
			return err
		}
		es, index = append(es, e), append(index, i)
	}
	if len(es) == 0 {
		return nil
	}
	acks, errs := h.log.PublishAll(ctx, es, nil)
	var duplicates []int
	var failed int
	var first error
	for j, i := range index {
		if errs[j] != nil {
			if failed++; first == nil {
				first = fmt.Errorf("publish message %s: %w", b.messages[i].ID, errs[j])
			}
			continue
		}
		b.results[i] = Result{ID: b.messages[i].ID, Seq: acks[j].Seq, Existing: acks[j].Duplicate}
		if acks[j].Duplicate {
			duplicates = append(duplicates, i)
		}
	}
	if failed > 0 {
		return fmt.Errorf("%w: %w", events.NewFault(events.ErrUnavailable, "partly_stored", "",
			"%d of %d messages may not be stored; send the same request again, its client_ids make that safe", failed, len(b.messages)), first)
	}
	return h.compare(ctx, b, duplicates)
}

// compare reads the originals of messages that the log says it has, and finds
// those that say something else. What was new in the request is stored by then.
func (h *Handler) compare(ctx context.Context, b *batch, duplicates []int) error {
	mismatch := make([]*events.Fault, len(duplicates))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(readers)
	for j, i := range duplicates {
		group.Go(func() error {
			seq := b.results[i].Seq
			e, err := h.log.BySequence(ctx, events.StreamMessages, seq)
			if err != nil {
				return fmt.Errorf("read original of message %s at %d: %w", b.messages[i].ID, seq, err)
			}
			o, err := events.MessageOf(e)
			if err != nil {
				return fmt.Errorf("original of message %s at %d: %s", b.messages[i].ID, seq, err.Error()) // ours, not the caller's fault
			}
			mismatch[j] = b.original(i, o)
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	var faults events.Faults
	for j, i := range duplicates {
		if mismatch[j] != nil {
			faults = append(faults, events.ItemFault{Index: i, Fault: mismatch[j]})
		}
	}
	return orNil(faults)
}

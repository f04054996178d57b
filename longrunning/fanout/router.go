package fanout

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/bits"
	"math/rand/v2"
	"strings"
	"sync"
	"time"

	"github.com/chat-platform/chat/events"
	"github.com/chat-platform/chat/longrunning/internal/link"
)

// bus is what the router needs of core NATS.
type bus interface {
	Publish(subject string, data []byte) error
}

// router takes batches of the log to the outlets. Locks are taken in the order in
// which they stand here.
type router struct {
	log   *slog.Logger
	bus   bus
	last  func(ctx context.Context, subjects []string, seq uint64) (map[string]uint64, error)
	m     *metrics
	table *Table

	route sync.Mutex // a batch is routed, or keys are added: the positions between are exact
	hops  []hop      // of the batch

	sending sync.Mutex // frames are filled, numbered and sent
	after   link.Positions
	outlets [MaxSlots]*outlet
	item    []byte
}

type hop struct{ slots, prev uint64 }

// errBackwards means that the stream is not the one that was followed so far.
var errBackwards = errors.New("the stream went backwards")

// begin sets a stream's position, before its first batch.
func (r *router) begin(stream string, last uint64) {
	r.sending.Lock()
	defer r.sending.Unlock()
	*r.position(stream) = last
}

func (r *router) position(stream string) *uint64 {
	if stream == events.StreamMetadata {
		return &r.after.Metadata
	}
	return &r.after.Messages
}

func (r *router) positions() link.Positions {
	r.sending.Lock()
	defer r.sending.Unlock()
	return r.after
}

// batch routes and sends events of one stream, in its order.
func (r *router) batch(ctx context.Context, stream string, es []events.Event) error {
	if len(es) == 0 {
		return nil
	}
	r.route.Lock()
	defer r.route.Unlock()
	position := r.positions()
	if at := position.Messages; stream == events.StreamMessages && es[0].Sequence <= at {
		return fmt.Errorf("%w: %s has %d after %d", errBackwards, stream, es[0].Sequence, at)
	}
	if at := position.Metadata; stream == events.StreamMetadata && es[0].Sequence <= at {
		return fmt.Errorf("%w: %s has %d after %d", errBackwards, stream, es[0].Sequence, at)
	}
	if err := r.lookUp(ctx, stream, es); err != nil {
		return err
	}
	r.deliver(stream, es)
	r.m.events.WithLabelValues(stream).Add(float64(len(es)))
	if t := es[0].Time; !t.IsZero() {
		r.m.age.Observe(time.Since(t).Seconds())
	}
	return nil
}

// lookUp fills hops: who wants each event, and what its channel's last was.
func (r *router) lookUp(ctx context.Context, stream string, es []events.Event) error {
	r.hops = r.hops[:0]
	if stream == events.StreamMetadata {
		for i := range es {
			subject := es[i].Subject
			slots := r.table.Slots(link.ChannelKey(events.ChannelOf(subject)))
			if user := userOf(subject); user != "" {
				slots |= r.table.Slots(link.UserKey(user))
			}
			r.hops = append(r.hops, hop{slots: slots})
		}
		return nil
	}
	var unknown map[events.ChannelID]int // its first event in the batch
	for i := range es {
		channel := events.ChannelOf(es[i].Subject)
		slots, prev := r.table.Route(link.ChannelKey(channel), es[i].Sequence)
		if slots != 0 && prev == 0 {
			if unknown == nil {
				unknown = make(map[events.ChannelID]int)
			}
			unknown[channel] = i
		}
		r.hops = append(r.hops, hop{slots: slots, prev: prev})
	}
	if unknown == nil {
		return nil
	}
	subjects := make([]string, 0, len(unknown))
	for c := range unknown {
		subjects = append(subjects, events.MessagesOf(c))
	}
	// Keys can't change during a batch, so the channel's first event in it is its
	// first one since it is routed, and what came before lies before the batch.
	found, err := r.lastBefore(ctx, subjects, es[0].Sequence)
	for s, seq := range found { // one for each verb
		if i, ok := unknown[events.ChannelOf(s)]; ok {
			r.hops[i].prev = max(r.hops[i].prev, seq)
		}
	}
	return err
}

// lastBefore asks until the log answers. Meanwhile ticks go on and positions stay.
func (r *router) lastBefore(ctx context.Context, subjects []string, seq uint64) (map[string]uint64, error) {
	for wait := 20 * time.Millisecond; ; wait = min(2*wait, time.Second) {
		attempt, cancel := context.WithTimeout(ctx, 5*time.Second)
		found, err := r.last(attempt, subjects, seq)
		cancel()
		if err == nil {
			return found, nil
		}
		r.log.Warn("fanout: last sequences of channels not known yet", "channels", len(subjects), "before", seq, "error", err)
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("last sequences of %d channels before %d: %w", len(subjects), seq, err)
		case <-time.After(wait/2 + rand.N(wait)):
		}
	}
}

// deliver encodes each event once and puts it into the frames of those who want
// it, which are sent when full and at the end.
func (r *router) deliver(stream string, es []events.Event) {
	var spans spans
	defer spans.end()
	r.sending.Lock()
	defer r.sending.Unlock()
	position := r.position(stream)
	touched := uint64(0)
	for i := range es {
		slots := r.hops[i].slots
		if slots != 0 {
			it := link.Item{Event: es[i], Stream: stream, Prev: r.hops[i].prev}
			spans.start(&it.Event)
			r.item = link.AppendItem(r.item[:0], &it)
		}
		for touched |= slots; slots != 0; slots &= slots - 1 {
			if o := r.outlets[bits.TrailingZeros64(slots)]; o != nil {
				r.put(o, r.item)
			}
		}
		*position = es[i].Sequence
	}
	if cap(r.item) > 2*fullFrame {
		r.item = nil
	}
	for ; touched != 0; touched &= touched - 1 {
		if o := r.outlets[bits.TrailingZeros64(touched)]; o != nil && o.count > 0 {
			r.send(o, false)
		}
	}
}

// userOf is the user in the subject of a membership or of a user, or "".
func userOf(subject string) events.UserID {
	head, rest, _ := strings.Cut(subject, ".")
	switch head {
	case "members":
		_, rest, _ = strings.Cut(rest, ".")
	case "users":
	default:
		return ""
	}
	token, _, _ := strings.Cut(rest, ".")
	id, err := events.FromToken(token)
	if err != nil {
		return ""
	}
	return events.UserID(id)
}

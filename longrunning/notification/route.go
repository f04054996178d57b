package notification

import (
	"context"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"github.com/chat-platform/chat/events"
	"github.com/chat-platform/chat/longrunning/internal/link"
)

var tracer = otel.Tracer("github.com/chat-platform/chat/longrunning/notification")

// deliver routes a frame's events. Every event's cursor says what the session
// has with it: up to just before the next event of either stream in the frame,
// and at the end up to where the frame reaches.
func (s *Service) deliver(f link.Frame) {
	ds := make([]*delivery, 0, len(f.Events))
	for _, it := range f.Events {
		if d := s.read(it); d != nil {
			ds = append(ds, d)
		}
	}
	pos := s.hub.position()
	at := later(pos, f.After)
	for i := len(ds) - 1; i >= 0; i-- {
		ds[i].after.at = later(pos, at)
		if ds[i].message() {
			at.Messages = ds[i].Seq() - 1
		} else {
			at.Metadata = ds[i].Seq() - 1
		}
	}
	s.route(ds)
	s.hub.reach(f.After)
}

// read makes an item ready for delivery; one that can't be read is told to
// people and passed over, since no retry would help.
func (s *Service) read(it link.Item) *delivery {
	d, err := newDelivery(it)
	if err != nil {
		s.metrics.unreadable.Inc()
		s.logger.Warn("event passed over", "stream", it.Stream, "sequence", it.Seq(), "error", err)
		return nil
	}
	return d
}

// route hands the events, whose place is known, to the sessions that they are
// for, and then has the queues written: several events to the same session
// leave together.
func (s *Service) route(ds []*delivery) {
	var wake []*session
	var metadata, base uint64
	for _, d := range ds {
		if base == 0 || d.after.at.Metadata != metadata { // the same for most of a frame
			metadata = d.after.at.Metadata
			base = s.witness.base(metadata)
		}
		d.after.base = min(base, d.after.at.Messages)
		before := len(wake)
		var offered int
		wake, offered = s.hub.route(d, &s.witness, wake)
		s.trace(d, offered, len(wake)-before)
	}
	for _, c := range wake {
		go c.flush()
	}
}

// route offers an event to its sessions, and appends those whose queue is to be
// written to wake. An event that was routed before is passed over.
func (h *hub) route(d *delivery, w *witness, wake []*session) ([]*session, int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if d.within(h.pos) {
		return wake, 0
	}
	offered := 0
	if d.user != "" {
		if own := h.keys[link.UserKey(d.user)]; own != nil {
			before := w.cursor(h.pos)
			for _, seat := range own.sessions {
				offered++
				c := seat.session
				var ready, left bool
				if d.membership() {
					ready, left = c.offerOwn(d, before)
				} else {
					ready = c.offer(d)
				}
				if ready {
					wake = append(wake, c)
				}
				if left {
					h.leave(c, link.ChannelKey(d.channel))
				}
			}
		}
	}
	if d.channel != "" {
		if e := h.keys[link.ChannelKey(d.channel)]; e != nil {
			for _, seat := range e.sessions {
				if d.user != "" && seat.session.user == d.user {
					continue // has it by its own key
				}
				offered++
				if seat.session.offer(d) {
					wake = append(wake, seat.session)
				}
			}
		}
	}
	h.pos = d.advance(h.pos)
	return wake, offered
}

// trace records a span for a sampled event: one an event, not one a socket.
func (s *Service) trace(d *delivery, sessions, writes int) {
	tp := d.Event.TraceParent
	if len(tp) < 2 || tp[len(tp)-1]&1 == 0 { // the last hex digit's lowest bit: sampled
		return
	}
	ctx := propagation.TraceContext{}.Extract(context.Background(), propagation.MapCarrier{"traceparent": tp})
	if !trace.SpanContextFromContext(ctx).IsSampled() {
		return
	}
	_, span := tracer.Start(ctx, "notification deliver", trace.WithSpanKind(trace.SpanKindConsumer), trace.WithAttributes(
		attribute.String("chat.channel", string(d.channel)), attribute.Int64("chat.seq", int64(d.Seq())),
		attribute.Int("chat.sessions", sessions), attribute.Int("chat.writes", writes)))
	span.End()
}

// prevs fills in the previous sequence of each message, which the log is asked
// for once a channel.
type prevs struct {
	log  Log
	last map[events.ChannelID]uint64
}

// fill sets Prev of the deliveries, which are in order and, for a channel not
// seen before, begin right after the sequence from.
func (p *prevs) fill(ctx context.Context, from uint64, ds []*delivery) error {
	var subjects []string
	var channels []events.ChannelID
	asked := map[events.ChannelID]bool{}
	for _, d := range ds {
		if _, known := p.last[d.channel]; d.message() && !known && !asked[d.channel] {
			asked[d.channel] = true
			channels = append(channels, d.channel)
			subjects = append(subjects, events.MessageSubject(d.channel))
		}
	}
	if len(subjects) > 0 {
		last, err := p.log.LastBefore(ctx, subjects, from+1)
		if err != nil {
			return err
		}
		for i, c := range channels {
			p.last[c] = last[subjects[i]]
		}
	}
	for _, d := range ds {
		if d.message() {
			d.Prev = p.last[d.channel]
			p.last[d.channel] = d.Seq()
		}
	}
	return nil
}

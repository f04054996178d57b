package notification

import (
	"strings"
	"time"

	"github.com/chat-platform/chat/events"
	"github.com/chat-platform/chat/longrunning/internal/link"
)

// delivery is an event on its way to sockets, shared by all of them.
type delivery struct {
	link.Item
	channel events.ChannelID
	user    events.UserID // whom the event is for besides the channel: of a membership, or of a subject users.<user>
	active  bool          // of a membership: the user is in the channel now
	after   cursor        // of every session that has this event

	payload
	plain   []byte // frame for everybody; nil until somebody needs it
	private []byte // frame for the author's own sessions
}

// newDelivery reads an event. Its errors match events.ErrInvalid: nobody can be
// told of such an event.
func newDelivery(it link.Item) (*delivery, error) {
	d := &delivery{Item: it, channel: events.ChannelOf(it.Event.Subject)}
	var err error
	if d.payload, err = readPayload(it.Event); err != nil {
		return nil, err
	}
	switch {
	case it.Event.Type == events.TypeMemberJoined || it.Event.Type == events.TypeMemberLeft:
		m, err := events.MemberOf(it.Event)
		if err != nil {
			return nil, err
		}
		d.channel, d.user, d.active = m.ChannelID, m.UserID, m.Active
	case strings.HasPrefix(it.Event.Subject, "users."):
		user, err := events.FromToken(strings.TrimPrefix(it.Event.Subject, "users."))
		if err != nil {
			return nil, err
		}
		d.user = events.UserID(user)
	case d.channel == "":
		return nil, events.Invalid("invalid_subject", "subject", "event %s: nobody is known to %q", it.Event.ID, it.Event.Subject)
	}
	return d, nil
}

// message tells whether the event is of the MESSAGES stream.
func (d *delivery) message() bool { return d.Stream == events.StreamMessages }

// membership tells whether the event lets a user into or out of a channel.
func (d *delivery) membership() bool { return d.channel != "" && d.user != "" }

// within tells whether the event lies at or before the positions.
func (d *delivery) within(p link.Positions) bool {
	if d.message() {
		return d.Seq() <= p.Messages
	}
	return d.Seq() <= p.Metadata
}

// advance gives the positions with the event's own stream at the event.
func (d *delivery) advance(p link.Positions) link.Positions {
	if d.message() {
		p.Messages = max(p.Messages, d.Seq())
	} else {
		p.Metadata = max(p.Metadata, d.Seq())
	}
	return p
}

// at is when the event was made, for the latency of its delivery.
func (d *delivery) at() int64 {
	if d.Event.Time.IsZero() {
		return 0
	}
	return d.Event.Time.UnixNano()
}

// frame is the event's frame for a user's sessions; it may be encoded by one
// goroutine at a time and shared from then on.
func (d *delivery) frame(user events.UserID, e epoch) []byte {
	if d.author != "" && events.UserID(d.author) == user {
		if d.private == nil {
			d.private = d.encode(d.own, d.after, e)
		}
		return d.private
	}
	if d.plain == nil {
		d.plain = d.encode(d.others, d.after, e)
	}
	return d.plain
}

// frameAt is the event's frame for one session that is at another place than
// all others.
func (d *delivery) frameAt(user events.UserID, at cursor, e epoch) []byte {
	if d.author != "" && events.UserID(d.author) == user {
		return d.encode(d.own, at, e)
	}
	return d.encode(d.others, at, e)
}

func (d *delivery) encode(data []byte, at cursor, e epoch) []byte {
	ev := &d.Event
	b := beginFrame(256 + len(data))
	b = append(b, `{"op":"event","type":`...)
	b = appendText(b, ev.Type)
	if d.message() {
		b = append(b, `,"stream":"messages"`...)
	} else {
		b = append(b, `,"stream":"metadata"`...)
	}
	if d.channel != "" {
		b = append(b, `,"channel_id":`...)
		b = appendText(b, string(d.channel))
	}
	b = appendNumber(b, `,"seq":`, d.Seq())
	if d.message() {
		b = appendNumber(b, `,"prev":`, d.Prev)
	}
	b = append(b, `,"cursor":"`...)
	b = append(at.append(b, e), '"')
	if !ev.Time.IsZero() {
		b = append(b, `,"time":"`...)
		b = append(ev.Time.UTC().AppendFormat(b, time.RFC3339Nano), '"')
	}
	if ev.TraceParent != "" {
		b = append(b, `,"traceparent":`...)
		b = appendText(b, ev.TraceParent)
	}
	b = append(b, `,"data":`...)
	b = append(b, data...)
	return endFrame(append(b, '}'))
}

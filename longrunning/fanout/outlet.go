package fanout

import (
	"time"

	"github.com/chat-platform/chat/longrunning/internal/link"
)

// fullFrame is where a frame is sent and the next one begun, in bytes. A single
// larger event gets a frame of its own.
const fullFrame = 256 << 10

// outlet is the sending side of a link.
type outlet struct {
	id       link.ID
	instance string
	subject  string
	slot     int
	heard    time.Time // last request
	number   uint64    // of the last frame
	buf      []byte    // the frame being filled, room for its header first
	count    int       // events in it
}

// send sends what has been put in, or a tick. Numbers only stay without a hole if
// nothing was lost: a tick that could not be sent leaves its number to the next.
func (r *router) send(o *outlet, last bool) {
	if len(o.buf) == 0 {
		o.buf = append(o.buf, make([]byte, link.HeaderSize)...)
	}
	link.PutHeader(o.buf, link.Frame{Link: o.id, Number: o.number + 1, Last: last, After: r.after}, o.count)
	err := r.bus.Publish(o.subject, o.buf)
	if err == nil {
		r.m.frames.Inc()
		r.m.deliveries.Add(float64(o.count))
	} else {
		r.m.unsent.Inc()
		r.log.Warn("fanout: frame not sent", "instance", o.instance, "events", o.count, "error", err)
	}
	if err == nil || o.count > 0 {
		o.number++
	}
	o.count = 0
	if o.buf = o.buf[:0]; cap(o.buf) > 2*fullFrame {
		o.buf = nil
	}
}

// put adds an encoded event to the outlet's frame. r.after must still be the
// positions before that event.
func (r *router) put(o *outlet, item []byte) {
	if link.HeaderSize+len(item) > link.MaxFrame {
		r.m.unsent.Inc()
		r.log.Warn("fanout: event too large for a frame", "instance", o.instance, "bytes", len(item))
		if o.count > 0 {
			r.send(o, false)
		}
		o.number++ // the instance sees the hole and reads the log
		return
	}
	if o.count > 0 && len(o.buf)+len(item) > fullFrame {
		r.send(o, false)
	}
	if len(o.buf) == 0 {
		o.buf = append(o.buf, make([]byte, link.HeaderSize)...)
	}
	o.buf = append(o.buf, item...)
	o.count++
}

// join begins to send to the outlet and gives the positions from which on.
func (r *router) join(o *outlet) link.Positions {
	r.sending.Lock()
	defer r.sending.Unlock()
	r.outlets[o.slot] = o
	return r.after
}

// leave stops sending to the outlet, with a last frame if it is to be told. When
// it returns its slot may be given to another.
func (r *router) leave(o *outlet, tell bool) {
	r.sending.Lock()
	if tell {
		r.send(o, true)
	}
	r.outlets[o.slot] = nil
	r.sending.Unlock()

	r.table.Clear(o.slot)
	r.route.Lock() // a batch that still had the slot in its hops is done
	defer r.route.Unlock()
}

// change adds keys to a slot or removes them, between two batches, and gives the
// positions at which that was.
func (r *router) change(keys []string, slot int, f func(key string, slot int)) link.Positions {
	r.route.Lock()
	defer r.route.Unlock()
	for _, k := range keys {
		f(k, slot)
	}
	return r.positions()
}

// tick sends every outlet a frame without events.
func (r *router) tick() error {
	r.sending.Lock()
	defer r.sending.Unlock()
	for _, o := range r.outlets {
		if o != nil {
			r.send(o, false)
		}
	}
	return nil
}

// tickTo sends one outlet a frame without events.
func (r *router) tickTo(o *outlet) {
	r.sending.Lock()
	defer r.sending.Unlock()
	r.send(o, false)
}

// farewell ends all links.
func (r *router) farewell() {
	r.sending.Lock()
	defer r.sending.Unlock()
	for i, o := range r.outlets {
		if o != nil {
			r.send(o, true)
			r.outlets[i] = nil
		}
	}
}

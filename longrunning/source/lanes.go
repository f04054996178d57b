package source

import (
	"container/heap"
	"strconv"
	"time"

	"github.com/chat-platform/chat/infra/nats"
)

// item is an event held.
type item struct {
	d        *nats.Delivery
	lane     *lane
	size     int            // of the body, about
	attempts int            // times that the sink refused it when it was alone
	again    *nats.Delivery // delivered anew by a consumer that was made anew: to be sent once more
}

// lane is the queue of one channel, or of one event where no order is kept. It is in exactly one of these states: busy
// (in a request), waiting (for another attempt), or ready; an empty lane that is
// not busy is forgotten.
type lane struct {
	key   string
	queue []*item // in the log's order; the first busy ones are in the request
	busy  int
	fails int       // rounds without progress
	alone bool      // the head was refused: it goes alone until it is through
	due   time.Time // while waiting
	pos   int       // in the heap of those waiting, −1 outside
}

// lanes holds all events. It belongs to one goroutine.
type lanes struct {
	order   Order
	byKey   map[string]*lane
	bySeq   map[uint64]*item
	ready   fifo // lanes that may share a request
	single  fifo // lanes whose head goes alone
	waiting waiting
	queued  int       // events in ready
	since   time.Time // ready has not been empty since
}

func newLanes(order Order) *lanes {
	return &lanes{order: order, byKey: map[string]*lane{}, bySeq: map[uint64]*item{}}
}

// overhead is about what a CloudEvent takes in a body beyond its data.
const overhead = 400

// add holds a delivery and tells whether it is a further one.
func (ls *lanes) add(d *nats.Delivery, now time.Time) bool {
	if it, ok := ls.bySeq[d.Sequence]; ok {
		// Held already; its first delivery will be acknowledged for both, unless
		// the consumer has lost its memory and the sink is to see all of it again.
		if d.Attempt == 1 {
			it.again = d
		}
		return false
	}
	key := ls.key(d)
	l := ls.byKey[key]
	if l == nil {
		l = &lane{key: key, pos: -1}
		ls.byKey[key] = l
	}
	it := &item{d: d, lane: l, size: len(d.Data) + overhead}
	ls.bySeq[d.Sequence] = it
	l.queue = append(l.queue, it)
	switch {
	case l.busy > 0 || l.pos >= 0:
	case len(l.queue) == 1:
		ls.makeReady(l, now)
	case !l.alone:
		ls.queued++
	}
	return true
}

// key names the lane of a delivery.
func (ls *lanes) key(d *nats.Delivery) string {
	switch {
	case ls.order == OrderNone:
		return strconv.FormatUint(d.Sequence, 10)
	case d.Event.PartitionKey != "":
		return d.Event.PartitionKey
	}
	return d.Subject
}

func (ls *lanes) makeReady(l *lane, now time.Time) {
	if l.alone || l.queue[0].d.Err != nil {
		l.alone = true
		ls.single.push(l)
		return
	}
	if ls.ready.len() == 0 {
		ls.since = now
	}
	ls.queued += len(l.queue)
	ls.ready.push(l)
}

// wake makes ready whose time has come, and returns when the next one is due.
func (ls *lanes) wake(now time.Time) (next time.Time) {
	for len(ls.waiting) > 0 {
		l := ls.waiting[0]
		if l.due.After(now) {
			return l.due
		}
		heap.Pop(&ls.waiting)
		ls.makeReady(l, now)
	}
	return time.Time{}
}

// take forms a request out of ready lanes.
func (ls *lanes) take(events, bytes int, now time.Time) (items []*item) {
	size := 0
	for ls.ready.len() > 0 && len(items) < events {
		l := ls.ready.front()
		n := 0
		for _, it := range l.queue {
			if it.d.Err != nil || len(items) == events || len(items) > 0 && size+it.size > bytes {
				break
			}
			items = append(items, it)
			size += it.size
			n++
		}
		if n == 0 {
			break // the next request's
		}
		l.busy = n
		ls.ready.pop()
		ls.queued -= len(l.queue)
	}
	ls.since = now
	return items
}

// takeAlone gives the head of a lane that goes by itself.
func (ls *lanes) takeAlone() *item {
	l := ls.single.pop()
	l.busy = 1
	return l.queue[0]
}

// settle takes back a lane that was in a request: its first done events are
// through, and if wait is not 0 the next one failed and waits, refused or not.
// It returns how many events it let go of.
func (ls *lanes) settle(l *lane, done int, wait time.Duration, refused bool, now time.Time) (gone int) {
	l.busy = 0
	for _, it := range l.queue[:done] {
		delete(ls.bySeq, it.d.Sequence)
		if it.again == nil {
			gone++
		}
	}
	var anew []*item
	for _, it := range l.queue[:done] {
		if it.again != nil {
			it := &item{d: it.again, lane: l, size: it.size}
			ls.bySeq[it.d.Sequence] = it
			anew = append(anew, it)
		}
	}
	clear(l.queue[:done])
	l.queue = l.queue[done:]
	if len(anew) > 0 {
		l.queue = append(anew, l.queue...)
	}
	if done > 0 {
		l.fails = 0
		l.alone = false
	}
	if refused {
		l.alone = true
	}
	switch {
	case len(l.queue) == 0:
		delete(ls.byKey, l.key)
	case wait > 0:
		l.fails++
		l.due = now.Add(wait)
		heap.Push(&ls.waiting, l)
	default:
		ls.makeReady(l, now)
	}
	return gone
}

// fifo is a queue of lanes.
type fifo struct {
	q    []*lane
	head int
}

func (f *fifo) len() int     { return len(f.q) - f.head }
func (f *fifo) front() *lane { return f.q[f.head] }
func (f *fifo) push(l *lane) {
	if f.head > 64 && f.head > len(f.q)/2 {
		n := copy(f.q, f.q[f.head:])
		clear(f.q[n:])
		f.q, f.head = f.q[:n], 0
	}
	f.q = append(f.q, l)
}
func (f *fifo) pop() *lane {
	l := f.q[f.head]
	f.q[f.head] = nil
	f.head++
	return l
}

// waiting is a heap by due time.
type waiting []*lane

func (w waiting) Len() int           { return len(w) }
func (w waiting) Less(i, j int) bool { return w[i].due.Before(w[j].due) }
func (w waiting) Swap(i, j int) {
	w[i], w[j] = w[j], w[i]
	w[i].pos, w[j].pos = i, j
}
func (w *waiting) Push(x any) {
	l := x.(*lane)
	l.pos = len(*w)
	*w = append(*w, l)
}
func (w *waiting) Pop() any {
	old := *w
	l := old[len(old)-1]
	old[len(old)-1] = nil
	*w = old[:len(old)-1]
	l.pos = -1
	return l
}

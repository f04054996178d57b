package sendmessages

import (
	"github.com/chat-platform/chat/events"
	"github.com/chat-platform/chat/functions/internal/idempotency"
)

// batch is a request on its way: messages and their results, side by side.
type batch struct {
	messages []message
	results  []Result
	same     map[int]int // message → the earlier one in this request that it repeats
}

// settled tells whether message i has its result, or gets that of another.
func (b *batch) settled(i int) bool {
	_, repeats := b.same[i]
	return repeats || b.results[i].Seq != 0
}

// fold finds messages that repeat an earlier one of the request.
func (b *batch) fold() error {
	first := make(map[events.MessageID]int, len(b.messages))
	var faults events.Faults
	for i := range b.messages {
		m := &b.messages[i]
		f, ok := first[m.ID]
		if !ok {
			first[m.ID] = i
			continue
		}
		if b.same == nil {
			b.same = map[int]int{}
		}
		b.same[i] = f
		if fault := idempotency.Compare(b.messages[f].MessageSent, m.Text, m.ReplyTo, m.given); fault != nil {
			faults = append(faults, events.ItemFault{Index: i, Fault: fault})
		}
	}
	return orNil(faults)
}

// original settles message i with the one that was stored before.
func (b *batch) original(i int, o events.Message) *events.Fault {
	m := &b.messages[i]
	b.results[i] = Result{ID: m.ID, Seq: o.Seq, Existing: true}
	return idempotency.Compare(o.MessageSent, m.Text, m.ReplyTo, m.given)
}

func (b *batch) answer() Answer {
	for i, f := range b.same {
		b.results[i] = b.results[f]
		b.results[i].Existing = true
	}
	return Answer{Results: b.results}
}

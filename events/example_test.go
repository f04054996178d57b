package events_test

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/chat-platform/chat/events"
)

// A message's id follows from who sends what where under which client id, so
// that a retry is the same message.
func ExampleNewMessageID() {
	first := events.NewMessageID("alice", "ch_general", "01912f4e-8d3c-7c7a-b1a0-5a3f0e5f9a10")
	retry := events.NewMessageID("alice", "ch_general", "01912f4e-8d3c-7c7a-b1a0-5a3f0e5f9a10")
	other := events.NewMessageID("bob", "ch_general", "01912f4e-8d3c-7c7a-b1a0-5a3f0e5f9a10")
	fmt.Println(first == retry, first == other)
	// Output: true false
}

// A user may be called anything; in a subject the name is one token.
func ExampleMemberSubject() {
	fmt.Println(events.MemberSubject("ch_general", "alice"))
	fmt.Println(events.MemberSubject("ch_general", "dr. who"))
	// Output:
	// members.ch_general.alice
	// members.ch_general.dr%2E%20who
}

// Faults carry a stable code for programs and a sentence for people; their kind
// decides the HTTP status.
func ExampleFault() {
	err := fmt.Errorf("send to ch_general: %w", events.ValidateText(""))
	var fault *events.Fault
	if errors.As(err, &fault) {
		fmt.Println(fault.Code, fault.Field)
	}
	fmt.Println(errors.Is(err, events.ErrEmptyMessage), errors.Is(err, events.ErrInvalid))
	// Output:
	// empty_message text
	// true true
}

// Views decode an event of the log into the record that they keep.
func ExampleMessageOf() {
	data, _ := json.Marshal(events.MessageSent{
		ID: events.NewMessageID("alice", "ch_general", "k"), ChannelID: "ch_general", AuthorID: "alice", Text: "hello",
	})
	m, err := events.MessageOf(events.Event{ID: "evt_1", Source: "/functions/sendmessage", Type: events.TypeMessageSent, Sequence: 7, Data: data})
	fmt.Println(m.Seq, m.AuthorID, m.Text, err)
	// Output: 7 alice hello <nil>
}

// Two views that hold the same records have the same checksum, whatever the
// order in which they came.
func ExampleChecksum() {
	var a, b events.Checksum
	_, _ = a.Add("one"), a.Add("two")
	_, _ = b.Add("two"), b.Add("one")
	fmt.Println(a == b)
	// Output: true
}

package events

import (
	"strconv"
	"time"
)

// Event is a CloudEvent 1.0 with the attributes that the platform uses. Data is
// JSON.
type Event struct {
	ID           string    // publish de-duplication key and write key
	Source       string    // URI reference of the producer, like "/functions/sendmessage"
	Type         string    // like "chat.message.sent.v1"
	Subject      string    // the log's subject, like "messages.send.ch_general"
	Time         time.Time // when the producer made it
	PartitionKey string    // extension: the channel; events of one key keep their order
	TraceParent  string    // extension: W3C trace context
	Sequence     uint64    // extension: the log's stream sequence; 0 until it is known
	Data         []byte    // JSON document
}

// SpecVersion is the version of CloudEvents spoken here.
const SpecVersion = "1.0"

// ContentTypes of events and batches on HTTP.
const (
	ContentTypeJSON       = "application/json"
	ContentTypeStructured = "application/cloudevents+json"
	ContentTypeBatch      = "application/cloudevents-batch+json"
)

// Validate checks what CloudEvents requires: id, source and type.
func (e Event) Validate() error {
	switch {
	case e.ID == "":
		return Invalid("invalid_event", "id", "the CloudEvent has no id")
	case e.Source == "":
		return Invalid("invalid_event", "source", "CloudEvent %q has no source", e.ID)
	case e.Type == "":
		return Invalid("invalid_event", "type", "CloudEvent %q has no type", e.ID)
	}
	return nil
}

// FormatSequence writes a sequence as the CloudEvents sequence extension wants
// it: a string that sorts like the number, 20 digits.
func FormatSequence(seq uint64) string {
	var b [20]byte
	for i := len(b) - 1; i >= 0; i-- {
		b[i] = byte('0' + seq%10)
		seq /= 10
	}
	return string(b[:])
}

// ParseSequence reads what [FormatSequence] wrote, or any decimal number.
func ParseSequence(s string) (uint64, error) {
	n, err := strconv.ParseUint(s, 10, 64)
	if err != nil {
		return 0, Invalid("invalid_event", "sequence", "CloudEvent sequence %q is not a decimal number", s)
	}
	return n, nil
}

package nats

import (
	"context"
	"time"
)

// For the fuzz tests: what reads bytes that come from elsewhere.
var (
	PlainAck = plainAck
	ParseAck = parseAck
	Decode   = event
)

// ParseDelivery gives attempt, sequence, consumer sequence and pending.
func ParseDelivery(reply string) ([4]uint64, error) {
	d, err := parseDelivery(reply)
	return [4]uint64{d.attempt, d.seq, d.consumerSeq, d.pending}, err
}

// DeadLetterOf reads a message as one of the dead letters.
func DeadLetterOf(subject string, seq uint64, header map[string][]string, data []byte) DeadLetter {
	return deadLetter(stored{subject: subject, seq: seq, header: header, data: data})
}

// How subjects of the log and what is stored translate.
var (
	StoredFilter = storedFilter
	PlainSubject = plainSubject
)

// LookAgain has the next Fetch ask how many partitions there are.
func (c *Consumer) LookAgain() { c.looked = time.Time{} }

// Ask sends a request as reads of the log do.
func (l *Log) Ask(ctx context.Context, subject string) error {
	_, err := l.request(ctx, subject, nil)
	return translate(err)
}

package nats

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

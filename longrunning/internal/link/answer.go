package link

import "encoding/binary"

// Status is how a request went.
type Status byte

// Statuses of an answer.
const (
	StatusOK      Status = iota // done; the positions hold
	StatusUnknown               // the fan-out has no such link (any more): attach again
	StatusFull                  // to Attach: all slots are taken; ask again, another fan-out may answer
	StatusInvalid               // the request could not be read: a fault of the program or of versions
)

func (s Status) String() string {
	switch s {
	case StatusOK:
		return "ok"
	case StatusUnknown:
		return "unknown link"
	case StatusFull:
		return "full"
	case StatusInvalid:
		return "invalid request"
	}
	return "unknown status"
}

// Answer is a fan-out's answer to a [Request].
type Answer struct {
	Status    Status
	Link      ID
	FanOut    string    // id of the fan-out, for [InterestSubject]
	Positions Positions // what comes after them will be on the link; the package comment says more
}

// Append appends the encoded answer to b.
func (a Answer) Append(b []byte) []byte {
	b = append(b, kindAnswer, version, byte(a.Status))
	b = binary.BigEndian.AppendUint64(b, uint64(a.Link))
	b = binary.BigEndian.AppendUint64(b, a.Positions.Messages)
	b = binary.BigEndian.AppendUint64(b, a.Positions.Metadata)
	return appendString(b, a.FanOut)
}

// ParseAnswer reads an answer.
func ParseAnswer(b []byte) (Answer, error) {
	r := reader{b: b}
	r.head(kindAnswer)
	a := Answer{Status: Status(r.byte()), Link: ID(r.uint64()),
		Positions: Positions{Messages: r.uint64(), Metadata: r.uint64()}, FanOut: r.string()}
	if a.Status > StatusInvalid {
		r.fail("status %d", a.Status)
	}
	if err := r.end(); err != nil {
		return Answer{}, err
	}
	return a, nil
}

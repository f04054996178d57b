package notification

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"

	"github.com/chat-platform/chat/longrunning/internal/link"
)

// cursor is a session's place in the log: it has everything of its channels up
// to these positions. The two streams have no common order, so base says what
// messages a later join cannot have missed: events of METADATA after
// at.Metadata were stored after message base. A channel joined later is replayed
// from there, the others from at.Messages.
type cursor struct {
	at   link.Positions
	base uint64 // ≤ at.Messages
}

// epoch names the log that positions belong to.
type epoch uint64

func epochOf(name string) epoch {
	sum := sha256.Sum256([]byte(name))
	return epoch(binary.BigEndian.Uint64(sum[:])) | 1 // 0 is none yet
}

const cursorVersion = 1

// Faults of a cursor, as the client reads them in invalid_session.
var (
	errCursorMalformed = errors.New("cursor_malformed")
	errCursorEpoch     = errors.New("cursor_of_another_log")
	errCursorAhead     = errors.New("cursor_ahead_of_log") // the log was set back
)

// append writes the cursor in base64url to b. It is at most 52 characters long.
func (c cursor) append(b []byte, e epoch) []byte {
	var raw [1 + 3*binary.MaxVarintLen64 + 8]byte
	r := append(raw[:0], cursorVersion)
	r = binary.AppendUvarint(r, c.at.Messages)
	r = binary.AppendUvarint(r, c.at.Metadata)
	r = binary.AppendUvarint(r, c.at.Messages-c.base)
	r = binary.BigEndian.AppendUint64(r, uint64(e))
	return base64.RawURLEncoding.AppendEncode(b, r)
}

// parseCursor reads what append wrote for the same log.
func parseCursor(s string, e epoch) (cursor, error) {
	var raw [64]byte
	if base64.RawURLEncoding.DecodedLen(len(s)) > len(raw) {
		return cursor{}, errCursorMalformed
	}
	n, err := base64.RawURLEncoding.Decode(raw[:], []byte(s))
	if err != nil || n < 1 || raw[0] != cursorVersion {
		return cursor{}, errCursorMalformed
	}
	r := raw[1:n]
	var v [3]uint64
	for i := range v {
		x, k := binary.Uvarint(r)
		if k <= 0 {
			return cursor{}, errCursorMalformed
		}
		v[i], r = x, r[k:]
	}
	if len(r) != 8 || v[2] > v[0] {
		return cursor{}, errCursorMalformed
	}
	if epoch(binary.BigEndian.Uint64(r)) != e {
		return cursor{}, errCursorEpoch
	}
	return cursor{at: link.Positions{Messages: v[0], Metadata: v[1]}, base: v[0] - v[2]}, nil
}

// later is the greater of the two in each stream.
func later(a, b link.Positions) link.Positions {
	return link.Positions{Messages: max(a.Messages, b.Messages), Metadata: max(a.Metadata, b.Metadata)}
}

// covers tells whether a has reached b in both streams.
func covers(a, b link.Positions) bool {
	return a.Messages >= b.Messages && a.Metadata >= b.Metadata
}

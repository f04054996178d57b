// Package page holds what all paged answers have in common: the bounds of a
// page and the opaque cursor with which a client asks for the next one.
package page

import (
	"encoding/base64"

	"github.com/chat-platform/chat/events"
)

// Bounds of a page.
const (
	DefaultLimit = 50
	MaxLimit     = 100
)

// Limit is how many items a page may have: n, or [DefaultLimit] where n is 0.
// Anything outside 1 to [MaxLimit] is an error, so that no client takes a page
// that was cut for the end.
func Limit(n int) (int, error) {
	if n == 0 {
		return DefaultLimit, nil
	}
	if n < 1 || n > MaxLimit {
		return 0, events.Invalid("invalid_limit", "limit", "limit is %d, 1 to %d are allowed", n, MaxLimit)
	}
	return n, nil
}

const version = 1

// A Kind says which list a cursor belongs to, so that one list's cursor is
// refused by another.
type Kind byte

// The lists with cursors.
const (
	MyChannels     Kind = 'm'
	PublicChannels Kind = 'p'
	Hits           Kind = 'h'
)

// ErrCursor is the fault of a cursor that no page gave.
var ErrCursor = events.Invalid("invalid_cursor", "cursor", "cursor is not one that this list gave: use the cursor of the page before as it is, or none to begin")

// maxCursor bounds what is decoded at all, in bytes.
const maxCursor = 512

// Cursor writes the place after which a list goes on: a version, the kind and
// the place, in base64url. Clients must not look inside.
func Cursor(kind Kind, place string) string {
	return base64.RawURLEncoding.EncodeToString(append([]byte{version, byte(kind)}, place...))
}

// Place reads a cursor; the empty cursor is the empty place, the list's start.
// Its error is [ErrCursor].
func Place(kind Kind, cursor string) (string, error) {
	if cursor == "" {
		return "", nil
	}
	if len(cursor) <= maxCursor {
		if b, err := base64.RawURLEncoding.DecodeString(cursor); err == nil && len(b) > 2 && b[0] == version && Kind(b[1]) == kind {
			return string(b[2:]), nil
		}
	}
	return "", ErrCursor
}

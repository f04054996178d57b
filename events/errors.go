package events

import (
	"errors"
	"fmt"
)

// The kinds of error that cross package borders. Adapters translate their
// driver's errors into one of them, callers match with errors.Is, and one table
// (functions/internal/frontdoor) maps them to HTTP statuses, which the source
// maps to acknowledge, retry or dead letter.
var (
	ErrInvalid         = errors.New("invalid")              // the input can never be accepted
	ErrUnauthenticated = errors.New("unauthenticated")      // no or no good token
	ErrForbidden       = errors.New("forbidden")            // the caller may not
	ErrNotFound        = errors.New("not found")            // there is no such thing
	ErrConflict        = errors.New("conflict")             // somebody else was first
	ErrTooLarge        = errors.New("too large")            // more than is taken in one request
	ErrUnsupported     = errors.New("unsupported")          // a media type or form that is not spoken here
	ErrMismatch        = errors.New("idempotency mismatch") // same key, other content
	ErrUnavailable     = errors.New("unavailable")          // try again later
	ErrRateLimited     = errors.New("rate limited")         // the caller's share is used up, try again later
)

// Faults of a message, one value each, as the guide names them.
var (
	ErrEmptyMessage     = Invalid("empty_message", "text", "message text cannot be empty: 1 to %d characters", MaxMessageRunes)
	ErrMessageTooLong   = Invalid("message_too_long", "text", "message text is longer than %d characters", MaxMessageRunes)
	ErrMissingChannelID = Invalid("missing_channel_id", "channel_id", "channel id is missing")
	ErrMissingUserID    = Invalid("missing_user_id", "user_id", "user id is missing")
	ErrNotMember        = NewFault(ErrForbidden, "not_a_member", "", "the caller is not a member of the channel")
	ErrChannelNotFound  = NewFault(ErrNotFound, "channel_not_found", "channel_id", "there is no such channel")
)

// Fault is an error for the caller's eyes: a kind, a stable code to match on,
// and the field that is wrong, if it is one.
type Fault struct {
	kind   error
	Code   string // stable, snake_case; part of the public API
	Field  string // JSON name of the offending field, or empty
	Detail string // a sentence for people
}

// NewFault makes a fault of one of the kinds above.
func NewFault(kind error, code, field, format string, args ...any) *Fault {
	return &Fault{kind: kind, Code: code, Field: field, Detail: fmt.Sprintf(format, args...)}
}

// Invalid makes a fault of kind [ErrInvalid].
func Invalid(code, field, format string, args ...any) *Fault {
	return NewFault(ErrInvalid, code, field, format, args...)
}

func (f *Fault) Error() string { return f.Detail }

// Unwrap gives the kind, so that errors.Is(err, ErrInvalid) holds.
func (f *Fault) Unwrap() error { return f.kind }

// Faults is several faults of one request, in its order; index says which item
// of a batch each belongs to (−1 where there is no batch).
type Faults []ItemFault

// ItemFault is a fault of one item of a request.
type ItemFault struct {
	Index int
	*Fault
}

func (fs Faults) Error() string {
	switch len(fs) {
	case 0:
		return ErrInvalid.Error()
	case 1:
		return fs[0].Detail
	}
	return fmt.Sprintf("%s (and %d more faults)", fs[0].Detail, len(fs)-1)
}

// Unwrap gives the first fault, whose kind stands for all.
func (fs Faults) Unwrap() error {
	if len(fs) == 0 {
		return ErrInvalid
	}
	return fs[0].Fault
}

type permanent struct{ error }

func (p permanent) Unwrap() error { return p.error }

// Permanent marks an error as one that no retry can help: the event at hand
// belongs in the dead-letter stream. Nil stays nil.
func Permanent(err error) error {
	if err == nil {
		return nil
	}
	return permanent{err}
}

// IsPermanent tells whether err was marked by [Permanent] or is of kind
// [ErrInvalid], which no retry can help either.
func IsPermanent(err error) bool {
	var p permanent
	return errors.As(err, &p) || errors.Is(err, ErrInvalid)
}

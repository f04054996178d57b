package frontdoor

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/chat-platform/chat/events"
)

// row is a line of the table error → status. The code and the detail are for
// errors that are no fault with a code and a detail of their own.
type row struct {
	kind   error
	status int
	code   string
	detail string
}

// table is in order of precedence: what no retry can help stands first, and
// events.Permanent, which may wrap any other kind, before all that is retried.
var table = []row{
	{events.ErrInvalid, http.StatusBadRequest, "invalid", "The request is not valid."},
	{events.ErrUnauthenticated, http.StatusUnauthorized, "unauthenticated", "A valid bearer token is needed."},
	{events.ErrForbidden, http.StatusForbidden, "forbidden", "The caller may not do this."},
	{events.ErrTooLarge, http.StatusRequestEntityTooLarge, "too_large", "The request is larger than is taken at once."},
	{events.ErrUnsupported, http.StatusUnsupportedMediaType, "unsupported_media_type", "The media type of the request is not taken here."},
	{events.ErrMismatch, http.StatusUnprocessableEntity, "idempotency_mismatch", "The same idempotency key was used with other content."},
	{errPermanent, http.StatusUnprocessableEntity, "unprocessable", "The request can never be processed."},
	{events.ErrNotFound, http.StatusNotFound, "not_found", "There is no such thing."},
	{events.ErrConflict, http.StatusConflict, "conflict", "Somebody else was first; read again and retry."},
	{events.ErrRateLimited, http.StatusTooManyRequests, "rate_limited", "Too many requests; try again later."},
	{events.ErrUnavailable, http.StatusServiceUnavailable, "unavailable", "The service cannot do this now; try again later."},
	{context.DeadlineExceeded, http.StatusServiceUnavailable, "timeout", "The service did not finish in time; try again later."},
	{context.Canceled, http.StatusServiceUnavailable, "cancelled", "The request was given up; try again later."},
}

var internalRow = row{nil, http.StatusInternalServerError, "internal", "Something went wrong here; the request id finds it in the log."}

var errPermanent = errors.New("permanent")

func rowOf(err error) row {
	for _, r := range table {
		if r.kind == errPermanent { //nolint:errorlint // the row itself is meant
			if events.IsPermanent(err) {
				return r
			}
		} else if errors.Is(err, r.kind) {
			return r
		}
	}
	return internalRow
}

// StatusOf is the one table from errors to HTTP statuses; nil is 200. An error
// that matches several kinds gets the status that is retried least.
func StatusOf(err error) int {
	if err == nil {
		return http.StatusOK
	}
	var s *statusFault
	if errors.As(err, &s) {
		return s.status
	}
	return rowOf(err).status
}

// statusFault is a fault of HTTP itself, with a status that the table has not.
type statusFault struct {
	status int
	*events.Fault
}

func (s *statusFault) Unwrap() error { return s.Fault }

// retryAfter is what to tell a client that may try again: what the error says by
// a method RetryAfter() time.Duration, or a second.
func retryAfter(err error) time.Duration {
	var r interface{ RetryAfter() time.Duration }
	if errors.As(err, &r) {
		return max(time.Second, r.RetryAfter())
	}
	return time.Second
}

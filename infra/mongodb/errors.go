package mongodb

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"go.mongodb.org/mongo-driver/v2/mongo"

	"github.com/chat-platform/chat/events"
)

var errClosed = errors.New("the store is closed")

// invalidCodes are the server's words for a document that it will never take.
var invalidCodes = []int{
	2,     // BadValue
	9,     // FailedToParse
	14,    // TypeMismatch
	22,    // InvalidBSON
	52,    // DollarPrefixedFieldName
	121,   // DocumentValidationFailure
	10334, // BSONObjectTooLarge
	17280, // KeyTooLong
	17419, // the document after the update is too large
	17420, // the document to insert is too large
}

// unavailableCodes are its words for: not now, or not before somebody has seen
// to it. None of them is the record's fault.
var unavailableCodes = []int{
	6, 7, 89, 9001, // HostUnreachable, HostNotFound, NetworkTimeout, SocketException
	11600, 11602, 91, 24, 46, // shutting down, interrupted by a change of state, LockTimeout, LockBusy
	10107, 13435, 13436, 10058, 189, // no primary, or no longer
	133, 134, // FailedToSatisfyReadPreference, ReadConcernMajorityNotAvailableYet
	50, 262, 11601, 202, 279, // MaxTimeMSExpired, ExceededTimeLimit, Interrupted, out of time, or of operations
	43, 175, 237, // CursorNotFound, QueryPlanKilled, CursorKilled
	64, 79, 100, 112, // WriteConcernTimeout, UnknownReplWriteConcern, UnsatisfiableWriteConcern, WriteConflict
	13, 18, // Unauthorized, AuthenticationFailed: for the operator to mend
	39, 14031, // FileStreamFailed, OutOfDiskSpace
	63, 150, 234, 13388, 13297, // a shard's routing is stale
}

// refusedCodes are those of unavailableCodes that come of wrong credentials. A
// process does not begin with them.
var refusedCodes = []int{13, 18}

// retryLabels are the driver's words for errors that go away.
var retryLabels = []string{"NetworkError", "RetryableWriteError", "RetryableReadError", "TransientTransactionError",
	"SystemOverloadedError", "RetryableError", "PoolClearedError"}

// kindOf gives a driver's error its kind; others stay as they are. ctx is the
// caller's: what it ended is no fault of the server.
func kindOf(ctx context.Context, err error, closed bool) error {
	if errors.As(err, new(*events.Fault)) {
		return err
	}
	if ended := ctx.Err(); ended != nil {
		if errors.Is(err, ended) {
			return err
		}
		return fmt.Errorf("%w: %w", ended, err)
	}
	if closed || isUnavailable(err) {
		return fmt.Errorf("%w: %w", events.ErrUnavailable, err)
	}
	if isInvalid(err) {
		return fmt.Errorf("%w: %w", events.ErrInvalid, err)
	}
	return err
}

func isUnavailable(err error) bool {
	if errors.Is(err, mongo.ErrClientDisconnected) || mongo.IsTimeout(err) || mongo.IsNetworkError(err) {
		return true
	}
	if l := mongo.LabeledError(nil); errors.As(err, &l) && slices.ContainsFunc(retryLabels, l.HasErrorLabel) {
		return true
	}
	if b := (mongo.BulkWriteException{}); errors.As(err, &b) && b.WriteConcernError != nil {
		return true
	}
	return hasCode(err, unavailableCodes)
}

func isInvalid(err error) bool {
	return errors.As(err, new(mongo.MarshalError)) || hasCode(err, invalidCodes)
}

func hasCode(err error, codes []int) bool {
	e := mongo.ServerError(nil)
	return errors.As(err, &e) && slices.ContainsFunc(e.ErrorCodes(), func(c int) bool { return slices.Contains(codes, c) })
}

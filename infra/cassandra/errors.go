package cassandra

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"

	gocql "github.com/apache/cassandra-gocql-driver/v2"

	"github.com/chat-platform/chat/events"
)

var errClosed = fmt.Errorf("%w: the store is closed", events.ErrUnavailable)

var unavailable = []error{
	gocql.ErrNoConnections, gocql.ErrConnectionClosed, gocql.ErrTimeoutNoResponse, gocql.ErrSessionClosed,
	gocql.ErrNoStreams, gocql.ErrUnavailable, gocql.ErrNoHosts, gocql.ErrNoConnectionsStarted,
	context.DeadlineExceeded, io.EOF, io.ErrUnexpectedEOF, net.ErrClosed,
}

// isMissing tells whether somebody has dropped the tables, or the keyspace.
func isMissing(err error) bool {
	e, ok := errors.AsType[gocql.RequestError](err)
	if !ok || e.Code() != gocql.ErrCodeInvalid && e.Code() != gocql.ErrCodeConfig {
		return false
	}
	words := strings.ToLower(e.Message())
	return strings.Contains(words, "unconfigured table") || strings.Contains(words, "does not exist") || strings.Contains(words, "doesn't exist")
}

// kindOf is the kind of a driver's error, nil if it has none.
func kindOf(err error) error {
	for _, u := range unavailable {
		if errors.Is(err, u) {
			return events.ErrUnavailable
		}
	}
	if _, ok := errors.AsType[net.Error](err); ok {
		return events.ErrUnavailable
	}
	if e, ok := errors.AsType[gocql.RequestError](err); ok {
		switch e.Code() {
		case gocql.ErrCodeServer, gocql.ErrCodeUnavailable, gocql.ErrCodeOverloaded, gocql.ErrCodeBootstrapping,
			gocql.ErrCodeTruncate, gocql.ErrCodeWriteTimeout, gocql.ErrCodeReadTimeout, gocql.ErrCodeReadFailure,
			gocql.ErrCodeWriteFailure, gocql.ErrCodeCASWriteUnknown, gocql.ErrCodeUnprepared:
			return events.ErrUnavailable
		}
		// Not so what the server calls invalid: messages are checked before they
		// are sent, so it is a table that is missing, say, and no fault of theirs.
	}
	return nil
}

// fail names the operation and adds the kind.
func fail(err error, format string, args ...any) error {
	what := fmt.Sprintf(format, args...)
	kind := kindOf(err)
	if kind == nil || errors.Is(err, kind) {
		return fmt.Errorf("%s: %w", what, err)
	}
	return fmt.Errorf("%s: %w: %w", what, kind, err)
}

package sqlite

import (
	"errors"
	"fmt"

	modernc "modernc.org/sqlite"
	lib "modernc.org/sqlite/lib"

	"github.com/chat-platform/chat/events"
)

var errClosed = errors.New("the store is closed")

// kindOf gives a driver's error its kind; others stay as they are.
func kindOf(err error) error {
	if errors.Is(err, errClosed) && !errors.Is(err, events.ErrUnavailable) {
		return fmt.Errorf("%w: %w", events.ErrUnavailable, err)
	}
	var e *modernc.Error
	if !errors.As(err, &e) {
		return err
	}
	switch e.Code() & 0xff {
	case lib.SQLITE_BUSY, lib.SQLITE_LOCKED, lib.SQLITE_PROTOCOL, // somebody else has it
		lib.SQLITE_IOERR, lib.SQLITE_FULL, lib.SQLITE_CANTOPEN, lib.SQLITE_READONLY, // the disk
		lib.SQLITE_NOMEM, lib.SQLITE_INTERRUPT:
		return fmt.Errorf("%w: %w", events.ErrUnavailable, err)
	case lib.SQLITE_TOOBIG:
		return fmt.Errorf("%w: %w", events.ErrTooLarge, err)
	case lib.SQLITE_CONSTRAINT:
		return fmt.Errorf("%w: %w", events.ErrConflict, err)
	}
	return err
}

func isCode(err error, code int) bool {
	var e *modernc.Error
	return errors.As(err, &e) && e.Code()&0xff == code
}

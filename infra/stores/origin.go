package stores

import (
	"context"
	"errors"
	"fmt"

	"github.com/chat-platform/chat/events"
)

// Feed says how a view is filled: by which consumer of which stream.
type Feed struct {
	Name     string // in the register, like "messages"
	Stream   string
	Consumer string // durable, of the source that feeds the view's writer
}

// Log is what has to be known of a log to tell which views are of it.
type Log interface {
	// Epoch identifies the log. A restored one has another epoch than it had.
	Epoch(ctx context.Context) (string, error)
	// Applied is the sequence up to which a consumer has acknowledged everything.
	Applied(ctx context.Context, stream, consumer string) (uint64, error)
}

// Codes of the faults of a view that has to be rebuilt; both are of kind
// [events.ErrUnavailable].
const (
	CodeAnotherLog = "view_of_another_log" // it was filled from another log than the one that is there
	CodeLost       = "view_lost"           // it is empty, and what the log has was written to it once
)

// IsForeign tells whether an error says that a view is not what the log has been
// written to, so that a rebuild is due.
func IsForeign(err error) bool {
	f, ok := errors.AsType[*events.Fault](err)
	return ok && (f.Code == CodeAnotherLog || f.Code == CodeLost)
}

// Belongs checks that a generation was filled from the log of this epoch, and
// gives a fault (see [IsForeign]) where it was not. One that is of no log yet
// becomes this one's: a new one, or one of a version that did not know of epochs.
// But where it is empty, and its consumer has acknowledged events, then what they
// were written to is another one: it is gone, or the register is of another day.
func (f Feed) Belongs(ctx context.Context, store View, generation int, log Log, epoch string) error {
	of, err := store.Claim(ctx, "")
	if err == nil && of == "" {
		if err = f.written(ctx, store, generation, log); err == nil {
			of, err = store.Claim(ctx, epoch)
		}
	}
	if err != nil {
		return fmt.Errorf("of which log view %s is: %w", f.Name, err)
	}
	if of != epoch {
		return events.NewFault(events.ErrUnavailable, CodeAnotherLog, "", "the %[1]s view (generation %[2]d) is of another log than the one that is there: run chat rebuild %[1]s", f.Name, generation)
	}
	return nil
}

// written checks that a view of no log holds something, if it has to.
func (f Feed) written(ctx context.Context, store View, generation int, log Log) error {
	applied, err := log.Applied(ctx, f.Stream, f.Consumer)
	if errors.Is(err, events.ErrNotFound) {
		return nil
	}
	if err != nil || applied == 0 {
		return err
	}
	empty, err := store.Empty(ctx)
	if err == nil && empty {
		err = events.NewFault(events.ErrUnavailable, CodeLost, "", "the %[1]s view (generation %[2]d) is empty, but events up to %[3]d of the log had been written to it: run chat rebuild %[1]s", f.Name, generation, applied)
	}
	return err
}

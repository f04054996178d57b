package deadletters

import (
	"context"
	"errors"
	"log/slog"

	"github.com/chat-platform/chat/events"
	natslog "github.com/chat-platform/chat/infra/nats"
	"github.com/chat-platform/chat/longrunning/source"
)

// Log is what is needed of the log; *nats.Log is one.
type Log interface {
	DeadLetters(ctx context.Context, consumer string, after uint64, limit int) ([]natslog.DeadLetter, error)
	DeadLetter(ctx context.Context, seq uint64) (natslog.DeadLetter, error)
	Discard(ctx context.Context, seq uint64) error
}

// Redriver hands an event to a sink again; *source.Source is one.
type Redriver interface {
	Redrive(ctx context.Context, letter natslog.DeadLetter) error
}

// Direct is Letters on a log.
type Direct struct {
	log    Log
	sink   func(natslog.DeadLetter) (Redriver, error)
	logger *slog.Logger
}

// NewDirect works on a log. sink gives what redrives a letter; its error says
// why there is none.
func NewDirect(log Log, sink func(natslog.DeadLetter) (Redriver, error), logger *slog.Logger) *Direct {
	return &Direct{log: log, sink: sink, logger: logger}
}

// List is of [Letters].
func (d *Direct) List(ctx context.Context, consumer string, after uint64, limit int) ([]Letter, error) {
	ds, err := d.log.DeadLetters(ctx, consumer, after, limit)
	letters := make([]Letter, 0, len(ds))
	for _, l := range ds {
		letters = append(letters, letter(l, false))
	}
	return letters, err
}

// Show is of [Letters].
func (d *Direct) Show(ctx context.Context, seq uint64) (Letter, error) {
	l, err := d.log.DeadLetter(ctx, seq)
	if err != nil {
		return Letter{}, err
	}
	return letter(l, true), nil
}

// Redrive is of [Letters].
func (d *Direct) Redrive(ctx context.Context, seq uint64) (Outcome, error) {
	l, err := d.log.DeadLetter(ctx, seq)
	if err != nil {
		return Outcome{}, err
	}
	o := Outcome{Seq: seq, Consumer: l.Consumer}
	sink, err := d.sink(l)
	if err == nil {
		err = sink.Redrive(ctx, l)
	}
	var refused *source.Refused
	var fault *events.Fault
	switch {
	case err == nil:
		o.Redriven = true
	case ctx.Err() != nil:
		return o, err
	case errors.As(err, &refused):
		o.Status, o.Reason, o.Away = refused.Status, refused.Reason, errors.Is(refused, events.ErrUnavailable)
	case errors.Is(err, events.ErrInvalid) && errors.As(err, &fault):
		o.Reason = fault.Detail
	default:
		return o, err
	}
	return o, nil
}

// Discard is of [Letters].
func (d *Direct) Discard(ctx context.Context, seq uint64) error {
	l, err := d.log.DeadLetter(ctx, seq)
	if err != nil {
		return err
	}
	if err := d.log.Discard(ctx, seq); err != nil {
		return err
	}
	d.logger.Info("dead letters: discarded", "letter", seq, "consumer", l.Consumer, "event", l.Event.ID, "stream", l.Stream, "sequence", l.OriginalSequence, "reason", l.Reason)
	return nil
}

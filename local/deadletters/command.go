package deadletters

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/chat-platform/chat/events"
)

// pageSize is how many letters are asked for at once, and listed by default.
const pageSize = 100

// Verbs of a [Command].
const (
	List    = "list"
	Show    = "show"
	Redrive = "redrive"
	Discard = "discard"
)

// Command is what an operator wants done.
type Command struct {
	Verb     string
	Seq      uint64 // the letter; or else, to redrive and discard:
	All      bool   // every letter
	Consumer string // only letters of this one
	After    uint64 // only letters above
	Limit    int    // at most so many; 0: 100 to list, any number otherwise
	JSON     bool   // one JSON object a line, for programs
}

// Validate tells what is missing or contradictory, by the flags' names.
func (c Command) Validate() error {
	one := c.Verb == Redrive || c.Verb == Discard
	switch {
	case c.Verb != List && c.Verb != Show && !one:
		return events.Invalid("unknown_command", "", "%q is none of list, show, redrive, discard", c.Verb)
	case c.Verb == Show && c.Seq == 0:
		return events.Invalid("missing_flag", "", "show needs -seq, the number in list's first column")
	case one && c.Seq == 0 && !c.All:
		return events.Invalid("missing_flag", "", "%s needs -seq, the number in list's first column, or -all", c.Verb)
	case one && c.Seq != 0 && c.All:
		return events.Invalid("invalid_flag", "", "-seq and -all exclude each other")
	case c.Limit < 0:
		return events.Invalid("invalid_flag", "", "-limit is %d, expected a positive number", c.Limit)
	}
	return nil
}

// Run carries out the command and prints what it did. It ends with an error
// where a letter could not be redriven. Of all, it goes on with the next one,
// unless a sink is away: then the rest is left for later.
func Run(ctx context.Context, letters Letters, c Command, out io.Writer) error {
	if err := c.Validate(); err != nil {
		return err
	}
	p := printer{out: out, json: c.JSON}
	switch c.Verb {
	case List:
		return c.list(ctx, letters, p)
	case Show:
		l, err := letters.Show(ctx, c.Seq)
		if err != nil {
			return err
		}
		return p.letter(l)
	case Redrive:
		return c.redrive(ctx, letters, p)
	default:
		return c.discard(ctx, letters, p)
	}
}

func (c Command) list(ctx context.Context, letters Letters, p printer) error {
	if c.Limit == 0 {
		c.Limit = pageSize
	}
	var all []Letter
	err := c.each(ctx, letters, func(l Letter) error {
		all = append(all, l)
		return nil
	})
	if err != nil {
		return err
	}
	if err := p.table(all); err != nil || len(all) < c.Limit {
		return err
	}
	last := all[len(all)-1].Seq
	more, err := letters.List(ctx, c.Consumer, last, 1)
	if err == nil && len(more) > 0 {
		p.say("There are more: -after %d", last)
	}
	return err
}

// each calls f with every letter that is meant.
func (c Command) each(ctx context.Context, letters Letters, f func(Letter) error) error {
	n := 0
	for after := c.After; ; {
		size := pageSize
		if c.Limit > 0 {
			size = min(size, c.Limit-n)
		}
		if size == 0 {
			return nil
		}
		some, err := letters.List(ctx, c.Consumer, after, size)
		if err != nil || len(some) == 0 {
			return err
		}
		for _, l := range some {
			if err := f(l); err != nil {
				return err
			}
			after = l.Seq
			n++
		}
	}
}

func (c Command) redrive(ctx context.Context, letters Letters, p printer) error {
	redriven, refused := 0, 0
	one := func(seq uint64) error {
		o, err := letters.Redrive(ctx, seq)
		if err != nil {
			return err
		}
		if err := p.outcome(o); err != nil {
			return err
		}
		switch {
		case o.Redriven:
			redriven++
			return nil
		case o.Away && c.All:
			return events.NewFault(events.ErrUnavailable, "sink_away", "", "the sink of %s is away, the rest is left for later; %d were redriven", o.Consumer, redriven)
		}
		refused++
		return nil
	}
	var err error
	if c.All {
		err = c.each(ctx, letters, func(l Letter) error { return unlessGone(one(l.Seq)) })
	} else {
		err = one(c.Seq)
	}
	switch {
	case err != nil:
		return err
	case refused > 0:
		return fmt.Errorf("%d of %d dead letters were not redriven and stay", refused, redriven+refused)
	case redriven == 0:
		p.say("There are no dead letters.")
	}
	return nil
}

func (c Command) discard(ctx context.Context, letters Letters, p printer) error {
	discarded := 0
	one := func(seq uint64) error {
		if err := letters.Discard(ctx, seq); err != nil {
			return err
		}
		discarded++
		return p.discarded(seq)
	}
	if !c.All {
		return one(c.Seq)
	}
	err := c.each(ctx, letters, func(l Letter) error { return unlessGone(one(l.Seq)) })
	if err == nil && discarded == 0 {
		p.say("There are no dead letters.")
	}
	return err
}

// unlessGone passes over letters that somebody else has dealt with meanwhile.
func unlessGone(err error) error {
	if errors.Is(err, events.ErrNotFound) {
		return nil
	}
	return err
}

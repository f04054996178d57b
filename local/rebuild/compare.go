package rebuild

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/chat-platform/chat/events"
	"github.com/chat-platform/chat/infra/stores"
	"github.com/chat-platform/chat/local/views"
)

type sums = map[events.ChannelID]events.Checksum

// attempts to compare channels that change while they are compared.
const attempts = 5

// compare judges the next generation by the log, and the live one by it. Sums go
// through a sequence, so that traffic does not change them; but a record of the
// metadata view that changes meanwhile leaves them, and its channel is looked at
// again.
func (j job) compare(ctx context.Context, next stores.View, result *Result) error {
	pending := map[events.ChannelID]bool(nil) // all
	for attempt := 1; ; attempt++ {
		applied, err := j.caughtUp(ctx)
		if err != nil {
			return err
		}
		through := max(applied, j.claim.now().Through)
		expected, made, live, err := j.sums(ctx, next, through, attempt == 1, result)
		if err != nil {
			return err
		}
		moved, err := j.moved(ctx, through)
		if err != nil {
			return err
		}
		if attempt == 1 {
			result.Lags, result.Unjudged = applied < through, expected == nil
			result.list(made, live, moved)
		}
		if expected == nil {
			return nil
		}
		differ := differing(expected, made)
		if pending != nil {
			maps.DeleteFunc(differ, func(c events.ChannelID, _ bool) bool { return !pending[c] })
		}
		if len(differ) == 0 {
			return nil
		}
		for c := range differ {
			if !moved[c] {
				return fmt.Errorf("%w: channel %s has %s, the log says %s", ErrDiffers, c, show(made, c), show(expected, c))
			}
		}
		if attempt == attempts {
			result.InMotion = len(differ)
			return nil
		}
		pending = differ
	}
}

// caughtUp gives the live generation some time to have what was copied, so that
// they can be compared, and tells how far it is.
func (j job) caughtUp(ctx context.Context) (uint64, error) {
	for until := time.Now().Add(patience); ; {
		applied, err := j.applied(ctx)
		if err != nil || j.Alone || applied >= j.claim.now().Through || time.Now().After(until) {
			return applied, err
		}
		select {
		case <-ctx.Done():
			return 0, ctx.Err()
		case <-time.After(50 * time.Millisecond):
		}
	}
}

func (j job) applied(ctx context.Context) (uint64, error) {
	applied, err := j.Log.Applied(ctx, j.view.Stream, j.view.Consumer)
	if errors.Is(err, events.ErrNotFound) { // there was no source yet
		return 0, nil
	}
	return applied, err
}

// sums are those that the log says (nil where it would take too much memory),
// those of the next generation and, the first time, those of the live one.
func (j job) sums(ctx context.Context, next stores.View, through uint64, first bool, result *Result) (expected, made, live sums, err error) {
	g, gctx := errgroup.WithContext(ctx)
	g.Go(func() (err error) {
		expected, err = j.expected(gctx, through)
		return err
	})
	g.Go(func() (err error) {
		made, err = next.Checksums(gctx, through)
		return err
	})
	if first {
		g.Go(func() error {
			var err error
			if live, err = j.live(gctx, through); err != nil && gctx.Err() == nil {
				result.LiveError = err.Error() // it is about to be replaced
			}
			return gctx.Err()
		})
	}
	if err := g.Wait(); err != nil {
		return nil, nil, nil, err
	}
	return expected, made, live, nil
}

func (j job) live(ctx context.Context, through uint64) (sums, error) {
	store, _, err := j.open(ctx, j.claim.now().Live, false)
	if err != nil {
		return nil, err
	}
	var all sums
	of, err := store.Claim(ctx, "")
	if err == nil && of != "" && of != j.epoch {
		err = errAnotherLog
	}
	if err == nil {
		all, err = store.Checksums(ctx, through)
	}
	return all, errors.Join(err, store.Close())
}

var errAnotherLog = errors.New("it is of another log")

// expected reads the log through a sequence.
func (j job) expected(ctx context.Context, through uint64) (sums, error) {
	e := j.view.Expect()
	err := j.read(ctx, 1, through, func(b batch) error {
		_, err := e.Add(ctx, b.events)
		j.progress("comparing", 0, b.end, through)
		return err
	})
	if errors.Is(err, views.ErrTooMany) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return e.Sums(), nil
}

// moved are the channels of which events after a sequence may have replaced
// records: none of messages, which stay as they are.
func (j job) moved(ctx context.Context, after uint64) (map[events.ChannelID]bool, error) {
	moved := map[events.ChannelID]bool{}
	if j.view.Stream == events.StreamMessages {
		return moved, nil
	}
	last, err := j.Log.LastSequence(ctx, j.view.Stream)
	if err != nil {
		return nil, err
	}
	err = j.Log.Range(ctx, j.view.Stream, nil, after+1, last, func(e events.Event) error {
		moved[events.ChannelOf(e.Subject)] = true
		return nil
	})
	return moved, err
}

func differing(a, b sums) map[events.ChannelID]bool {
	d := map[events.ChannelID]bool{}
	for c, sum := range a {
		if b[c] != sum {
			d[c] = true
		}
	}
	for c := range b {
		if _, ok := a[c]; !ok {
			d[c] = true
		}
	}
	return d
}

// Result is a rebuilt view.
type Result struct {
	View       string        `json:"view"`
	Generation int           `json:"generation"` // live now
	From       uint64        `json:"from,omitempty"`
	Through    uint64        `json:"through"` // events (From, Through] of the log were copied, later ones written by all
	Events     int           `json:"events"`
	Refused    int           `json:"refused"`             // events that the writer refuses: they are dead letters in service too
	Copying    time.Duration `json:"copying"`             // those events
	Took       time.Duration `json:"took"`                // all of it, waiting included
	Completed  bool          `json:"completed,omitempty"` // it was switched already; only the old generation was removed
	Channels   []Channel     `json:"channels"`
	Lags       bool          `json:"lags,omitempty"`       // the live one had not applied all of the log
	LiveError  string        `json:"live_error,omitempty"` // why the live one could not be read
	Unjudged   bool          `json:"unjudged,omitempty"`   // too many records to be judged by the log
	InMotion   int           `json:"in_motion,omitempty"`  // channels that changed whenever they were compared
	Left       string        `json:"left,omitempty"`       // why the old generation could not be removed
}

// Channel is what a view holds of a channel, as "count:sum"; "-" is nothing.
type Channel struct {
	ID     events.ChannelID `json:"id"`
	Before string           `json:"before"`
	After  string           `json:"after"`
	Moving bool             `json:"moving,omitempty"` // it changed meanwhile
}

// list compares what was made with what was live.
func (r *Result) list(made, live sums, moved map[events.ChannelID]bool) {
	all := map[events.ChannelID]bool{}
	for _, s := range []sums{made, live} {
		for c := range s {
			all[c] = true
		}
	}
	for c := range all {
		r.Channels = append(r.Channels, Channel{c, show(live, c), show(made, c), moved[c]})
	}
	slices.SortFunc(r.Channels, func(a, b Channel) int { return cmp.Compare(a.ID, b.ID) })
}

// Differing counts the channels of which the live generation held something else.
func (r *Result) Differing() (n int) {
	for _, c := range r.Channels {
		if c.Before != c.After && !c.Moving {
			n++
		}
	}
	return n
}

// Equal tells whether the old generation held what the new one holds.
func (r *Result) Equal() bool { return !r.Completed && r.LiveError == "" && r.Differing() == 0 }

func show(s sums, c events.ChannelID) string {
	sum, ok := s[c]
	if !ok {
		return "-"
	}
	return sum.String()
}

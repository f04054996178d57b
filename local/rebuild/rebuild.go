// Package rebuild makes views anew from the log (I4), while the platform serves.
//
// The next generation of a view is built beside the live one: announced, so that
// every writer writes it as well; filled from the log, by the writer function that
// feeds it in service; compared, with what the log says and with the live one; then
// readers change over, writers leave the old one, and it is removed. Between the
// steps all processes get a lease's time to learn of them ([stores.Lease]).
//
// Where it stands is kept in the log, with the view's state ([stores.State]). One
// that was interrupted, however, is continued by the next one; of two at once the
// second is refused.
package rebuild

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/chat-platform/chat/events"
	"github.com/chat-platform/chat/infra/stores"
	"github.com/chat-platform/chat/local/views"
)

// ErrDiffers is the error of a new generation that holds other content than the
// log says. It does not go live; the next rebuild makes it anew.
var ErrDiffers = errors.New("the rebuilt view differs from the log")

// Log is what is needed of the log; *nats.Log is one.
type Log interface {
	stores.Register
	LastSequence(ctx context.Context, stream string) (uint64, error)
	Range(ctx context.Context, stream string, filters []string, from, to uint64, f func(events.Event) error) error
}

// Rebuilder rebuilds views.
type Rebuilder struct {
	Log    Log
	Views  views.Config
	Host   stores.Host  // its Lease is that of all who use the views
	Alone  bool         // nobody else uses log and stores: nothing has to be waited for
	Report func(Report) // called with what happens, by one at a time; may be nil
	Logger *slog.Logger // slog.Default if nil
	mu     sync.Mutex   // for Report
}

// Run rebuilds views one after the other. It ends with the first that fails.
func (r *Rebuilder) Run(ctx context.Context, vs []views.View) ([]Result, error) {
	if r.Logger == nil {
		r.Logger = slog.Default()
	}
	if r.Host.Lease <= 0 {
		r.Host.Lease = stores.Lease
	}
	results := make([]Result, 0, len(vs))
	for _, v := range vs {
		result, err := r.rebuild(ctx, v)
		if err != nil {
			return results, fmt.Errorf("rebuild %s: %w", v.Name, err)
		}
		results = append(results, result)
		r.report(Report{Result: &result})
	}
	return results, nil
}

func (r *Rebuilder) report(report Report) {
	if r.Report == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.Report(report)
}

// job is one view's rebuild.
type job struct {
	*Rebuilder
	view  views.View
	claim *claim
	epoch string // of the log
}

func (r *Rebuilder) rebuild(ctx context.Context, v views.View) (result Result, err error) {
	c, ctx, err := take(ctx, r.Log, v.Name, r.Host.Lease/2, r.Alone)
	if err != nil {
		return Result{}, err
	}
	defer c.release() //nolint:contextcheck // also when ctx has ended
	started := time.Now()
	j := job{r, v, c, ""}
	result = Result{View: v.Name}
	j.epoch, err = r.Log.Epoch(ctx)
	if s := c.now(); err == nil && (s.Retiring != 0 || s.Dropping != 0) { // one that was interrupted
		if err = j.finish(ctx, &result); err == nil && (s.Retiring != 0 || s.Dropping < s.Live) { // after its switch
			result.Completed, err = j.belongs(ctx, s.Live)
		}
	}
	if err == nil && !result.Completed {
		if err = j.build(ctx, &result); err == nil {
			err = j.finish(ctx, &result)
		}
	}
	if cause := context.Cause(ctx); err != nil && cause != nil {
		err = cause
	}
	result.Generation, result.Took = c.now().Live, time.Since(started)
	return result, err
}

// build makes the next generation, or goes on with it, up to the switch.
func (j job) build(ctx context.Context, result *Result) (err error) {
	if err := j.begun(ctx, result); err != nil {
		return err
	}
	if j.claim.now().Building == 0 {
		if err := j.begin(ctx); err != nil {
			return err
		}
	}
	if j.claim.now().Through == 0 {
		if err := j.learned(ctx); err != nil {
			return err
		}
		last, err := j.Log.LastSequence(ctx, j.view.Stream)
		if err != nil {
			return err
		}
		if err := j.claim.change(ctx, func(s *stores.State) { s.Through = last }); err != nil {
			return err
		}
	}
	next, write, err := j.open(ctx, j.claim.now().Building, true)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, next.Close()) }()
	began := time.Now()
	if err = j.copy(ctx, write, result); err != nil {
		return err
	}
	result.Copying = time.Since(began)
	if err = j.compare(ctx, next, result); err != nil {
		if errors.Is(err, ErrDiffers) { // not to be gone on with
			return errors.Join(err, j.claim.change(ctx, func(s *stores.State) { s.Dropping, s.Building, s.Through, s.Copied = s.Building, 0, 0, 0 }))
		}
		return err
	}
	return j.claim.change(ctx, func(s *stores.State) {
		if s.Building != 0 { // else it is done already
			s.Retiring, s.Live, s.Building, s.Through, s.Copied = s.Live, s.Building, 0, 0, 0
		}
	})
}

// begun looks at a generation that is being built already. It is gone on with if
// it is of this log: a log that was restored may tell of a rebuild of its past.
func (j job) begun(ctx context.Context, result *Result) error {
	number := j.claim.now().Building
	if number == 0 {
		return nil
	}
	next, _, err := j.open(ctx, number, true)
	if err != nil {
		return err
	}
	of, err := next.Claim(ctx, "")
	if err = errors.Join(err, next.Close()); err != nil || of == j.epoch {
		return err
	}
	if err := j.claim.change(ctx, func(s *stores.State) { s.Dropping, s.Building, s.Through, s.Copied = number, 0, 0, 0 }); err != nil {
		return err
	}
	return j.finish(ctx, result)
}

// belongs tells whether a generation is of this log.
func (j job) belongs(ctx context.Context, number int) (bool, error) {
	store, _, err := j.open(ctx, number, false)
	if err == nil {
		err = errors.Join(j.view.Belongs(ctx, store, number, j.Log, j.epoch), store.Close())
	}
	if stores.IsForeign(err) {
		return false, nil
	}
	return err == nil, err
}

// begin makes an empty generation of this log and announces it: from now on
// writers write it.
func (j job) begin(ctx context.Context) error {
	state := j.claim.now()
	number := max(state.Live, state.Last) + 1
	next, _, err := j.open(ctx, number, true)
	if err != nil {
		return err
	}
	if err = next.Reset(ctx); err == nil { // of what is left there from before
		_, err = next.Claim(ctx, j.epoch)
	}
	if err = errors.Join(err, next.Close()); err != nil {
		return err
	}
	return j.claim.change(ctx, func(s *stores.State) { s.Building, s.Last, s.Through, s.Copied = number, number, 0, 0 })
}

// finish goes from the switch to the end.
func (j job) finish(ctx context.Context, result *Result) error {
	if j.claim.now().Retiring != 0 {
		if err := j.learned(ctx); err != nil { // readers
			return err
		}
		if err := j.claim.change(ctx, func(s *stores.State) {
			if s.Retiring != 0 {
				s.Dropping, s.Retiring = s.Retiring, 0
			}
		}); err != nil {
			return err
		}
	}
	number := j.claim.now().Dropping
	if number == 0 {
		return nil
	}
	if err := j.learned(ctx); err != nil { // writers
		return err
	}
	j.progress("removing the old generation", 0, 0, 0)
	if err := j.drop(ctx, number); err != nil {
		if ctx.Err() != nil || errors.Is(err, events.ErrUnavailable) {
			return err
		}
		// One that cannot even be opened, a damaged file say.
		j.Logger.Warn("rebuild: an old generation has to be removed by hand", "view", j.view.Name, "generation", number, "error", err)
		result.Left = err.Error()
	}
	return j.claim.change(ctx, func(s *stores.State) { s.Dropping = 0 })
}

func (j job) drop(ctx context.Context, number int) error {
	old, _, err := j.open(ctx, number, true)
	if err != nil {
		return err
	}
	return errors.Join(old.Drop(ctx), old.Close())
}

func (j job) open(ctx context.Context, generation int, bulk bool) (stores.View, views.Write, error) {
	host := j.Host
	host.Views, host.Bulk = nil, bulk
	return j.view.Generation(ctx, j.Views, host, generation)
}

// learned waits until all who use the view know its state, or do not use it.
func (j job) learned(ctx context.Context) error {
	if j.Alone {
		return ctx.Err()
	}
	wait := j.Host.Lease + j.Host.Lease/4
	j.progress(fmt.Sprintf("%s for all to learn of it", wait.Round(100*time.Millisecond)), 0, 0, 0)
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(wait):
		return nil
	}
}

func (j job) progress(phase string, from, done, total uint64) {
	j.report(Report{Progress: &Progress{View: j.view.Name, Phase: phase, From: from, Done: done, Total: total}})
}

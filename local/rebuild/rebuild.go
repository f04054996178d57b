// Package rebuild makes the embedded stores anew from the log (I4).
//
// Each view is built in a file beside the live one, by the writer function that
// feeds it in service, from the log's first event to its last. Then the two are
// compared and the new file takes the old one's place, in one rename. An
// interrupted rebuild leaves the live file as it was. The platform must be
// stopped: the log's folder is used by one process at a time, and says so.
package rebuild

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/schollz/progressbar/v3"

	"github.com/chat-platform/chat/events"
	natslog "github.com/chat-platform/chat/infra/nats"
	"github.com/chat-platform/chat/infra/nats/embedded"
	"github.com/chat-platform/chat/infra/stores"
	"github.com/chat-platform/chat/local/datadir"
	"github.com/chat-platform/chat/local/views"
)

// ErrDiffers is the error of a view that was up to date and holds other content
// than the log says.
var ErrDiffers = errors.New("the rebuilt view differs from the one that it replaces")

// Result is a rebuilt view.
type Result struct {
	View          string
	Events        int                                  // of the log that went in
	Refused       int                                  // events that the writer refuses: they are dead letters in service too
	Before, After map[events.ChannelID]events.Checksum // Before is nil where there was no store
	UpToDate      bool                                 // the old view had applied the whole log
	Took          time.Duration
}

// Equal tells whether the rebuilt view holds what the old one held.
func (r Result) Equal() bool {
	if len(r.Before) != len(r.After) {
		return false
	}
	for c, sum := range r.Before {
		if r.After[c] != sum {
			return false
		}
	}
	return true
}

// Run rebuilds every view of the data folder and prints the checksums to out.
func Run(ctx context.Context, dir string, out io.Writer) ([]Result, error) {
	if _, err := os.Stat(filepath.Join(dir, datadir.Log)); err != nil {
		return nil, fmt.Errorf("rebuild: %s holds no log: %w", dir, err)
	}
	server, err := embedded.Start(embedded.Config{Dir: filepath.Join(dir, datadir.Log)})
	if err != nil {
		return nil, fmt.Errorf("rebuild (is the platform still running?): %w", err)
	}
	defer server.Shutdown()
	log, err := natslog.Open(ctx, natslog.Config{InProcess: server})
	if err != nil {
		return nil, fmt.Errorf("rebuild: %w", err)
	}
	defer log.Close()

	var results []Result
	var differing error
	for _, v := range views.All() {
		r, err := rebuild(ctx, v, log, dir, out)
		if err != nil {
			return results, fmt.Errorf("rebuild %s: %w", v.Name, err)
		}
		results = append(results, r)
		if r.UpToDate && r.Before != nil && !r.Equal() {
			differing = errors.Join(differing, fmt.Errorf("%s: %w", v.Name, ErrDiffers))
		}
		r.print(out)
	}
	return results, differing
}

func rebuild(ctx context.Context, v views.View, log *natslog.Log, dir string, out io.Writer) (Result, error) {
	r := Result{View: v.Name}
	started := time.Now()
	last, err := log.LastSequence(ctx, v.Stream)
	if err != nil {
		return r, err
	}
	applied, err := log.Applied(ctx, v.Stream, v.Consumer)
	if err != nil {
		return r, err
	}
	r.UpToDate = applied >= last
	live := filepath.Join(dir, v.File)
	if r.Before, err = checksums(ctx, v, live); err != nil {
		return r, err
	}
	beside := live + ".rebuild"
	if err := remove(beside); err != nil {
		return r, err
	}
	store, write, err := v.OpenFile(ctx, beside)
	if err != nil {
		return r, err
	}
	err = feed(ctx, v, log, write, last, out, &r)
	if err == nil {
		r.After, err = store.Checksums(ctx, stores.All)
	}
	if err = errors.Join(err, store.Close()); err != nil {
		return r, errors.Join(err, remove(beside))
	}
	for _, leftover := range []string{live + "-wal", live + "-shm"} { // they belong to the file that goes
		if err := os.Remove(leftover); err != nil && !errors.Is(err, os.ErrNotExist) {
			return r, err
		}
	}
	if err := os.Rename(beside, live); err != nil {
		return r, err
	}
	r.Took = time.Since(started)
	return r, nil
}

// checksums of the live file; none where it is gone. The old file is closed
// afterwards, so that nothing of it waits in a write-ahead log.
func checksums(ctx context.Context, v views.View, path string) (map[events.ChannelID]events.Checksum, error) {
	if _, err := os.Stat(path); errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	store, _, err := v.OpenFile(ctx, path)
	if err != nil {
		return nil, err
	}
	sums, err := store.Checksums(ctx, stores.All)
	return sums, errors.Join(err, store.Close())
}

func remove(path string) error {
	for _, p := range []string{path, path + "-wal", path + "-shm"} {
		if err := os.Remove(p); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	return nil
}

const batchSize = 1000

// feed hands the log's events up to last to the writer.
func feed(ctx context.Context, v views.View, log *natslog.Log, write views.Write, last uint64, out io.Writer, r *Result) error {
	if last == 0 {
		return nil
	}
	bar := progressbar.NewOptions64(int64(last), progressbar.OptionSetWriter(out), progressbar.OptionSetDescription(fmt.Sprintf("%-10s", v.Name)),
		progressbar.OptionShowCount(), progressbar.OptionShowIts(), progressbar.OptionSetItsString("events"), progressbar.OptionSetPredictTime(true),
		progressbar.OptionThrottle(200*time.Millisecond), progressbar.OptionSetWidth(30), progressbar.OptionSetRenderBlankState(true),
		progressbar.OptionOnCompletion(func() { fmt.Fprintln(out) }))
	batch := make([]events.Event, 0, batchSize)
	flush := func() error {
		refused, err := views.Apply(ctx, write, batch)
		r.Events, r.Refused = r.Events+len(batch), r.Refused+refused
		batch = batch[:0]
		return err
	}
	err := log.Range(ctx, v.Stream, nil, 1, last, func(e events.Event) error {
		batch = append(batch, e)
		if len(batch) < batchSize {
			return nil
		}
		_ = bar.Set64(int64(e.Sequence))
		return flush()
	})
	if err == nil {
		err = flush()
	}
	if err != nil {
		return err
	}
	return bar.Finish()
}

func (r Result) print(out io.Writer) {
	verdict := "differs from before"
	switch {
	case r.Equal():
		verdict = "equal before and after"
	case r.Before == nil:
		verdict = "there was no store before"
	case !r.UpToDate:
		verdict = "the store before lagged behind the log"
	}
	fmt.Fprintf(out, "%-10s %d events in %s (%.0f/s), %d refused: %s\n", r.View, r.Events, r.Took.Round(time.Millisecond), float64(r.Events)/r.Took.Seconds(), r.Refused, verdict)
	for _, c := range sorted(r.After) {
		fmt.Fprintf(out, "  %-24s before %s  after %s\n", c, show(r.Before, c), show(r.After, c))
	}
}

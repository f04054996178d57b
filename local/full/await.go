package full

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
)

const (
	tryPause   = 200 * time.Millisecond // between two probes of a server
	lookPause  = time.Second            // between two looks at the containers
	patience   = 30 * time.Second       // of a probe
	stillPause = 15 * time.Second       // between two reminders where there is no terminal
)

// await probes all servers until each is ready, and shows it. It ends early when
// a server has ended.
func (c *compose) await(ctx context.Context, all []server, begin time.Time, out io.Writer) error {
	b := newBoard(all, begin, out)
	probing, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	var group errgroup.Group
	for i, s := range all {
		group.Go(func() error {
			err := s.await(probing)
			if err == nil {
				b.ready(i)
			}
			return err
		})
	}
	over := make(chan struct{})
	var watching sync.WaitGroup
	watching.Go(func() { b.show(over) })
	watching.Go(func() {
		for {
			select {
			case <-over:
				return
			case <-time.After(lookPause):
				if err := c.ended(probing); err != nil {
					stop(err)
				}
			}
		}
	})
	err := group.Wait()
	close(over)
	watching.Wait()
	return err
}

// await probes until the server is ready. The error tells why it stopped, and
// what the last probe said.
func (s server) await(ctx context.Context) error {
	for {
		try, cancel := context.WithTimeout(ctx, patience)
		err := s.probe(try)
		cancel()
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			why := context.Cause(ctx)
			if errors.Is(ctx.Err(), context.Canceled) { // by whoever waits, or since another server has ended
				return why
			}
			return fmt.Errorf("%s is not ready, %w: %w", s.name, why, err)
		case <-time.After(tryPause):
		}
	}
}

// board shows a line for each server: in place on a terminal, elsewhere a line
// whenever one is ready.
type board struct {
	all   []server
	begin time.Time
	out   io.Writer
	live  bool

	mu   sync.Mutex
	took []time.Duration // 0: not ready yet
}

func newBoard(all []server, begin time.Time, out io.Writer) *board {
	return &board{all: all, begin: begin, out: out, live: terminal(out), took: make([]time.Duration, len(all))}
}

func terminal(out io.Writer) bool {
	f, ok := out.(*os.File)
	if !ok || os.Getenv("TERM") == "" || os.Getenv("TERM") == "dumb" {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

func (b *board) ready(i int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.took[i] = max(time.Since(b.begin), 1)
	if !b.live {
		fmt.Fprintln(b.out, b.line(i))
	}
}

func (b *board) line(i int) string {
	if b.took[i] > 0 {
		return fmt.Sprintf("  %-14s ready    %5.1f s", b.all[i].name, b.took[i].Seconds())
	}
	return fmt.Sprintf("  %-14s waiting  %5.1f s", b.all[i].name, time.Since(b.begin).Seconds())
}

// show draws until over is closed, and once more then.
func (b *board) show(over <-chan struct{}) {
	pause := stillPause
	if b.live {
		pause = tryPause
	}
	tick := time.NewTicker(pause)
	defer tick.Stop()
	for drawn := false; ; drawn = true {
		b.draw(drawn)
		select {
		case <-over:
			if b.live {
				b.draw(true)
			}
			return
		case <-tick.C:
		}
	}
}

func (b *board) draw(again bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.live && again {
		fmt.Fprintf(b.out, "\x1b[%dA", len(b.all))
	}
	for i := range b.all {
		switch {
		case b.live:
			fmt.Fprintf(b.out, "\r\x1b[K%s\n", b.line(i))
		case again && b.took[i] == 0:
			fmt.Fprintln(b.out, b.line(i))
		}
	}
}

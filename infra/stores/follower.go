package stores

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/chat-platform/chat/events"
)

// status is what is known of a view: its state, and the epoch of the log that it
// has to be of.
type status struct {
	State
	epoch string
}

// follower knows a view's status: it asks for it a few times in each lease, and
// at once where the lease is over.
type follower struct {
	register Register
	view     string
	lease    time.Duration
	changed  func(status) // called after each change, by one at a time

	stop context.CancelFunc
	done chan struct{}

	asking sync.Mutex // one question at a time
	mu     sync.Mutex
	status status
	at     time.Time // when it was asked for; zero: never
}

// askTimeout bounds one question.
const askTimeout = 5 * time.Second

func follow(register Register, view string, lease time.Duration, changed func(status)) *follower {
	if lease <= 0 {
		lease = Lease
	}
	ctx, stop := context.WithCancel(context.Background())
	f := &follower{register: register, view: view, lease: lease, changed: changed, stop: stop, done: make(chan struct{})}
	go f.run(ctx)
	return f
}

// run asks until close. That the log is away is said by the log, and shows where
// somebody needs the state.
func (f *follower) run(ctx context.Context) {
	defer close(f.done)
	tick := time.NewTicker(f.lease / 4)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			_ = f.ask(ctx, time.Now())
		}
	}
}

func (f *follower) close() {
	f.stop()
	<-f.done
}

// known gives a status that was the view's at some moment within the last lease.
func (f *follower) known(ctx context.Context) (status, error) {
	for {
		f.mu.Lock()
		known, at := f.status, f.at
		f.mu.Unlock()
		if time.Since(at) < f.lease {
			return known, nil
		}
		if err := ctx.Err(); err != nil {
			return status{}, err
		}
		if err := f.ask(ctx, at.Add(f.lease)); err != nil {
			if ended := ctx.Err(); ended != nil {
				return status{}, ended
			}
			return status{}, fmt.Errorf("which generation of view %s is live: %w: %w", f.view, events.ErrUnavailable, err)
		}
	}
}

// ask reads the status, unless somebody has done so since.
func (f *follower) ask(ctx context.Context, since time.Time) error {
	f.asking.Lock()
	defer f.asking.Unlock()
	f.mu.Lock()
	fresh, old := f.at.After(since), f.status
	f.mu.Unlock()
	if fresh {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	at := time.Now()
	state, _, err := ReadState(ctx, f.register, f.view)
	if err != nil {
		return err
	}
	epoch, err := f.register.Epoch(ctx)
	if err != nil {
		if old.epoch == "" {
			return err
		}
		epoch = old.epoch // a stream without a leader, say: that another log has come is known once it answers
	}
	f.mu.Lock()
	f.status, f.at = status{state, epoch}, at
	f.mu.Unlock()
	if f.changed != nil && (old.Live != state.Live || old.Building != state.Building || old.Retiring != state.Retiring || old.epoch != epoch) {
		f.changed(status{state, epoch})
	}
	return nil
}

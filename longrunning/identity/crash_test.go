package identity_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/chat-platform/chat/events"
	natslog "github.com/chat-platform/chat/infra/nats"
	"github.com/chat-platform/chat/infra/nats/natstest"
	"github.com/chat-platform/chat/longrunning/identity"
)

// mortal is the log of a watcher that dies while it stores something: after a
// number of events that are stored, just before or just after the next one is.
type mortal struct {
	*natslog.Log
	mu     sync.Mutex
	left   int
	stored bool
	died   chan struct{}
}

func (m *mortal) Publish(ctx context.Context, e events.Event) (events.Ack, error) {
	m.mu.Lock()
	m.left--
	left := m.left
	m.mu.Unlock()
	if left >= 0 {
		return m.Log.Publish(ctx, e)
	}
	if left == -1 {
		if m.stored {
			if _, err := m.Log.Publish(ctx, e); err != nil {
				return events.Ack{}, err
			}
		}
		close(m.died)
	}
	<-ctx.Done()
	return events.Ack{}, ctx.Err()
}

// Wherever a watcher dies, the next one goes on there: nothing is missing, and
// nothing is told twice.
func TestDiesAnywhere(t *testing.T) {
	for _, stored := range []bool{false, true} {
		t.Run(fmt.Sprintf("stored %t", stored), func(t *testing.T) {
			log := natstest.Open(t)
			is := &issuer{}
			var want []string
			for n := range 8 {
				for k := range 4 { // more are told before the watcher dies than it has stored by then
					want = append(want, fmt.Sprintf("user-%d-%d", n, k))
					is.happen(fmt.Sprint(n, k), want[len(want)-1], time.Duration(k)*time.Second)
				}
				m := &mortal{Log: log, left: n % 4, stored: stored, died: make(chan struct{})}
				_, stop := watch(t, m, is, identity.Config{})
				<-m.died
				stop()
			}
			watch(t, log, is, identity.Config{})
			told(t, log, len(want))
			turns(t, is)
			users := told(t, log, len(want))
			slices.Sort(users)
			slices.Sort(want)
			require.Equal(t, want, users)
		})
	}
}

// memory is a log in memory, for tests that let hours pass.
type memory struct {
	mu  sync.Mutex
	all []events.Event
}

func (m *memory) Publish(_ context.Context, e events.Event) (events.Ack, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	e.Sequence = uint64(len(m.all) + 1)
	m.all = append(m.all, e)
	return events.Ack{Seq: e.Sequence}, nil
}

func (m *memory) FollowSince(ctx context.Context, _ string, _ []string, _ time.Time, ready func(uint64), f func([]events.Event) error) error {
	m.mu.Lock()
	all := slices.Clone(m.all)
	m.mu.Unlock()
	ready(uint64(len(all)))
	if len(all) > 0 {
		if err := f(all); err != nil {
			return err
		}
	}
	<-ctx.Done()
	return nil
}

func (m *memory) users(t *testing.T) (all []string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, e := range m.all {
		c, err := events.CutOffOf(e)
		require.NoError(t, err)
		all = append(all, string(c.UserID))
	}
	return all
}

// pass lets time pass in a bubble.
func pass(d time.Duration) { <-time.After(d) }

// What becomes visible minutes after its time, as the outcome of a long
// transaction does, is told within a minute, by a watcher that runs, and at once by
// one that starts. Nothing is told twice, however often it is read.
func TestVisibleLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log, is := &memory{}, &issuer{}
		w := identity.New(log, is, identity.Config{})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { defer close(done); w.Run(ctx) }()
		is.happen("1", "ann", 0)
		pass(time.Second)
		require.Equal(t, []string{"ann"}, log.users(t))
		is.happen("2", "bob", 4*time.Minute)
		pass(time.Minute + time.Second)
		require.Equal(t, []string{"ann", "bob"}, log.users(t))
		cancel()
		<-done

		is.happen("3", "cat", 4*time.Minute)
		ctx, cancel = context.WithCancel(t.Context())
		done = make(chan struct{})
		again := identity.New(log, is, identity.Config{})
		go func() { defer close(done); again.Run(ctx) }()
		pass(time.Second)
		require.Equal(t, []string{"ann", "bob", "cat"}, log.users(t))
		pass(time.Hour)
		require.Len(t, log.users(t), 3)
		cancel()
		<-done
	})
}

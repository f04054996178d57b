package identity_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/chat-platform/chat/events"
	natslog "github.com/chat-platform/chat/infra/nats"
	"github.com/chat-platform/chat/infra/nats/natstest"
	"github.com/chat-platform/chat/longrunning/identity"
)

const waitLong, waitStep = 60 * time.Second, 5 * time.Millisecond

// happening is an event of the issuer's.
type happening struct {
	id string
	at time.Time
	c  events.UserCutOff
}

// issuer remembers what happened.
type issuer struct {
	mu    sync.Mutex
	all   []happening
	ahead time.Duration // of this machine's clock
	down  bool
	asked int
	from  time.Time // of the last question
}

// happen adds an event of some time ago.
func (i *issuer) happen(id, user string, ago time.Duration) {
	i.mu.Lock()
	defer i.mu.Unlock()
	at := time.Now().Add(i.ahead - ago).UTC().Truncate(time.Millisecond)
	// The cut-off is of another time than the event: a watcher's position is the event's.
	i.all = append(i.all, happening{id, at, events.UserCutOff{UserID: events.UserID(user), Reason: events.CutOffDisabled, NotBefore: at.Add(time.Second)}})
}

func (i *issuer) Changes(_ context.Context, from time.Time, f func(string, time.Time, events.UserCutOff) error) (time.Time, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.asked, i.from = i.asked+1, from
	if i.down {
		return time.Time{}, fmt.Errorf("%w: the issuer is away", events.ErrUnavailable)
	}
	now := time.Now().Add(i.ahead)
	all := slices.Clone(i.all)
	slices.SortStableFunc(all, func(a, b happening) int { return a.at.Compare(b.at) })
	for _, h := range all {
		if h.at.Before(from) {
			continue
		}
		if err := f(h.id, h.at, h.c); err != nil {
			return time.Time{}, err
		}
	}
	return now, nil
}

func (i *issuer) set(down bool) { i.mu.Lock(); defer i.mu.Unlock(); i.down = down }

func (i *issuer) times() int { i.mu.Lock(); defer i.mu.Unlock(); return i.asked }

func (i *issuer) since() time.Time { i.mu.Lock(); defer i.mu.Unlock(); return i.from }

// watch runs a watcher until stop, or the test's end.
func watch(t *testing.T, log identity.Log, from identity.Issuer, cfg identity.Config) (w *identity.Watcher, stop func()) {
	t.Helper()
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	cfg.Poll = 5 * time.Millisecond
	w = identity.New(log, from, cfg)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		w.Run(ctx)
	}()
	stop = func() { cancel(); <-done }
	t.Cleanup(stop)
	return w, stop
}

// told waits until the log has told of n users, and gives them.
func told(t *testing.T, log *natslog.Log, n int) (users []string) {
	t.Helper()
	require.Eventually(t, func() bool {
		last, err := log.LastSequence(t.Context(), events.StreamCutOffs)
		return err == nil && last >= uint64(n)
	}, waitLong, waitStep)
	require.NoError(t, log.Range(t.Context(), events.StreamCutOffs, nil, 1, 1<<40, func(e events.Event) error {
		c, err := events.CutOffOf(e)
		users = append(users, string(c.UserID))
		return err
	}))
	return users
}

// turns waits until the issuer was asked some times more.
func turns(t *testing.T, i *issuer) {
	t.Helper()
	before := i.times()
	require.Eventually(t, func() bool { return i.times() > before+3 }, waitLong, waitStep)
}

func TestTellsOnceAndInOrder(t *testing.T) {
	log := natstest.Open(t)
	is := &issuer{}
	is.happen("1", "ann", 10*time.Minute)
	is.happen("old", "nobody", 3*time.Hour) // no token lives that long
	w, _ := watch(t, log, is, identity.Config{Registerer: prometheus.NewRegistry()})
	require.Equal(t, []string{"ann"}, told(t, log, 1))
	require.NoError(t, w.Ready(t.Context()))

	is.happen("3", "cat", 0)
	is.happen("2", "bob", 3*time.Second) // it becomes visible after a later one
	is.happen("bad", "\x00", 0)          // nobody that could have a token
	require.ElementsMatch(t, []string{"ann", "bob", "cat"}, told(t, log, 3))
	turns(t, is)
	require.Len(t, told(t, log, 3), 3, "what is read again is not told again")
	var one events.UserCutOff
	require.NoError(t, log.Range(t.Context(), events.StreamCutOffs, nil, 1, 1, func(e events.Event) (err error) {
		one, err = events.CutOffOf(e)
		return err
	}))
	assert.Equal(t, one.NotBefore.Add(time.Hour), one.Until)
}

// What happened while no watcher ran is told by the next one, which begins where
// the log says that the last one was.
func TestRestart(t *testing.T) {
	log := natstest.Open(t)
	is := &issuer{}
	is.happen("1", "ann", 5*time.Hour) // known to an earlier watcher only by its age
	is.happen("2", "bob", 30*time.Minute)
	_, stop := watch(t, log, is, identity.Config{})
	require.Equal(t, []string{"bob"}, told(t, log, 1))
	stop()
	is.happen("3", "cat", 20*time.Minute)
	is.happen("4", "dan", 0)
	_, stop = watch(t, log, is, identity.Config{})
	require.Equal(t, []string{"bob", "cat", "dan"}, told(t, log, 3))
	turns(t, is)
	stop()
	require.Len(t, told(t, log, 3), 3)
}

// The position is the last thing told, not what can still concern a token: hours
// later none is missing from the log.
func TestRestartAfterHours(t *testing.T) {
	log := natstest.Open(t)
	is := &issuer{}
	is.happen("1", "ann", 5*time.Hour)
	_, stop := watch(t, log, is, identity.Config{TokenMaxAge: 6 * time.Hour})
	require.Equal(t, []string{"ann"}, told(t, log, 1))
	stop()
	is.happen("2", "bob", 3*time.Hour)
	watch(t, log, is, identity.Config{})
	require.Equal(t, []string{"ann", "bob"}, told(t, log, 2))
}

func TestManyWatchers(t *testing.T) {
	srv := natstest.Start(t)
	log := natstest.Connect(t, srv)
	is := &issuer{}
	for range 3 {
		watch(t, natstest.Connect(t, srv), is, identity.Config{})
	}
	for n := range 50 {
		is.happen(fmt.Sprint(n), fmt.Sprintf("user-%d", n), 0) // many in one millisecond
	}
	told(t, log, 50)
	turns(t, is)
	users := told(t, log, 50)
	require.Len(t, users, 50)
	slices.Sort(users)
	require.Len(t, slices.Compact(users), 50)
}

// Clocks that differ by minutes cost nothing.
func TestTheIssuersClock(t *testing.T) {
	for _, ahead := range []time.Duration{-4 * time.Minute, 4 * time.Minute} {
		log := natstest.Open(t)
		is := &issuer{ahead: ahead}
		is.happen("1", "ann", 0)
		watch(t, log, is, identity.Config{})
		require.Equal(t, []string{"ann"}, told(t, log, 1))
		turns(t, is)
		is.happen("2", "bob", 5*time.Second)
		require.Equal(t, []string{"ann", "bob"}, told(t, log, 2))
		assert.WithinDuration(t, time.Now().Add(ahead-15*time.Second), is.since(), time.Minute, "it does not ask for more and more")
	}
}

// brittle is a log that fails now and then.
type brittle struct {
	*natslog.Log
	mu   sync.Mutex
	left int
}

func (b *brittle) fails() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.left--
	return b.left >= 0
}

func (b *brittle) Publish(ctx context.Context, e events.Event) (events.Ack, error) {
	if b.fails() {
		return events.Ack{}, events.ErrUnavailable
	}
	return b.Log.Publish(ctx, e)
}

func (b *brittle) FollowSince(ctx context.Context, stream string, filters []string, since time.Time, ready func(uint64), f func([]events.Event) error) error {
	if b.fails() {
		return errors.New("no log")
	}
	return b.Log.FollowSince(ctx, stream, filters, since, ready, f)
}

func TestOutages(t *testing.T) {
	log := natstest.Open(t)
	is := &issuer{}
	b := &brittle{Log: log, left: 2}
	w, _ := watch(t, b, is, identity.Config{})
	turns(t, is)
	is.set(true)
	turns(t, is)
	is.happen("1", "ann", 0)
	b.mu.Lock()
	b.left = 3
	b.mu.Unlock()
	is.set(false)
	require.Equal(t, []string{"ann"}, told(t, log, 1))
	require.Eventually(t, func() bool { return w.Ready(t.Context()) == nil }, waitLong, waitStep)
	idle := identity.New(log, is, identity.Config{})
	require.ErrorIs(t, idle.Ready(t.Context()), events.ErrUnavailable)
}

func TestConfig(t *testing.T) {
	require.NoError(t, identity.Config{}.Validate())
	require.ErrorContains(t, identity.Config{Poll: 2 * time.Hour}.Validate(), "IDENTITY_POLL")
	require.ErrorContains(t, identity.Config{Overlap: -1}.Validate(), "IDENTITY_OVERLAP")
}

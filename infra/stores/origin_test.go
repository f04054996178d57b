package stores_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/chat-platform/chat/events"
	"github.com/chat-platform/chat/infra/stores"
)

const long, step = time.Minute, 5 * time.Millisecond

// fault checks that an error says that the view has to be rebuilt, and how.
func fault(t *testing.T, err error, code string) {
	t.Helper()
	require.ErrorIs(t, err, events.ErrUnavailable)
	require.True(t, stores.IsForeign(err), err)
	var f *events.Fault
	require.ErrorAs(t, err, &f)
	require.Equal(t, code, f.Code)
	require.Contains(t, f.Detail, "run chat rebuild messages")
}

func TestAViewOfAnotherLog(t *testing.T) {
	b := &bench{dir: t.TempDir()}
	s := b.open(t)
	require.NoError(t, s.PutMessages(t.Context(), message(1)))
	require.NoError(t, s.Close())
	b.register.restored("there", 1)

	s = b.open(t)
	require.Contains(t, b.log.take(), "is of another log", "the process begins, and says so")
	fault(t, s.Ping(t.Context()), stores.CodeAnotherLog)
	_, err := read(t, s)
	fault(t, err, stores.CodeAnotherLog)
	fault(t, s.PutMessages(t.Context(), message(2)), stores.CodeAnotherLog)
	_, err = s.Generation(t.Context())
	fault(t, err, stores.CodeAnotherLog)
	require.Equal(t, []uint64{1}, b.holds(t, 1))

	// While it is rebuilt, the next generation takes what comes.
	b.claimed(t, 2, "there")
	b.register.set(t, stores.State{Live: 1, Building: 2})
	learned(t)
	require.NoError(t, s.PutMessages(t.Context(), message(3)))
	require.Equal(t, []uint64{1}, b.holds(t, 1))
	require.Equal(t, []uint64{3}, b.holds(t, 2))
	_, err = read(t, s)
	fault(t, err, stores.CodeAnotherLog)
	b.register.set(t, stores.State{Live: 2, Retiring: 1})
	learned(t)
	got, err := read(t, s)
	require.NoError(t, err)
	require.Equal(t, []uint64{3}, got)
	require.NoError(t, s.PutMessages(t.Context(), message(4)))
	require.Equal(t, []uint64{1}, b.holds(t, 1))
	n, err := s.Generation(t.Context())
	require.NoError(t, err)
	require.Equal(t, 2, n)
}

// claimed makes a generation of a log, as a rebuild does.
func (b *bench) claimed(t *testing.T, n int, epoch string) {
	t.Helper()
	s, err := b.generation(t.Context(), n)
	require.NoError(t, err)
	of, err := s.Claim(t.Context(), epoch)
	require.NoError(t, err)
	require.Equal(t, epoch, of)
	require.NoError(t, s.Close())
}

// The log is replaced under a process that goes on.
func TestAnotherLogComesMeanwhile(t *testing.T) {
	b := &bench{dir: t.TempDir()}
	s := b.open(t)
	require.NoError(t, s.PutMessages(t.Context(), message(1)))
	b.register.restored("there", 1)
	learned(t)
	fault(t, s.PutMessages(t.Context(), message(2)), stores.CodeAnotherLog)
	_, err := read(t, s)
	fault(t, err, stores.CodeAnotherLog)
	b.register.restored("here", 1)
	require.Eventually(t, func() bool { return s.PutMessages(t.Context(), message(2)) == nil }, long, step)
	require.Equal(t, []uint64{1, 2}, b.holds(t, 1))

	// In the middle of a call, too.
	b.hook = func(int, string) { b.hook = nil; b.register.restored("there", 1); learned(t) }
	_, err = read(t, s)
	fault(t, err, stores.CodeAnotherLog)
	b.register.restored("here", 1)
	require.Eventually(t, func() bool { return s.Ping(t.Context()) == nil }, long, step)
	b.hook = func(int, string) { b.hook = nil; b.register.restored("there", 1); learned(t) }
	require.ErrorIs(t, s.PutMessages(t.Context(), message(3)), events.ErrUnavailable)
}

func TestAViewThatIsGone(t *testing.T) {
	b := &bench{dir: t.TempDir()}
	b.register.restored("", 7)
	s := b.open(t)
	fault(t, s.Ping(t.Context()), stores.CodeLost)
	fault(t, s.PutMessages(t.Context(), message(8)), stores.CodeLost)
	require.ErrorContains(t, s.Ping(t.Context()), "events up to 7 of the log")
	b.register.set(t, stores.State{Live: 2})
	b.claimed(t, 2, "here")
	learned(t)
	require.NoError(t, s.Ping(t.Context()))
}

// What a version without epochs has made is taken for this log's.
func TestAnOlderStoreIsAdopted(t *testing.T) {
	b := &bench{dir: t.TempDir()}
	old, err := b.generation(t.Context(), 1)
	require.NoError(t, err)
	require.NoError(t, old.PutMessages(t.Context(), message(1)))
	require.NoError(t, old.Close())
	b.register.restored("here", 1)
	s := b.open(t)
	got, err := read(t, s)
	require.NoError(t, err)
	require.Equal(t, []uint64{1}, got)
	of, err := s.Claim(t.Context(), "")
	require.NoError(t, err)
	require.Equal(t, "here", of)
	empty, err := s.Empty(t.Context())
	require.NoError(t, err)
	require.False(t, empty)
}

// A store that is away at the start is used once it is there.
func TestAStoreThatComesLater(t *testing.T) {
	b := &bench{dir: t.TempDir()}
	away := fmt.Errorf("%w: nobody answers", events.ErrUnavailable)
	b.away.Store(&away)
	s := b.open(t)
	require.ErrorContains(t, s.Ping(t.Context()), "nobody answers")
	require.ErrorIs(t, s.PutMessages(t.Context(), message(1)), events.ErrUnavailable)
	broken := events.Invalid("odd", "", "it is odd")
	var err error = broken
	b.away.Store(&err)
	require.Eventually(t, func() bool {
		err := s.Ping(t.Context())
		require.ErrorIs(t, err, events.ErrUnavailable)
		require.NotErrorIs(t, err, events.ErrInvalid, "that is no fault of the caller")
		return err.Error() != away.Error() && !errors.Is(err, broken)
	}, long, step)
	b.away.Store(nil)
	require.Eventually(t, func() bool { return s.PutMessages(t.Context(), message(1)) == nil }, long, step)
	require.Equal(t, []uint64{1}, b.holds(t, 1))
	require.Contains(t, b.log.take(), "the messages view is there")
}

// One that takes long holds a call up for a while only, and the end not at all.
func TestAStoreThatTakesLong(t *testing.T) {
	s, err := stores.Switch(t.Context(), feed, stores.Host{Views: &register{}, Lease: lease, OpenWait: time.Millisecond}, func(ctx context.Context, _ int) (stores.Messages, error) {
		<-ctx.Done()
		return nil, ctx.Err()
	})
	require.NoError(t, err)
	require.ErrorContains(t, s.Ping(t.Context()), "is being opened")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, s.Ping(ctx), context.Canceled)
	require.NoError(t, s.Close())
}

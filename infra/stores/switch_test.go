package stores_test

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/chat-platform/chat/events"
	"github.com/chat-platform/chat/infra/sqlite"
	"github.com/chat-platform/chat/infra/stores"
	"github.com/chat-platform/chat/infra/storetest"
)

// register keeps the state of one view, and can be away.
type register struct {
	mu       sync.Mutex
	data     []byte
	revision uint64
	away     error
	asked    int
	epoch    string // "here" if empty
	applied  uint64
}

func (r *register) Epoch(context.Context) (string, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return cmp.Or(r.epoch, "here"), r.away
}

func (r *register) Applied(context.Context, string, string) (uint64, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.applied, r.away
}

// restored makes it another log.
func (r *register) restored(epoch string, applied uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.epoch, r.applied = epoch, applied
}

// feed is that of the view which the tests work with.
var feed = stores.Feed{Name: "messages", Stream: "S", Consumer: "C"}

func (r *register) ReadView(context.Context, string) ([]byte, uint64, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.asked++
	return r.data, r.revision, r.away
}

func (r *register) WriteView(_ context.Context, _ string, data []byte, revision uint64) (uint64, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.revision != revision {
		return 0, events.ErrConflict
	}
	r.data = slices.Clone(data)
	r.revision++
	return r.revision, nil
}

func (r *register) set(t *testing.T, s stores.State) {
	t.Helper()
	_, revision, err := stores.ReadState(t.Context(), r, "messages")
	require.NoError(t, err)
	_, err = stores.WriteState(t.Context(), r, "messages", s, revision)
	require.NoError(t, err)
}

func (r *register) setAway(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.away = err
}

const lease = 40 * time.Millisecond

// bench opens messages views on one folder, whose stores call hook before they
// write or read.
type bench struct {
	register register
	dir      string
	hook     func(generation int, op string)
	away     atomic.Pointer[error] // why stores cannot be opened
	log      words
}

// words is what was logged.
type words struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (w *words) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.b.Write(p)
}

// take gives what was logged since.
func (w *words) take() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	s := w.b.String()
	w.b.Reset()
	return s
}

type hooked struct {
	stores.Messages
	b          *bench
	generation int
}

func (h hooked) PutMessages(ctx context.Context, ms []events.Message) error {
	if h.b.hook != nil {
		h.b.hook(h.generation, "write")
	}
	return h.Messages.PutMessages(ctx, ms)
}

func (h hooked) History(ctx context.Context, q events.HistoryQuery) (events.HistoryPage, error) {
	page, err := h.Messages.History(ctx, q)
	if h.b.hook != nil {
		h.b.hook(h.generation, "read")
	}
	return page, err
}

func (b *bench) generation(ctx context.Context, n int) (stores.Messages, error) {
	if away := b.away.Load(); away != nil {
		return nil, *away
	}
	s, err := sqlite.OpenMessages(ctx, filepath.Join(b.dir, fmt.Sprintf("%d.db", n)))
	if err != nil {
		return nil, err
	}
	return hooked{s, b, n}, nil
}

func (b *bench) open(t *testing.T) stores.SwitchingMessages {
	t.Helper()
	s, err := stores.Switch(t.Context(), feed, stores.Host{Views: &b.register, Lease: lease, Log: slog.New(slog.NewTextHandler(&b.log, nil))}, b.generation)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	return stores.SwitchingMessages{Switching: s}
}

// holds tells which messages a generation has, read past the switch.
func (b *bench) holds(t *testing.T, n int) []uint64 {
	t.Helper()
	s, err := sqlite.OpenMessages(t.Context(), filepath.Join(b.dir, fmt.Sprintf("%d.db", n)))
	require.NoError(t, err)
	defer s.Close()
	page, err := s.History(t.Context(), events.HistoryQuery{Channel: "ch_a", Limit: 100})
	require.NoError(t, err)
	seqs := []uint64{}
	for _, m := range page.Messages {
		seqs = append(seqs, m.Seq)
	}
	return seqs
}

func message(seq uint64) []events.Message {
	return []events.Message{{Seq: seq, MessageSent: events.MessageSent{ID: events.MessageID(fmt.Sprintf("msg_%d", seq)), ChannelID: "ch_a", AuthorID: "ann", Text: "hello"}}}
}

func read(t *testing.T, s stores.MessagesReader) (seqs []uint64, err error) {
	page, err := s.History(t.Context(), events.HistoryQuery{Channel: "ch_a", Limit: 100})
	for _, m := range page.Messages {
		seqs = append(seqs, m.Seq)
	}
	return seqs, err
}

// learned waits until everybody knows the state.
func learned(t *testing.T) {
	t.Helper()
	select {
	case <-time.After(lease + lease/4):
	case <-t.Context().Done():
	}
}

// The switch in front changes nothing that a store promises.
func TestConformance(t *testing.T) {
	for name, state := range map[string]stores.State{"while a rebuild builds": {Live: 2, Building: 3}} {
		t.Run(name, func(t *testing.T) {
			host := func(t *testing.T) stores.Host {
				r := &register{epoch: storetest.Epoch}
				if state.Live != 0 {
					r.set(t, state)
				}
				return stores.Host{Views: r, Lease: time.Minute}
			}
			path := func(dir string, g int) string { return filepath.Join(dir, fmt.Sprint(g)) }
			storetest.TestMetadata(t, func(t *testing.T) storetest.Metadata {
				dir := t.TempDir()
				s, err := stores.Switch(t.Context(), stores.Feed{Name: "metadata"}, host(t), func(ctx context.Context, g int) (stores.Metadata, error) {
					return sqlite.OpenMetadata(ctx, path(dir, g))
				})
				require.NoError(t, err)
				t.Cleanup(func() { require.NoError(t, s.Close()) })
				return stores.SwitchingMetadata{Switching: s}
			}, func(t *testing.T) func(int) storetest.Metadata {
				dir := t.TempDir()
				return func(view int) storetest.Metadata {
					s, err := stores.Switch(t.Context(), stores.Feed{Name: "metadata"}, host(t), func(ctx context.Context, g int) (stores.Metadata, error) {
						return sqlite.OpenMetadata(ctx, path(dir, view*100+g))
					})
					require.NoError(t, err)
					t.Cleanup(func() { require.NoError(t, s.Close()) })
					return stores.SwitchingMetadata{Switching: s}
				}
			})
		})
	}
}

func TestAView(t *testing.T) {
	b := &bench{dir: t.TempDir()}
	s := b.open(t)
	require.NoError(t, s.PutMessages(t.Context(), message(1)))
	require.Equal(t, []uint64{1}, b.holds(t, 1), "the first generation, where nobody has said anything")
	require.NoError(t, s.Ping(t.Context()))

	b.register.set(t, stores.State{Live: 1, Building: 2})
	learned(t)
	require.NoError(t, s.PutMessages(t.Context(), message(2)))
	require.Equal(t, []uint64{1, 2}, b.holds(t, 1))
	require.Equal(t, []uint64{2}, b.holds(t, 2))
	got, err := read(t, s)
	require.NoError(t, err)
	require.Equal(t, []uint64{1, 2}, got)
	found, err := s.MessagesByID(t.Context(), "ch_a", []events.MessageID{"msg_1"})
	require.NoError(t, err)
	require.Len(t, found, 1)

	b.register.set(t, stores.State{Live: 2, Retiring: 1})
	learned(t)
	require.NoError(t, s.PutMessages(t.Context(), message(3)))
	require.Equal(t, []uint64{1, 2, 3}, b.holds(t, 1))
	got, err = read(t, s)
	require.NoError(t, err)
	require.Equal(t, []uint64{2, 3}, got)

	b.register.set(t, stores.State{Live: 2, Dropping: 1})
	learned(t)
	require.NoError(t, s.PutMessages(t.Context(), message(4)))
	require.Equal(t, []uint64{1, 2, 3}, b.holds(t, 1))
	require.Equal(t, []uint64{2, 3, 4}, b.holds(t, 2))
	sums, err := s.Checksums(t.Context(), 3)
	require.NoError(t, err)
	require.EqualValues(t, 2, sums["ch_a"].Count)
}

// A write that was under way when a generation was announced, and ends after
// everybody has learned of it, reaches that generation.
func TestAWriteThatTakesLong(t *testing.T) {
	b := &bench{dir: t.TempDir()}
	var once sync.Once
	b.hook = func(generation int, op string) {
		once.Do(func() {
			require.Equal(t, 1, generation)
			b.register.set(t, stores.State{Live: 1, Building: 2})
			learned(t)
		})
	}
	s := b.open(t)
	require.NoError(t, s.PutMessages(t.Context(), message(1)))
	require.Equal(t, []uint64{1}, b.holds(t, 1))
	require.Equal(t, []uint64{1}, b.holds(t, 2))
}

// A read that ends when its generation is no longer written may lack something:
// it is done again, on the live one.
func TestAReadThatTakesLong(t *testing.T) {
	b := &bench{dir: t.TempDir()}
	s := b.open(t)
	require.NoError(t, s.PutMessages(t.Context(), message(1)))
	b.register.set(t, stores.State{Live: 1, Building: 2})
	learned(t)
	require.NoError(t, s.PutMessages(t.Context(), message(2)))
	var of []int
	b.hook = func(generation int, _ string) {
		if of = append(of, generation); len(of) == 1 {
			b.register.set(t, stores.State{Live: 2, Dropping: 1})
			learned(t)
		}
	}
	got, err := read(t, s)
	require.NoError(t, err)
	require.Equal(t, []int{1, 2}, of)
	require.Equal(t, []uint64{2}, got)

	// While it is still written, its answer counts.
	b.register.set(t, stores.State{Live: 2, Building: 3})
	learned(t)
	of = nil
	b.hook = func(generation int, _ string) {
		if of = append(of, generation); len(of) == 1 {
			b.register.set(t, stores.State{Live: 3, Retiring: 2})
			learned(t)
		}
	}
	got, err = read(t, s)
	require.NoError(t, err)
	require.Equal(t, []int{2}, of)
	require.Equal(t, []uint64{2}, got)
}

// A store that is dropped under a call is no error where it is no longer used.
func TestClosedMeanwhile(t *testing.T) {
	b := &bench{dir: t.TempDir()}
	s := b.open(t)
	b.register.set(t, stores.State{Live: 1, Building: 2})
	learned(t)
	require.NoError(t, s.PutMessages(t.Context(), message(1)))
	var once sync.Once
	b.hook = func(generation int, _ string) {
		if generation == 1 {
			once.Do(func() {
				b.register.set(t, stores.State{Live: 2, Dropping: 1})
				require.Eventually(t, func() bool { // the switch has closed it
					b.register.mu.Lock()
					defer b.register.mu.Unlock()
					return b.register.asked > 0
				}, time.Minute, time.Millisecond)
				learned(t)
			})
		}
	}
	require.NoError(t, s.PutMessages(t.Context(), message(2)))
	require.Equal(t, []uint64{1, 2}, b.holds(t, 2))
	got, err := read(t, s)
	require.NoError(t, err)
	require.Equal(t, []uint64{1, 2}, got)
}

// Whoever cannot ask does not use the view; it goes on as soon as it can.
func TestTheRegisterIsAway(t *testing.T) {
	b := &bench{dir: t.TempDir()}
	s := b.open(t)
	require.NoError(t, s.PutMessages(t.Context(), message(1)))
	b.register.setAway(errors.New("no answer"))
	learned(t)
	require.ErrorIs(t, s.PutMessages(t.Context(), message(2)), events.ErrUnavailable)
	_, err := read(t, s)
	require.ErrorIs(t, err, events.ErrUnavailable)
	require.ErrorContains(t, err, "no answer")
	require.ErrorIs(t, s.Ping(t.Context()), events.ErrUnavailable)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, s.PutMessages(ctx, message(2)), context.Canceled)
	later := b.open(t)
	require.ErrorIs(t, later.Ping(t.Context()), events.ErrUnavailable)
	b.register.setAway(nil)
	require.NoError(t, later.Ping(t.Context()), "it is no reason not to begin")
	require.NoError(t, s.PutMessages(t.Context(), message(2)))
	require.Equal(t, []uint64{1, 2}, b.holds(t, 1))
}

func TestWhatAFailedWriteSays(t *testing.T) {
	b := &bench{dir: t.TempDir()}
	s := b.open(t)
	b.register.set(t, stores.State{Live: 1, Building: 2})
	learned(t)
	require.ErrorIs(t, s.PutMessages(t.Context(), []events.Message{{}}), events.ErrInvalid)
	require.NoError(t, s.Close())
	require.ErrorIs(t, s.PutMessages(t.Context(), message(1)), events.ErrUnavailable)
	_, err := read(t, s)
	require.ErrorIs(t, err, events.ErrUnavailable)
}

func TestAtTheBeginning(t *testing.T) {
	b := &bench{dir: t.TempDir()}
	b.register.set(t, stores.State{Live: 2, Retiring: 1})
	b.open(t)
	require.Contains(t, b.log.take(), "interrupted: chat rebuild messages")
	b.register.set(t, stores.State{Live: 2, Retiring: 1, Builder: "somebody"})
	b.open(t)
	require.Empty(t, b.log.take())

	b.register.put("{}")
	s := b.open(t)
	require.Contains(t, b.log.take(), "no live generation", "somebody may mend it")
	require.ErrorContains(t, s.Ping(t.Context()), "no live generation")
	b.register.put(`{"live":7}`)
	_, err := stores.Switch(t.Context(), feed, stores.Host{Views: &b.register}, func(context.Context, int) (stores.Messages, error) { return nil, errors.New("no such place") })
	require.ErrorContains(t, err, "no such place")
	_, err = stores.Switch(t.Context(), feed, stores.Host{Views: &b.register, Log: slog.New(slog.NewTextHandler(&b.log, nil))}, func(ctx context.Context, n int) (stores.Messages, error) {
		s, err := b.generation(ctx, n)
		return old{s}, err
	})
	require.NoError(t, err)
	require.Contains(t, b.log.take(), "run chat rebuild messages")
}

func (r *register) put(data string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.data, r.revision = []byte(data), r.revision+1
}

type old struct{ stores.Messages }

func (old) Outdated(context.Context) (bool, error) { return true, nil }

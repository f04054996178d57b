package rebuild_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/chat-platform/chat/events"
	natslog "github.com/chat-platform/chat/infra/nats"
	"github.com/chat-platform/chat/infra/stores"
	"github.com/chat-platform/chat/local/rebuild"
	"github.com/chat-platform/chat/local/views"
)

// All views are rebuilt while writers write and readers read, and no reader ever
// misses what had been applied when it began.
func TestWhileThePlatformServes(t *testing.T) {
	s := newStage(t)
	s.publish(t, append(talk(t, "ch_a", 1500), talk(t, "ch_b", 1500)...)...)
	v := s.serve(t)
	s.applied(t)

	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var traffic sync.WaitGroup
	var mu sync.Mutex
	var sent, members []uint64 // sequences in ch_a
	traffic.Go(func() {
		for i := 0; ctx.Err() == nil; i++ {
			es := []events.Event{said(t, "ch_a", "hello again"), said(t, "ch_b", "hello there"), joined(t, "ch_a", events.UserID(fmt.Sprint("user ", i)))}
			acks, errs := s.log.PublishAll(ctx, es, nil)
			if errors.Join(errs...) != nil {
				continue
			}
			mu.Lock()
			sent, members = append(sent, acks[0].Seq), append(members, acks[2].Seq)
			mu.Unlock()
		}
	})
	reads := [3]atomic.Int64{}
	for i, read := range []func() (map[uint64]bool, error){
		func() (map[uint64]bool, error) {
			page, err := v.messages.History(ctx, events.HistoryQuery{Channel: "ch_a", Limit: 1_000_000})
			return seqs(page.Messages, func(m events.Message) uint64 { return m.Seq }), err
		},
		func() (map[uint64]bool, error) {
			ms, err := v.metadata.MembersOf(ctx, "ch_a", "", 1_000_000)
			return seqs(ms, func(m events.Member) uint64 { return m.Seq }), err
		},
		func() (map[uint64]bool, error) {
			page, err := v.search.SearchMessages(ctx, events.SearchQuery{Text: "again", Channels: []events.ChannelID{"ch_a"}, Limit: 1_000_000})
			return seqs(page.Hits, func(h events.Hit) uint64 { return h.Message.Seq }), err
		},
	} {
		view := views.All()[i]
		traffic.Go(func() {
			for ctx.Err() == nil {
				applied, err := s.log.Applied(ctx, view.Stream, view.Consumer)
				if err != nil {
					continue
				}
				mu.Lock()
				known := sent
				if view.Name == "metadata" {
					known = members
				}
				mu.Unlock()
				there, err := read()
				if err != nil {
					if !errors.Is(err, events.ErrUnavailable) && ctx.Err() == nil {
						t.Errorf("read %s: %v", view.Name, err)
					}
					continue
				}
				for _, seq := range known {
					if seq <= applied && !there[seq] {
						t.Errorf("%s: %d is missing, though all up to %d was applied", view.Name, seq, applied)
						return
					}
				}
				reads[i].Add(1)
			}
		})
	}
	for generation := 2; generation <= 3; generation++ { // what was rebuilt can be rebuilt
		var out bytes.Buffer
		printer := rebuild.NewPrinter(&out)
		results, err := s.rebuilder(printer.Print).Run(t.Context(), views.All())
		require.NoError(t, err)
		for _, r := range results {
			assert.True(t, r.Equal(), "%s: %+v", r.View, r)
			assert.Equal(t, generation, r.Generation)
			assert.Zero(t, r.Refused+r.InMotion)
		}
		assert.Equal(t, 3, strings.Count(out.String(), "equal before and after"), out.String())
	}
	stop()
	traffic.Wait()
	s.applied(t)
	for i, view := range views.All() {
		s.holds(t, view, 3)
		assert.Positive(t, reads[i].Load(), view.Name)
		assert.NoFileExists(t, filepath.Join(s.dir, view.File))
		assert.NoFileExists(t, filepath.Join(s.dir, view.Name+".2.db"))
	}
	t.Logf("%d messages and joins each meanwhile, %d, %d and %d reads", len(sent), reads[0].Load(), reads[1].Load(), reads[2].Load())
}

func seqs[T any](all []T, seq func(T) uint64) map[uint64]bool {
	m := make(map[uint64]bool, len(all))
	for _, one := range all {
		m[seq(one)] = true
	}
	return m
}

// mortal is a log whose process may die: nothing that it writes gets through any
// more, not even that it has ended.
type mortal struct {
	*natslog.Log
	dead atomic.Bool
}

func (m *mortal) WriteView(ctx context.Context, view string, data []byte, revision uint64) (uint64, error) {
	if m.dead.Load() {
		return 0, events.ErrUnavailable
	}
	return m.Log.WriteView(ctx, view, data, revision)
}

// Wherever a rebuild ends early, by Ctrl-C or by death, the next one goes on.
func TestInterruptedAnywhere(t *testing.T) {
	for _, killed := range []bool{false, true} {
		t.Run(fmt.Sprint("killed ", killed), func(t *testing.T) {
			s := newStage(t)
			s.publish(t, talk(t, "ch_a", 2500)...)
			v := s.serve(t)
			s.applied(t)
			view := views.All()[0]
			seen := map[string]bool{}
			var generation int
			for step := 0; ; step++ {
				log := &mortal{Log: s.log}
				ctx, cancel := context.WithCancel(t.Context())
				n, last := 0, ""
				r := s.rebuilder(func(report rebuild.Report) {
					p := report.Progress
					if p == nil || p.Phase == last && p.Phase != "copying" {
						return
					}
					last = p.Phase
					if n++; n == step+1 {
						seen[p.Phase] = true
						log.dead.Store(killed)
						cancel()
					}
				})
				r.Log = log
				results, err := r.Run(ctx, []views.View{view})
				ended := ctx.Err() != nil
				cancel()
				if !ended {
					require.NoError(t, err)
					generation = results[0].Generation
					break // it has fewer steps
				}
				before := s.state(t, view.Name)
				require.Equal(t, killed, before.Builder != "", "%v", err)
				s.publish(t, said(t, "ch_a", "meanwhile"))
				if err != nil {
					results, err = s.rebuilder(nil).Run(t.Context(), []views.View{view})
					require.NoError(t, err, "step %d", step)
				}
				require.Len(t, results, 1)
				s.applied(t)
				generation = s.state(t, view.Name).Live
				s.holds(t, view, generation)
				if before.Copied > 0 && before.Building != 0 {
					require.Equal(t, before.Copied, results[0].From, "it goes on where it was")
				}
				page, err := v.messages.History(t.Context(), events.HistoryQuery{Channel: "ch_a", Limit: 10_000})
				require.NoError(t, err)
				require.Len(t, page.Messages, 2500+step+1)
			}
			s.holds(t, view, generation)
			for _, phase := range []string{"copying", "comparing", "removing the old generation"} {
				require.True(t, seen[phase], "%s: %v", phase, seen)
			}
		})
	}
}

// Of two at once the second is refused.
func TestTwoAtOnce(t *testing.T) {
	s := newStage(t)
	s.publish(t, talk(t, "ch_a", 100)...)
	s.serve(t)
	s.applied(t)
	begun, goOn := make(chan struct{}), make(chan struct{})
	var once sync.Once
	first := make(chan error, 1)
	go func() {
		_, err := s.rebuilder(func(r rebuild.Report) {
			if r.Progress != nil && r.Progress.Phase == "copying" {
				once.Do(func() { close(begun); <-goOn })
			}
		}).Run(t.Context(), views.All()[:1])
		first <- err
	}()
	<-begun
	_, err := s.rebuilder(nil).Run(t.Context(), views.All()[:1])
	require.ErrorIs(t, err, events.ErrConflict)
	require.ErrorContains(t, err, "a rebuild of messages is under way")
	assert.NotContains(t, err.Error(), "\n")
	close(goOn)
	require.NoError(t, <-first)
	s.holds(t, views.All()[0], 2)
}

// One that seemed to be dead and was only slow stops when it finds another there.
func TestTakenOver(t *testing.T) {
	s := newStage(t)
	s.publish(t, talk(t, "ch_a", 100)...)
	s.serve(t)
	s.applied(t)
	log := &mortal{Log: s.log}
	begun, goOn := make(chan struct{}), make(chan struct{})
	var once sync.Once
	first := make(chan error, 1)
	go func() {
		r := s.rebuilder(func(r rebuild.Report) {
			if r.Progress != nil && r.Progress.Phase == "comparing" {
				once.Do(func() { close(begun); <-goOn })
			}
		})
		r.Log = log
		_, err := r.Run(t.Context(), views.All()[:1])
		first <- err
	}()
	<-begun
	log.dead.Store(true)
	_, err := s.rebuilder(nil).Run(t.Context(), views.All()[:1])
	require.NoError(t, err)
	log.dead.Store(false)
	close(goOn)
	require.ErrorIs(t, <-first, events.ErrConflict)
	s.holds(t, views.All()[0], 2)
}

// A store that somebody has emptied is found out, and whole again.
func TestEmptiedStores(t *testing.T) {
	s := newStage(t)
	s.publish(t, append(talk(t, "ch_a", 30), talk(t, "ch_b", 3)...)...)
	s.serve(t)
	s.applied(t)
	for _, v := range views.All() {
		store, _, err := v.Generation(t.Context(), s.cfg, stores.Host{}, 1)
		require.NoError(t, err)
		require.NoError(t, store.Reset(t.Context()))
		require.NoError(t, store.Close())
	}
	s.publish(t, said(t, "ch_a", "after that"))
	s.applied(t)
	var out bytes.Buffer
	results, err := s.rebuilder(rebuild.NewPrinter(&out).Print).Run(t.Context(), views.All())
	require.NoError(t, err)
	for _, r := range results {
		assert.False(t, r.Equal(), r.View)
		assert.Equal(t, 2, r.Differing(), r.View)
	}
	assert.Equal(t, 3, strings.Count(out.String(), "differed from it in 2 of 2 channels"), out.String())
	assert.Contains(t, out.String(), "before -")
	for _, v := range views.All() {
		s.holds(t, v, 2)
	}
}

// Where nobody serves, nothing has to be waited for, and a store that nobody can
// read is replaced too.
func TestAlone(t *testing.T) {
	s := newStage(t)
	s.publish(t, talk(t, "ch_a", 3)...)
	s.publish(t, event(t, events.TypeMessageSent, events.MessageSubject("ch_a"), map[string]any{"text": 7}), event(t, events.TypeChannelCreated, events.ChannelSubject("ch_z"), 7))
	file := filepath.Join(s.dir, views.All()[0].File)
	require.NoError(t, os.WriteFile(file, bytes.Repeat([]byte("not a database. "), 300), 0o600))
	var out bytes.Buffer
	r := s.rebuilder(rebuild.NewPrinter(&out).Print)
	r.Alone = true
	results, err := r.Run(t.Context(), views.All())
	require.NoError(t, err)
	assert.Contains(t, results[0].LiveError, file)
	assert.Contains(t, results[0].Left, file)
	assert.Contains(t, out.String(), "removed by hand")
	assert.Contains(t, out.String(), "could not be read")
	assert.True(t, results[1].Lags)
	assert.Contains(t, out.String(), "lagged behind it in 1 of 1 channels")
	for i, v := range views.All() {
		assert.Equal(t, 1, results[i].Refused, v.Name)
		s.holds(t, v, 2)
	}

	empty := newStage(t)
	r = empty.rebuilder(nil)
	r.Alone = true
	results, err = r.Run(t.Context(), views.All())
	require.NoError(t, err)
	for _, r := range results {
		assert.True(t, r.Equal())
		assert.Empty(t, r.Channels)
	}
}

// forgetful is a log that leaves out an event the first time that it is read.
type forgetful struct {
	*natslog.Log
	left atomic.Bool
}

func (l *forgetful) Range(ctx context.Context, stream string, filters []string, from, to uint64, f func(events.Event) error) error {
	return l.Log.Range(ctx, stream, filters, from, to, func(e events.Event) error {
		if e.Sequence == 7 && !l.left.Swap(true) {
			return nil
		}
		return f(e)
	})
}

// What is not as the log says does not go live.
func TestANewGenerationThatDiffers(t *testing.T) {
	s := newStage(t)
	s.publish(t, talk(t, "ch_a", 30)...)
	v := s.serve(t)
	s.applied(t)
	r := s.rebuilder(nil)
	r.Log = &forgetful{Log: s.log}
	_, err := r.Run(t.Context(), views.All()[:1])
	require.ErrorIs(t, err, rebuild.ErrDiffers)
	require.ErrorContains(t, err, "channel ch_a")
	require.Equal(t, 1, s.state(t, "messages").Live)
	page, err := v.messages.History(t.Context(), events.HistoryQuery{Channel: "ch_a", Limit: 100})
	require.NoError(t, err)
	require.Len(t, page.Messages, 30)
	results, err := s.rebuilder(nil).Run(t.Context(), views.All()[:1])
	require.NoError(t, err)
	require.False(t, results[0].Completed)
	s.holds(t, views.All()[0], 3)
	assert.NoFileExists(t, filepath.Join(s.dir, "messages.2.db"))
}

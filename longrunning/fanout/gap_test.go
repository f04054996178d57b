package fanout_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/chat-platform/chat/events"
	natslog "github.com/chat-platform/chat/infra/nats"
	"github.com/chat-platform/chat/infra/nats/natstest"
	"github.com/chat-platform/chat/longrunning/fanout"
	"github.com/chat-platform/chat/longrunning/internal/link"
)

// history is what the log holds: the sequences of each channel, in order.
func history(t *testing.T, log *natslog.Log) map[events.ChannelID][]uint64 {
	t.Helper()
	last, err := log.LastSequence(t.Context(), events.StreamMessages)
	require.NoError(t, err)
	all := map[events.ChannelID][]uint64{}
	require.NoError(t, log.Range(t.Context(), events.StreamMessages, nil, 1, last, func(e events.Event) error {
		c := events.ChannelOf(e.Subject)
		all[c] = append(all[c], e.Sequence)
		return nil
	}))
	return all
}

// The promise of an answered interest: the log up to the position, and the link
// after it, are everything; no gap, no duplicate, and prev is the log's. Messages
// come from two writers all the time while three instances add keys.
func TestNoGapNoDuplicateWhileInterestsChange(t *testing.T) {
	srv := natstest.Start(t)
	log := natstest.Connect(t, srv)
	start(t, log, fanout.Config{})
	const channels = 60
	channel := func(i int) events.ChannelID { return events.ChannelID(fmt.Sprintf("ch_%d", i)) }

	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var writers sync.WaitGroup
	for w := range 2 {
		writer := natstest.Connect(t, srv)
		r := rand.New(rand.NewPCG(uint64(w), 7))
		writers.Go(func() {
			for ctx.Err() == nil {
				es := make([]events.Event, 10)
				for i := range es {
					es[i] = sent(channel(r.IntN(channels)), `{}`)
				}
				if _, errs := writer.PublishAll(context.Background(), es, nil); errors.Join(errs...) != nil {
					t.Error(errors.Join(errs...))
					return
				}
			}
		})
	}

	type interest struct {
		p    *peer
		key  events.ChannelID
		from uint64 // its position
	}
	var mu sync.Mutex
	var kept []interest
	var peers sync.WaitGroup
	for n := range 3 {
		p := newPeer(t, natstest.Connect(t, srv), fmt.Sprintf("p%d", n))
		p.attach()
		peers.Go(func() {
			for i := range channels {
				c := channel((i*7 + n) % channels)
				from := p.add(link.ChannelKey(c)).Messages
				if i%3 == 0 { // add again after a removal: the later position holds
					p.remove(link.ChannelKey(c))
					from = p.add(link.ChannelKey(c)).Messages
				}
				mu.Lock()
				kept = append(kept, interest{p, c, from})
				mu.Unlock()
			}
		})
	}
	peers.Wait()
	stop()
	writers.Wait()

	all := history(t, log)
	last, err := log.LastSequence(t.Context(), events.StreamMessages)
	require.NoError(t, err)
	require.Len(t, kept, 3*channels)
	live := 0
	type place struct {
		p       *peer
		channel events.ChannelID
	}
	arrived := map[place][]link.Item{}
	for _, k := range kept[:3*channels] {
		if _, ok := arrived[place{k.p, ""}]; ok {
			continue
		}
		items := k.p.reach(link.Positions{Messages: last})
		require.False(t, k.p.ended())
		arrived[place{k.p, ""}] = items
		for i := range items {
			at := place{k.p, events.ChannelOf(items[i].Event.Subject)}
			arrived[at] = append(arrived[at], items[i])
		}
	}
	for _, k := range kept {
		var fromLog, fromLink, prevs, wantPrevs []uint64
		for i, seq := range all[k.key] {
			if seq <= k.from {
				fromLog = append(fromLog, seq)
			} else if i > 0 {
				wantPrevs = append(wantPrevs, all[k.key][i-1])
			} else {
				wantPrevs = append(wantPrevs, 0)
			}
		}
		for _, it := range arrived[place{k.p, k.key}] {
			if it.Seq() > k.from {
				fromLink = append(fromLink, it.Seq())
				prevs = append(prevs, it.Prev)
			}
		}
		require.Equal(t, all[k.key], append(fromLog, fromLink...), "%s %s after %d", k.p.name, k.key, k.from)
		require.Equal(t, wantPrevs, prevs)
		live += len(fromLink)
	}
	require.NotZero(t, live)
}

// The server goes away and comes back: links either go on without a gap or end;
// with what the log has, an instance ends up with everything, once.
func TestAServerRestartLosesNothing(t *testing.T) {
	srv := natstest.Start(t)
	log := natstest.ConnectTCP(t, srv)
	start(t, log, fanout.Config{})
	p := newPeer(t, natstest.ConnectTCP(t, srv), "one")
	p.attach()
	from := p.add("ch_a").Messages
	var got []uint64
	publish(t, log, sent("ch_a", `{}`))
	got = append(got, sequences(p.reach(link.Positions{Messages: 1}))...)
	require.Equal(t, []uint64{1}, got)

	srv.Shutdown()
	require.NoError(t, srv.Restart())
	require.Eventually(t, func() bool { return log.Ping(t.Context()) == nil && p.bus.Flush(t.Context()) == nil }, patience, 10*time.Millisecond)
	seq := uint64(0)
	require.Eventually(t, func() bool {
		ack, err := log.Publish(t.Context(), sent("ch_a", `{}`))
		seq = ack.Seq
		return err == nil
	}, patience, 20*time.Millisecond)

	require.Eventually(t, func() bool {
		items, after := p.got()
		if after.Messages >= seq && !p.ended() {
			got = nil
			for i := range items {
				if items[i].Seq() > from {
					got = append(got, items[i].Seq())
				}
			}
			return true
		}
		if a, err := p.ask(link.InterestSubject(p.fanout), link.Interest{Link: p.link()}); p.ended() || err != nil || a.Status != link.StatusOK {
			if a, err := p.tryAttach(); err == nil && a.Status == link.StatusOK {
				from = p.add("ch_a").Messages
			}
		}
		return false
	}, patience, 50*time.Millisecond)
	want := []uint64{}
	for _, s := range history(t, log)["ch_a"] {
		if s > from {
			want = append(want, s)
		}
	}
	require.ElementsMatch(t, want, got)
}

// faulty is a log that has its moods.
type faulty struct {
	*natslog.Log
	epoch     atomic.Pointer[string]
	lastFails atomic.Int64 // so many times LastBefore fails
	lastAsked atomic.Int64
	follows   atomic.Int64
	twist     atomic.Pointer[func([]events.Event) ([]events.Event, error)] // of the next batch
}

func (f *faulty) Epoch(ctx context.Context) (string, error) {
	if e := f.epoch.Load(); e != nil {
		return *e, nil
	}
	return f.Log.Epoch(ctx)
}

func (f *faulty) LastBefore(ctx context.Context, subjects []string, seq uint64) (map[string]uint64, error) {
	f.lastAsked.Add(1)
	if f.lastFails.Add(-1) >= 0 {
		return nil, events.ErrUnavailable
	}
	return f.Log.LastBefore(ctx, subjects, seq)
}

func (f *faulty) Follow(ctx context.Context, stream string, filters []string, from uint64, ready func(uint64), g func([]events.Event) error) error {
	f.follows.Add(1)
	return f.Log.Follow(ctx, stream, filters, from, ready, func(es []events.Event) error {
		if twist := f.twist.Swap(nil); twist != nil {
			var err error
			if es, err = (*twist)(es); err != nil {
				return err
			}
		}
		return g(es)
	})
}

func TestPrevIsAskedForOnceAndUntilTheLogAnswers(t *testing.T) {
	log := &faulty{Log: natstest.Open(t)}
	publish(t, log.Log, sent("ch_a", `{}`))
	start(t, log, fanout.Config{})
	p := newPeer(t, log.Log, "one")
	p.attach()
	p.add("ch_a")
	log.lastFails.Store(3)
	last := uint64(0)
	for range 10 {
		last = publish(t, log.Log, sent("ch_a", `{}`))
	}
	items := p.reach(link.Positions{Messages: last})
	require.Len(t, items, 10)
	for i := range items {
		require.Equal(t, uint64(i+1), items[i].Prev)
	}
	require.Equal(t, int64(4), log.lastAsked.Load())
}

func TestLinksEndWhereEventsMayBeMissing(t *testing.T) {
	twist := func(f func(es []events.Event) ([]events.Event, error)) func(*faulty) {
		return func(log *faulty) { log.twist.Store(&f) }
	}
	for name, c := range map[string]struct {
		spoil   func(*faulty)
		follows int64 // how often the streams have been followed in the end
	}{
		"the log has been replaced": {func(f *faulty) { f.epoch.Store(new(string)) }, 4},
		"the stream fails":          {twist(func([]events.Event) ([]events.Event, error) { return nil, errors.New("broken") }), 4},
		"the stream goes backwards": {twist(func(es []events.Event) ([]events.Event, error) {
			es[0].Sequence = 1
			return es, nil
		}), 4},
		"an event fits no frame": {twist(func(es []events.Event) ([]events.Event, error) {
			es[0].Data = make([]byte, link.MaxFrame)
			small := es[0]
			small.Data = nil
			return []events.Event{small, es[0], small}, nil
		}), 2},
	} {
		t.Run(name, func(t *testing.T) {
			log := &faulty{Log: natstest.Open(t)}
			publish(t, log.Log, sent("ch_a", `{}`))
			publish(t, log.Log, sent("ch_a", `{}`))
			start(t, log, fanout.Config{LagEvery: 20 * time.Millisecond})
			p := newPeer(t, log.Log, "one")
			p.attach()
			p.add("ch_a")
			c.spoil(log)
			publish(t, log.Log, sent("ch_a", `{}`))
			require.Eventually(t, p.ended, patience, 5*time.Millisecond)
			p.attach() // a new link
			p.add("ch_a")
			seq := publish(t, log.Log, sent("ch_a", `{}`))
			require.Equal(t, []uint64{seq}, sequences(p.reach(link.Positions{Messages: seq})))
			require.Equal(t, c.follows, log.follows.Load())
		})
	}
}

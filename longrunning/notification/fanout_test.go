package notification_test

import (
	"context"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/chat-platform/chat/events"
	natslog "github.com/chat-platform/chat/infra/nats"
	"github.com/chat-platform/chat/longrunning/internal/link"
)

// fanout is a fan-out as the link's contract says, small, and one that can be
// told to misbehave.
type fanout struct {
	t   testing.TB
	id  string
	bus *natslog.Bus

	mu    sync.Mutex
	pos   link.Positions
	prev  map[events.ChannelID]uint64
	links map[link.ID]*outlet
	log   *natslog.Log
	lose  int                      // so many frames with events vanish
	mute  bool                     // nothing is sent nor answered
	deaf  bool                     // nothing is answered
	still map[string]chan struct{} // streams of which nothing is read until it is closed
	shut  func()                   // takes no more attaches
	stop  func()
}

type outlet struct {
	instance string
	number   uint64
	keys     map[string]bool
}

func startFanout(tb testing.TB, log *natslog.Log, id string) *fanout {
	tb.Helper()
	f := &fanout{t: tb, id: id, bus: log.Bus(), log: log, prev: map[events.ChannelID]uint64{}, links: map[link.ID]*outlet{}, still: map[string]chan struct{}{}}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	var unsubscribe []func()
	for _, stream := range []string{events.StreamMessages, events.StreamMetadata} {
		ready := make(chan uint64, 1)
		wg.Go(func() {
			err := log.Follow(ctx, stream, nil, 0, func(last uint64) {
				select {
				case ready <- last:
				default:
				}
			}, func(es []events.Event) error { f.route(ctx, stream, es); return nil })
			if ctx.Err() == nil {
				tb.Errorf("follow %s: %v", stream, err)
			}
		})
		last := <-ready
		f.mu.Lock()
		f.advance(stream, last)
		f.mu.Unlock()
	}
	for subject, queue := range map[string]string{link.AttachSubject: link.AttachQueue, link.InterestSubject(id): ""} {
		u, err := f.bus.Subscribe(subject, queue, f.answer)
		require.NoError(tb, err)
		unsubscribe = append(unsubscribe, u)
		if queue != "" {
			f.shut = u
		}
	}
	wg.Go(func() {
		tick := time.NewTicker(50 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				f.mu.Lock()
				for id, o := range f.links {
					f.send(id, o, nil)
				}
				f.mu.Unlock()
			}
		}
	})
	f.stop = sync.OnceFunc(func() {
		for _, u := range unsubscribe {
			u()
		}
		cancel()
		wg.Wait()
	})
	tb.Cleanup(f.stop)
	return f
}

func (f *fanout) advance(stream string, seq uint64) {
	if stream == events.StreamMessages {
		f.pos.Messages = max(f.pos.Messages, seq)
	} else {
		f.pos.Metadata = max(f.pos.Metadata, seq)
	}
}

func (f *fanout) route(ctx context.Context, stream string, es []events.Event) {
	f.mu.Lock()
	still := f.still[stream]
	f.mu.Unlock()
	if still != nil {
		<-still
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if stream == events.StreamMessages && !f.lookUp(ctx, es) {
		return
	}
	items := map[link.ID][]link.Item{}
	for _, e := range es {
		c := events.ChannelOf(e.Subject)
		it := link.Item{Event: e, Stream: stream}
		keys := []string{link.ChannelKey(c)}
		if stream == events.StreamMessages {
			it.Prev, f.prev[c] = f.prev[c], e.Sequence
		} else if m, err := events.MemberOf(e); err == nil {
			keys = append(keys, link.UserKey(m.UserID))
		} else if token, ok := strings.CutPrefix(e.Subject, "users."); ok {
			user, err := events.FromToken(token)
			if err != nil {
				f.t.Error(err)
			}
			keys = append(keys, link.UserKey(events.UserID(user)))
		}
		for id, o := range f.links {
			if slices.ContainsFunc(keys, func(k string) bool { return o.keys[k] }) {
				items[id] = append(items[id], it)
			}
		}
		f.advance(stream, e.Sequence)
	}
	for id, its := range items {
		f.send(id, f.links[id], its)
	}
}

// lookUp finds the last message of channels that are new, before anything of the
// events is routed; it is false where the fan-out has stopped meanwhile, which then
// has none of them. A log that does not answer in time is asked again: a busy machine's
// fan-out must not lose what a real one would not.
func (f *fanout) lookUp(ctx context.Context, es []events.Event) bool {
	for _, e := range es {
		c := events.ChannelOf(e.Subject)
		for _, ok := f.prev[c]; !ok; _, ok = f.prev[c] {
			last, err := f.log.LastBefore(ctx, []string{e.Subject}, e.Sequence)
			switch {
			case err == nil:
				f.prev[c] = last[e.Subject]
			case ctx.Err() != nil:
				return false
			}
		}
	}
	return true
}

func (f *fanout) send(id link.ID, o *outlet, items []link.Item) {
	if f.mute {
		return
	}
	o.number++
	if f.lose > 0 && len(items) > 0 {
		f.lose--
		return
	}
	b := link.Frame{Link: id, Number: o.number, After: f.pos, Events: items}.Append(nil)
	_ = f.bus.Publish(link.NotifySubject(o.instance), b) // the server may be gone
}

func (f *fanout) answer(m natslog.BusMessage) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.mute {
		return
	}
	if f.deaf {
		return
	}
	r, err := link.ParseRequest(m.Data)
	if err != nil {
		f.t.Errorf("request: %v", err)
		return
	}
	a := link.Answer{FanOut: f.id, Positions: f.pos}
	switch r := r.(type) {
	case link.Attach:
		a.Link = r.Link
		maps.DeleteFunc(f.links, func(_ link.ID, o *outlet) bool { return o.instance == r.Instance })
		f.links[r.Link] = &outlet{instance: r.Instance, keys: map[string]bool{}}
	case link.Interest:
		o := f.links[r.Link]
		if a.Link = r.Link; o == nil {
			a.Status = link.StatusUnknown
			break
		}
		for _, k := range r.Remove {
			delete(o.keys, k)
		}
		for _, k := range r.Add {
			o.keys[k] = true
		}
	case link.Detach:
		delete(f.links, r.Link)
	}
	_ = m.Respond(a.Append(nil))
}

// hold keeps the fan-out from reading on in a stream until release is called.
func (f *fanout) hold(stream string) (release func()) {
	still := make(chan struct{})
	f.set(func() { f.still[stream] = still })
	release = sync.OnceFunc(func() {
		f.set(func() { delete(f.still, stream) })
		close(still)
	})
	f.t.Cleanup(release) // before the fan-out stops, which waits for its reads
	return release
}

func (f *fanout) set(change func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change()
}

// keys are those of all links together.
func (f *fanout) keys() map[string]bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	all := map[string]bool{}
	for _, o := range f.links {
		for k := range o.keys {
			all[k] = true
		}
	}
	return all
}

// settle waits until the fan-out has read all of the log.
func (f *fanout) settle() {
	f.t.Helper()
	require.Eventually(f.t, func() bool {
		m, err := f.log.LastSequence(context.Background(), events.StreamMessages)
		require.NoError(f.t, err)
		d, err := f.log.LastSequence(context.Background(), events.StreamMetadata)
		require.NoError(f.t, err)
		f.mu.Lock()
		defer f.mu.Unlock()
		return f.pos == link.Positions{Messages: m, Metadata: d}
	}, patience, time.Millisecond)
}

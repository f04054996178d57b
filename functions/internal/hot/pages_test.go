package hot_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/chat-platform/chat/events"
	"github.com/chat-platform/chat/functions/internal/hot"
)

const room = 1 << 20

// channel is a log's channel and its view, which lacks nothing.
type channel struct {
	mu    sync.Mutex
	last  events.Event
	text  string
	loads atomic.Int64
	gate  chan struct{} // what a load waits for
	whole bool
	err   error
}

func (c *channel) send(seq uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.last = events.Event{ID: fmt.Sprint("evt_", seq), Sequence: seq, Time: time.UnixMilli(int64(seq))}
}

func (c *channel) ask(context.Context) (events.Event, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.last.ID == "" {
		return c.last, events.ErrNotFound
	}
	return c.last, nil
}

func (c *channel) load(ctx context.Context) (events.HistoryPage, bool, error) {
	c.loads.Add(1)
	if c.gate != nil {
		select {
		case <-c.gate:
		case <-ctx.Done():
			return events.HistoryPage{}, false, ctx.Err()
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	m := events.Message{Seq: c.last.Sequence, MessageSent: events.MessageSent{ID: "msg_1", ChannelID: "ch_1", AuthorID: "ann", Text: c.text, SentAt: time.UnixMilli(5).UTC()}}
	return events.HistoryPage{Messages: []events.Message{m}, MoreBefore: true}, c.whole, c.err
}

// process gets one message, the channel's last.
func (c *channel) get(t *testing.T, p *hot.Pages, key string) uint64 {
	t.Helper()
	page, err := p.Get(t.Context(), key, c.ask, c.load)
	require.NoError(t, err)
	require.True(t, page.MoreBefore)
	require.Len(t, page.Messages, 1)
	return page.Messages[0].Seq
}

// redis is what processes share.
type redis struct {
	mu      sync.Mutex
	kept    map[string][2]string
	making  map[string]bool
	garbage bool
}

func (r *redis) Get(_ context.Context, key, version string) ([]byte, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.garbage {
		return []byte("{"), false
	}
	if k, ok := r.kept[key]; ok && k[0] == version {
		return []byte(k[1]), false
	}
	mine := !r.making[key+version]
	r.making[key+version] = true
	return nil, mine
}

func (r *redis) Put(_ context.Context, key, version string, value []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if value != nil {
		r.kept[key] = [2]string{version, string(value)}
	}
	delete(r.making, key+version)
}

func newRedis() *redis { return &redis{kept: map[string][2]string{}, making: map[string]bool{}} }

func TestAPageIsKeptUntilSomethingHappens(t *testing.T) {
	r := newRedis()
	reg := prometheus.NewRegistry()
	one, other := hot.New(hot.Config{Bytes: room}, r, reg), hot.New(hot.Config{Bytes: room}, r, nil)
	c := &channel{whole: true}
	c.send(1)
	for range 3 {
		require.Equal(t, uint64(1), c.get(t, one, "ch_1"))
		require.Equal(t, uint64(1), c.get(t, other, "ch_1"))
	}
	require.EqualValues(t, 1, c.loads.Load(), "one process loads, once")
	c.send(2)
	require.Equal(t, uint64(2), c.get(t, other, "ch_1"), "nothing that was accepted is missing")
	require.Equal(t, uint64(2), c.get(t, one, "ch_1"))
	require.EqualValues(t, 2, c.loads.Load())

	c.send(1) // the log was set back: another event at a sequence that is known
	c.last.ID = "evt_other"
	require.Equal(t, uint64(1), c.get(t, one, "ch_1"))
	require.EqualValues(t, 3, c.loads.Load())

	families, err := reg.Gather()
	require.NoError(t, err)
	got := map[string]float64{}
	for _, m := range families[0].GetMetric() {
		got[m.GetLabel()[0].GetValue()] = m.GetCounter().GetValue()
	}
	require.Equal(t, map[string]float64{"process": 2, "shared": 1, "load": 2, "past": 0, "wait": 0, "faulty": 0}, got)
}

func TestWhatIsNotKept(t *testing.T) {
	for name, c := range map[string]*channel{
		"a page that lacks something": {last: events.Event{ID: "evt_1", Sequence: 1}},
		"of a channel without events": {whole: true},
		"what is too long to keep":    {last: events.Event{ID: "evt_1", Sequence: 1}, whole: true, text: strings.Repeat("x", room)},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRedis()
			p := hot.New(hot.Config{Bytes: room}, r, nil)
			for i := range 3 {
				require.Equal(t, c.last.Sequence, c.get(t, p, "ch_1"))
				require.EqualValues(t, i+1, c.loads.Load())
			}
			require.Empty(t, r.kept)
			require.Empty(t, r.making, "nobody waits for it")
		})
	}
}

func TestErrorsAreNotKept(t *testing.T) {
	r := newRedis()
	p := hot.New(hot.Config{Bytes: room}, r, nil)
	c := &channel{whole: true, err: fmt.Errorf("disk: %w", events.ErrUnavailable)}
	c.send(1)
	for range 2 {
		_, err := p.Get(t.Context(), "ch_1", c.ask, c.load)
		require.ErrorIs(t, err, events.ErrUnavailable)
	}
	c.err = nil
	require.Equal(t, uint64(1), c.get(t, p, "ch_1"))
	_, err := p.Get(t.Context(), "ch_2", c.ask, func(context.Context) (events.HistoryPage, bool, error) { panic("a fault") })
	require.ErrorContains(t, err, "a fault")

	_, err = p.Get(t.Context(), "ch_3", func(context.Context) (events.Event, error) { return events.Event{}, errors.New("away") }, c.load)
	require.NoError(t, err, "the load says what is wrong")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	c.gate = make(chan struct{})
	_, err = p.Get(ctx, "ch_4", c.ask, c.load)
	require.ErrorIs(t, err, context.Canceled)
	close(c.gate)
}

func TestGarbageIsLoadedAnew(t *testing.T) {
	r := newRedis()
	r.garbage = true
	c := &channel{whole: true}
	c.send(1)
	require.Equal(t, uint64(1), c.get(t, hot.New(hot.Config{}, r, nil), "ch_1"))
	require.Equal(t, uint64(1), c.get(t, hot.New(hot.Config{}, r, nil), "ch_1"))
	require.EqualValues(t, 2, c.loads.Load())
}

// 200 who miss the same page at once, in four processes: the store is read once.
func TestAStampedeIsOneLoad(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRedis()
		c := &channel{whole: true, gate: make(chan struct{})}
		c.send(1)
		var processes []*hot.Pages
		for range 4 {
			processes = append(processes, hot.New(hot.Config{Bytes: room}, r, nil))
		}
		var readers sync.WaitGroup
		for i := range 200 {
			readers.Go(func() {
				page, err := processes[i%4].Get(t.Context(), "ch_1", c.ask, c.load)
				if err != nil || len(page.Messages) != 1 {
					t.Errorf("%d messages, %v", len(page.Messages), err)
				}
			})
		}
		synctest.Wait()
		<-time.After(5 * time.Millisecond)
		close(c.gate)
		readers.Wait()
		require.EqualValues(t, 1, c.loads.Load())
	})
}

// Whoever was told to load and never comes back holds nobody up for long.
func TestAProcessThatDiesWhileItLoads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRedis()
		c := &channel{whole: true}
		c.send(1)
		_, mine := r.Get(t.Context(), "ch_1", "1.1.evt_1")
		require.True(t, mine)
		begin := time.Now()
		require.Equal(t, uint64(1), c.get(t, hot.New(hot.Config{Bytes: room}, r, nil), "ch_1"))
		require.Less(t, time.Since(begin), 100*time.Millisecond)
	})
}

// The reader who began a load goes; those who wait for it get it all the same.
func TestTheFirstReaderGoes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := hot.New(hot.Config{Bytes: room}, nil, nil)
		c := &channel{whole: true, gate: make(chan struct{})}
		c.send(1)
		ctx, cancel := context.WithCancel(t.Context())
		var readers sync.WaitGroup
		readers.Go(func() {
			_, err := p.Get(ctx, "ch_1", c.ask, c.load)
			if !errors.Is(err, context.Canceled) {
				t.Error(err)
			}
		})
		synctest.Wait()
		readers.Go(func() {
			if page, err := p.Get(t.Context(), "ch_1", c.ask, c.load); err != nil || len(page.Messages) != 1 {
				t.Error(page, err)
			}
		})
		synctest.Wait()
		cancel()
		synctest.Wait()
		close(c.gate)
		readers.Wait()
		require.EqualValues(t, 1, c.loads.Load())
	})
}

func TestEntriesEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := hot.New(hot.Config{Bytes: room, TTL: time.Minute}, nil, nil)
		c := &channel{whole: true}
		c.send(1)
		c.get(t, p, "ch_1")
		<-time.After(59 * time.Second)
		c.get(t, p, "ch_1")
		require.EqualValues(t, 1, c.loads.Load())
		<-time.After(time.Second)
		c.get(t, p, "ch_1")
		require.EqualValues(t, 2, c.loads.Load())
	})
}

func TestMemoryIsBounded(t *testing.T) {
	p := hot.New(hot.Config{Bytes: room}, nil, nil)
	c := &channel{whole: true, text: strings.Repeat("x", 1000)}
	c.send(1)
	const n = 2000
	for i := range n {
		c.get(t, p, fmt.Sprint("ch_", i))
		c.get(t, p, "ch_0") // what is used stays
	}
	require.EqualValues(t, n, c.loads.Load())
	c.get(t, p, fmt.Sprint("ch_", n-1))
	require.EqualValues(t, n, c.loads.Load())
	c.get(t, p, "ch_1")
	require.EqualValues(t, n+1, c.loads.Load(), "what was not used for long is gone")
}

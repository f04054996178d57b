// Package hot keeps the latest pages of busy channels, in the process and, where
// processes share one, in a cache such as Redis. What it gives is exact: nothing
// that was accepted before the question is missing.
//
// A page is kept under its version, which names the channel's last event when the
// page was asked for. Whoever asks learns the last event from the log first. If
// that is the very event of the version, nothing has happened in the channel
// since, and the page is what the view would give. Anything else is no hit. So
// nothing has to be invalidated, and no clock matters; that entries end after a
// while only frees memory and heals what a faulty view gave. A log that was set
// back or replaced has other events, and finds nothing here.
//
// A page that is not kept is loaded once a process, however many ask, and where
// processes share a cache by one of them: the others wait a moment for it, and
// load it themselves if it does not come. Without the shared cache each process
// is by itself; nothing fails because of it.
package hot

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/singleflight"

	"github.com/chat-platform/chat/events"
)

const (
	askings     = 3                // of the log, while what is kept is newer than its answer
	loadTimeout = 10 * time.Second // of a load, whoever has gone meanwhile
)

// patience is how long those wait who leave a load to another process: longer
// than a load takes, shorter than anybody notices.
var patience = []time.Duration{2 * time.Millisecond, 4 * time.Millisecond, 8 * time.Millisecond, 16 * time.Millisecond, 32 * time.Millisecond}

// Shared is what processes share. It never fails and never takes long: where it
// does not answer, it has nothing and everybody may load.
type Shared interface {
	// Get gives what is kept under the key if it has that version. If not, mine
	// tells whether the caller is the one to make it; the others ask again.
	Get(ctx context.Context, key, version string) (value []byte, mine bool)
	// Put keeps a value instead of any other under its key. Without a value it
	// leaves the making to somebody else.
	Put(ctx context.Context, key, version string, value []byte)
}

// Config says what is kept.
type Config struct {
	Bytes int           `env:"CACHE_BYTES" envDefault:"33554432"` // of pages in the process; 0 keeps none there
	TTL   time.Duration `env:"CACHE_TTL" envDefault:"10m"`        // after which a page is loaded anew though nothing has happened
}

// Last asks the log's leader for the channel's last event; events.ErrNotFound if
// there is none.
type Last func(ctx context.Context) (events.Event, error)

// Load reads the page from view and log; whole tells whether nothing is missing.
type Load func(ctx context.Context) (page events.HistoryPage, whole bool, err error)

// Pages keeps pages, for any number of goroutines.
type Pages struct {
	shared  Shared
	local   *local
	flights singleflight.Group
	metrics *metrics
}

// New makes a cache; shared may be nil, and without a registerer there are no
// metrics.
func New(cfg Config, shared Shared, reg prometheus.Registerer) *Pages {
	if cfg.TTL <= 0 {
		cfg.TTL = 10 * time.Minute
	}
	return &Pages{shared: shared, local: newLocal(cfg.Bytes, cfg.TTL), metrics: newMetrics(reg)}
}

// version names a channel's last event.
type version struct {
	seq  uint64
	name string
}

func versionOf(e events.Event) version {
	return version{e.Sequence, strconv.FormatUint(e.Sequence, 10) + "." + strconv.FormatInt(e.Time.UnixMilli(), 10) + "." + e.ID}
}

// Get gives the page of a key, a channel's latest: one that is kept, or one that
// it loads. The page's messages are shared by all callers and must not be changed.
func (p *Pages) Get(ctx context.Context, key string, last Last, load Load) (events.HistoryPage, error) {
	var v version
	for range askings {
		e, err := last(ctx)
		if err != nil { // none in the log, or none that can be told: the load says what is wrong, if anything
			p.metrics.past.Inc()
			page, _, err := load(ctx)
			return page, err
		}
		v = versionOf(e)
		page, at, ok := p.local.get(key)
		if ok && at == v {
			p.metrics.local.Inc()
			return page, nil
		}
		if !ok || at.seq <= v.seq {
			break
		}
		// Somebody who asked later has it already, or it is from another log.
	}
	flight := p.flights.DoChan(key+" "+v.name, func() (any, error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), loadTimeout)
		defer cancel()
		return p.fill(ctx, key, v, load)
	})
	select {
	case r := <-flight:
		page, _ := r.Val.(events.HistoryPage)
		return page, r.Err
	case <-ctx.Done():
		return events.HistoryPage{}, fmt.Errorf("page of %s: %w", key, ctx.Err())
	}
}

// fill gets the page from the other processes, or loads it.
func (p *Pages) fill(ctx context.Context, key string, v version, load Load) (page events.HistoryPage, err error) {
	defer func() {
		if r := recover(); r != nil { // in a goroutine of its own it would end the process
			err = fmt.Errorf("page of %s: panic: %v\n%s", key, r, debug.Stack())
		}
	}()
	if page, ok := p.fetch(ctx, key, v); ok {
		p.metrics.shared.Inc()
		p.local.put(key, v, page)
		return page, nil
	}
	p.metrics.loads.Inc()
	page, whole, err := load(ctx)
	var value []byte
	if err == nil && whole {
		p.local.put(key, v, page)
		value = encode(page)
	}
	if p.shared != nil {
		p.shared.Put(ctx, key, v.name, value)
	}
	return page, err
}

// fetch asks the shared cache, until it has the page or this process is to load.
func (p *Pages) fetch(ctx context.Context, key string, v version) (events.HistoryPage, bool) {
	if p.shared == nil {
		return events.HistoryPage{}, false
	}
	for try := 0; ; try++ {
		value, mine := p.shared.Get(ctx, key, v.name)
		if value != nil {
			page, err := decode(value)
			if err == nil {
				return page, true
			}
			p.metrics.faulty.Inc()
			return events.HistoryPage{}, false
		}
		if mine || try == len(patience) {
			return events.HistoryPage{}, false
		}
		p.metrics.waits.Inc()
		t := time.NewTimer(patience[try])
		select {
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
			return events.HistoryPage{}, false
		}
	}
}

var errPage = errors.New("not a page")

package elasticsearch

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/http"
	"time"

	"github.com/chat-platform/chat/events"
)

const (
	nearlyThere = 1_000 // documents that a pass copied, after which the last one comes
	maxPasses   = 20    // against writers that are faster than the copy
)

// Reindex copies the live index to a new one, made by today's template and with
// today's terms, and lets it take over. Searches go on. So do writes: each pass
// copies what was written during the one before; for the last pass the old index
// refuses writes, which their callers repeat for the moment that it takes, and
// nothing is lost.
//
// One that was broken off, by an error or the death of its process, leaves the
// live index as it is, and the next call goes on where it stopped. A process that
// dies during the last pass leaves the live index refusing writes (events stay in
// the log) until then. Of two calls at once, in two processes, the later one
// takes over; the other gets [events.ErrConflict].
func (s *Store) Reindex(ctx context.Context) error {
	s.build.Lock()
	defer s.build.Unlock()
	if err := s.reindex(ctx); err != nil {
		return fmt.Errorf("reindex %s: %w", s.config.Index, err)
	}
	return nil
}

// copying is a copy under way.
type copying struct {
	*Store
	from, to string
	me       string // against another one that takes over
}

func (s *Store) reindex(ctx context.Context) (err error) {
	if err := s.putTemplate(ctx); err != nil {
		return err
	}
	live, err := s.live(ctx)
	if err != nil {
		return err
	}
	if live == "" {
		return fmt.Errorf("%w: there is no alias %s", events.ErrUnavailable, s.config.Index)
	}
	c := copying{s, live, s.name(s.number(live) + 1), rand.Text()}
	if err := c.begin(ctx); err != nil {
		return err
	}
	since := int64(-1)
	for range maxPasses {
		copied, upTo, err := c.pass(ctx, since)
		if err != nil {
			return err
		}
		if since = upTo; copied < nearlyThere {
			break
		}
	}
	return c.finish(ctx, since)
}

// begin makes the new index, or takes over one that somebody left.
func (c copying) begin(ctx context.Context) error {
	err := c.create(ctx, c.to, nil)
	if exists(err) {
		var m meta
		if m, err = c.metaOf(ctx, c.to); err == nil && m.Version != version {
			if err = c.call(ctx, http.MethodDelete, "/"+c.to, nil, nil); err == nil {
				err = c.create(ctx, c.to, nil)
			}
		}
	}
	if err != nil {
		return err
	}
	return c.putMeta(ctx, c.to, meta{version, c.me})
}

// mine tells whether nobody has taken over.
func (c copying) mine(ctx context.Context) error {
	m, err := c.metaOf(ctx, c.to)
	if err == nil && m.Builder != c.me {
		err = fmt.Errorf("%w: another reindex has taken over %s", events.ErrConflict, c.to)
	}
	return err
}

// pass copies what was written after since and is visible by now; upTo is since
// of the next one.
func (c copying) pass(ctx context.Context, since int64) (copied int, upTo int64, err error) {
	if err := c.mine(ctx); err != nil {
		return 0, 0, err
	}
	if upTo, err = c.checkpoint(ctx); err != nil { // before what is visible is decided
		return 0, 0, err
	}
	if err := c.refresh(ctx, c.from); err != nil {
		return 0, 0, err
	}
	err = c.scan(ctx, c.from, since, func(ms []events.Message) error {
		copied += len(ms)
		return c.index(ctx, "/"+c.to+"/_bulk?require_alias=false", ms)
	})
	return copied, upTo, err
}

// checkpoint is a number of a write such that all writes up to it are done, in
// every shard.
func (c copying) checkpoint(ctx context.Context) (int64, error) {
	var stats struct {
		Indices map[string]struct {
			Shards map[string][]struct {
				Routing struct {
					Primary bool `json:"primary"`
				} `json:"routing"`
				SeqNo struct {
					Local int64 `json:"local_checkpoint"`
				} `json:"seq_no"`
			} `json:"shards"`
		} `json:"indices"`
	}
	if err := c.call(ctx, http.MethodGet, "/"+c.from+"/_stats?level=shards", nil, &stats); err != nil {
		return 0, err
	}
	lowest, primaries := int64(-1), 0
	for _, copies := range stats.Indices[c.from].Shards {
		for _, shard := range copies {
			if !shard.Routing.Primary {
				continue
			}
			if primaries++; primaries == 1 || shard.SeqNo.Local < lowest {
				lowest = shard.SeqNo.Local
			}
		}
	}
	return lowest, nil
}

// finish stops writes, copies the rest and lets the new index take over.
func (c copying) finish(ctx context.Context, since int64) (err error) {
	// Answered once all writes that had begun are done.
	if err := c.call(ctx, http.MethodPut, "/"+c.from+"/_block/write", nil, nil); err != nil {
		return err
	}
	defer func() {
		if err == nil {
			return
		}
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
		defer cancel()
		if c.mine(ctx) == nil {
			_ = c.call(ctx, http.MethodPut, "/"+c.from+"/_settings", object{"index.blocks.write": nil}, nil)
		}
	}()
	if _, _, err := c.pass(ctx, since); err != nil {
		return err
	}
	if err := c.refresh(ctx, c.to); err != nil {
		return err
	}
	had, err := c.count(ctx, c.from)
	if err != nil {
		return err
	}
	has, err := c.count(ctx, c.to)
	if err != nil {
		return err
	}
	if has != had {
		return fmt.Errorf("%w: %s has %d messages, %s has %d", events.ErrConflict, c.from, had, c.to, has)
	}
	if err := c.mine(ctx); err != nil {
		return err
	}
	return c.swap(ctx, c.to, object{"remove_index": object{"index": c.from}})
}

func (s *Store) count(ctx context.Context, index string) (n int64, err error) {
	var answer struct {
		Count int64 `json:"count"`
	}
	err = s.call(ctx, http.MethodGet, "/"+index+"/_count", nil, &answer)
	return answer.Count, err
}

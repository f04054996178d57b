package notification

import (
	"context"
	"sort"
	"sync"
	"time"

	"github.com/chat-platform/chat/events"
	"github.com/chat-platform/chat/longrunning/internal/link"
)

// witness knows which messages were in the log before which membership. While
// messages come it asks ten times a second for the end of METADATA: what comes
// there later was stored after the messages routed so far. No clock is compared.
type witness struct {
	mu    sync.Mutex
	pairs []sighting // ascending in both
}

// sighting: events of METADATA after metadata were stored after the message.
type sighting struct{ metadata, message uint64 }

const (
	maxSightings = 4096 // 64 KiB; more than six minutes
	observeEvery = 100 * time.Millisecond
)

func (w *witness) saw(message, metadata uint64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if n := len(w.pairs); n > 0 {
		last := &w.pairs[n-1]
		switch {
		case metadata < last.metadata || message < last.message:
			return // an older observation that arrives late
		case metadata == last.metadata:
			last.message = message
			return
		case n == maxSightings:
			w.pairs = append(w.pairs[:0], w.pairs[n/2:]...)
		}
	}
	w.pairs = append(w.pairs, sighting{metadata, message})
}

// base is the last message known to have been stored before every event of
// METADATA after the given one; 0 if that is not known.
func (w *witness) base(metadata uint64) uint64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	i := sort.Search(len(w.pairs), func(i int) bool { return w.pairs[i].metadata > metadata })
	if i == 0 {
		return 0
	}
	return w.pairs[i-1].message
}

// cursor completes positions to a cursor.
func (w *witness) cursor(at link.Positions) cursor {
	return cursor{at: at, base: min(at.Messages, w.base(at.Metadata))}
}

func (w *witness) reset() {
	w.mu.Lock()
	w.pairs = nil
	w.mu.Unlock()
}

// observe feeds the witness.
func (s *Service) observe(ctx context.Context) {
	tick := time.NewTicker(observeEvery)
	defer tick.Stop()
	seen := ^uint64(0)
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		message := s.hub.position().Messages
		if !s.attached.Load() || message == seen {
			continue // the older sightings say the same
		}
		if metadata, err := s.log.LastSequence(ctx, events.StreamMetadata); err == nil {
			s.witness.saw(message, metadata)
			seen = message
		} // else the older sightings stay true
	}
}

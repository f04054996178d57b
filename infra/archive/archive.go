package archive

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/chat-platform/chat/events"
)

// ErrMissing is the kind of errors that say that the archive lacks what it
// should have. They name the segment, or the sequence that none covers.
var ErrMissing = fmt.Errorf("%w: the archive has a hole", events.ErrUnavailable)

// indexesMost is how many indexes are kept in memory.
const indexesMost = 64

// Archive reads and adds segments. Safe for concurrent use, by any number of
// processes.
type Archive struct {
	store Store

	mu      sync.Mutex
	listed  map[string][]Segment // by folder, in order
	indexes map[string]Index     // by name
	recent  []string             // names, the one used last at the end
}

// New gives the archive in a store.
func New(store Store) *Archive {
	return &Archive{store: store, listed: map[string][]Segment{}, indexes: map[string]Index{}}
}

// Segments lists those of a stream, by First; id says which of the streams that
// had that name. It always asks the store.
func (a *Archive) Segments(ctx context.Context, stream, id string) ([]Segment, error) {
	dir := folder(stream, id)
	var all []Segment
	err := a.store.List(ctx, dir, func(name string, size int64) error {
		if s, ok := parseName(name, dir); ok {
			s.Size = size
			all = append(all, s)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("archive of %s: %w", stream, err)
	}
	slices.SortFunc(all, func(x, y Segment) int {
		return cmp.Or(cmp.Compare(x.First, y.First), cmp.Compare(x.Last, y.Last))
	})
	a.mu.Lock()
	a.listed[dir] = all
	a.mu.Unlock()
	return all, nil
}

// Covered is the last sequence up to which segments cover the stream without a
// hole, from the sequence after on; after if none does.
func Covered(segments []Segment, after uint64) uint64 {
	for _, s := range segments { // they are in order
		if s.First <= after+1 && s.Last > after {
			after = s.Last
		}
	}
	return after
}

// Chain gives the fewest segments that cover what follows after, up to the first
// hole.
func Chain(segments []Segment, after uint64) (chain []Segment) {
	for {
		s, ok := best(segments, after+1)
		if !ok {
			return chain
		}
		chain = append(chain, s)
		after = s.Last
	}
}

// covering gives the segment that has sequence seq and reaches furthest.
func (a *Archive) covering(ctx context.Context, stream, id string, seq uint64) (Segment, error) {
	a.mu.Lock()
	all, known := a.listed[folder(stream, id)]
	a.mu.Unlock()
	if s, ok := best(all, seq); known && ok {
		return s, nil
	}
	all, err := a.Segments(ctx, stream, id)
	if err != nil {
		return Segment{}, err
	}
	s, ok := best(all, seq)
	if !ok {
		return Segment{}, fmt.Errorf("%w: no segment has sequence %d of %s (%s)", ErrMissing, seq, stream, id)
	}
	return s, nil
}

func best(all []Segment, seq uint64) (found Segment, ok bool) {
	for _, s := range all {
		if s.First > seq {
			break
		}
		if s.Last >= seq && s.Last > found.Last {
			found, ok = s, true
		}
	}
	return found, ok
}

// Add puts a segment made by a Builder, reads it back and compares it: it is
// durable and whole once Add has returned.
func (a *Archive) Add(ctx context.Context, data []byte, ix Index) (Segment, error) {
	s := Segment{Name: segmentName(ix.Stream, ix.ID, ix.First, ix.Last), First: ix.First, Last: ix.Last, Size: int64(len(data))}
	if err := a.store.Put(ctx, s.Name, data); err != nil {
		return s, fmt.Errorf("archive segment %s: %w", s.Name, err)
	}
	return s, a.Verify(ctx, s)
}

// Verify reads a segment whole and compares its checksums, and what it says of
// itself with its name.
func (a *Archive) Verify(ctx context.Context, s Segment) error {
	b, err := a.get(ctx, s, 0, -1)
	if err != nil {
		return err
	}
	ix, err := Parse(b, nil)
	if err == nil && segmentName(ix.Stream, ix.ID, ix.First, ix.Last) != s.Name {
		err = fmt.Errorf("%w: it is %s", ErrDamaged, segmentName(ix.Stream, ix.ID, ix.First, ix.Last))
	}
	if err != nil {
		return fmt.Errorf("archive segment %s: %w", s.Name, err)
	}
	a.remember(s.Name, ix)
	return nil
}

func (a *Archive) get(ctx context.Context, s Segment, offset, length int64) ([]byte, error) {
	b, err := a.store.Get(ctx, s.Name, offset, length)
	if errors.Is(err, events.ErrNotFound) {
		err = fmt.Errorf("%w: %w", ErrMissing, err)
	}
	if err == nil && length >= 0 && int64(len(b)) != length {
		err = fmt.Errorf("%w: it is shorter than it should be", ErrDamaged)
	}
	if err != nil {
		return nil, fmt.Errorf("archive segment %s: %w", s.Name, err)
	}
	return b, nil
}

// Index reads a segment's index, or gives it from memory.
func (a *Archive) Index(ctx context.Context, s Segment) (Index, error) {
	a.mu.Lock()
	ix, ok := a.indexes[s.Name]
	a.mu.Unlock()
	if ok {
		return ix, nil
	}
	if s.Size < int64(len(magic)+trailerSize) {
		return ix, fmt.Errorf("archive segment %s: %w: it has %d bytes", s.Name, ErrDamaged, s.Size)
	}
	b, err := a.get(ctx, s, s.Size-int64(trailerSize), int64(trailerSize))
	if err != nil {
		return ix, err
	}
	t, err := parseTrailer(b, s.Size)
	if err == nil {
		if b, err = a.get(ctx, s, t.offset, t.length); err != nil {
			return ix, err
		}
		ix, err = parseIndex(b, t)
	}
	if err != nil {
		return ix, fmt.Errorf("archive segment %s: %w", s.Name, err)
	}
	a.remember(s.Name, ix)
	return ix, nil
}

func (a *Archive) remember(name string, ix Index) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if _, ok := a.indexes[name]; ok {
		return
	}
	if len(a.recent) >= indexesMost {
		delete(a.indexes, a.recent[0])
		a.recent = a.recent[1:]
	}
	a.indexes[name] = ix
	a.recent = append(a.recent, name)
}

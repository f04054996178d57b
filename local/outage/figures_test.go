//go:build integration

package outage_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"github.com/stretchr/testify/assert"
)

// figures are what a story's people went through.
type figures struct {
	mu    sync.Mutex
	send  [phases]times // from request to receipt
	due   [phases]times // from when the message was due: with what it waited behind slow answers
	again [phases]times // the attempt that got a message through after refusals
	nos   [phases]times // answers that said later
	reads [phases]map[kind]*reading
}

type reading struct {
	times
	statuses map[int]int
}

// times is a distribution in microseconds.
type times struct{ h *hdrhistogram.Histogram }

func (d *times) add(took time.Duration) {
	if d.h == nil {
		d.h = hdrhistogram.New(1, int64(10*time.Minute/time.Microsecond), 3)
	}
	_ = d.h.RecordValue(max(1, took.Microseconds()))
}

func (d *times) String() string {
	if d.h == nil {
		return "none"
	}
	at := func(q float64) time.Duration {
		return (time.Duration(d.h.ValueAtQuantile(q)) * time.Microsecond).Round(100 * time.Microsecond)
	}
	return fmt.Sprintf("n=%-5d p50 %-8s p99 %-8s max %s", d.h.TotalCount(), at(50), at(99), at(100))
}

func (s *story) now() phase { return phase(s.phase.Load()) }

func (f *figures) sent(p phase, took, sinceDue time.Duration, again bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if again {
		f.again[p].add(took)
		return
	}
	f.send[p].add(took)
	f.due[p].add(sinceDue)
}

func (f *figures) refused(p phase, took time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.nos[p].add(took)
}

func (f *figures) read(p phase, k kind, status int, took time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.reads[p] == nil {
		f.reads[p] = map[kind]*reading{}
	}
	r := f.reads[p][k]
	if r == nil {
		r = &reading{statuses: map[int]int{}}
		f.reads[p][k] = r
	}
	r.add(took)
	r.statuses[status]++
}

func (f *figures) print(t *testing.T) {
	t.Helper()
	f.mu.Lock()
	defer f.mu.Unlock()
	var b strings.Builder
	for p := before; p < phases; p++ {
		fmt.Fprintf(&b, "\n%-7s send             %s\n        since it was due %s", p, &f.send[p], &f.due[p])
		if f.nos[p].h != nil || f.again[p].h != nil {
			fmt.Fprintf(&b, "\n        503              %s\n        sent again       %s", &f.nos[p], &f.again[p])
		}
		for _, k := range slices.Sorted(maps.Keys(f.reads[p])) {
			fmt.Fprintf(&b, "\n        %-16s %s %v", k, f.reads[p][k], f.reads[p][k].statuses)
		}
	}
	t.Log(b.String())
}

// requireServed demands that these reads went on: a busy machine may cost one of
// them now and then.
func (s *story) requireServed(t *testing.T, p phase, served ...kind) {
	t.Helper()
	s.figures.mu.Lock()
	defer s.figures.mu.Unlock()
	for _, k := range append(served, alive) {
		if r := s.figures.reads[p][k]; assert.NotNil(t, r, "%s was not asked %s", k, p) {
			assert.Greater(t, 2*r.statuses[200], int(r.h.TotalCount()), "%s %s: %v", k, p, r.statuses)
		}
	}
}

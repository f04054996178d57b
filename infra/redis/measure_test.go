//go:build integration

package redis_test

import (
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/chat-platform/chat/events"
)

var users = func() (us []events.UserID) {
	for i := range 1000 {
		us = append(us, events.UserID(fmt.Sprintf("user%04d", i)))
	}
	return us
}()

// turn is how many calls one of the two makes before it is the other's turn, so
// that whatever else the machine does meets both.
const turn = 1000

// measure makes b.N calls of each, so many at a time, and reports their rates
// and the times within which 99 of 100 were answered.
func measure(b *testing.B, inFlight int, ours, bare func(i int) error) {
	b.Helper()
	both := [2]struct {
		call    func(int) error
		took    []time.Duration
		elapsed time.Duration
	}{{call: ours}, {call: bare}}
	for n := range b.N/turn + 1 {
		for k := range both {
			m := &both[(n+k)%2]
			begin := time.Now()
			m.took = append(m.took, calls(b, inFlight, m.call)...)
			m.elapsed += time.Since(begin)
		}
	}
	for k, name := range []string{"", "bare-"} {
		took := both[k].took
		slices.Sort(took)
		b.ReportMetric(float64(len(took))/both[k].elapsed.Seconds(), name+"calls/s")
		b.ReportMetric(float64(took[len(took)/2].Microseconds()), name+"p50-µs")
		b.ReportMetric(float64(took[len(took)*99/100].Microseconds()), name+"p99-µs")
	}
	b.ReportMetric(100*both[1].elapsed.Seconds()/both[0].elapsed.Seconds(), "%-of-bare")
}

func calls(b *testing.B, inFlight int, call func(int) error) []time.Duration {
	b.Helper()
	took := make([]time.Duration, turn)
	var next atomic.Int64
	var callers sync.WaitGroup
	for range inFlight {
		callers.Go(func() {
			for i := int(next.Add(1)) - 1; i < turn; i = int(next.Add(1)) - 1 {
				begin := time.Now()
				if err := call(i); err != nil {
					b.Error(err)
					return
				}
				took[i] = time.Since(begin)
			}
		})
	}
	callers.Wait()
	return took
}

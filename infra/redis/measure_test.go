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

// measure makes b.N calls, so many at a time, and reports their rate and the
// time within which 99 of 100 were answered.
func measure(b *testing.B, inFlight int, call func(i int) error) {
	b.Helper()
	took := make([]time.Duration, b.N)
	var next atomic.Int64
	var callers sync.WaitGroup
	b.ResetTimer()
	for range inFlight {
		callers.Go(func() {
			for i := int(next.Add(1)) - 1; i < b.N; i = int(next.Add(1)) - 1 {
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
	b.StopTimer()
	slices.Sort(took)
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "calls/s")
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds()), "p99-µs")
}

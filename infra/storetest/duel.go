package storetest

import (
	"context"
	"os"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// InFlight is how many calls the adapters are measured with at a time.
var InFlight = []int{1, 16, 64}

// duelRounds is how often each side of a duel has its turn, the warm-up aside.
const duelRounds = 5

// Duel measures an adapter and its bare driver with the same statements, in
// turns of BENCH_TURN_MS (300) milliseconds, since what else a machine does
// changes from one second to the next. It reports the median of the rates of the
// turns, in records, the time within which 99 of 100 calls were answered, and the
// median of how much of the driver's rate the adapter reached in each round. Run
// it with -benchtime 1x.
type Duel struct {
	InFlight int              // calls at a time
	Size     int              // records of one call
	Passing  func(error) bool // errors that count as lost time; none if nil
}

// Call is one call; worker tells apart those in flight.
type Call func(ctx context.Context, worker int) error

// Run lets both sides work.
func (d Duel) Run(b *testing.B, adapter, driver Call) {
	b.Helper()
	turn := 300 * time.Millisecond
	if ms, err := strconv.Atoi(os.Getenv("BENCH_TURN_MS")); err == nil {
		turn = time.Duration(ms) * time.Millisecond
	}
	calls := [2]Call{adapter, driver}
	var took [2][]time.Duration
	var rates [2][]float64
	for round := range duelRounds + 1 {
		for k := range calls {
			side := (round + k) % 2 // each is first as often as the other
			each, rate := d.turn(b, turn, calls[side])
			if round > 0 {
				took[side], rates[side] = append(took[side], each...), append(rates[side], rate)
			}
		}
	}
	share := make([]float64, duelRounds)
	for i := range share {
		share[i] = 100 * rates[0][i] / rates[1][i]
	}
	b.ReportMetric(median(rates[0]), "adapter/s")
	b.ReportMetric(median(rates[1]), "driver/s")
	b.ReportMetric(median(share), "%")
	b.ReportMetric(p99(took[0]), "p99-ms")
	b.ReportMetric(p99(took[1]), "driver-p99-ms")
	b.ReportMetric(0, "ns/op")
}

func (d Duel) turn(b *testing.B, turn time.Duration, call Call) (all []time.Duration, rate float64) {
	b.Helper()
	var mu sync.Mutex
	var workers sync.WaitGroup
	begin := time.Now()
	for w := range d.InFlight {
		workers.Go(func() {
			var mine []time.Duration
			for time.Since(begin) < turn {
				t := time.Now()
				switch err := call(b.Context(), w); {
				case err == nil:
					mine = append(mine, time.Since(t))
				case d.Passing == nil || !d.Passing(err):
					b.Error(err)
					return
				}
			}
			mu.Lock()
			defer mu.Unlock()
			all = append(all, mine...)
		})
	}
	workers.Wait()
	require.NotEmpty(b, all, "no call came to its end")
	return all, float64(len(all)*d.Size) / time.Since(begin).Seconds()
}

func median(x []float64) float64 {
	x = slices.Sorted(slices.Values(x))
	return x[len(x)/2]
}

func p99(took []time.Duration) float64 {
	slices.Sort(took)
	return float64(took[len(took)*99/100].Microseconds()) / 1000
}

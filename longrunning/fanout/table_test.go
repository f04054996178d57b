package fanout_test

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/chat-platform/chat/longrunning/fanout"
)

func TestTableRoutesAndForgets(t *testing.T) {
	table := fanout.NewTable()
	require.Zero(t, table.Slots("ch_a"))
	slots, prev := table.Route("ch_a", 5)
	require.Zero(t, slots)
	require.Zero(t, prev)

	table.Add("ch_a", 0)
	table.Add("ch_a", 63)
	table.Add("ch_a", 63)
	slots, prev = table.Route("ch_a", 7)
	require.Equal(t, uint64(1<<63|1), slots)
	require.Zero(t, prev, "not known for a key that was not routed")
	slots, prev = table.Route("ch_a", 9)
	require.Equal(t, uint64(1<<63|1), slots)
	require.Equal(t, uint64(7), prev)

	table.Remove("ch_a", 0)
	table.Remove("ch_b", 0)
	_, prev = table.Route("ch_a", 12)
	require.Equal(t, uint64(9), prev, "kept while any slot wants it")
	require.Equal(t, 1, table.Len())
	table.Remove("ch_a", 63)
	require.Zero(t, table.Len())
	table.Add("ch_a", 1)
	_, prev = table.Route("ch_a", 20)
	require.Zero(t, prev, "forgotten with the last slot")
}

// A map says what the table has to say, through random changes that make it grow,
// shrink and close holes.
func TestTableAgreesWithAMap(t *testing.T) {
	table := fanout.NewTable()
	type state struct{ slots, last uint64 }
	model := map[string]state{}
	r := rand.New(rand.NewPCG(1, 2))
	check := func() {
		require.Equal(t, len(model), table.Len())
		for i := range 20_000 {
			key := fmt.Sprint(i)
			if got := table.Slots(key); got != model[key].slots {
				t.Fatalf("key %s: got %b, want %b", key, got, model[key].slots)
			}
		}
	}
	for round, limit := range []int{20_000, 20_000, 200, 20_000} {
		for range 60_000 {
			key, slot := fmt.Sprint(r.IntN(limit)), r.IntN(fanout.MaxSlots)
			m := model[key]
			switch op := r.IntN(10); {
			case op < 4 || round == 0:
				table.Add(key, slot)
				m.slots |= 1 << slot
				model[key] = m
			case op < 9:
				table.Remove(key, slot)
				if m.slots &^= 1 << slot; m.slots == 0 {
					delete(model, key)
				} else {
					model[key] = m
				}
			default:
				seq := r.Uint64()
				slots, prev := table.Route(key, seq)
				if slots != m.slots || prev != m.last {
					t.Fatalf("key %s: got %b after %d, want %b after %d", key, slots, prev, m.slots, m.last)
				}
				if m.slots != 0 {
					m.last = seq
					model[key] = m
				}
			}
		}
		check()
		for slot := range fanout.MaxSlots / 2 {
			table.Clear(slot)
			for key, m := range model {
				if m.slots &^= 1 << slot; m.slots == 0 {
					delete(model, key)
				} else {
					model[key] = m
				}
			}
		}
		check()
	}
	for slot := range fanout.MaxSlots {
		table.Clear(slot)
	}
	require.Zero(t, table.Len())
	require.Less(t, table.Bytes(), 100<<10, "an empty table has given its memory back")
}

func TestTableUnderConcurrentUse(t *testing.T) {
	table := fanout.NewTable()
	const keys = 500
	var wg sync.WaitGroup
	for slot := range 4 {
		wg.Go(func() {
			for range 20 {
				for i := range keys {
					table.Add(fmt.Sprint(i), slot)
				}
				for i := range keys {
					if slots, _ := table.Route(fmt.Sprint(i), 1); slots&(1<<slot) == 0 {
						t.Errorf("slot %d lost key %d", slot, i)
						return
					}
				}
				table.Clear(slot)
			}
		})
	}
	wg.Wait()
	require.Zero(t, table.Len())
}

const million = 1_000_000

// filled is a table of a million channels, each on 1 of 20 instances and each
// tenth on 3 of them, and the keys in an order that the table does not share. The
// keys lie one behind the other in memory: in the router, too, a key is hot from
// its event, and it is the table that is cold.
func filled(b *testing.B) (*fanout.Table, []string) {
	b.Helper()
	const length = 29
	var text strings.Builder
	for i := range million {
		fmt.Fprintf(&text, "ch_%026d", i)
	}
	keys := make([]string, million)
	for i := range keys {
		keys[i] = text.String()[i*length : (i+1)*length]
	}
	table := fanout.NewTable()
	for i, k := range keys {
		table.Add(k, i%20)
		if i%10 == 0 {
			table.Add(k, (i+7)%20)
			table.Add(k, (i+13)%20)
		}
	}
	return table, keys
}

// Look-ups in a cold table while another goroutine joins and leaves without a
// pause.
func BenchmarkTableRoute(b *testing.B) {
	table, keys := filled(b)
	var stop atomic.Bool
	var updates, found atomic.Int64
	var wg sync.WaitGroup
	wg.Go(func() {
		for i := 0; !stop.Load(); i++ {
			k := keys[i*7919%million]
			table.Add(k, 40+i%20)
			table.Remove(k, 40+i%20)
			updates.Add(2)
		}
	})
	b.ReportAllocs()
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		n := int64(0)
		for i := rand.IntN(million); pb.Next(); i++ {
			if slots, _ := table.Route(keys[i%million], 1); slots != 0 {
				n++
			}
		}
		found.Add(n)
	})
	b.StopTimer()
	stop.Store(true)
	wg.Wait()
	if found.Load() != int64(b.N) {
		b.Errorf("found %d of %d", found.Load(), b.N)
	}
	b.ReportMetric(float64(updates.Load())/b.Elapsed().Seconds(), "updates/s")
}

// The same without updates, one goroutine: what the router does.
func BenchmarkTableRouteAlone(b *testing.B) {
	table, keys := filled(b)
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		table.Route(keys[i], 1)
		i = (i + 1) % million
	}
}

// One user with 100,000 channels comes to an instance and goes again.
func BenchmarkTableJoin100k(b *testing.B) {
	table, keys := filled(b)
	own := keys[300_000:400_000]
	for b.Loop() {
		for _, k := range own {
			table.Add(k, 50)
		}
		b.StopTimer()
		table.Clear(50)
		b.StartTimer()
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/1e6, "ms/join")
}

func BenchmarkTableClear(b *testing.B) {
	table, keys := filled(b)
	for b.Loop() {
		table.Clear(50)
		b.StopTimer()
		for _, k := range keys[:1000] {
			table.Add(k, 50)
		}
		b.StartTimer()
	}
}

// Memory of a million channels, as the heap sees it.
func BenchmarkTableMemory(b *testing.B) {
	keys := make([]string, million)
	for i := range keys {
		keys[i] = fmt.Sprintf("ch_%026d", i)
	}
	var before, after runtime.MemStats
	for b.Loop() {
		runtime.GC()
		runtime.ReadMemStats(&before)
		table := fanout.NewTable()
		for i, k := range keys {
			table.Add(k, i%20)
		}
		runtime.GC()
		runtime.ReadMemStats(&after)
		b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/million, "B/channel")
		runtime.KeepAlive(table)
	}
	runtime.KeepAlive(keys)
}

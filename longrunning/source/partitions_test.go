package source_test

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/chat-platform/chat/events"
	"github.com/chat-platform/chat/infra/nats/natstest"
	"github.com/chat-platform/chat/longrunning/source"
)

// What a source promises, it promises on partitions.
func TestOnPartitions(t *testing.T) {
	t.Setenv("NATS_PARTITIONS", "4")
	for name, test := range map[string]func(*testing.T){
		"Batches": TestBatches, "OrderUnderRandomFailures": TestOrderUnderRandomFailures, "OthersGoOn": TestOthersGoOn,
		"SlowSink": TestSlowSink, "DrainAndRestart": TestDrainAndRestart, "ServerRestart": TestServerRestart,
		"ConsumerDeleted": TestConsumerDeleted, "NotACloudEvent": TestNotACloudEvent, "Filters": TestFilters,
		"Redrive": TestRedrive, "PoisonDoesNotBlock": TestPoisonDoesNotBlock,
	} {
		t.Run(name, test)
	}
}

// Of two processes with half of the partitions each, one handles all of a
// channel, in order, whatever the sinks do.
func TestAChannelIsOneProcesss(t *testing.T) {
	for _, partitions := range []string{"1", "4", "5"} {
		t.Run(partitions, func(t *testing.T) {
			t.Setenv("NATS_PARTITIONS", partitions)
			log := natstest.Open(t)
			var sinks []*sink
			for i := range 2 {
				s := newSink(t, func([]events.Event) int {
					if rand.N(5) == 0 {
						return http.StatusInternalServerError
					}
					return http.StatusOK
				})
				sinks = append(sinks, s)
				cfg := config(s.URL)
				cfg.Share, cfg.MaxBatch, cfg.MaxAttempts = source.Share(fmt.Sprintf("%d/2", i)), 20, 100
				run(t, log, cfg)
			}
			const n = 2000
			publish(t, log, spread(n, 40)...)
			applied(t, log, n)
			of := map[string]int{}
			for i, s := range sinks {
				inOrder(t, s.taken(), false)
				for _, e := range s.taken() {
					if other, ok := of[e.PartitionKey]; ok {
						require.Equal(t, other, i, "%s is handled by two", e.PartitionKey)
					}
					of[e.PartitionKey] = i
				}
			}
			require.Equal(t, n, sinks[0].count()+sinks[1].count())
			require.Equal(t, partitions == "1", sinks[1].count() == 0, "what has no partitions is the first one's")
		})
	}
}

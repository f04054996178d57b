package nats_test

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/chat-platform/chat/events"
	"github.com/chat-platform/chat/infra/nats"
	"github.com/chat-platform/chat/infra/nats/natstest"
)

// What holds for one stream holds for one with partitions.
func TestWithPartitions(t *testing.T) {
	t.Setenv("NATS_PARTITIONS", "4")
	p, err := natstest.Open(t).Partitions(t.Context())
	require.NoError(t, err)
	require.Equal(t, nats.Partitions{Now: 4, Most: 4}, p)
	for name, test := range map[string]func(*testing.T){
		"OpenTwiceAtOnce": TestOpenTwiceAtOnce, "ServerAway": TestServerAway, "NothingThere": TestNothingThere,
		"PublishAndReadBack": TestPublishAndReadBack, "PublishRefuses": TestPublishRefuses, "PublishConcurrently": TestPublishConcurrently,
		"LastOfMany": TestLastOfMany, "LastOfLongEvents": TestLastOfLongEvents, "Range": TestRange, "LongTail": TestLongTail,
		"ReadersMeetAForeignMessage": TestReadersMeetAForeignMessage,
		"FollowFromNow":              TestFollowFromNow, "FollowFromTheBeginningWithFilters": TestFollowFromTheBeginningWithFilters,
		"FollowLosesNothing": TestFollowLosesNothing, "FollowSince": TestFollowSince,
		"Consumer": TestConsumer, "ConsumerHeartbeat": TestConsumerHeartbeat, "CloseReturnsWhatWasUnderWay": TestCloseReturnsWhatWasUnderWay,
		"ConsumerOutlivesDeletionAndRestart": TestConsumerOutlivesDeletionAndRestart,
		"PublishDead":                        TestPublishDead,
		"ArchiveAndStreamReadAsOne":          TestArchiveAndStreamReadAsOne, "TrimInTheMiddleOfARange": TestTrimInTheMiddleOfARange,
		"Refill": TestRefill,
	} {
		t.Run(name, test)
	}
}

func TestSubjectsOfPartitions(t *testing.T) {
	for filter, want := range map[string]string{
		"messages.send.ch_a": "*.send.ch_a", "messages.*.ch_a": "*.*.ch_a", "messages.>": ">", ">": ">", "": "",
		"channels.*": "channels.*", "messages": "messages", "messagesx.a": "messagesx.a",
	} {
		assert.Equal(t, want, nats.StoredFilter(filter), filter)
	}
	for stored, want := range map[string]string{
		"0.send.ch_a": "messages.send.ch_a", "17.edit.9": "messages.edit.9", "messages.send.ch_a": "messages.send.ch_a",
		"members.ch_a.7": "members.ch_a.7", "": "", "5": "5",
	} {
		assert.Equal(t, want, nats.PlainSubject(stored), stored)
	}
}

func inPartitions(t *testing.T, n int) { t.Setenv("NATS_PARTITIONS", fmt.Sprint(n)) }

// stored are the subjects of MESSAGES as the server has them.
func stored(t *testing.T, js jetstream.JetStream) map[string]uint64 {
	t.Helper()
	s, err := js.Stream(t.Context(), events.StreamMessages)
	require.NoError(t, err)
	info, err := s.Info(t.Context(), jetstream.WithSubjectFilter(">"))
	require.NoError(t, err)
	return info.State.Subjects
}

func channel(i int) string { return fmt.Sprintf("ch_%d", i) }

func TestAChannelIsInOnePartition(t *testing.T) {
	inPartitions(t, 4)
	srv := natstest.Start(t)
	log := natstest.ConnectTCP(t, srv)
	fill(t, log, 200, func(i int) events.Event {
		e := sent(channel(i%50), i)
		if i >= 100 {
			e.Subject = "messages.edit." + channel(i%50)
		}
		return e
	})
	_, js := raw(t, srv.ClientURL())
	at, used := map[string]string{}, map[string]bool{}
	for subject, n := range stored(t, js) {
		tokens := strings.Split(subject, ".")
		require.Len(t, tokens, 3)
		require.EqualValues(t, 2, n)
		if p, ok := at[tokens[2]]; ok {
			require.Equal(t, p, tokens[0])
		}
		at[tokens[2]] = tokens[0]
		used[tokens[0]] = true
	}
	require.Len(t, at, 50)
	require.Equal(t, []string{"0", "1", "2", "3"}, slices.Sorted(maps.Keys(used)))
}

// A stream's partitions may change at any time, from none and back to none. No
// reader misses anything, and a consumer gets everything, and gets it once unless
// it knew of no partitions before.
func TestRepartition(t *testing.T) {
	for _, ns := range [][]int{{1, 4}, {4, 8}, {4, 2}, {3, 1}, {1, 4, 8, 2, 1}} {
		t.Run(fmt.Sprint(ns), func(t *testing.T) {
			const channels, round = 30, 300
			inPartitions(t, ns[0])
			log := natstest.Open(t)
			all := []string{}
			for i := range channels {
				all = append(all, events.MessageSubject(events.ChannelID(channel(i))))
			}
			c, err := log.Consumer(t.Context(), nats.ConsumerConfig{Stream: events.StreamMessages, Name: "writer", AckWait: time.Hour})
			require.NoError(t, err)
			var followed atomic.Int64
			ready, done := make(chan uint64), make(chan error, 1)
			ctx, stop := context.WithCancel(t.Context())
			defer stop()
			go func() {
				done <- log.Follow(ctx, events.StreamMessages, []string{events.MessagesOf("ch_1"), events.MessagesOf("ch_2")}, 1,
					func(last uint64) { ready <- last }, func(es []events.Event) error { followed.Add(int64(len(es))); return nil })
			}()
			<-ready
			most, n := 0, 0
			for _, parts := range ns {
				require.NoError(t, log.Repartition(t.Context(), parts))
				if parts > 1 {
					most = max(most, parts)
				}
				p, err := log.Partitions(t.Context())
				require.NoError(t, err)
				require.Equal(t, nats.Partitions{Now: parts, Most: most}, p)
				fill(t, log, round, func(i int) events.Event { return sent(channel((n+i)%channels), n+i) })
				n += round
				c.LookAgain()
				seen, twice := map[uint64]bool{}, 0
				for end, whole := time.Now().Add(patience), false; !whole; {
					require.True(t, time.Now().Before(end), "%d of %d came", len(seen), round)
					ds, err := c.Fetch(t.Context(), round, time.Millisecond)
					require.NoError(t, err)
					for _, d := range ds {
						require.Equal(t, 1, d.Attempt)
						require.Greater(t, d.Sequence, uint64(n-round), "nothing of before comes again")
						require.Equal(t, d.Event.Subject, d.Subject)
						if seen[d.Sequence] {
							twice++
						}
						seen[d.Sequence] = true
						require.NoError(t, d.Ack())
					}
					applied, last, err := log.Position(t.Context(), events.StreamMessages, "writer")
					require.NoError(t, err)
					require.EqualValues(t, n, last)
					whole = applied == last
				}
				require.Len(t, seen, round)
				if first := ns[0] == 1 && n == 2*round; !first {
					require.Zero(t, twice)
				}

				of, err := log.LastOf(t.Context(), all)
				require.NoError(t, err)
				require.Len(t, of, channels)
				before, err := log.LastBefore(t.Context(), all, uint64(n-channels+1))
				require.NoError(t, err)
				for i, subject := range all {
					want := uint64(n - channels + i + 1) // rounds are whole
					require.Equal(t, want, of[subject].Sequence)
					require.Equal(t, want-channels, before[subject], subject)
					last, err := log.Last(t.Context(), subject)
					require.NoError(t, err)
					require.Equal(t, want, last.Sequence)
					last, err = log.LastConfirmed(t.Context(), subject)
					require.NoError(t, err)
					require.Equal(t, want, last.Sequence)
				}
				for filters, want := range map[string]int{"messages.*.ch_1": 1, "messages.send.ch_1": 1, "messages.*.ch_1,messages.send.ch_2": 2, "messages.>": channels, "": channels} {
					got := 0
					require.NoError(t, log.Range(t.Context(), events.StreamMessages, slices.DeleteFunc(strings.Split(filters, ","), func(s string) bool { return s == "" }),
						1, uint64(n), func(events.Event) error { got++; return nil }))
					require.Equal(t, want*n/channels, got, filters)
				}
				tail, err := log.Tail(t.Context(), events.MessagesOf("ch_7"), 1, n)
				require.NoError(t, err)
				require.Len(t, tail, n/channels)
				require.Eventually(t, func() bool { return followed.Load() == int64(2*n/channels) }, patience, time.Millisecond)

				again, err := log.Publish(t.Context(), sent(channel((n-1)%channels), n-1))
				require.NoError(t, err)
				require.Equal(t, events.Ack{Stream: events.StreamMessages, Seq: uint64(n), Duplicate: true}, again)
				_, err = log.PublishExpecting(t.Context(), sent("ch_3", 10*n), 0)
				require.ErrorIs(t, err, events.ErrConflict, "the last one is found, wherever it lies")
			}
			stop()
			require.NoError(t, <-done)
			require.Empty(t, c.Close())

			// Whoever begins anew gets all of it, and a deletion deletes all parts.
			require.NoError(t, log.DeleteConsumer(t.Context(), events.StreamMessages, "writer"))
			applied, err := log.Applied(t.Context(), events.StreamMessages, "writer")
			require.NoError(t, err)
			require.Zero(t, applied)
			c, err = log.Consumer(t.Context(), nats.ConsumerConfig{Stream: events.StreamMessages, Name: "writer", Filters: []string{"messages.send.>"}})
			require.NoError(t, err)
			fetchAll(t, c, n)
		})
	}
}

func TestRepartitionRefuses(t *testing.T) {
	srv := natstest.Start(t)
	log := natstest.ConnectTCP(t, srv)
	for _, n := range []int{-1, 0, nats.PartitionsMost + 1} {
		require.ErrorIs(t, log.Repartition(t.Context(), n), events.ErrInvalid)
	}
	require.NoError(t, log.Repartition(t.Context(), 1))
	_, js := raw(t, srv.ClientURL())
	s, err := js.Stream(t.Context(), events.StreamMessages)
	require.NoError(t, err)
	for name, change := range map[string]func(*jetstream.StreamConfig){
		"another transform": func(c *jetstream.StreamConfig) {
			c.SubjectTransform = &jetstream.SubjectTransformConfig{Source: "messages.*.*", Destination: "x.{{wildcard(1)}}.{{wildcard(2)}}"}
		},
		"another source": func(c *jetstream.StreamConfig) {
			c.SubjectTransform = &jetstream.SubjectTransformConfig{Source: "messages.send.*", Destination: "{{partition(4,1)}}.send.{{wildcard(1)}}"}
		},
		"no number": func(c *jetstream.StreamConfig) { c.Metadata = map[string]string{"chat-partitions": "many"} },
	} {
		t.Run(name, func(t *testing.T) {
			cfg := s.CachedInfo().Config
			change(&cfg)
			_, err := js.UpdateStream(t.Context(), cfg)
			require.NoError(t, err)
			_, err = nats.Open(t.Context(), nats.Config{URL: srv.ClientURL(), ConnectWait: patience})
			require.ErrorIs(t, err, events.ErrConflict)
			require.ErrorIs(t, log.Repartition(t.Context(), 4), events.ErrConflict)
			_, err = log.Partitions(t.Context())
			require.ErrorIs(t, err, events.ErrConflict)
			_, err = log.Applied(t.Context(), events.StreamMessages, "writer")
			require.ErrorIs(t, err, events.ErrConflict)
			_, _, err = log.Settled(t.Context(), events.StreamMessages)
			require.ErrorIs(t, err, events.ErrConflict)
		})
	}
}

// NATS_PARTITIONS counts when the stream is made, and at no other time.
func TestOpenLeavesPartitionsAlone(t *testing.T) {
	srv := natstest.Start(t)
	for _, n := range []string{"4", "1", "8"} {
		t.Setenv("NATS_PARTITIONS", n)
		p, err := natstest.Connect(t, srv).Partitions(t.Context())
		require.NoError(t, err)
		require.Equal(t, nats.Partitions{Now: 4, Most: 4}, p)
	}
}

// Several processes with a share each: a channel is one's, whatever the numbers.
func TestShares(t *testing.T) {
	for _, tt := range []struct{ partitions, shares int }{{4, 2}, {4, 3}, {2, 3}, {1, 2}} {
		t.Run(fmt.Sprintf("%d in %d", tt.partitions, tt.shares), func(t *testing.T) {
			const n = 400
			inPartitions(t, tt.partitions)
			log := natstest.Open(t)
			owner, seen := map[string]int{}, 0
			var cs []*nats.Consumer
			for i := range tt.shares {
				c, err := log.Consumer(t.Context(), nats.ConsumerConfig{Stream: events.StreamMessages, Name: "writer", AckWait: time.Hour, Share: i, Shares: tt.shares})
				require.NoError(t, err)
				cs = append(cs, c)
			}
			fill(t, log, n, func(i int) events.Event { return sent(channel(i%40), i) })
			for end := time.Now().Add(patience); seen < n && time.Now().Before(end); {
				for i, c := range cs {
					ds, err := c.Fetch(t.Context(), 100, time.Millisecond)
					require.NoError(t, err)
					for _, d := range ds {
						if o, ok := owner[d.Subject]; ok {
							require.Equal(t, o, i, d.Subject)
						}
						owner[d.Subject] = i
						seen++
					}
				}
			}
			require.Equal(t, n, seen)
			for _, c := range cs {
				require.Empty(t, c.Close())
			}
		})
	}
}

// A position is what all partitions have passed; those where nothing comes hold
// nobody up, and those that nobody consumes do.
func TestPositionOfPartitions(t *testing.T) {
	inPartitions(t, 4)
	srv := natstest.Start(t)
	log := natstest.ConnectTCP(t, srv)
	position := func() uint64 {
		t.Helper()
		applied, err := log.Applied(t.Context(), events.StreamMessages, "writer")
		require.NoError(t, err)
		return applied
	}
	fill(t, log, 100, func(i int) events.Event { return sent("ch_1", i) })
	fill(t, log, 100, func(i int) events.Event { return sent("ch_2", i) })
	_, js := raw(t, srv.ClientURL())
	at := map[string]string{}
	for s := range stored(t, js) {
		tokens := strings.Split(s, ".")
		at[tokens[2]] = tokens[0]
	}
	require.NotEqual(t, at["ch_1"], at["ch_2"], "choose others")
	require.Zero(t, position(), "there is no consumer")

	c, err := log.Consumer(t.Context(), nats.ConsumerConfig{Stream: events.StreamMessages, Name: "writer", AckWait: time.Hour})
	require.NoError(t, err)
	require.Zero(t, position())
	ds := fetchAll(t, c, 200)
	for _, d := range ds {
		if d.Event.PartitionKey == "ch_1" {
			require.NoError(t, d.Ack())
		}
	}
	require.NoError(t, log.Ping(t.Context()))
	require.Zero(t, position(), "nothing of the other partition is acknowledged")
	for _, d := range ds {
		if d.Event.PartitionKey == "ch_2" && d.Sequence <= 150 {
			require.NoError(t, d.Ack())
		}
	}
	require.Eventually(t, func() bool { return position() == 150 }, patience, time.Millisecond)
	for _, d := range ds {
		if d.Sequence > 150 {
			require.NoError(t, d.Ack())
		}
	}
	require.Eventually(t, func() bool { return position() == 200 }, patience, time.Millisecond)
	for i := range 20 { // idle partitions, asked again and again
		fill(t, log, 10, func(j int) events.Event { return sent("ch_1", 1000+10*i+j) })
		require.LessOrEqual(t, position(), uint64(210+10*i))
		for _, d := range fetchAll(t, c, 10) {
			require.NoError(t, d.Ack())
		}
		require.Eventually(t, func() bool { return position() == uint64(210+10*i) }, patience, time.Millisecond)
	}
	c.Close()

	// A partition whose consumer is not there has nothing applied of what there is.
	s, err := js.Stream(t.Context(), events.StreamMessages)
	require.NoError(t, err)
	require.NoError(t, s.DeleteConsumer(t.Context(), "writer-"+at["ch_2"]))
	require.EqualValues(t, 100, position())
	upTo, behind, err := log.Settled(t.Context(), events.StreamMessages, "writer")
	require.NoError(t, err)
	require.Zero(t, upTo)
	require.Equal(t, "writer-"+at["ch_2"], behind)
}

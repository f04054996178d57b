package nats_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/chat-platform/chat/events"
	"github.com/chat-platform/chat/infra/nats"
	"github.com/chat-platform/chat/infra/nats/natstest"
)

func fetchAll(t testing.TB, c *nats.Consumer, n int) (ds []*nats.Delivery) {
	t.Helper()
	for end := time.Now().Add(patience); len(ds) < n && time.Now().Before(end); {
		more, err := c.Fetch(t.Context(), n-len(ds), 100*time.Millisecond)
		require.NoError(t, err)
		ds = append(ds, more...)
	}
	require.Len(t, ds, n)
	return ds
}

func TestConsumer(t *testing.T) {
	log := natstest.Open(t)
	c, err := log.Consumer(t.Context(), nats.ConsumerConfig{Stream: events.StreamMessages, Name: "writer", AckWait: time.Minute})
	require.NoError(t, err)
	ds, err := c.Fetch(t.Context(), 10, time.Millisecond)
	require.NoError(t, err)
	assert.Empty(t, ds)
	ds, err = c.Fetch(t.Context(), 0, time.Minute)
	require.NoError(t, err)
	assert.Empty(t, ds)

	fill(t, log, 2000, func(i int) events.Event { return sent("ch_a", i) })
	ds = fetchAll(t, c, 2000)
	for i, d := range ds {
		require.NoError(t, d.Err)
		require.EqualValues(t, i+1, d.Sequence)
		require.EqualValues(t, i+1, d.Event.Sequence)
		require.Equal(t, fmt.Sprintf("evt_ch_a_%d", i), d.Event.ID)
		require.Equal(t, 1, d.Attempt)
		require.Equal(t, events.StreamMessages, d.Stream)
	}
	assert.Zero(t, c.Lag())
	require.NoError(t, ds[1].Ack())
	require.NoError(t, ds[0].Ack())
	applied := func() uint64 {
		require.NoError(t, log.Ping(t.Context()))
		seq, err := log.Applied(t.Context(), events.StreamMessages, "writer")
		require.NoError(t, err)
		return seq
	}
	require.Eventually(t, func() bool { return applied() == 2 }, patience, time.Millisecond)
	require.NoError(t, ds[2].Nak(0))
	again := fetchAll(t, c, 1)[0]
	assert.EqualValues(t, 3, again.Sequence)
	assert.Equal(t, 2, again.Attempt)
	require.NoError(t, again.Nak(30*time.Millisecond))
	begin := time.Now()
	again = fetchAll(t, c, 1)[0]
	assert.Equal(t, 3, again.Attempt)
	assert.GreaterOrEqual(t, time.Since(begin), 20*time.Millisecond)
	require.NoError(t, again.Terminate("no\r\ngood"))
	for _, d := range ds[3:] {
		require.NoError(t, d.Ack())
	}
	require.Eventually(t, func() bool { return applied() == 2000 }, patience, time.Millisecond)
	_, err = log.Publish(t.Context(), sent("ch_a", 2000))
	require.NoError(t, err)
	upTo, last, err := log.Position(t.Context(), events.StreamMessages, "writer")
	require.NoError(t, err)
	assert.EqualValues(t, 2000, upTo)
	assert.EqualValues(t, 2001, last)
	c.Close()

	// Whoever comes later goes on where the acknowledgements end.
	_, err = log.Publish(t.Context(), sent("ch_a", 2000))
	require.NoError(t, err)
	c, err = log.Consumer(t.Context(), nats.ConsumerConfig{Stream: events.StreamMessages, Name: "writer", AckWait: time.Minute, MaxAckPending: 5})
	require.NoError(t, err)
	assert.EqualValues(t, 2001, fetchAll(t, c, 1)[0].Sequence)
}

// What is reported in progress does not come again, what is not does. A machine
// that stands still for longer than AckWait reports nothing in time; so the wait
// grows until the machine is fast enough.
func TestConsumerHeartbeat(t *testing.T) {
	for wait := 150 * time.Millisecond; !keptAlive(t, wait); wait *= 4 {
		require.Less(t, wait, patience, "the one kept alive came again")
	}
}

// keptAlive keeps the first of two events in progress until the second has come
// again several times, and tells whether the first has not.
func keptAlive(t *testing.T, wait time.Duration) bool {
	t.Helper()
	log := natstest.Open(t)
	c, err := log.Consumer(t.Context(), nats.ConsumerConfig{Stream: events.StreamMessages, Name: "slow", AckWait: wait})
	require.NoError(t, err)
	defer c.Close()
	fill(t, log, 2, func(i int) events.Event { return sent("ch_a", i) })
	ds := fetchAll(t, c, 2)
	for again := 0; again < 3; {
		require.NoError(t, ds[0].InProgress())
		more, err := c.Fetch(t.Context(), 2, wait/10)
		require.NoError(t, err)
		for _, d := range more {
			if d.Sequence == 1 {
				return false
			}
			again++
		}
	}
	seq, err := log.Applied(t.Context(), events.StreamMessages, "slow")
	require.NoError(t, err)
	assert.Zero(t, seq)
	return true
}

func TestAppliedWithFilters(t *testing.T) {
	log := natstest.Open(t)
	cfg := nats.ConsumerConfig{Stream: events.StreamMetadata, Name: "channels", Filters: []string{"channels.>"}}
	c, err := log.Consumer(t.Context(), cfg)
	require.NoError(t, err)
	fill(t, log, 3, func(i int) events.Event { return joined("ch_a", "u", i) })
	seq, err := log.Applied(t.Context(), events.StreamMetadata, cfg.Name)
	require.NoError(t, err)
	assert.EqualValues(t, 3, seq, "nothing of what is there concerns it")
	e := sent("ch_a", 9)
	e.Subject = events.ChannelSubject("ch_a")
	_, err = log.Publish(t.Context(), e)
	require.NoError(t, err)
	seq, err = log.Applied(t.Context(), events.StreamMetadata, cfg.Name)
	require.NoError(t, err)
	assert.LessOrEqual(t, seq, uint64(3))
	require.NoError(t, fetchAll(t, c, 1)[0].Ack())
	fill(t, log, 1, func(i int) events.Event { return joined("ch_b", "u", i) })
	require.Eventually(t, func() bool {
		seq, err := log.Applied(t.Context(), events.StreamMetadata, cfg.Name)
		return err == nil && seq == 5
	}, patience, time.Millisecond)
	cfg.Filters = []string{"channels.>", "users.>"}
	_, err = log.Consumer(t.Context(), cfg)
	require.NoError(t, err)
	seq, err = log.Applied(t.Context(), events.StreamMetadata, cfg.Name)
	require.NoError(t, err)
	assert.EqualValues(t, 5, seq)
}

func TestConsumerOutlivesDeletionAndRestart(t *testing.T) {
	srv := natstest.Start(t)
	log := natstest.ConnectTCP(t, srv)
	c, err := log.Consumer(t.Context(), nats.ConsumerConfig{Stream: events.StreamMessages, Name: "writer"})
	require.NoError(t, err)
	fill(t, log, 3, func(i int) events.Event { return sent("ch_a", i) })
	for _, d := range fetchAll(t, c, 3) {
		require.NoError(t, d.Ack())
	}
	ds, err := c.Fetch(t.Context(), 10, time.Millisecond) // a request is under way
	require.NoError(t, err)
	require.Empty(t, ds)
	require.NoError(t, log.DeleteConsumer(t.Context(), events.StreamMessages, "writer"))
	require.NoError(t, log.DeleteConsumer(t.Context(), events.StreamMessages, "writer"))
	ds = fetchAll(t, c, 3)
	assert.EqualValues(t, 1, ds[0].Sequence, "a new consumer begins at the beginning")
	for _, d := range ds {
		require.NoError(t, d.Ack())
	}
	require.NoError(t, log.Ping(t.Context()))

	require.NoError(t, srv.Restart())
	require.Eventually(t, func() bool { return log.Ping(t.Context()) == nil }, patience, time.Millisecond)
	_, err = log.Publish(t.Context(), sent("ch_a", 3))
	require.NoError(t, err)
	assert.EqualValues(t, 4, fetchAll(t, c, 1)[0].Sequence)
}

func TestPublishDead(t *testing.T) {
	srv := natstest.Start(t)
	log := natstest.Connect(t, srv)
	_, js := raw(t, srv.ClientURL())
	_, err := log.PublishExpecting(t.Context(), sent("ch_a", 1), 0)
	require.NoError(t, err)
	c, err := log.Consumer(t.Context(), nats.ConsumerConfig{Stream: events.StreamMessages, Name: "writer"})
	require.NoError(t, err)
	d := fetchAll(t, c, 1)[0]
	why := nats.DeadReason{Reason: "bad\nthing " + strings.Repeat("ü", 2000), Status: 422, Attempts: 3}
	for range 2 { // the second is a duplicate
		require.NoError(t, log.PublishDead(t.Context(), d, why))
	}
	last, err := log.LastSequence(t.Context(), events.StreamDeadLetters)
	require.NoError(t, err)
	assert.EqualValues(t, 1, last)
	s, err := js.Stream(t.Context(), events.StreamDeadLetters)
	require.NoError(t, err)
	m, err := s.GetLastMsgForSubject(t.Context(), "dead.writer")
	require.NoError(t, err)
	assert.Equal(t, d.Data, m.Data)
	for k, v := range map[string]string{
		"ce-id": "evt_ch_a_1", "ce-type": events.TypeMessageSent, "ce-partitionkey": "ch_a", "dead-status": "422", "dead-attempts": "3",
		"dead-stream": "MESSAGES", "dead-sequence": "1", "dead-consumer": "writer", "dead-subject": "messages.send.ch_a",
		jetstream.ExpectedLastSubjSeqHeader: "",
	} {
		assert.Equal(t, v, m.Header.Get(k), k)
	}
	assert.True(t, strings.HasPrefix(m.Header.Get("dead-reason"), "bad thing üü"))
	assert.Less(t, len(m.Header.Get("dead-reason")), 1100)
	at, err := time.Parse(time.RFC3339Nano, m.Header.Get("dead-time"))
	require.NoError(t, err)
	assert.WithinDuration(t, time.Now(), at, time.Minute)
	e, err := log.Last(t.Context(), "dead.writer")
	require.NoError(t, err)
	assert.Equal(t, "messages.send.ch_a", e.Subject, "a dead letter is the event as it came")

	srv.Shutdown()
	require.Eventually(t, func() bool { return log.Ping(t.Context()) != nil }, patience, time.Millisecond)
	assert.ErrorIs(t, log.PublishDead(t.Context(), d, why), events.ErrUnavailable)
	assert.ErrorIs(t, d.Ack(), events.ErrUnavailable)
	assert.ErrorIs(t, c.GiveBack(t.Context(), []*nats.Delivery{d}), events.ErrUnavailable)
	assert.ErrorIs(t, c.GiveBack(t.Context(), []*nats.Delivery{d, d}), events.ErrUnavailable)
}

func TestCloseReturnsWhatWasUnderWay(t *testing.T) {
	log := natstest.Open(t)
	cfg := nats.ConsumerConfig{Stream: events.StreamMessages, Name: "writer", AckWait: time.Hour}
	c, err := log.Consumer(t.Context(), cfg)
	require.NoError(t, err)
	fill(t, log, 1, func(i int) events.Event { return sent("ch_a", i) })
	ds, err := c.Fetch(t.Context(), 100, patience)
	require.NoError(t, err)
	require.Len(t, ds, 1)
	fill(t, log, 50, func(i int) events.Event { return sent("ch_b", i) }) // goes to the request under way
	require.NoError(t, c.GiveBack(t.Context(), c.Close()))
	require.NoError(t, c.GiveBack(t.Context(), nil))
	assert.Empty(t, c.Close())
	_, err = c.Fetch(t.Context(), 1, time.Second)
	assert.ErrorIs(t, err, events.ErrUnavailable)
	c, err = log.Consumer(t.Context(), cfg)
	require.NoError(t, err)
	seen := map[uint64]bool{}
	for _, d := range fetchAll(t, c, 50) { // with an AckWait of an hour
		seen[d.Sequence] = true
	}
	assert.Len(t, seen, 50)
}

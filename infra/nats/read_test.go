package nats_test

import (
	"errors"
	"fmt"
	"testing"

	driver "github.com/nats-io/nats.go"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/chat-platform/chat/events"
	"github.com/chat-platform/chat/infra/nats"
	"github.com/chat-platform/chat/infra/nats/natstest"
)

func TestNothingThere(t *testing.T) {
	log := natstest.Open(t)
	_, err := log.Last(t.Context(), events.MessageSubject("ch_a"))
	assert.ErrorIs(t, err, events.ErrNotFound)
	_, err = log.LastConfirmed(t.Context(), events.MessageSubject("ch_a"))
	assert.ErrorIs(t, err, events.ErrNotFound)
	for _, seq := range []uint64{0, 1, 1 << 40} {
		_, err = log.BySequence(t.Context(), events.StreamMessages, seq)
		assert.ErrorIs(t, err, events.ErrNotFound)
	}
	m, err := log.LastOf(t.Context(), []string{events.MessageSubject("ch_a"), events.ChannelSubject("ch_a")})
	require.NoError(t, err)
	assert.Empty(t, m)
	m, err = log.LastOf(t.Context(), nil)
	require.NoError(t, err)
	assert.Empty(t, m)
	b, err := log.LastBefore(t.Context(), []string{events.MessageSubject("ch_a")}, 10)
	require.NoError(t, err)
	assert.Empty(t, b)
	es, err := log.Tail(t.Context(), events.MessagesOf("ch_a"), 0, 10)
	require.NoError(t, err)
	assert.Empty(t, es)
	require.NoError(t, log.Range(t.Context(), events.StreamMessages, nil, 0, 100, func(events.Event) error { return errors.New("called") }))
	seq, err := log.Applied(t.Context(), events.StreamMessages, "nobody")
	require.NoError(t, err)
	assert.Zero(t, seq)
}

func TestSubjectsThatAreNotTheLogs(t *testing.T) {
	log := natstest.Open(t)
	_, err := log.Last(t.Context(), "elsewhere.x")
	assert.ErrorIs(t, err, events.ErrInvalid)
	_, err = log.LastConfirmed(t.Context(), "elsewhere.x")
	assert.ErrorIs(t, err, events.ErrInvalid)
	_, err = log.LastOf(t.Context(), []string{"elsewhere.x"})
	assert.ErrorIs(t, err, events.ErrInvalid)
	_, err = log.LastBefore(t.Context(), []string{"elsewhere.x"}, 9)
	assert.ErrorIs(t, err, events.ErrInvalid)
	_, err = log.Tail(t.Context(), "elsewhere.x", 0, 1)
	assert.ErrorIs(t, err, events.ErrInvalid)
}

func TestLastOfMany(t *testing.T) {
	log := natstest.Open(t)
	const n = 2500 // more than one request may name
	fill(t, log, n, func(i int) events.Event { return joined("ch_a", fmt.Sprintf("u %d", i), 1) })
	fill(t, log, n, func(i int) events.Event { return joined("ch_a", fmt.Sprintf("u %d", i), 2) })
	_, err := log.Publish(t.Context(), sent("ch_a", 1))
	require.NoError(t, err)
	subjects := []string{events.MemberSubject("ch_a", "absent"), events.MessageSubject("ch_a")}
	for i := range n {
		subjects = append(subjects, events.MemberSubject("ch_a", events.UserID(fmt.Sprintf("u %d", i))))
	}
	last, err := log.LastOf(t.Context(), subjects)
	require.NoError(t, err)
	require.Len(t, last, n+1)
	assert.EqualValues(t, 1, last[events.MessageSubject("ch_a")].Sequence)
	for i := range n {
		e := last[events.MemberSubject("ch_a", events.UserID(fmt.Sprintf("u %d", i)))]
		require.Equal(t, fmt.Sprintf("evt_ch_a_u %d_2", i), e.ID)
		require.EqualValues(t, n+i+1, e.Sequence)
	}
	before, err := log.LastBefore(t.Context(), subjects, 2*n+1)
	require.NoError(t, err)
	require.Len(t, before, n+1)
	assert.EqualValues(t, 2*n, before[subjects[len(subjects)-1]])
	before, err = log.LastBefore(t.Context(), subjects[n-58:], n+1) // all of them have a later one
	require.NoError(t, err)
	require.Len(t, before, 60)
	assert.EqualValues(t, n, before[subjects[len(subjects)-1]])
	before, err = log.LastBefore(t.Context(), subjects[2:12], 2)
	require.NoError(t, err)
	assert.Equal(t, map[string]uint64{subjects[2]: 1}, before)
	for _, seq := range []uint64{0, 1} {
		before, err = log.LastBefore(t.Context(), subjects, seq)
		require.NoError(t, err)
		assert.Empty(t, before)
	}
}

// Long events use up a request's bytes before its number.
func TestLastOfLongEvents(t *testing.T) {
	log := natstest.Open(t)
	data := append(append([]byte{'"'}, make([]byte, 900_000)...), '"')
	for i := range data[1 : len(data)-1] {
		data[i+1] = 'x'
	}
	subjects := []string{}
	fill(t, log, 30, func(i int) events.Event {
		e := joined("ch_a", fmt.Sprintf("u%d", i), 1)
		e.Data = data
		subjects = append(subjects, e.Subject)
		return e
	})
	last, err := log.LastOf(t.Context(), subjects)
	require.NoError(t, err)
	assert.Len(t, last, 30)
	n := 0
	require.NoError(t, log.Range(t.Context(), events.StreamMetadata, nil, 1, 30, func(e events.Event) error {
		n++
		assert.EqualValues(t, n, e.Sequence)
		return nil
	}))
	assert.Equal(t, 30, n)
}

func TestRange(t *testing.T) {
	log := natstest.Open(t)
	const n = 3500 // more than Range asks for without a consumer
	fill(t, log, n, func(i int) events.Event { return sent(fmt.Sprintf("ch_%d", i%5), i) })
	collect := func(filters []string, from, to uint64) (seqs []uint64) {
		require.NoError(t, log.Range(t.Context(), events.StreamMessages, filters, from, to, func(e events.Event) error {
			require.Equal(t, fmt.Sprintf("evt_ch_%d_%d", (e.Sequence-1)%5, e.Sequence-1), e.ID)
			seqs = append(seqs, e.Sequence)
			return nil
		}))
		return seqs
	}
	want := func(from, to uint64, channels ...uint64) (seqs []uint64) {
		for s := from; s <= min(to, n); s++ {
			for _, c := range channels {
				if (s-1)%5 == c {
					seqs = append(seqs, s)
				}
			}
		}
		return seqs
	}
	all := []uint64{0, 1, 2, 3, 4}
	one, two := []string{events.MessagesOf("ch_2")}, []string{events.MessageSubject("ch_1"), events.MessageSubject("ch_3")}
	for _, c := range []struct{ from, to uint64 }{{1, n}, {1, 1}, {999, 1001}, {3000, 1 << 50}, {n + 1, 6000}, {7, 3}, {17, 3333}} {
		assert.Equal(t, want(c.from, c.to, all...), collect(nil, c.from, c.to), "all %v", c)
		assert.Equal(t, want(c.from, c.to, 2), collect(one, c.from, c.to), "one filter %v", c)
		assert.Equal(t, want(c.from, c.to, 1, 3), collect(two, c.from, c.to), "two filters %v", c)
	}
	assert.Empty(t, collect([]string{"messages.send.ch_none"}, 1, n))
	assert.Empty(t, collect([]string{"messages.send.ch_none", "messages.send.ch_no"}, 1, n))

	stop := errors.New("stop")
	for _, filters := range [][]string{nil, one, two} {
		calls := 0
		err := log.Range(t.Context(), events.StreamMessages, filters, 1, n, func(events.Event) error { calls++; return stop })
		assert.ErrorIs(t, err, stop)
		assert.Equal(t, 1, calls)
	}
	es, err := log.Tail(t.Context(), events.MessagesOf("ch_2"), 100, 3)
	require.NoError(t, err)
	require.Len(t, es, 3)
	assert.EqualValues(t, 103, es[0].Sequence)
	assert.EqualValues(t, 113, es[2].Sequence)
	es, err = log.Tail(t.Context(), events.MessageSubject("ch_2"), 0, 10_000)
	require.NoError(t, err)
	assert.Len(t, es, n/5)
	es, err = log.Tail(t.Context(), events.MessageSubject("ch_2"), n-10, 100)
	require.NoError(t, err)
	assert.Len(t, es, 2)
	es, err = log.Tail(t.Context(), events.MessageSubject("ch_2"), 0, 0)
	require.NoError(t, err)
	assert.Empty(t, es)
}

func TestReadersMeetAForeignMessage(t *testing.T) {
	srv := natstest.Start(t)
	log := natstest.Connect(t, srv)
	nc, js := raw(t, srv.ClientURL())
	_, err := log.Publish(t.Context(), sent("ch_a", 1))
	require.NoError(t, err)
	_, err = js.Publish(t.Context(), "messages.send.ch_a", []byte("hello")) // 2: no headers at all
	require.NoError(t, err)
	structured, err := sent("ch_a", 3).AppendJSON(nil)
	require.NoError(t, err)
	_, err = js.PublishMsg(t.Context(), &driver.Msg{Subject: "messages.send.ch_a", Data: structured, // 3: structured mode
		Header: driver.Header{"content-type": {"application/cloudevents+json; charset=utf-8"}}})
	require.NoError(t, err)
	_, err = js.PublishMsg(t.Context(), &driver.Msg{Subject: "messages.send.ch_a", // 4: no id
		Header: driver.Header{"ce-specversion": {"1.0"}, "ce-type": {"x"}, "ce-source": {"/x"}}})
	require.NoError(t, err)
	_, err = js.PublishMsg(t.Context(), &driver.Msg{Subject: "messages.send.ch_a", // 5: no subject attribute
		Header: driver.Header{"ce-specversion": {"1.0"}, "ce-type": {"x"}, "ce-source": {"/x"}, "ce-id": {"5"}}})
	require.NoError(t, err)
	require.NoError(t, nc.Flush())

	_, err = log.BySequence(t.Context(), events.StreamMessages, 2)
	assert.ErrorIs(t, err, events.ErrInvalid)
	for _, filters := range [][]string{nil, {"messages.send.ch_a", "messages.send.ch_b"}} {
		var seqs []uint64
		require.NoError(t, log.Range(t.Context(), events.StreamMessages, filters, 1, 5, func(e events.Event) error {
			assert.Equal(t, "messages.send.ch_a", e.Subject)
			seqs = append(seqs, e.Sequence)
			return nil
		}))
		assert.Equal(t, []uint64{1, 3, 5}, seqs)
	}
	c, err := log.Consumer(t.Context(), nats.ConsumerConfig{Stream: events.StreamMessages, Name: "c"})
	require.NoError(t, err)
	for i, d := range fetchAll(t, c, 5) {
		assert.EqualValues(t, i+1, d.Sequence)
		assert.Equal(t, i == 1 || i == 3, d.Err != nil, "delivery %d: %v", i, d.Err)
	}
}

func TestLongTail(t *testing.T) {
	log := natstest.Open(t)
	fill(t, log, 7000, func(i int) events.Event { return sent(fmt.Sprintf("ch_%d", i%2), i) })
	for _, limit := range []int{1, 1000, 1001, 3000, 3400, 4000} {
		es, err := log.Tail(t.Context(), events.MessageSubject("ch_1"), 1, limit)
		require.NoError(t, err)
		require.Len(t, es, min(limit, 3500))
		for i, e := range es {
			require.EqualValues(t, 2*i+2, e.Sequence)
		}
	}
}

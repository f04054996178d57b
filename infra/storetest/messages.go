package storetest

import (
	"context"
	"slices"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/chat-platform/chat/events"
)

// TestMessages checks a store of messages. open gives an empty store, which it
// closes in a cleanup of t; generations gives those of one view.
func TestMessages(t *testing.T, open func(t *testing.T) Messages, generations Generations[Messages]) {
	put := func(s Messages) func(context.Context, []events.Message) error { return s.PutMessages }
	testView(t, open, generations, func(ctx context.Context, s Messages) error {
		return s.PutMessages(ctx, append(conversation(general, 5, 1, 2), conversation(random, 5, 2, 2)...))
	})
	t.Run("writes", func(t *testing.T) { testMessageWrites(t, open, put) })
	t.Run("history", func(t *testing.T) { testHistory(t, open) })
	t.Run("by id", func(t *testing.T) { testMessagesByID(t, open) })
}

func testHistory(t *testing.T, open func(t *testing.T) Messages) {
	// ch_general has 10, 20, … 100, between those of ch_random: 5, 15, … 105.
	s := open(t)
	generals := conversation(general, 10, 10, 10)
	randoms := conversation(random, 11, 5, 10)
	require.NoError(t, s.PutMessages(t.Context(), shuffled(append(generals, randoms...), 1)))

	type query = events.HistoryQuery
	for _, c := range []struct {
		name          string
		q             query
		want          []uint64
		before, after bool // MoreBefore, MoreAfter
	}{
		{"latest", query{Limit: 3}, []uint64{80, 90, 100}, true, false},
		{"latest, limit 1", query{Limit: 1}, []uint64{100}, true, false},
		{"latest, as many as there are", query{Limit: 10}, []uint64{10, 20, 30, 40, 50, 60, 70, 80, 90, 100}, false, false},
		{"latest, more than there are", query{Limit: 100}, []uint64{10, 20, 30, 40, 50, 60, 70, 80, 90, 100}, false, false},
		{"latest, one fewer than there are", query{Limit: 9}, []uint64{20, 30, 40, 50, 60, 70, 80, 90, 100}, true, false},

		{"before one in the middle", query{Before: 50, Limit: 2}, []uint64{30, 40}, true, true},
		{"before a sequence of another channel", query{Before: 55, Limit: 2}, []uint64{40, 50}, true, true},
		{"before the second", query{Before: 20, Limit: 5}, []uint64{10}, false, true},
		{"before the third, limit 1", query{Before: 30, Limit: 1}, []uint64{20}, true, true},
		{"before, exactly the rest", query{Before: 40, Limit: 3}, []uint64{10, 20, 30}, false, true},
		{"before the first", query{Before: 10, Limit: 5}, []uint64{}, false, true},
		{"before the last", query{Before: 100, Limit: 1}, []uint64{90}, true, true},
		{"before what is still to come", query{Before: 101, Limit: 1}, []uint64{100}, true, false},
		{"before the end of numbers", query{Before: 1<<64 - 1, Limit: 1}, []uint64{100}, true, false},

		{"after one in the middle", query{After: 50, Limit: 2}, []uint64{60, 70}, true, true},
		{"after a sequence of another channel", query{After: 55, Limit: 2}, []uint64{60, 70}, true, true},
		{"after the last but one", query{After: 90, Limit: 5}, []uint64{100}, true, false},
		{"after, limit 1", query{After: 80, Limit: 1}, []uint64{90}, true, true},
		{"after, exactly the rest", query{After: 70, Limit: 3}, []uint64{80, 90, 100}, true, false},
		{"after the last", query{After: 100, Limit: 5}, []uint64{}, true, false},
		{"after what is still to come", query{After: 1<<64 - 1, Limit: 5}, []uint64{}, true, false},
		{"after a sequence before the first", query{After: 9, Limit: 1}, []uint64{10}, false, true},
		{"after the first", query{After: 10, Limit: 1}, []uint64{20}, true, true},

		{"around one in the middle", query{Around: 50, Limit: 5}, []uint64{30, 40, 50, 60, 70}, true, true},
		{"around, even limit", query{Around: 50, Limit: 4}, []uint64{30, 40, 50, 60}, true, true},
		{"around, limit 2", query{Around: 50, Limit: 2}, []uint64{40, 50}, true, true},
		{"around, limit 1", query{Around: 50, Limit: 1}, []uint64{50}, true, true},
		{"around the first", query{Around: 10, Limit: 4}, []uint64{10, 20}, false, true},
		{"around the first, limit 1", query{Around: 10, Limit: 1}, []uint64{10}, false, true},
		{"around the last", query{Around: 100, Limit: 4}, []uint64{80, 90, 100}, true, false},
		{"around the last, limit 1", query{Around: 100, Limit: 1}, []uint64{100}, true, false},
		{"around all", query{Around: 50, Limit: 100}, []uint64{10, 20, 30, 40, 50, 60, 70, 80, 90, 100}, false, false},
		{"around one of another channel", query{Around: 55, Limit: 2}, []uint64{50, 60}, true, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.q.Channel = general
			page, err := s.History(t.Context(), c.q)
			require.NoError(t, err)
			require.Equal(t, c.want, seqsOf(page.Messages))
			require.Equal(t, c.before, page.MoreBefore, "MoreBefore")
			require.Equal(t, c.after, page.MoreAfter, "MoreAfter")
			for _, m := range page.Messages {
				require.Equal(t, generals[m.Seq/10-1], m)
			}
		})
	}
	t.Run("of a channel without messages", func(t *testing.T) {
		for _, q := range []query{{}, {Before: 5}, {After: 5}, {Around: 5}} {
			q.Channel, q.Limit = "ch_nobody", 10
			page, err := s.History(t.Context(), q)
			require.NoError(t, err)
			require.Empty(t, page.Messages)
			require.False(t, page.MoreBefore || page.MoreAfter)
		}
	})
	t.Run("of channels with similar ids", func(t *testing.T) {
		s := open(t)
		ids := []events.ChannelID{"ch", "ch_", "ch_a", "ch_A", "ch-a", "ch_ab", "ch_a_"}
		for i, id := range ids {
			require.NoError(t, s.PutMessages(t.Context(), conversation(id, 3, uint64(i)+1, 10)))
		}
		for i, id := range ids {
			page, err := s.History(t.Context(), query{Channel: id, Limit: 10})
			require.NoError(t, err)
			require.Equal(t, conversation(id, 3, uint64(i)+1, 10), page.Messages)
		}
	})
	t.Run("page by page", func(t *testing.T) {
		for _, limit := range []int{1, 2, 3, 10} {
			got := []uint64{}
			for q := (query{Channel: general, Limit: limit}); ; {
				page, err := s.History(t.Context(), q)
				require.NoError(t, err)
				got = append(seqsOf(page.Messages), got...)
				require.LessOrEqual(t, len(got), len(generals), "pages without end")
				if !page.MoreBefore {
					break
				}
				q.Before = page.Messages[0].Seq
			}
			require.Equal(t, seqsOf(generals), got, "backwards by %d", limit)

			got = []uint64{}
			for q := (query{Channel: general, Limit: limit, After: 1}); ; {
				page, err := s.History(t.Context(), q)
				require.NoError(t, err)
				got = append(got, seqsOf(page.Messages)...)
				require.LessOrEqual(t, len(got), len(generals), "pages without end")
				if !page.MoreAfter {
					break
				}
				q.After = page.Messages[len(page.Messages)-1].Seq
			}
			require.Equal(t, seqsOf(generals), got, "forwards by %d", limit)
		}
	})
	t.Run("bad queries", func(t *testing.T) {
		for _, q := range []query{{Limit: 0}, {Limit: -1}, {Limit: 1, Before: 1, After: 1}, {Limit: 1, Before: 1, Around: 1}, {Limit: 1, After: 1, Around: 1}} {
			q.Channel = general
			_, err := s.History(t.Context(), q)
			require.ErrorIs(t, err, events.ErrInvalid, "%+v", q)
		}
	})
	t.Run("cancelled", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_, err := s.History(ctx, query{Channel: general, Limit: 1})
		require.ErrorIs(t, err, context.Canceled)
	})
	t.Run("closed", func(t *testing.T) {
		s := open(t)
		require.NoError(t, s.Close())
		_, err := s.History(t.Context(), query{Channel: general, Limit: 1})
		require.ErrorIs(t, err, events.ErrUnavailable)
	})
	t.Run("while others write", func(t *testing.T) {
		s := open(t)
		ms := conversation(general, 300, 1, 1)
		done := make(chan error, 1)
		go func() {
			for chunk := range slices.Chunk(ms, 10) {
				if err := s.PutMessages(t.Context(), chunk); err != nil {
					done <- err
					return
				}
			}
			done <- nil
		}()
		for seen, written := 0, false; !written; {
			select {
			case err := <-done:
				require.NoError(t, err)
				written = true // one last look
			default:
			}
			page, err := s.History(t.Context(), query{Channel: general, Limit: len(ms)})
			require.NoError(t, err)
			require.GreaterOrEqual(t, len(page.Messages), seen, "what was seen stays")
			seen = len(page.Messages)
			require.Equal(t, ms[:seen], append([]events.Message{}, page.Messages...))
			require.True(t, !written || seen == len(ms), "all are there: %d", seen)
		}
	})
}

func testMessagesByID(t *testing.T, open func(t *testing.T) Messages) {
	s := open(t)
	ms := conversation(general, 1_000, 1, 2)
	others := conversation(random, 10, 2, 2)
	require.NoError(t, s.PutMessages(t.Context(), append(ms[:len(ms):len(ms)], others...)))
	unknown := newMessage(general, "nobody", 9_999, "").ID

	t.Run("1,000 of them", func(t *testing.T) {
		ids := make([]events.MessageID, len(ms))
		want := map[events.MessageID]events.Message{}
		for i, m := range ms {
			ids[i], want[m.ID] = m.ID, m
		}
		got, err := s.MessagesByID(t.Context(), general, ids)
		require.NoError(t, err)
		require.Equal(t, want, got)
	})
	for _, c := range []struct {
		name string
		ids  []events.MessageID
		want map[events.MessageID]events.Message
	}{
		{"none", nil, map[events.MessageID]events.Message{}},
		{"one", []events.MessageID{ms[5].ID}, map[events.MessageID]events.Message{ms[5].ID: ms[5]}},
		{"one, twice", []events.MessageID{ms[5].ID, ms[5].ID}, map[events.MessageID]events.Message{ms[5].ID: ms[5]}},
		{"unknown ones", []events.MessageID{unknown, ms[0].ID, "", "x", "msg_", "xmsg'", `"]`}, map[events.MessageID]events.Message{ms[0].ID: ms[0]}},
		{"those of another channel", []events.MessageID{others[0].ID, others[1].ID}, map[events.MessageID]events.Message{}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := s.MessagesByID(t.Context(), general, c.ids)
			require.NoError(t, err)
			require.NotNil(t, got)
			require.Equal(t, c.want, got)
		})
	}
	t.Run("unusual ids", func(t *testing.T) {
		s := open(t)
		want := map[events.MessageID]events.Message{}
		ids := []events.MessageID{"msg_aaaaaaaaaaaaaaaaaaaaaaaaaa", "msg_aaaaaaaaaaaaaaaaaaaaaaaaab", "short", "tx"}
		for i, id := range ids {
			m := newMessage(general, "a.b", uint64(i+1), strconv.Itoa(i))
			m.ID = id
			want[id] = m
			require.NoError(t, s.PutMessages(t.Context(), []events.Message{m}))
		}
		got, err := s.MessagesByID(t.Context(), general, ids)
		require.NoError(t, err)
		require.Equal(t, want, got)
	})
	t.Run("cancelled", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_, err := s.MessagesByID(ctx, general, []events.MessageID{ms[0].ID})
		require.ErrorIs(t, err, context.Canceled)
	})
	t.Run("closed", func(t *testing.T) {
		s := open(t)
		require.NoError(t, s.Close())
		_, err := s.MessagesByID(t.Context(), general, []events.MessageID{ms[0].ID})
		require.ErrorIs(t, err, events.ErrUnavailable)
	})
}

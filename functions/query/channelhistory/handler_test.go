package channelhistory_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/chat-platform/chat/events"
	"github.com/chat-platform/chat/functions/internal/hot"
	"github.com/chat-platform/chat/functions/internal/tail"
	"github.com/chat-platform/chat/functions/internal/tail/tailtest"
	"github.com/chat-platform/chat/functions/query/channelhistory"
)

const channel = events.ChannelID("ch_1")

var ann = events.Caller{User: "ann"}

// members lets ann in.
type members struct{}

func (members) Member(_ context.Context, c events.ChannelID, u events.UserID) (events.Member, error) {
	switch {
	case c != channel:
		return events.Member{}, events.ErrChannelNotFound
	case u != "ann":
		return events.Member{}, events.ErrNotMember
	}
	return events.Member{ChannelID: c, UserID: u, Active: true}, nil
}

// view is a message view of one channel, in order. It reads as storetest says.
type view struct {
	ms  []events.Message
	err error
}

func (v *view) put(m events.Message) {
	for i, have := range v.ms {
		if have.ID == m.ID {
			if have.Seq <= m.Seq {
				return
			}
			v.ms = slices.Delete(v.ms, i, i+1)
			break
		}
	}
	v.ms = append(v.ms, m)
	slices.SortFunc(v.ms, func(a, b events.Message) int { return int(a.Seq) - int(b.Seq) })
}

func (v *view) History(_ context.Context, q events.HistoryQuery) (events.HistoryPage, error) {
	first := func(seq uint64) int { // index of the first message at or above seq
		return slices.IndexFunc(append(slices.Clone(v.ms), events.Message{Seq: ^uint64(0)}), func(m events.Message) bool { return m.Seq >= seq })
	}
	to := len(v.ms)
	var from int
	switch {
	case q.Before > 0:
		to = first(q.Before)
		from = max(0, to-q.Limit)
	case q.After > 0:
		from = first(q.After + 1)
		to = min(to, from+q.Limit)
	case q.Around > 0:
		from = max(0, first(q.Around)-q.Limit/2)
		to = min(to, first(q.Around)+q.Limit-q.Limit/2)
	default:
		from = max(0, to-q.Limit)
	}
	return events.HistoryPage{Messages: slices.Clone(v.ms[from:to]), MoreBefore: from > 0, MoreAfter: to < len(v.ms)}, v.err
}

func (v *view) MessagesByID(_ context.Context, _ events.ChannelID, ids []events.MessageID) (map[events.MessageID]events.Message, error) {
	out := map[events.MessageID]events.Message{}
	for _, m := range v.ms {
		if slices.Contains(ids, m.ID) {
			out[m.ID] = m
		}
	}
	return out, v.err
}

func (v *view) Ping(context.Context) error { return v.err }

func seqs(a channelhistory.Answer) []uint64 {
	out := []uint64{}
	for _, m := range a.Messages {
		out = append(out, m.Seq)
	}
	return out
}

func ptr(seq uint64) *uint64 { return &seq }

// pages is a cache of one process.
func pages() *hot.Pages { return hot.New(hot.Config{Bytes: 1 << 20}, nil, nil) }

// Whatever part of the log a view has, a page through the handler is the page
// that a view with all of it would give.
func TestAPageIsTheSameWhateverTheViewHas(t *testing.T) {
	for seed := range uint64(500) {
		r := rand.New(rand.NewPCG(seed, 0))
		log, truth, v := &tailtest.Log{}, &view{}, &view{}
		var all []events.Message
		n := r.IntN(40)
		for i := range n {
			text := fmt.Sprint("text ", i)
			if i > 0 && r.IntN(12) == 0 {
				text = fmt.Sprint("text ", r.IntN(i)) // a duplicate that slipped into the log
			}
			all = append(all, log.Send(0, channel, "ann", text))
			truth.put(all[i])
			if r.IntN(3) == 0 {
				log.Send(0, "ch_other", "ann", text)
			}
			if r.IntN(10) == 0 {
				log.Put(0, events.TypeMessageSent, events.MessageSubject(channel), "poison")
			}
		}
		applied := uint64(r.IntN(60))
		log.SetApplied(applied)
		overtaken := false // a duplicate is in the view before its original
		known := map[events.MessageID]bool{}
		for _, m := range all {
			if m.Seq <= applied || r.IntN(4) == 0 { // writers run ahead out of order
				v.put(m)
				overtaken = overtaken || known[m.ID] && m.Seq > applied
			}
			known[m.ID] = true
		}
		h := channelhistory.New(log, members{}, v, pages())
		req := channelhistory.Request{ChannelID: string(channel), Limit: 1 + r.IntN(12)}
		q := events.HistoryQuery{Limit: req.Limit}
		place := uint64(1 + r.IntN(60))
		switch r.IntN(5) {
		case 0:
			req.Before, q.Before = &place, place
		case 1:
			req.After, q.After = &place, place
		case 2:
			req.Around, q.Around = &place, place
		case 3:
			req.After = ptr(0)
			q.Limit = req.Limit
		}
		want, err := truth.History(t.Context(), q)
		require.NoError(t, err)
		if req.After != nil && *req.After == 0 {
			end := min(req.Limit, len(truth.ms))
			want = events.HistoryPage{Messages: truth.ms[:end], MoreAfter: end < len(truth.ms)}
		}
		got, err := h.Handle(t.Context(), ann, req)
		require.NoError(t, err)
		wantSeqs := []uint64{}
		for _, m := range want.Messages {
			wantSeqs = append(wantSeqs, m.Seq)
		}
		if overtaken { // a page may then be shorter or shifted, but has no hole
			requireNoHole(t, truth, seqs(got))
			continue
		}
		name := fmt.Sprintf("seed %d: %+v of %d, applied %d", seed, q, n, applied)
		require.Equal(t, wantSeqs, seqs(got), name)
		require.Equal(t, want.MoreBefore, got.HasMoreBefore, "more before, %s", name)
		require.Equal(t, want.MoreAfter, got.HasMoreAfter, "more after, %s", name)
	}
}

// Readers and a writer take turns, while the view catches up by fits and starts: a
// page that is kept is never older than the question.
func TestAKeptPageIsTheLatest(t *testing.T) {
	for seed := range uint64(50) {
		r := rand.New(rand.NewPCG(seed, 1))
		log, truth, v := &tailtest.Log{}, &view{}, &view{}
		kept := pages()
		handlers := []*channelhistory.Handler{channelhistory.New(log, members{}, v, kept), channelhistory.New(log, members{}, v, kept), channelhistory.New(log, members{}, v, pages())}
		done := 0
		for i := range 100 {
			switch r.IntN(4) {
			case 0:
				truth.put(log.Send(0, channel, "ann", fmt.Sprint("text ", i)))
			case 1:
				for done < len(truth.ms) && r.IntN(8) != 0 {
					v.put(truth.ms[done])
					done++
				}
				if done > 0 {
					log.SetApplied(truth.ms[done-1].Seq)
				}
			case 2:
				log.Send(0, "ch_other", "ann", fmt.Sprint(i))
			default:
				limit := 1 + r.IntN(70)
				want, err := truth.History(t.Context(), events.HistoryQuery{Limit: limit})
				require.NoError(t, err)
				got, err := handlers[r.IntN(3)].Handle(t.Context(), ann, channelhistory.Request{ChannelID: string(channel), Limit: limit})
				require.NoError(t, err)
				wantSeqs := []uint64{}
				for _, m := range want.Messages {
					wantSeqs = append(wantSeqs, m.Seq)
				}
				require.Equal(t, wantSeqs, seqs(got), "seed %d", seed)
				require.Equal(t, want.MoreBefore, got.HasMoreBefore)
				require.False(t, got.HasMoreAfter)
			}
		}
	}
}

// A page that is kept costs one request to the log and nothing else.
func TestAKeptPageNeedsNoView(t *testing.T) {
	log, v := &tailtest.Log{}, &view{}
	for i := range 100 {
		v.put(log.Send(0, channel, "ann", fmt.Sprint(i)))
	}
	log.SetApplied(100)
	h := channelhistory.New(log, members{}, v, pages())
	first, err := h.Handle(t.Context(), ann, channelhistory.Request{ChannelID: "ch_1"})
	require.NoError(t, err)
	v.err = events.ErrUnavailable
	log.Requests()
	again, err := h.Handle(t.Context(), ann, channelhistory.Request{ChannelID: "ch_1"})
	require.NoError(t, err)
	require.Equal(t, first, again)
	require.Equal(t, 1, log.Requests())
	_, err = h.Handle(t.Context(), ann, channelhistory.Request{ChannelID: "ch_1", Limit: 51})
	require.ErrorIs(t, err, events.ErrUnavailable, "a longer page is not kept")
}

// rebuilt is a view with generations.
type rebuilt struct {
	*view
	live int
	err  error
}

func (r *rebuilt) Generation(context.Context) (int, error) { return r.live, r.err }

// What was kept of one generation of the view is not shown of another.
func TestGenerations(t *testing.T) {
	log, v := &tailtest.Log{}, &rebuilt{view: &view{}, live: 1}
	m := log.Send(0, channel, "ann", "as the first generation had it")
	v.put(m)
	log.SetApplied(1)
	h := channelhistory.New(log, members{}, v, pages())
	text := func() string {
		a, err := h.Handle(t.Context(), ann, channelhistory.Request{ChannelID: "ch_1"})
		require.NoError(t, err)
		return a.Messages[0].Text
	}
	require.Equal(t, m.Text, text())
	v.ms[0].Text = "as the second has it"
	require.Equal(t, m.Text, text())
	v.live = 2
	require.Equal(t, "as the second has it", text())
	v.err = events.ErrUnavailable
	_, err := h.Handle(t.Context(), ann, channelhistory.Request{ChannelID: "ch_1"})
	require.ErrorIs(t, err, events.ErrUnavailable)
}

func requireNoHole(t *testing.T, truth *view, got []uint64) {
	t.Helper()
	if len(got) == 0 {
		return
	}
	var want []uint64
	for _, m := range truth.ms {
		if m.Seq >= got[0] && m.Seq <= got[len(got)-1] {
			want = append(want, m.Seq)
		}
	}
	require.Equal(t, want, got)
}

func TestRequestsToTheLog(t *testing.T) {
	log, v := &tailtest.Log{}, &view{}
	for i := range 100 {
		v.put(log.Send(0, channel, "ann", fmt.Sprint(i)))
	}
	log.SetApplied(100)
	h := channelhistory.New(log, members{}, v, nil)
	for name, c := range map[string]struct {
		req  channelhistory.Request
		want int
	}{
		"scroll up":   {channelhistory.Request{Before: ptr(90)}, 1},
		"scroll down": {channelhistory.Request{After: ptr(3)}, 1},
		"jump":        {channelhistory.Request{Around: ptr(50), Limit: 10}, 1},
		"latest":      {channelhistory.Request{}, 1},
		"the end":     {channelhistory.Request{After: ptr(99)}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			log.Requests()
			c.req.ChannelID = string(channel)
			_, err := h.Handle(t.Context(), ann, c.req)
			require.NoError(t, err)
			require.Equal(t, c.want, log.Requests())
		})
	}
}

// A view that is far behind makes pages short, and never makes a hole.
func TestFarBehind(t *testing.T) {
	log, v := &tailtest.Log{}, &view{}
	for i := range tail.MaxEvents + 500 {
		m := log.Send(0, channel, "ann", fmt.Sprint(i))
		if i < 10 {
			v.put(m)
		}
	}
	log.SetApplied(10)
	horizon := uint64(10 + tail.MaxEvents)
	h := channelhistory.New(log, members{}, v, nil)
	ask := func(req channelhistory.Request) (channelhistory.Answer, error) {
		req.ChannelID, req.Limit = string(channel), 5
		return h.Handle(t.Context(), ann, req)
	}

	got, err := ask(channelhistory.Request{})
	require.NoError(t, err)
	require.Equal(t, []uint64{horizon - 4, horizon - 3, horizon - 2, horizon - 1, horizon}, seqs(got))
	require.True(t, got.HasMoreAfter, "the page stops short and says so")

	got, err = ask(channelhistory.Request{After: ptr(horizon)})
	require.NoError(t, err)
	require.Equal(t, horizon+1, got.Messages[0].Seq)
	require.True(t, got.HasMoreBefore)

	for name, req := range map[string]channelhistory.Request{
		"before": {Before: ptr(horizon + 300)},
		"around": {Around: ptr(horizon + 300)},
	} {
		_, err = ask(req)
		require.ErrorIs(t, err, events.ErrUnavailable, name)
		var f *events.Fault
		require.ErrorAs(t, err, &f, name)
		require.Equal(t, "view_behind", f.Code)
	}
}

func TestRefusals(t *testing.T) {
	h := channelhistory.New(&tailtest.Log{}, members{}, &view{}, nil)
	for name, c := range map[string]struct {
		caller events.UserID
		req    channelhistory.Request
		kind   error
		codes  []string
	}{
		"stranger":         {"bob", channelhistory.Request{ChannelID: "ch_1"}, events.ErrForbidden, nil},
		"no such channel":  {"ann", channelhistory.Request{ChannelID: "ch_2"}, events.ErrNotFound, nil},
		"no channel":       {"ann", channelhistory.Request{}, events.ErrInvalid, []string{"missing_channel_id"}},
		"bad channel":      {"ann", channelhistory.Request{ChannelID: "a b"}, events.ErrInvalid, []string{"invalid_channel_id"}},
		"too many":         {"ann", channelhistory.Request{ChannelID: "ch_1", Limit: 101}, events.ErrInvalid, []string{"invalid_limit"}},
		"negative":         {"ann", channelhistory.Request{ChannelID: "ch_1", Limit: -1}, events.ErrInvalid, []string{"invalid_limit"}},
		"before 0":         {"ann", channelhistory.Request{ChannelID: "ch_1", Before: ptr(0)}, events.ErrInvalid, []string{"invalid_before"}},
		"around 0":         {"ann", channelhistory.Request{ChannelID: "ch_1", Around: ptr(0)}, events.ErrInvalid, []string{"invalid_around"}},
		"before and after": {"ann", channelhistory.Request{ChannelID: "ch_1", Before: ptr(1), After: ptr(0)}, events.ErrInvalid, []string{"exclusive_fields"}},
		"all at once":      {"ann", channelhistory.Request{Limit: 1000, Around: ptr(1), After: ptr(1)}, events.ErrInvalid, []string{"missing_channel_id", "invalid_limit", "exclusive_fields"}},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := h.Handle(t.Context(), events.Caller{User: c.caller}, c.req)
			require.ErrorIs(t, err, c.kind)
			if c.codes != nil {
				var faults events.Faults
				require.ErrorAs(t, err, &faults)
				var codes []string
				for _, f := range faults {
					codes = append(codes, f.Code)
				}
				require.Equal(t, c.codes, codes)
			}
		})
	}
}

func TestClientIDIsShownToItsAuthorAlone(t *testing.T) {
	log, v := &tailtest.Log{}, &view{}
	v.put(log.Send(0, channel, "ann", "mine"))
	log.SetApplied(1)
	theirs := log.Send(0, channel, "bob", "theirs") // still in the log alone
	got, err := channelhistory.New(log, members{}, v, nil).Handle(t.Context(), ann, channelhistory.Request{ChannelID: "ch_1"})
	require.NoError(t, err)
	require.Len(t, got.Messages, 2)
	require.NotEmpty(t, got.Messages[0].ClientID)
	require.Equal(t, theirs.ID, got.Messages[1].ID)
	require.Empty(t, got.Messages[1].ClientID)
}

func TestErrorsKeepTheirKind(t *testing.T) {
	log, v := &tailtest.Log{}, &view{}
	h := channelhistory.New(log, members{}, v, nil)
	req := channelhistory.Request{ChannelID: "ch_1"}

	v.err = fmt.Errorf("disk: %w", events.ErrUnavailable)
	_, err := h.Handle(t.Context(), ann, req)
	require.ErrorIs(t, err, events.ErrUnavailable)
	require.ErrorContains(t, err, "ch_1")
	ready, err := h.Ready(t.Context())
	require.False(t, ready)
	require.ErrorIs(t, err, events.ErrUnavailable)

	v.err = nil
	log.Fail(events.ErrUnavailable)
	_, err = h.Handle(t.Context(), ann, req)
	require.ErrorIs(t, err, events.ErrUnavailable)
	ready, err = h.Ready(t.Context())
	require.True(t, ready)
	require.NoError(t, err)
}

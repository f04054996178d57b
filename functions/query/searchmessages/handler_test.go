package searchmessages_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/chat-platform/chat/events"
	"github.com/chat-platform/chat/functions/internal/page"
	"github.com/chat-platform/chat/functions/internal/tail/tailtest"
	"github.com/chat-platform/chat/functions/query/searchmessages"
)

var ann = events.Caller{User: "ann"}

// platform is what a search needs: a log of memberships, a view of them, the
// members by the log, and an index of messages.
type platform struct {
	log     tailtest.Log
	rows    []events.ChannelID // ann's channels as the lagging view has them
	ms      []events.Message
	err     error
	queries []events.SearchQuery
}

func (p *platform) Member(ctx context.Context, c events.ChannelID, u events.UserID) (events.Member, error) {
	e, err := p.log.Last(ctx, events.MemberSubject(c, u))
	if err != nil {
		return events.Member{}, events.ErrChannelNotFound
	}
	m, err := events.MemberOf(e)
	if err == nil && !m.Active {
		err = events.ErrNotMember
	}
	return m, err
}

func (p *platform) ChannelsOf(_ context.Context, _ events.UserID, after events.ChannelID, limit int) ([]events.Membership, error) {
	var out []events.Membership
	for _, id := range p.rows {
		if id > after && len(out) < limit {
			out = append(out, events.Membership{Member: events.Member{ChannelID: id, Active: true}})
		}
	}
	return out, p.err
}

func (p *platform) SearchMessages(_ context.Context, q events.SearchQuery) (events.SearchPage, error) {
	p.queries = append(p.queries, q)
	var out events.SearchPage
	for _, m := range slices.Backward(p.ms) {
		if strings.Contains(m.Text, q.Text) && slices.Contains(q.Channels, m.ChannelID) && (q.Before == 0 || m.Seq < q.Before) {
			if len(out.Hits) == q.Limit {
				out.More = true
				break
			}
			out.Hits = append(out.Hits, events.Hit{Message: m, Snippet: "…" + m.Text})
		}
	}
	return out, p.err
}

func (p *platform) Ping(context.Context) error { return p.err }

func (p *platform) handler() *searchmessages.Handler {
	return searchmessages.New(&p.log, p, p, p)
}

// said makes a platform in which ann and bob have talked in two channels; the
// metadata view knows nothing yet, the index everything.
func said(n int) *platform {
	p := &platform{}
	var messages tailtest.Log
	for i := range n {
		p.ms = append(p.ms, messages.Send(0, events.ChannelID(fmt.Sprint("ch_", i%2)), []events.UserID{"ann", "bob", "bob"}[i%3], fmt.Sprint("word ", i)))
	}
	p.log.Join("ch_0", "ann", events.RoleMember)
	p.log.Join("ch_1", "ann", events.RoleMember)
	return p
}

func TestPagesOfHits(t *testing.T) {
	p := said(25)
	h := p.handler()
	req := searchmessages.Request{Query: "  word ", Limit: 10}
	var got []uint64
	for pages := 1; ; pages++ {
		a, err := h.Handle(t.Context(), ann, req)
		require.NoError(t, err)
		for _, hit := range a.Hits {
			got = append(got, hit.Message.Seq)
			require.Equal(t, "…"+hit.Message.Text, hit.Snippet)
			require.Equal(t, hit.Message.AuthorID == "ann", hit.Message.ClientID != "")
		}
		require.Equal(t, a.HasMore, a.Cursor != "")
		if !a.HasMore {
			require.Equal(t, 3, pages)
			break
		}
		req.Cursor = a.Cursor
	}
	require.Len(t, got, 25)
	require.True(t, slices.IsSortedFunc(got, func(a, b uint64) int { return int(b) - int(a) }))
	require.Equal(t, "word", p.queries[0].Text)
}

func TestARemovedMemberFindsNothingAtOnce(t *testing.T) {
	p := said(10)
	p.rows = []events.ChannelID{"ch_0", "ch_1"} // the view has not seen it yet
	p.log.SetApplied(2)
	h := p.handler()
	a, err := h.Handle(t.Context(), ann, searchmessages.Request{Query: "word"})
	require.NoError(t, err)
	require.Len(t, a.Hits, 10)

	p.log.Leave("ch_0", "ann")
	a, err = h.Handle(t.Context(), ann, searchmessages.Request{Query: "word"})
	require.NoError(t, err)
	require.Len(t, a.Hits, 5)
	for _, hit := range a.Hits {
		require.Equal(t, events.ChannelID("ch_1"), hit.Message.ChannelID)
	}
	_, err = h.Handle(t.Context(), ann, searchmessages.Request{Query: "word", ChannelID: "ch_0"})
	require.ErrorIs(t, err, events.ErrNotMember)

	p.log.Leave("ch_1", "ann")
	p.queries = nil
	a, err = h.Handle(t.Context(), ann, searchmessages.Request{Query: "word"})
	require.NoError(t, err)
	require.Equal(t, searchmessages.Answer{Hits: []searchmessages.Hit{}, IndexedThrough: 2}, a)
	require.Empty(t, p.queries, "no channel, no question")
}

func TestOneChannel(t *testing.T) {
	p := said(10)
	h := p.handler()
	a, err := h.Handle(t.Context(), ann, searchmessages.Request{Query: "word", ChannelID: "ch_1"})
	require.NoError(t, err)
	require.Len(t, a.Hits, 5)
	require.Equal(t, []events.ChannelID{"ch_1"}, p.queries[0].Channels)

	_, err = h.Handle(t.Context(), ann, searchmessages.Request{Query: "word", ChannelID: "ch_none"})
	require.ErrorIs(t, err, events.ErrNotFound)
}

func TestIndexedThroughIsReadBeforeTheSearch(t *testing.T) {
	p := said(4)
	p.log.SetApplied(3)
	a, err := p.handler().Handle(t.Context(), ann, searchmessages.Request{Query: "word"})
	require.NoError(t, err)
	require.Equal(t, uint64(3), a.IndexedThrough)
}

// A user in more channels than one question to the index may name still gets
// the newest hits of all, and each once.
func TestVeryManyChannels(t *testing.T) {
	p := &platform{}
	var messages tailtest.Log
	for i := range 65_000 {
		p.rows = append(p.rows, events.ChannelID(fmt.Sprintf("ch_%05d", i)))
	}
	for i := range 20 {
		p.ms = append(p.ms, messages.Send(0, p.rows[i*3000], "bob", fmt.Sprint("word ", i)))
	}
	h := p.handler()
	a, err := h.Handle(t.Context(), ann, searchmessages.Request{Query: "word", Limit: 12})
	require.NoError(t, err)
	require.Len(t, p.queries, 3)
	require.True(t, a.HasMore)
	require.Len(t, a.Hits, 12)
	require.Equal(t, uint64(20), a.Hits[0].Message.Seq)
	require.Equal(t, uint64(9), a.Hits[11].Message.Seq)

	a, err = h.Handle(t.Context(), ann, searchmessages.Request{Query: "word", Limit: 12, Cursor: a.Cursor})
	require.NoError(t, err)
	require.False(t, a.HasMore)
	require.Len(t, a.Hits, 8)
}

func TestRefusals(t *testing.T) {
	h := said(2).handler()
	for name, c := range map[string]struct {
		req  searchmessages.Request
		code string
	}{
		"nothing":         {searchmessages.Request{}, "invalid_query"},
		"only spaces":     {searchmessages.Request{Query: " \t\n"}, "invalid_query"},
		"too long":        {searchmessages.Request{Query: strings.Repeat("ö", 257)}, "invalid_query"},
		"not UTF-8":       {searchmessages.Request{Query: "a\xff"}, "invalid_query"},
		"channel":         {searchmessages.Request{Query: "a", ChannelID: "a.b"}, "invalid_channel_id"},
		"limit":           {searchmessages.Request{Query: "a", Limit: 101}, "invalid_limit"},
		"cursor":          {searchmessages.Request{Query: "a", Cursor: "x"}, "invalid_cursor"},
		"cursor's place":  {searchmessages.Request{Query: "a", Cursor: page.Cursor(page.Hits, "x")}, "invalid_cursor"},
		"cursor at start": {searchmessages.Request{Query: "a", Cursor: page.Cursor(page.Hits, "0")}, "invalid_cursor"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := h.Handle(t.Context(), ann, c.req)
			require.ErrorIs(t, err, events.ErrInvalid)
			var f *events.Fault
			require.ErrorAs(t, err, &f)
			require.Equal(t, c.code, f.Code)
		})
	}
	_, err := h.Handle(t.Context(), ann, searchmessages.Request{Query: strings.Repeat("ö", 256) + "  "})
	require.NoError(t, err)
}

func TestErrorsKeepTheirKind(t *testing.T) {
	p := said(2)
	h := p.handler()
	_, err := h.Handle(t.Context(), ann, searchmessages.Request{Query: "word"})
	require.NoError(t, err)

	p.err = events.ErrUnavailable
	_, err = h.Handle(t.Context(), ann, searchmessages.Request{Query: "word"})
	require.ErrorIs(t, err, events.ErrUnavailable)
	ready, err := h.Ready(t.Context())
	require.False(t, ready)
	require.Error(t, err)

	p.err = nil
	p.log.Fail(events.ErrUnavailable)
	_, err = h.Handle(t.Context(), ann, searchmessages.Request{Query: "word"})
	require.ErrorIs(t, err, events.ErrUnavailable)
	ready, err = h.Ready(t.Context())
	require.True(t, ready)
	require.NoError(t, err)
}

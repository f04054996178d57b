//go:build integration

package outage_test

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caarlos0/env/v11"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/chat-platform/chat/events"
	"github.com/chat-platform/chat/infra/stores"
	"github.com/chat-platform/chat/infra/stores/messages"
	searchstore "github.com/chat-platform/chat/infra/stores/search"
	"github.com/chat-platform/chat/local/client"
	"github.com/chat-platform/chat/local/views"
)

// ends is where the streams end, by name.
func (s *story) ends(t *testing.T) map[string]uint64 {
	t.Helper()
	ends := map[string]uint64{}
	for _, stream := range []string{events.StreamMessages, events.StreamMetadata} {
		require.Eventually(t, func() bool {
			last, err := s.log.LastSequence(t.Context(), stream)
			ends[stream] = last
			return err == nil
		}, patience, step, "the log answers")
	}
	return ends
}

// awaitViews waits until every view holds the log up to ends.
func (s *story) awaitViews(t *testing.T, ends map[string]uint64) {
	t.Helper()
	began := time.Now()
	behind := views.All()
	deadline := time.After(patience)
	for len(behind) > 0 {
		behind = slices.DeleteFunc(behind, func(v views.View) bool {
			applied, _, err := s.log.Position(t.Context(), v.Stream, v.Consumer)
			if err != nil || applied < ends[v.Stream] {
				return false
			}
			if s.now() == after {
				t.Logf("%s holds everything up to %d, %s after the server was ready", v.Name, ends[v.Stream], time.Since(began).Round(10*time.Millisecond))
			}
			return true
		})
		select {
		case <-deadline:
			for _, v := range behind {
				applied, last, err := s.log.Position(t.Context(), v.Stream, v.Consumer)
				t.Errorf("%s does not catch up: %d of %d, the log ends at %d: %v", v.Name, applied, ends[v.Stream], last, err)
			}
			t.Fatal("the platform says:\n" + tailOf(s.platform.Output(), 60))
		case <-time.After(step):
		}
	}
}

func tailOf(text string, lines int) string {
	all := strings.Split(strings.TrimSpace(text), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}

// verify holds everything against what was accepted.
func (s *story) verify(t *testing.T) {
	t.Helper()
	if len(s.faults) > 0 {
		t.Errorf("%d answers were neither yes nor an honest later; the first of them:\n%s", len(s.faults), strings.Join(s.faults[:min(len(s.faults), 20)], "\n"))
	}
	s.awaitViews(t, s.ends(t))
	total := 0
	for _, ms := range s.accepted {
		slices.SortFunc(ms, func(a, b events.Message) int { return cmp.Compare(a.Seq, b.Seq) })
		total += len(ms)
	}
	require.NotZero(t, total)
	sessions := 0
	for _, l := range s.listeners {
		s.verifyDelivery(t, l)
		sessions += l.sessions
	}
	reader := s.client(t, "talker-0")
	for _, ch := range s.channels {
		s.verifyHistory(t, reader, ch)
		s.verifySearch(t, reader, ch)
	}
	s.verifyChannels(t)
	s.verifyStores(t)
	letters, err := s.log.DeadLetters(t.Context(), "", 0, 10)
	require.NoError(t, err)
	assert.Empty(t, letters, "nothing was given up")
	t.Logf("%d messages accepted, %d channels made meanwhile; %d sessions of %d listeners", total, len(s.made), sessions, len(s.listeners))
	if t.Failed() {
		t.Log("the platform says:\n" + tailOf(s.platform.Output(), 100))
	}
}

// told is a message as everybody sees it.
func told(m events.Message) events.Message {
	m.ClientID = ""
	return m
}

func (s *story) verifyDelivery(t *testing.T, l *listener) {
	t.Helper()
	want := s.accepted[l.channel]
	assert.Eventually(t, func() bool { return l.count() >= len(want) }, patience, step, "%s hears everything", l.client.User())
	l.mu.Lock()
	defer l.mu.Unlock()
	s.same(t, "heard in "+string(l.channel), want, l.heard)
	for i := 1; i < len(l.heard); i++ {
		if l.prevs[i] != l.heard[i-1].Seq {
			assert.Equal(t, l.heard[i-1].Seq, l.prevs[i], "what came before %d in %s", l.heard[i].Seq, l.channel)
			break
		}
	}
}

// same tells the first difference.
func (s *story) same(t *testing.T, what string, want, got []events.Message) {
	t.Helper()
	assert.Len(t, got, len(want), what)
	for i := range min(len(want), len(got)) {
		if told(want[i]) != told(got[i]) {
			assert.Equal(t, told(want[i]), told(got[i]), "%s, message %d", what, i)
			return
		}
	}
}

func (s *story) verifyHistory(t *testing.T, c *client.Client, channel events.ChannelID) {
	t.Helper()
	var got []events.Message
	for place, more := uint64(0), true; more; {
		page, err := c.HistoryAfter(t.Context(), channel, place, 100)
		require.NoError(t, err)
		require.NotEmpty(t, page.Messages)
		got = append(got, page.Messages...)
		place, more = page.Messages[len(page.Messages)-1].Seq, page.MoreAfter
	}
	s.same(t, "history of "+string(channel), s.accepted[channel], got)
}

// verifySearch looks for a few messages of every part of the story.
func (s *story) verifySearch(t *testing.T, c *client.Client, channel events.ChannelID) {
	t.Helper()
	all := s.accepted[channel]
	for i := 0; i < len(all); i += 1 + len(all)/20 {
		if q := client.WordsOf(all[i].Text); q != "" {
			assert.Equal(t, 1, s.found(t, c, q, all[i]), "%q of %d is found by %q", all[i].Text, all[i].Seq, q)
		}
	}
}

// found counts how often search gives a message.
func (s *story) found(t *testing.T, c *client.Client, q string, m events.Message) (times int) {
	t.Helper()
	for cursor := ""; ; {
		page, err := c.Search(t.Context(), q, m.ChannelID, cursor)
		require.NoError(t, err)
		for _, h := range page.Hits {
			if h.Message.ID == m.ID && h.Message.Seq == m.Seq {
				times++
			}
		}
		if cursor = page.Cursor; !page.More || page.Hits[len(page.Hits)-1].Message.Seq < m.Seq {
			return times
		}
	}
}

// verifyChannels lists what the visitor made.
func (s *story) verifyChannels(t *testing.T) {
	t.Helper()
	guest := s.client(t, "guest")
	var got []events.ChannelID
	for path, more := "/v1/channels?limit=100", true; more; {
		var page struct {
			Channels []struct {
				ID     events.ChannelID `json:"id"`
				Name   string           `json:"name"`
				Member bool             `json:"member"`
			} `json:"channels"`
			More   bool   `json:"has_more"`
			Cursor string `json:"cursor"`
		}
		_, err := guest.Do(t.Context(), "GET", path, nil, &page)
		require.NoError(t, err)
		for _, c := range page.Channels {
			assert.True(t, c.Member && c.Name == string(c.ID), "%+v", c)
			got = append(got, c.ID)
		}
		more, path = page.More, "/v1/channels?limit=100&cursor="+page.Cursor
	}
	assert.ElementsMatch(t, s.made, got)
}

// verifyStores compares the views' checksums with those of what was accepted.
func (s *story) verifyStores(t *testing.T) {
	t.Helper()
	want := map[events.ChannelID]events.Checksum{}
	for channel, ms := range s.accepted {
		var sum events.Checksum
		for _, m := range ms {
			require.NoError(t, sum.Add(m))
		}
		want[channel] = sum
	}
	environ := map[string]string{}
	for _, e := range s.environ {
		k, v, _ := strings.Cut(e, "=")
		environ[k] = v
	}
	var ms messages.Config
	require.NoError(t, env.ParseWithOptions(&ms, env.Options{Environment: environ}))
	var ix searchstore.Config
	require.NoError(t, env.ParseWithOptions(&ix, env.Options{Environment: environ}))
	sums := func(name string, v stores.View, err error) {
		require.NoError(t, err, name)
		defer func() { require.NoError(t, v.Close()) }()
		got, err := v.Checksums(t.Context(), stores.All)
		require.NoError(t, err, name)
		assert.Equal(t, want, got, "checksums of %s", name)
	}
	m, err := messages.Open(context.WithoutCancel(t.Context()), ms, stores.Host{Name: "outage", Views: s.log})
	sums("messages", m, err)
	i, err := searchstore.Open(context.WithoutCancel(t.Context()), ix, stores.Host{Name: "outage", Views: s.log})
	sums("search", i, err)
}

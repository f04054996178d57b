package replay_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/chat-platform/chat/events"
	"github.com/chat-platform/chat/local/client"
	"github.com/chat-platform/chat/local/corpus"
	"github.com/chat-platform/chat/local/platform/platformtest"
	"github.com/chat-platform/chat/local/rebuild"
	"github.com/chat-platform/chat/local/replay"
)

// talk writes a corpus of n messages in two channels.
func talk(t *testing.T, n int) *corpus.Corpus {
	t.Helper()
	var b strings.Builder
	for i := range n {
		reply := ""
		if i > 0 {
			reply = fmt.Sprintf(`,"reply_to":"m%d"`, i/2)
		}
		fmt.Fprintf(&b, `{"id":"m%d","ts":"2024-01-02T03:04:05.%03dZ","channel":"c%d","user":"user %d","text":"message number%d of the talk\nwith ünïcødé 😀"%s}`+"\n", i, i%1000, i%2, i%7, i, reply)
	}
	path := filepath.Join(t.TempDir(), "talk.jsonl")
	require.NoError(t, os.WriteFile(path, []byte(b.String()), 0o600))
	c, err := corpus.Open(path)
	require.NoError(t, err)
	return c
}

func run(t *testing.T, ctx context.Context, url string, c *corpus.Corpus) (replay.Receipt, string, error) {
	t.Helper()
	var out bytes.Buffer
	r, err := replay.New(url, "", c, &out)
	require.NoError(t, err)
	r.Batch = 50 // several requests a channel, with a talk that is short
	receipt, err := r.Run(ctx)
	return receipt, out.String(), err
}

func TestReplayOnceAndAgainAndRebuilt(t *testing.T) { onceAndAgainAndRebuilt(t) }

// The same where the stream of messages has partitions.
func TestReplayOnPartitions(t *testing.T) { onceAndAgainAndRebuilt(t, "NATS_PARTITIONS=4") }

func onceAndAgainAndRebuilt(t *testing.T, environ ...string) {
	c := talk(t, 500)
	p := platformtest.Start(t, "", environ...)
	first, out, err := run(t, t.Context(), p.URL, c)
	require.NoError(t, err, out)
	assert.Equal(t, 500, first.Sent+first.Existing, "what was there is an answer that came too late")
	assert.Positive(t, first.Sent)
	assert.Contains(t, out, "verified 500 of 500")
	require.Len(t, first.Channels, 2)
	assert.Equal(t, 250, first.Channels[0].Messages)

	second, out, err := run(t, t.Context(), p.URL, c)
	require.NoError(t, err, out)
	assert.Zero(t, second.Sent, "nothing twice")
	assert.Equal(t, 500, second.Existing)
	assert.Equal(t, first.Channels, second.Channels)

	// Rebuilt while the platform serves.
	rebuilt := map[string]rebuild.Result{}
	require.NoError(t, rebuild.Remote(t.Context(), p.Dir, "all", func(r rebuild.Report) {
		if r.Result != nil {
			rebuilt[r.Result.View] = *r.Result
		}
	}))
	require.Len(t, rebuilt, 3)
	for _, r := range rebuilt {
		assert.True(t, r.Equal(), "%+v", r)
		assert.Zero(t, r.Refused)
		assert.Equal(t, 2, r.Generation)
	}
	sums := map[events.ChannelID]string{}
	for _, c := range rebuilt["messages"].Channels {
		sums[c.ID] = c.After
	}
	for _, v := range first.Channels {
		assert.Equal(t, v.Checksum.String(), sums[v.Channel], "the replay's checksum is the store's")
	}

	require.Zero(t, p.Stop(t))
	p = platformtest.Start(t, p.Dir)
	third, out, err := run(t, t.Context(), p.URL, c)
	require.NoError(t, err, out)
	assert.Equal(t, first.Channels, third.Channels, "equal checksums after the rebuild")
}

// A replay that is cut off goes on where it was, without a duplicate.
func TestReplayInterrupted(t *testing.T) {
	c := talk(t, 1500)
	p := platformtest.Start(t, "")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go func() {
		watch, err := client.New(p.URL, replay.Importer)
		if err != nil {
			return
		}
		for ctx.Err() == nil {
			if page, err := watch.HistoryAfter(ctx, "c0", 0, 1); err == nil && len(page.Messages) > 0 {
				cancel()
			}
		}
	}()
	_, _, err := run(t, ctx, p.URL, c)
	require.ErrorIs(t, err, context.Canceled)
	receipt, out, err := run(t, t.Context(), p.URL, c)
	require.NoError(t, err, out)
	assert.Equal(t, 1500, receipt.Sent+receipt.Existing)
	assert.Positive(t, receipt.Existing)
}

// A platform that holds something else is found out.
func TestReplayFindsDifferences(t *testing.T) {
	c := talk(t, 20)
	p := platformtest.Start(t, "")
	_, out, err := run(t, t.Context(), p.URL, c)
	require.NoError(t, err, out)

	for _, tt := range []struct {
		name   string
		change func(page *map[string]any)
		want   string
	}{
		{"another text", func(p *map[string]any) { first(*p)["text"] = "forged" }, "has the text"},
		{"another author", func(p *map[string]any) { first(*p)["author_id"] = "mallory" }, "has the author"},
		{"a lost link", func(p *map[string]any) { delete(last(*p), "reply_to") }, "answers"},
		{"another time", func(p *map[string]any) { first(*p)["sent_at"] = "2025-01-01T00:00:00Z" }, "was sent at"},
		{"one less", func(p *map[string]any) { (*p)["messages"] = (*p)["messages"].([]any)[:9] }, "missing"},
		{"one twice", func(p *map[string]any) {
			ms := (*p)["messages"].([]any)
			again := map[string]any{}
			for k, v := range last(*p) {
				again[k] = v
			}
			again["seq"] = again["seq"].(float64) + 1000
			(*p)["messages"] = append(ms, again)
		}, "once more"},
		{"out of order", func(p *map[string]any) {
			ms := (*p)["messages"].([]any)
			ms[0], ms[1] = ms[1], ms[0]
		}, "expected"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			forged := forge(t, p.URL, tt.change)
			_, _, err := run(t, t.Context(), forged, c)
			require.ErrorIs(t, err, replay.ErrDiffers)
			assert.ErrorContains(t, err, tt.want)
		})
	}
}

func first(page map[string]any) map[string]any {
	return page["messages"].([]any)[0].(map[string]any)
}

func last(page map[string]any) map[string]any {
	ms := page["messages"].([]any)
	return ms[len(ms)-1].(map[string]any)
}

// forge is a proxy that changes pages of history.
func forge(t *testing.T, url string, change func(*map[string]any)) string {
	t.Helper()
	return proxy(t, url, func(r *http.Request, body []byte) []byte {
		if r.Method != http.MethodGet || !strings.HasSuffix(r.URL.Path, "/messages") {
			return body
		}
		var page map[string]any
		if json.Unmarshal(body, &page) != nil {
			return body
		}
		change(&page)
		b, err := json.Marshal(page)
		if err != nil {
			return body
		}
		return b
	})
}

func TestReplayRefuses(t *testing.T) {
	_, err := replay.New("localhost:8080", "", talk(t, 1), &bytes.Buffer{})
	require.ErrorIs(t, err, events.ErrInvalid)
	for _, batch := range []int{0, replay.MaxBatch + 1} {
		r, err := replay.New("http://127.0.0.1:1", "", talk(t, 1), &bytes.Buffer{})
		require.NoError(t, err)
		r.Batch = batch
		_, err = r.Run(t.Context())
		require.ErrorContains(t, err, "-batch")
	}

	// Nobody there: it gives up with the context.
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	_, _, err = run(t, ctx, "http://127.0.0.1:1", talk(t, 1))
	require.ErrorContains(t, err, "c0")
}

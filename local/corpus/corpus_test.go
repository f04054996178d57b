package corpus_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/chat-platform/chat/events"
	"github.com/chat-platform/chat/local/corpus"
)

func TestExcerpt(t *testing.T) {
	c, err := corpus.Open("")
	require.NoError(t, err)
	assert.Len(t, c.Messages, 3600)
	assert.Len(t, c.Channels, 5)
	assert.Greater(t, c.Users(), 300)
	ids, replies := map[events.MessageID]bool{}, 0
	for _, m := range c.Messages {
		ids[m.ID] = true
		require.NoError(t, m.Validate())
		if m.ReplyTo != "" {
			replies++
		}
	}
	assert.Len(t, ids, 3600, "ids are unique")
	assert.Greater(t, replies, 1500)
	again, err := corpus.Open("")
	require.NoError(t, err)
	assert.Equal(t, c.Messages, again.Messages, "the same file gives the same identities")
}

func write(t *testing.T, name, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	require.NoError(t, os.WriteFile(path, []byte(content), 0o600))
	return path
}

func TestOpen(t *testing.T) {
	path := write(t, "talk.jsonl", strings.Join([]string{
		`{"id":"1","ts":"2024-01-02T03:04:05.678Z","channel":"a b","user":"zcat ","text":"later","reply_to":"2"}`,
		``,
		`{"id":"2","ts":"2024-01-02T04:04:05+01:00","channel":"a b","user":"zcat","text":"two\nlines 😀"}`,
		`{"id":"3","ts":"2024-01-02T03:04:07Z","channel":"c","user":"zcat","text":"hi"}`,
	}, "\n"))
	c, err := corpus.Open(path)
	require.NoError(t, err)
	require.Len(t, c.Messages, 3)
	assert.Equal(t, []corpus.Channel{
		{ID: "a_20b", Name: "a b", Members: []events.UserID{"zcat%20", "zcat"}},
		{ID: "c", Name: "c", Members: []events.UserID{"zcat"}},
	}, c.Channels)
	assert.Equal(t, 2, c.Users())
	assert.Equal(t, c.Messages[1].ID, c.Messages[0].ReplyTo, "a reply may point forward")
	assert.Equal(t, "2024-01-02T03:04:05Z", c.Messages[1].SentAt.Format("2006-01-02T15:04:05Z07:00"))
}

func TestOpenRefuses(t *testing.T) {
	const good = `{"id":"1","ts":"2024-01-02T03:04:05Z","channel":"c","user":"u","text":"hi"}` + "\n"
	for _, tt := range []struct{ name, content, want string }{
		{"nothing", "", "no message"},
		{"no JSON", good + "hello", "line 2"},
		{"an id twice", good + good, "line 2"},
		{"no id", `{"ts":"2024-01-02T03:04:05Z","channel":"c","user":"u","text":"hi"}`, "line 1"},
		{"no text", `{"id":"1","ts":"2024-01-02T03:04:05Z","channel":"c","user":"u","text":""}`, "empty"},
		{"no channel", `{"id":"1","ts":"2024-01-02T03:04:05Z","user":"u","text":"x"}`, "channel id is missing"},
		{"a reply to nothing", `{"id":"1","ts":"2024-01-02T03:04:05Z","channel":"c","user":"u","text":"x","reply_to":"9"}`, "reply_to"},
		{"a line over the bound", good + strings.Repeat("x", 2<<20), "line 2"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := corpus.Open(write(t, "talk.jsonl", tt.content))
			assert.ErrorContains(t, err, tt.want)
		})
	}
	_, err := corpus.Open(filepath.Join(t.TempDir(), "none.jsonl"))
	assert.ErrorIs(t, err, os.ErrNotExist)
	_, err = corpus.Open(write(t, "talk.jsonl.xz", "not packed"))
	assert.ErrorContains(t, err, "unpack")
}

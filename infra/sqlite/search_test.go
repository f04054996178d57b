package sqlite_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/chat-platform/chat/events"
)

func TestSearchTooLong(t *testing.T) {
	s := openSearch(t)
	require.NoError(t, s.IndexMessages(t.Context(), []events.Message{message(0)}))
	var words []string
	for i := range 200 {
		words = append(words, fmt.Sprint("word", i))
	}
	q := events.SearchQuery{Text: strings.Join(words[:128], " "), Channels: []events.ChannelID{message(0).ChannelID}, Limit: 1}
	_, err := s.SearchMessages(t.Context(), q)
	require.NoError(t, err, "128 words")
	q.Text = strings.Join(words, " ")
	_, err = s.SearchMessages(t.Context(), q)
	require.ErrorIs(t, err, events.ErrInvalid)
}

// TestFolding: what people write, and what others type to find it.
func TestFolding(t *testing.T) {
	s := openSearch(t)
	for i, c := range []struct{ text, query string }{
		{"Straße", "strasse"}, {"STRASSE", "straße"}, {"smørrebrød", "smorrebrod"}, {"Łódź", "lodz"}, {"Œuvre", "oeuvre"},
		{"İstanbul ığdır", "istanbul igdir"}, {"Nguyễn Ái Quốc", "nguyen ai quoc"}, {"Ὀδυσσεύς", "οδυσσευς"},
		{"ΣΊΣΥΦΟΣ", "σίσυφος"}, {"x² ½ №5", "x2"}, {"ﬁancée", "fiance"}, {"co\u00adop\u200derate", "cooperate"},
		{"हिन्दी में", "हिन्दी"}, {"ภาษาไทย", "ไทย"}, {"ｶﾅ", "カナ"}, {"コーヒー", "コーヒ"}, {"日本\u3000語", "語"},
		{"👩🏽‍💻 works", "💻"}, {"👍🏽", "👍"}, {"a\u0301\u0302bc", "abc"}, {"ㄅㄆㄇ", "ㄆㄇ"}, {"𝔘𝔫𝔦𝔠𝔬𝔡𝔢", "unicode"},
		{"กำ", "กำ"}, {"z\u0300\u0301", "z"}, {"1234567890", "12345"}, {strings.Repeat("long", 100), strings.Repeat("long", 60)},
		{strings.Repeat("é日", 100), "é日"}, {"ﷺ", "صلى"}, {"\u0301 mark", "mark"},
	} {
		m := message(i)
		m.ChannelID, m.Text = events.ChannelID(fmt.Sprintf("ch_%d", i)), c.text
		require.NoError(t, s.IndexMessages(t.Context(), []events.Message{m}))
		page, err := s.SearchMessages(t.Context(), events.SearchQuery{Text: c.query, Channels: []events.ChannelID{m.ChannelID}, Limit: 1})
		require.NoError(t, err)
		require.Len(t, page.Hits, 1, "%q in %q", c.query, c.text)
	}
}

// FuzzSearch: a message is found by its own text, whatever that is; no query
// breaks the search.
func FuzzSearch(f *testing.F) {
	for _, text := range []string{"hello world", `"quoted" AND (NOT x*)`, "東京都に住んで", "cafe\u0301 ﬁ ½", "\x00\u0301\u200d😀🏽", "ﷺ ไทย กำ", strings.Repeat("日", 300)} {
		f.Add(text, "hel")
		f.Add("hello", text)
	}
	s := openSearch(f)
	n := 0
	f.Fuzz(func(t *testing.T, text, query string) {
		if events.ValidateText(text+" needle") != nil {
			return
		}
		m := message(n)
		n++
		m.ChannelID, m.Text, m.SentAt = events.ChannelID(fmt.Sprintf("ch_%d", n)), text+" needle", m.SentAt.UTC()
		require.NoError(t, s.IndexMessages(t.Context(), []events.Message{m}))
		for _, q := range []string{m.Text, "needle", query} {
			page, err := s.SearchMessages(t.Context(), events.SearchQuery{Text: q, Channels: []events.ChannelID{m.ChannelID}, Limit: 2})
			if errors.Is(err, events.ErrInvalid) {
				require.Greater(t, utf8.RuneCountInString(q), 128)
				continue
			}
			require.NoError(t, err)
			if q != query {
				require.Len(t, page.Hits, 1, "%q", q)
			}
			for _, h := range page.Hits {
				require.Equal(t, m, h.Message)
				require.NotEmpty(t, h.Snippet)
				require.True(t, utf8.ValidString(h.Snippet))
			}
		}
	})
}

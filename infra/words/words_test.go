package words_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/chat-platform/chat/events"
	"github.com/chat-platform/chat/infra/words"
)

func terms(text string) string { return strings.TrimSuffix(string(words.AppendTerms(nil, text)), " ") }

func TestTerms(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"", ""},
		{" \t\n", ""},
		{"Hello, World!", "hello world"},
		{"snake_case kebab-case a.b", "snake case kebab case a b"},
		{"Straße Łódź Œuvre", "strasse lodz oeuvre"},
		{"cafe\u0301 ﬁne ＦＵＬＬ", "cafe fine full"},
		{"Ελληνικά ΣΊΣΥΦΟΣ", "ελληνικα σισυφοσ"},
		{"東京都", "東京 京都 都"},
		{"京", "京"},
		{"12월abc", "12 월 abc"},
		{"日本\u3000語", "日本 本 語"},
		{"party🎉😀", "party 🎉 😀"},
		{"co\u00adop\u200derate", "cooperate"},
		{strings.Repeat("long", 100), strings.Repeat("long", 24)},
	} {
		require.Equal(t, c.want, terms(c.text), "%q", c.text)
	}
	require.Equal(t, "before hello ", string(words.AppendTerms([]byte("before "), "Hello")))
}

func TestConditions(t *testing.T) {
	type list = []words.Condition
	for _, c := range []struct {
		query string
		want  list
	}{
		{"", list{}},
		{`"*" - : ( )`, list{}},
		{"Quick fo", list{{[]string{"quick"}, false}, {[]string{"fo"}, true}}},
		{"lazy lazy", list{{[]string{"lazy"}, false}, {[]string{"lazy"}, true}}},
		{"lazy lazy lazy", list{{[]string{"lazy"}, false}, {[]string{"lazy"}, true}}},
		{"京 word", list{{[]string{"京"}, true}, {[]string{"word"}, true}}},
		{"京都", list{{[]string{"京都"}, false}}},
		{"word 東京都に", list{{[]string{"word"}, false}, {[]string{"東京", "京都", "都に"}, false}}},
	} {
		got, err := words.Parse(c.query).Conditions()
		require.NoError(t, err)
		require.Equal(t, c.want, got, "%q", c.query)
	}
	many := make([]string, words.MaxTerms)
	for i := range many {
		many[i] = fmt.Sprint("word", i)
	}
	_, err := words.Parse(strings.Join(many, " ")).Conditions()
	require.NoError(t, err)
	_, err = words.Parse(strings.Join(many, " ") + " more").Conditions()
	require.ErrorIs(t, err, events.ErrInvalid)
}

func TestFind(t *testing.T) {
	long := strings.Repeat("lorem ipsum ", 100)
	for _, c := range []struct{ query, text, want string }{
		{"fox", "a quick Fox", "a quick Fox"},
		{"fo quick", "a quick fox", ""},
		{"quick fo", "a quick fox", "a quick fox"},
		{"東京都", "京都庁東京", ""},
		{"東京都", "新東京都庁", "新東京都庁"},
		{"東京", "東 京", ""},
		{"", "anything", ""},
		{"needle", long + "nêêdle " + long, "…ipsum lorem ipsum lorem ipsum lorem ipsum nêêdle lorem ipsum lorem ipsum lorem ipsum lorem ipsum lorem ipsum lorem ipsum lorem ipsum lorem ipsum lorem…"},
	} {
		got, ok := words.Parse(c.query).Find(c.text)
		require.Equal(t, c.want != "", ok, "%q in %q", c.query, c.text)
		require.Equal(t, c.want, got, "%q in %q", c.query, c.text)
	}
}

// FuzzWords: an index that has the terms of a text and is asked for the
// conditions of a query finds what Find finds.
func FuzzWords(f *testing.F) {
	for _, text := range []string{"hello world", `"quoted" AND (NOT x*)`, "東京都に住んで", "cafe\u0301 ﬁ ½", "\x00\u0301\u200d😀🏽", "ﷺ ไทย กำ", strings.Repeat("日", 300), "\xff\xfe"} {
		f.Add(text, "hel")
		f.Add(text, text)
	}
	f.Fuzz(func(t *testing.T, text, query string) {
		index := strings.Fields(terms(text))
		require.Equal(t, strings.Join(index, " "), terms(text), "split at spaces")
		q := words.Parse(query)
		snippet, found := q.Find(text)
		require.Equal(t, found, snippet != "")
		if utf8.ValidString(text) {
			require.True(t, utf8.ValidString(snippet))
		}
		conditions, err := q.Conditions()
		if err != nil {
			require.ErrorIs(t, err, events.ErrInvalid)
			return
		}
		all := len(conditions) > 0
		for _, c := range conditions {
			all = all && has(index, c)
		}
		require.Equal(t, found, all, "%q in %q", query, text)
	})
}

func has(index []string, c words.Condition) bool {
	if c.Prefix {
		return slices.ContainsFunc(index, func(term string) bool { return strings.HasPrefix(term, c.Terms[0]) })
	}
	for i := range index {
		if len(index)-i >= len(c.Terms) && slices.Equal(index[i:i+len(c.Terms)], c.Terms) {
			return true
		}
	}
	return false
}

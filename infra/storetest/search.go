package storetest

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/chat-platform/chat/events"
)

// TestSearch checks a search view. open gives an empty store, which it closes
// in a cleanup of t; one that makes writes visible late implements [Refresher].
// generations gives those of one view.
func TestSearch(t *testing.T, open func(t *testing.T) Search, generations Generations[Search]) {
	put := func(s Search) func(context.Context, []events.Message) error { return s.IndexMessages }
	testView(t, open, generations, func(ctx context.Context, s Search) error {
		return s.IndexMessages(ctx, append(conversation(general, 5, 1, 2), conversation(random, 5, 2, 2)...))
	})
	t.Run("writes", func(t *testing.T) { testMessageWrites(t, open, put) })
	t.Run("words", func(t *testing.T) { testWords(t, open) })
	t.Run("channels", func(t *testing.T) { testSearchChannels(t, open) })
	t.Run("pages", func(t *testing.T) { testSearchPages(t, open) })
	t.Run("snippets", func(t *testing.T) { testSnippets(t, open) })
	t.Run("moves", func(t *testing.T) { testSearchMoves(t, open) })
	t.Run("closed and cancelled", func(t *testing.T) {
		s := open(t)
		q := events.SearchQuery{Text: "word", Channels: []events.ChannelID{general}, Limit: 1}
		require.NoError(t, s.IndexMessages(t.Context(), []events.Message{newMessage(general, "a.b", 1, "word")}))
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_, err := s.SearchMessages(ctx, q)
		require.ErrorIs(t, err, context.Canceled)
		require.NoError(t, s.Close())
		_, err = s.SearchMessages(t.Context(), q)
		require.ErrorIs(t, err, events.ErrUnavailable)
	})
}

func find(t *testing.T, s Search, q events.SearchQuery) []uint64 {
	t.Helper()
	page, err := s.SearchMessages(t.Context(), q)
	require.NoError(t, err, "%+v", q)
	seqs := []uint64{}
	for _, h := range page.Hits {
		seqs = append(seqs, h.Message.Seq)
	}
	return seqs
}

func testWords(t *testing.T, open func(t *testing.T) Search) {
	texts := []string{ // of sequence 1, 2, 3, …
		1:  "The quick brown fox jumps over the lazy dog",
		2:  "Quick! Quick? QUICK: it's a fox-hunt",
		3:  "quicksilver and silverware",
		4:  "Un café très élégant à Zürich, naïve Ångström",
		5:  "cafe tres elegant a zurich",
		6:  "Привет, мир! Ёлка и Ελληνικά",
		7:  "東京都に住んでいます。とうきょうタワー",
		8:  "我们明天去北京大学图书馆看书",
		9:  "안녕하세요 서울에서 만나요",
		10: "東京と京都",
		11: `say "hello world" AND (NOT goodbye) OR NEAR/2 title:news foo* ^bar -minus +plus a:b`,
		12: "hello wide world",
		13: "error 404 in https://example.com/path?x=1&y=2 line 12.5",
		14: "Cafe\u0301 au lait",
		15: "line one\nline two\ttabbed",
		16: "party 🎉 time 😀",
		17: "ＦＵＬＬ ｗｉｄｔｈ ﬁne",
		18: "שלום עולם مرحبا بالعالم",
		19: "snake_case and camelCase and kebab-case",
		20: strings.Repeat("padding ", 6_000) + "needle",
		21: "don't can't rock'n'roll",
		22: "C++ and C# and .NET",
		23: "สวัสดีครับผมชื่อสมชาย",
		24: "𠮷野家で牛丼",
	}
	s := open(t)
	ms := []events.Message{}
	for seq, text := range texts {
		if text != "" {
			ms = append(ms, newMessage(general, "a.b", uint64(seq), text))
		}
	}
	require.NoError(t, s.IndexMessages(t.Context(), shuffled(ms, 9)))
	refresh(t, s)

	for _, c := range []struct {
		name, text string
		want       []uint64 // newest first
	}{
		{"one word", "lazy", []uint64{1}},
		{"any case", "LAZY", []uint64{1}},
		{"newest first", "quick", []uint64{3, 2, 1}},
		{"all words, in any order", "fox quick", []uint64{2, 1}},
		{"all words or nothing", "quick elephant", []uint64{}},
		{"the last word as a prefix", "jumps laz", []uint64{1}},
		{"one letter as a prefix", "jumps l", []uint64{1}},
		{"only the last word is a prefix", "laz jumps", []uint64{}},
		{"a prefix, not a part", "ilver", []uint64{}},
		{"the whole word is its own prefix", "quicksilver", []uint64{3}},
		{"a word twice", "quick quick quicksilver", []uint64{}},
		{"the same word twice", "lazy lazy", []uint64{1}},

		{"accents in the text", "zurich", []uint64{5, 4}},
		{"accents in the query", "Zürïch", []uint64{5, 4}},
		{"accents and case", "ELEGANT TRÈS", []uint64{5, 4}},
		{"decomposed accents", "café", []uint64{14, 5, 4}},
		{"decomposed accents in the query", "cafe\u0301 lait", []uint64{14}},
		{"letters with a ring", "angstrom", []uint64{4}},
		{"cyrillic", "ПРИВЕТ мир", []uint64{6}},
		{"cyrillic prefix", "прив", []uint64{6}},
		{"greek, with and without accents", "ελληνικα", []uint64{6}},
		{"hebrew", "עולם", []uint64{18}},
		{"arabic", "مرحبا", []uint64{18}},

		{"japanese, at its beginning", "東京都", []uint64{7}},
		{"japanese, in the middle", "京都に", []uint64{7}},
		{"japanese, two characters", "京都", []uint64{10, 7}},
		{"japanese, one character", "京", []uint64{10, 8, 7}},
		{"japanese, the last character", "都", []uint64{10, 7}},
		{"hiragana", "きょう", []uint64{7}},
		{"katakana with a long vowel", "タワー", []uint64{7}},
		{"chinese", "北京大学", []uint64{8}},
		{"chinese, in the middle", "明天", []uint64{8}},
		{"chinese, two words", "图书馆 北京", []uint64{8}},
		{"chinese, one that is not there", "上海", []uint64{}},
		{"korean", "서울", []uint64{9}},
		{"korean with its particle", "서울에서", []uint64{9}},
		{"korean, two words", "안녕하세요 만나요", []uint64{9}},
		{"korean prefix", "안녕", []uint64{9}},
		{"thai", "ครับ", []uint64{23}},
		{"beyond the basic plane", "𠮷野家", []uint64{24}},

		{"quotes", `"hello world"`, []uint64{12, 11}},
		{"an unbalanced quote", `"hello`, []uint64{12, 11}},
		{"AND is a word", "say AND goodbye", []uint64{11}},
		{"AND is no operator", "hello AND wide", []uint64{}},
		{"OR is no operator", "fox OR wide", []uint64{}},
		{"NOT is no operator", "wide NOT goodbye", []uint64{}},
		{"NEAR is no operator", "NEAR(quick fox)", []uint64{}},
		{"a minus is no operator", "hello -goodbye", []uint64{11}},
		{"a plus is no operator", "+wide +world", []uint64{12}},
		{"a colon is no operator", "title:news", []uint64{11}},
		{"parentheses are no operators", "(wide) (world)", []uint64{12}},
		{"a star is no operator", "laz* jumps", []uint64{}},
		{"a caret is no operator", "^bar", []uint64{11}},
		{"a backslash and a tilde", `wide\ world~1`, []uint64{}},
		{"braces and slashes", "{wide} /world/", []uint64{12}},
		{"a question mark", "qu?ck", []uint64{}},
		{"only operators", `"*" - : ( ) ^ + ~ / \ { } [ ] ? & | ! @ # $ % ' ; , . < > =`, []uint64{}},
		{"spaces only", " \t\n", []uint64{}},
		{"nothing", "", []uint64{}},

		{"numbers", "404", []uint64{13}},
		{"a part of an address", "example.com", []uint64{13}},
		{"an address", "https://example.com/path", []uint64{13}},
		{"over a new line", "one line two", []uint64{15}},
		{"after a tab", "tabbed", []uint64{15}},
		{"an emoji", "🎉", []uint64{16}},
		{"an emoji and a word", "😀 party", []uint64{16}},
		{"full width as half width", "full width", []uint64{17}},
		{"half width as full width", "ｑｕｉｃｋ ｆｏｘ", []uint64{2, 1}},
		{"with a hyphen", "kebab-case", []uint64{19}},
		{"with an underscore", "snake_case", []uint64{19}},
		{"the end of a long text", "needle", []uint64{20}},
		{"an apostrophe", "don't", []uint64{21}},
		{"signs after a letter", "C++ C#", []uint64{22}},
	} {
		t.Run(c.name, func(t *testing.T) {
			page, err := s.SearchMessages(t.Context(), events.SearchQuery{Text: c.text, Channels: []events.ChannelID{general}, Limit: 50})
			require.NoError(t, err)
			require.False(t, page.More)
			got := []uint64{}
			for _, h := range page.Hits {
				got = append(got, h.Message.Seq)
				require.Equal(t, newMessage(general, "a.b", h.Message.Seq, texts[h.Message.Seq]), h.Message)
				require.NotEmpty(t, h.Snippet)
			}
			require.Equal(t, c.want, got)
		})
	}
	t.Run("tricky texts are stored and found", func(t *testing.T) {
		s := open(t)
		seq := uint64(0)
		want := map[uint64]events.Message{}
		for _, text := range trickyTexts {
			seq++
			want[seq] = newMessage(general, "x y", seq, text+" needle")
			if utf8.RuneCountInString(text) > events.MaxMessageRunes-10 {
				want[seq] = newMessage(general, "x y", seq, "needle "+string([]rune(text)[:events.MaxMessageRunes-7]))
			}
			require.NoError(t, s.IndexMessages(t.Context(), []events.Message{want[seq]}))
		}
		refresh(t, s)
		page, err := s.SearchMessages(t.Context(), events.SearchQuery{Text: "needle", Channels: []events.ChannelID{general}, Limit: 50})
		require.NoError(t, err)
		require.Len(t, page.Hits, len(want))
		for _, h := range page.Hits {
			require.Equal(t, want[h.Message.Seq], h.Message)
		}
	})
}

func testSearchChannels(t *testing.T, open func(t *testing.T) Search) {
	s := open(t)
	ids := []events.ChannelID{"ch", "ch_a", "ch_A", "ch-a", "ch_ab", "0", "1"}
	ms := []events.Message{}
	for i := range 70 {
		ms = append(ms, newMessage(ids[i%len(ids)], "a.b", uint64(i+1), fmt.Sprintf("common word%d", i)))
	}
	require.NoError(t, s.IndexMessages(t.Context(), ms))
	refresh(t, s)
	in := func(channels ...events.ChannelID) []uint64 {
		seqs := []uint64{}
		for _, m := range slices.Backward(ms) {
			if slices.Contains(channels, m.ChannelID) {
				seqs = append(seqs, m.Seq)
			}
		}
		return seqs
	}
	search := func(channels ...events.ChannelID) []uint64 {
		return find(t, s, events.SearchQuery{Text: "common", Channels: channels, Limit: 100})
	}
	require.Empty(t, search(), "no channels give nothing")
	require.Empty(t, search("ch_unknown"), "a channel without messages")
	for _, id := range ids {
		require.Equal(t, in(id), search(id), "one channel: %s", id)
	}
	require.Equal(t, in("ch", "1"), search("ch", "1", "ch_unknown"), "several")
	require.Equal(t, in("ch"), search("ch", "ch"), "one twice")
	require.Equal(t, in(ids...), search(ids...), "all")
	require.Empty(t, find(t, s, events.SearchQuery{Text: "ch_a", Channels: ids, Limit: 100}), "a channel's id is no word of its messages")

	many := []events.ChannelID{"ch_a", "0"}
	for i := range 50_000 {
		many = append(many, events.ChannelID(fmt.Sprintf("ch_other_%d", i)))
	}
	for _, n := range []int{10, 64, 65, 66, 500, 2_000, 50_002} {
		require.Equal(t, in("ch_a", "0"), search(many[:n]...), "%d channels", n)
	}
	page, err := s.SearchMessages(t.Context(), events.SearchQuery{Text: "common", Channels: many, Limit: 3, Before: 60})
	require.NoError(t, err)
	require.True(t, page.More)
	require.Len(t, page.Hits, 3)
}

func testSearchPages(t *testing.T, open func(t *testing.T) Search) {
	s := open(t)
	var ms []events.Message
	want := map[string][]uint64{}
	for i := range 60 {
		text := "filler"
		if i%2 == 0 {
			text = "haystack needle"
			want["needle"] = append(want["needle"], uint64(i+1)*10)
		}
		if i%3 == 0 {
			text += " 東京都庁"
			want["東京都"] = append(want["東京都"], uint64(i+1)*10)
		} else {
			text += " 京都庁東京" // the pairs of the query, not the query
		}
		c := general
		if i%5 == 4 {
			c = random
		}
		ms = append(ms, newMessage(c, "a.b", uint64(i+1)*10, text))
	}
	require.NoError(t, s.IndexMessages(t.Context(), ms))
	refresh(t, s)
	for text, seqs := range want {
		slices.Reverse(seqs)
		for limit := 1; limit <= len(seqs)+1; limit++ {
			got := []uint64{}
			q := events.SearchQuery{Text: text, Channels: []events.ChannelID{random, general}, Limit: limit}
			for more := true; more; {
				page, err := s.SearchMessages(t.Context(), q)
				require.NoError(t, err)
				require.LessOrEqual(t, len(page.Hits), limit)
				require.LessOrEqual(t, len(got), len(seqs), "pages without end")
				for _, h := range page.Hits {
					got = append(got, h.Message.Seq)
				}
				if more = page.More; more {
					require.Len(t, page.Hits, limit)
					q.Before = got[len(got)-1]
				}
			}
			require.Equal(t, seqs, got, "%q by %d", text, limit)
		}
	}
	one := events.SearchQuery{Text: "needle", Channels: []events.ChannelID{general, random}, Limit: 1}
	one.Before = want["needle"][len(want["needle"])-1]
	require.Empty(t, find(t, s, one), "before the first")
	one.Before++
	require.Equal(t, []uint64{one.Before - 1}, find(t, s, one), "the bound is exclusive")
	one.Before = 1<<64 - 1
	require.Equal(t, want["needle"][:1], find(t, s, one), "before the end of numbers")
	for _, limit := range []int{0, -1} {
		one.Limit = limit
		_, err := s.SearchMessages(t.Context(), one)
		require.ErrorIs(t, err, events.ErrInvalid)
	}
}

func testSnippets(t *testing.T, open func(t *testing.T) Search) {
	long := strings.Repeat("lorem ipsum dolor sit amet ", 500)
	cjk := strings.Repeat("吾輩は猫である。", 500)
	for _, c := range []struct{ name, text, query, hit string }{
		{"a short text", "short needle here", "needle", "needle"},
		{"at the beginning", "Needle " + long, "needle", "Needle"},
		{"in the middle", long + "needle " + long, "needle", "needle"},
		{"at the end", long + "needle", "needle", "needle"},
		{"of a prefix", long + "needlework " + long, "needle", "needlework"},
		{"with accents", long + "nêêdlé " + long, "needle", "nêêdlé"},
		{"of the first of two", long + "needle haystack " + long, "haystack needle", "needle"},
		{"between astral characters", strings.Repeat("😀", 900) + " needle " + strings.Repeat("\U0001F469", 900), "needle", "needle"},
		{"japanese", cjk + "東京タワー" + cjk, "東京タワー", "東京タワー"},
		{"with new lines", strings.Repeat("line\n", 500) + "needle\n" + strings.Repeat("line\n", 500), "needle", "needle"},
		{"with markup", long + "<b>needle</b> & <i>more</i> " + long, "needle", "<b>needle</b>"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := open(t)
			require.NoError(t, s.IndexMessages(t.Context(), []events.Message{newMessage(general, "a.b", 1, c.text)}))
			refresh(t, s)
			page, err := s.SearchMessages(t.Context(), events.SearchQuery{Text: c.query, Channels: []events.ChannelID{general}, Limit: 1})
			require.NoError(t, err)
			require.Len(t, page.Hits, 1)
			got := page.Hits[0].Snippet
			require.Contains(t, got, c.hit)
			require.True(t, utf8.ValidString(got))
			require.LessOrEqual(t, utf8.RuneCountInString(got), 500, "a snippet is short")
			require.Contains(t, c.text, strings.Trim(got, "… "), "in plain text")
		})
	}
}

// testSearchMoves: a message that is indexed again is found by what it is now.
func testSearchMoves(t *testing.T, open func(t *testing.T) Search) {
	first := newMessage(general, "a.b", 10, "the original 東京")
	late := first
	late.Seq, late.Text = 20, "the duplicate 京都"
	neighbour := newMessage(general, "a.b", 15, "a neighbour, original and duplicate 東京 京都")
	for _, order := range [][]events.Message{{first, late, neighbour}, {late, neighbour, first}, {neighbour, late, first, late}} {
		for _, size := range []int{1, 4} {
			s := open(t)
			putChunks(t, s.IndexMessages, order, size)
			refresh(t, s)
			q := events.SearchQuery{Channels: []events.ChannelID{general}, Limit: 10}
			for text, want := range map[string][]uint64{
				"original": {15, 10}, "duplicate": {15}, "東京": {15, 10}, "京都": {15}, "the": {10}, "dupl": {15},
			} {
				q.Text = text
				require.Equal(t, want, find(t, s, q), text)
			}
		}
	}
}

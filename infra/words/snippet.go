package words

import (
	"strings"
	"unicode/utf8"
)

// Size of a snippet in characters: all of it, and what comes before the hit.
const (
	snippetRunes = 160
	snippetLead  = 48
)

// cut gives the part of a text around a hit at [start, end). It cuts between
// words where it can, and says so by an ellipsis.
func cut(text string, start, end int) string {
	if len(text) <= snippetRunes || utf8.RuneCountInString(text) <= snippetRunes {
		return text
	}
	from := start
	for n := 0; from > 0 && n < snippetLead; n++ {
		_, size := utf8.DecodeLastRuneInString(text[:from])
		from -= size
	}
	to, n := from, 0
	for to < len(text) && (n < snippetRunes || to < end) {
		_, size := utf8.DecodeRuneInString(text[to:])
		to, n = to+size, n+1
	}
	if from > 0 {
		if i := strings.IndexByte(text[from:start], ' '); i >= 0 {
			from += i + 1
		}
	}
	if to < len(text) {
		if i := strings.LastIndexByte(text[end:to], ' '); i >= 0 {
			to = end + i
		}
	}
	s := text[from:to]
	if from > 0 {
		s = "…" + s
	}
	if to < len(text) {
		s += "…"
	}
	return s
}

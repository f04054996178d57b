package sqlite

import (
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/chat-platform/chat/infra/words"
)

// appendTerms appends the terms under which a message is found, each followed
// by a space: its channel and those of its text.
func appendTerms(b []byte, channel int64, text string) []byte {
	return words.AppendTerms(append(appendChannelTerm(b, channel), ' '), text)
}

// appendChannelTerm appends the term that stands for a channel: characters of
// the private planes, which no word contains. Nearly always it is one.
func appendChannelTerm(b []byte, channel int64) []byte {
	const digit, last, base = 0xf0000, 0x100000, 0x8000
	for ; channel >= base; channel /= base {
		b = utf8.AppendRune(b, rune(digit+channel%base))
	}
	return utf8.AppendRune(b, rune(last+channel))
}

// match is a query in the language of the index, which sees quoted terms only.
func match(q words.Query, channels []int64) (string, error) {
	conditions, err := q.Conditions()
	if err != nil {
		return "", err
	}
	var terms []string
	for _, c := range conditions {
		for _, term := range c.Terms {
			t := `"` + term + `"`
			if c.Prefix {
				t += "*"
			}
			if !slices.Contains(terms, t) {
				terms = append(terms, t)
			}
		}
	}
	m := strings.Join(terms, " AND ")
	if len(channels) == 0 {
		return m, nil
	}
	var b []byte
	for i, c := range channels {
		if i > 0 {
			b = append(b, " OR "...)
		}
		b = append(appendChannelTerm(append(b, '"'), c), '"')
	}
	return m + " AND (" + string(b) + ")", nil
}

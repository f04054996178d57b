package sqlite

import (
	"slices"
	"strings"

	"github.com/chat-platform/chat/events"
)

// maxQueryTerms bounds the terms of a search.
const maxQueryTerms = 128

// query is what somebody searches for: words, and runs of characters of a
// script without spaces.
type query []queryWord

type queryWord struct {
	text   string   // of a word
	prefix bool     // words that begin with text will do
	units  []string // of a run, instead of text
}

func parseQuery(text string) query {
	var q query
	w := splitWords(text)
	for w.next() {
		switch {
		case w.joined:
			run := &q[len(q)-1]
			run.units = append(run.units, string(w.word))
		case w.unit:
			q = append(q, queryWord{units: []string{string(w.word)}})
		default:
			q = append(q, queryWord{text: string(w.word)})
		}
	}
	if len(q) > 0 {
		q[len(q)-1].prefix = true
	}
	return q
}

// match is the query in the language of the index, which sees quoted terms
// only. A lone character is found as the beginning of a pair, too.
func (q query) match(channels []int64) (string, error) {
	var terms []string
	add := func(term string, prefix bool) {
		t := `"` + term + `"`
		if prefix {
			t += "*"
		}
		if !slices.Contains(terms, t) {
			terms = append(terms, t)
		}
	}
	for _, w := range q {
		switch len(w.units) {
		case 0:
			add(w.text, w.prefix)
		case 1:
			add(w.units[0], true)
		default:
			for i := 1; i < len(w.units); i++ {
				add(w.units[i-1]+w.units[i], false)
			}
		}
		if len(terms) > maxQueryTerms {
			return "", events.Invalid("search_too_long", "q", "the search has too many words, at most %d are allowed", maxQueryTerms)
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

// find tells whether the text has all words of the query, which the index
// leaves open for longer runs (it has their pairs, in any place), and where the
// first of them begins and ends. Positions are those in the composed text.
func (q query) find(text string) (start, end int, ok bool) {
	type place struct {
		word         string
		start, end   int
		unit, joined bool
	}
	var places []place
	w := splitWords(text)
	for w.next() {
		places = append(places, place{string(w.word), w.start, w.end, w.unit, w.joined})
	}
	at := func(i int, w queryWord) (end int, ok bool) {
		p := places[i]
		if len(w.units) == 0 {
			return p.end, !p.unit && (p.word == w.text || w.prefix && strings.HasPrefix(p.word, w.text))
		}
		for k, u := range w.units {
			if i+k >= len(places) || places[i+k].word != u || !places[i+k].unit || k > 0 && !places[i+k].joined {
				return 0, false
			}
			end = places[i+k].end
		}
		return end, true
	}
	start = len(text) + 1
	for _, w := range q {
		found := false
		for i := range places {
			if e, ok := at(i, w); ok {
				if found = true; places[i].start < start {
					start, end = places[i].start, e
				}
				break
			}
		}
		if !found {
			return 0, 0, false
		}
	}
	return start, end, len(q) > 0
}

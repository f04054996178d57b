package words

import (
	"slices"
	"strings"

	"github.com/chat-platform/chat/events"
)

// MaxTerms bounds the terms of a query.
const MaxTerms = 128

// Query is what somebody searches for: words, and runs of characters of a
// script without spaces. Nothing in it is an operator. An empty one finds
// nothing.
type Query []word

type word struct {
	text   string   // of a word
	prefix bool     // words that begin with text will do
	units  []string // of a run, instead of text
}

// Parse reads a query; the last word of it is a prefix.
func Parse(text string) Query {
	var q Query
	w := split(text)
	for w.next() {
		switch {
		case w.joined:
			run := &q[len(q)-1]
			run.units = append(run.units, string(w.word))
		case w.unit:
			q = append(q, word{units: []string{string(w.word)}})
		default:
			q = append(q, word{text: string(w.word)})
		}
	}
	if len(q) > 0 {
		q[len(q)-1].prefix = true
	}
	return q
}

// Condition is one of the conditions that a query makes: the terms of a text
// (AppendTerms) have these terms, one right after the other; of a Prefix, which
// is but one, a term that begins with it.
type Condition struct {
	Terms  []string
	Prefix bool
}

// Conditions are what the terms of a text must satisfy, all of them. A lone
// character of a script without spaces is found as the beginning of a pair, too.
// Errors match [events.ErrInvalid] for more than [MaxTerms] terms.
func (q Query) Conditions() ([]Condition, error) {
	cs := make([]Condition, 0, len(q))
	terms := 0
	for _, w := range q {
		var c Condition
		switch len(w.units) {
		case 0:
			c = Condition{[]string{w.text}, w.prefix}
		case 1:
			c = Condition{w.units, true}
		default:
			for i := 1; i < len(w.units); i++ {
				c.Terms = append(c.Terms, w.units[i-1]+w.units[i])
			}
		}
		if slices.ContainsFunc(cs, func(o Condition) bool { return o.Prefix == c.Prefix && slices.Equal(o.Terms, c.Terms) }) {
			continue
		}
		if terms += len(c.Terms); terms > MaxTerms {
			return nil, events.Invalid("search_too_long", "q", "the search has too many words, at most %d are allowed", MaxTerms)
		}
		cs = append(cs, c)
	}
	return cs, nil
}

// Find tells whether the text has all words of the query, and gives the part of
// it around the first of them, at most some 160 characters unless the word is
// longer, with an ellipsis where it is cut. Letters and their accents come out
// composed.
func (q Query) Find(text string) (snippet string, ok bool) {
	start, end, ok := q.find(text)
	if !ok {
		return "", false
	}
	return cut(composed(text), start, end), true
}

// find tells whether the text has all words of the query, and where the
// first of them begins and ends. Positions are those in the composed text.
func (q Query) find(text string) (start, end int, ok bool) {
	type place struct {
		word         string
		start, end   int
		unit, joined bool
	}
	var places []place
	w := split(text)
	for w.next() {
		places = append(places, place{string(w.word), w.start, w.end, w.unit, w.joined})
	}
	at := func(i int, w word) (end int, ok bool) {
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

package words

import (
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// maxWord bounds a word in bytes; a longer one is known by its beginning.
const maxWord = 96

// splitter splits a text, for the index, for queries and for snippets alike. A
// word is a run of letters and digits, folded. In scripts without spaces every
// character is a word, joined to the one before it where nothing is between
// them; the index keeps pairs of them (AppendTerms), a query wants them side by side.
type splitter struct {
	text string
	pos  int

	word       []byte // folded, until the next call of next
	start, end int    // of the word in text
	unit       bool   // a character of a script without spaces
	joined     bool   // side by side with the unit before it

	lastUnit int // where the last unit ended, −1 if something came after it
}

func split(text string) splitter {
	return splitter{text: composed(text), lastUnit: -1}
}

// composed brings letters and their accents together, which some systems keep
// apart.
func composed(text string) string {
	for i := range len(text) {
		if text[i] >= utf8.RuneSelf {
			return norm.NFC.String(text) // text itself where it is composed already
		}
	}
	return text
}

func (w *splitter) next() bool {
	w.word = w.word[:0]
	for w.pos < len(w.text) {
		c := w.text[w.pos]
		if c < utf8.RuneSelf {
			if ascii[c] != 0 {
				return w.letters()
			}
			w.pos++
			w.lastUnit = -1
			continue
		}
		r, size := utf8.DecodeRuneInString(w.text[w.pos:])
		f := fold(r)
		switch f.class {
		case letter:
			return w.letters()
		case unit, symbol:
			w.start, w.pos = w.pos, w.pos+size
			w.end = w.pos
			w.word = append(w.word, f.text...)
			w.unit = f.class == unit
			w.joined = w.unit && w.lastUnit == w.start
			w.lastUnit = -1
			if w.unit {
				w.lastUnit = w.end
			}
			return true
		case ignored:
			if w.lastUnit == w.pos {
				w.lastUnit += size
			}
		default:
			w.lastUnit = -1
		}
		w.pos += size
	}
	return false
}

// letters reads a word that begins at pos.
func (w *splitter) letters() bool {
	w.start, w.unit, w.joined, w.lastUnit = w.pos, false, false, -1
	for w.pos < len(w.text) {
		c := w.text[w.pos]
		if c < utf8.RuneSelf {
			l := ascii[c]
			if l == 0 {
				break
			}
			w.word = append(w.word, l)
			w.pos++
			continue
		}
		r, size := utf8.DecodeRuneInString(w.text[w.pos:])
		f := fold(r)
		if f.class != letter && f.class != ignored {
			break
		}
		w.word = append(w.word, f.text...)
		w.pos += size
	}
	w.end = w.pos
	if len(w.word) > maxWord {
		n := maxWord
		for !utf8.RuneStart(w.word[n]) {
			n--
		}
		w.word = w.word[:n]
	}
	return true
}

// AppendTerms appends the terms under which an index finds a text, each followed
// by a space: its words, and of neighbours in a script without spaces every
// pair, the last one also alone. No term has a space or an ASCII sign in it.
func AppendTerms(b []byte, text string) []byte {
	var last []byte // the unit before, not yet alone in b
	alone := func() {
		if len(last) > 0 {
			b = append(append(b, last...), ' ')
			last = last[:0]
		}
	}
	w := split(text)
	for w.next() {
		if w.unit && w.joined {
			b = append(append(append(b, last...), w.word...), ' ')
			last = append(last[:0], w.word...)
			continue
		}
		alone()
		if w.unit {
			last = append(last, w.word...)
		} else {
			b = append(append(b, w.word...), ' ')
		}
	}
	alone()
	return b
}

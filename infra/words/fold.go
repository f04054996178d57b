package words

import (
	"sync"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// class is what a character means to the splitting of text into words.
type class uint8

const (
	between class = iota // belongs to no word
	letter               // part of a word, or a digit, or a sign that changes a letter
	unit                 // of a script that is written without spaces: found character by character
	symbol               // a word of its own, like an emoji
	ignored              // there, but of no weight: accents, variation selectors, joiners
)

// folded is a character as words are compared: lower case, without accents and
// without the differences in form (width, ligature) that Unicode keeps for
// compatibility only.
type folded struct {
	class class
	text  string // empty for between and ignored
}

// ascii folds the characters below 0x80: 0 is between words.
var ascii = func() (t [utf8.RuneSelf]byte) {
	for c := byte('0'); c <= '9'; c++ {
		t[c] = c
	}
	for c := byte('a'); c <= 'z'; c++ {
		t[c], t[c-'a'+'A'] = c, c
	}
	return t
}()

// Letters that no decomposition makes comparable to those that people type for
// them.
var folds = map[rune]string{
	'ß': "ss", 'æ': "ae", 'œ': "oe", 'ø': "o", 'ł': "l", 'đ': "d", 'ð': "d", 'þ': "th", 'ı': "i", 'ς': "σ",
}

// Most characters beyond ASCII are below 0x600 (Latin, Greek, Cyrillic, Hebrew)
// or in 0x1E00–0x1FFF (Vietnamese, polytonic Greek): those are folded once.
const (
	lowFolds  = 0x600
	highFolds = 0x1e00
)

var foldTables = sync.OnceValue(func() *[lowFolds + 0x200]folded {
	var t [lowFolds + 0x200]folded
	for r := rune(utf8.RuneSelf); r < lowFolds; r++ {
		t[r] = computeFold(r)
	}
	for i := range rune(0x200) {
		t[lowFolds+i] = computeFold(highFolds + i)
	}
	return &t
})

// fold folds a character beyond ASCII.
func fold(r rune) folded {
	switch {
	case r < lowFolds:
		return foldTables()[r]
	case r >= highFolds && r < highFolds+0x200:
		return foldTables()[lowFolds+r-highFolds]
	case r >= 0x4e00 && r <= 0x9fff || r >= 0xac00 && r <= 0xd7a3 || r >= 0x3041 && r <= 0x3096: // Chinese, Korean, Hiragana
		return folded{unit, string(r)}
	}
	return computeFold(r)
}

var spaceless = []*unicode.RangeTable{
	unicode.Han, unicode.Hiragana, unicode.Katakana, unicode.Hangul, unicode.Bopomofo,
	unicode.Thai, unicode.Lao, unicode.Khmer, unicode.Myanmar,
}

func computeFold(r rune) folded {
	switch {
	case r == '\u200b': // zero-width space
		return folded{}
	case unicode.Is(unicode.Cf, r), unicode.Is(unicode.Sk, r),
		unicode.Is(unicode.Mn, r) && unicode.Is(unicode.Inherited, r), unicode.Is(unicode.Me, r):
		return folded{class: ignored}
	case r == 'ー' || r == 'ｰ' || unicode.In(r, spaceless...) && (unicode.IsLetter(r) || unicode.IsMark(r) || unicode.IsNumber(r)):
		return folded{unit, norm.NFKC.String(string(r))}
	case unicode.IsLetter(r) || unicode.IsMark(r) || unicode.IsNumber(r):
		if s := foldLetter(r); s != "" {
			return folded{letter, s}
		}
		return folded{class: ignored}
	case unicode.Is(unicode.So, r):
		return folded{symbol, string(r)}
	}
	return folded{}
}

func foldLetter(r rune) string {
	var b []rune
	for _, d := range norm.NFKD.String(string(unicode.ToLower(r))) {
		d = unicode.ToLower(d)
		switch {
		case unicode.Is(unicode.Mn, d) && unicode.Is(unicode.Inherited, d):
		case folds[d] != "":
			b = append(b, []rune(folds[d])...)
		case unicode.IsLetter(d) || unicode.IsMark(d) || unicode.IsNumber(d):
			b = append(b, d)
		}
	}
	return string(b)
}

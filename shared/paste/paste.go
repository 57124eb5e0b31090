package paste

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// Invisible reports whether a character has no shape of its own: zero-width spaces and joiners,
// byte order marks, soft hyphens, marks of direction, variation selectors and fillers.
func Invisible(r rune) bool {
	switch {
	case unicode.Is(unicode.Cf, r), unicode.Is(unicode.Variation_Selector, r):
		return true
	case r == '\u034f', r == '\u115f', r == '\u1160', r == '\u17b4', r == '\u17b5', r == '\u3164', r == '\uffa0':
		return true
	}
	return false
}

// Visible returns s without its invisible characters.
func Visible(s string) string {
	if strings.IndexFunc(s, Invisible) < 0 {
		return s
	}
	return strings.Map(func(r rune) rune {
		if Invisible(r) {
			return -1
		}
		return r
	}, s)
}

// Trim returns s without invisible characters, and without white space at its ends. hidden reports
// whether there were invisible characters.
func Trim(s string) (trimmed string, hidden bool) {
	visible := Visible(s)
	return strings.TrimSpace(visible), visible != s
}

// pairs are the quotes and brackets that enclose a value, by their first character. A quotation
// that begins with one of the typographic marks may end in several ways.
var pairs = map[rune]string{
	'"': `"”`, '\'': `'’`, '`': "`´", '“': "”“\"", '”': "”", '„': "“”", '‘': "’‘'", '’': "’", '‚': "‘’", '«': "»", '»': "«", '‹': "›", '″': "″",
	'＂': "＂", '＇': "＇", '<': ">", '{': "}", '(': ")", '[': "]", '＜': "＞",
}

// Unwrap removes one pair of quotes or brackets around s, if opening holds its first character.
func Unwrap(s, opening string) (inner string, unwrapped bool) {
	first, size := utf8.DecodeRuneInString(s)
	last, end := utf8.DecodeLastRuneInString(s)
	if len(s) < size+end || !strings.ContainsRune(opening, first) || !strings.ContainsRune(pairs[first], last) {
		return s, false
	}
	return strings.TrimSpace(s[size : len(s)-end]), true
}

// The characters that begin a quotation, and those that begin a pair of brackets, for [Unwrap].
const (
	Quotes   = "\"'`“”„‘’‚«»‹″＂＇"
	Brackets = "<{([＜"
)

// hyphens replaces the characters that programs put in the place of an ASCII hyphen. Dashes are not
// among them: they may stand for two hyphens.
var hyphens = strings.NewReplacer("\u2010", "-", "\u2011", "-", "\u2012", "-", "\u2212", "-", "\ufe63", "-", "\uff0d", "-", "\u2043", "-", "\u02d7", "-")

// Hyphens returns s with ASCII hyphens for the characters that look the same.
func Hyphens(s string) string { return hyphens.Replace(s) }

// Dashes are characters that are wider than a hyphen: text programs write them for one hyphen or
// for two.
const Dashes = "\u2013\u2014\u2015"

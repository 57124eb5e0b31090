package fhir

import (
	"regexp"
	"strings"
	"unicode"
)

// maxShown limits what people see of a server's text, in characters.
const maxShown = 200

var (
	jwt       = regexp.MustCompile(`eyJ[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]*)*`)
	tokenLike = regexp.MustCompile(`[A-Za-z0-9_-]{32,}`)
	hasDigit  = regexp.MustCompile(`[0-9]`)
	wholeGUID = regexp.MustCompile(`(?i)^` + guidText.String() + `$`)
)

// hideTokens replaces what looks like a token or a part of one.
func hideTokens(text string) string {
	text = jwt.ReplaceAllString(text, "…")
	return tokenLike.ReplaceAllStringFunc(text, func(word string) string {
		if wholeGUID.MatchString(word) || !hasDigit.MatchString(word) {
			return word
		}
		return "…"
	})
}

// Printable makes a server's text fit to be shown: without tokens, markup and control characters,
// on one line, and cut.
func Printable(text string) string {
	text = strings.Map(func(r rune) rune {
		switch {
		case unicode.IsSpace(r), unicode.IsControl(r), strings.ContainsRune("<>{}", r):
			return ' '
		case r == unicode.ReplacementChar, !unicode.IsPrint(r):
			return -1
		}
		return r
	}, hideTokens(strings.ToValidUTF8(text, "")))
	runes := []rune(strings.Join(strings.Fields(text), " "))
	if len(runes) > maxShown {
		runes = append(runes[:maxShown-1], '…')
	}
	return string(runes)
}

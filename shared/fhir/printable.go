package fhir

import (
	"strings"
	"unicode"

	"fhirlink/shared/paste"
)

// maxShown limits what people see of a server's text, in characters.
const maxShown = 200

var (
	jwt       = paste.MustCompile(`eyJ[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]*)*`)
	tokenLike = paste.MustCompile(`[A-Za-z0-9_-]{32,}`)
	hasDigit  = paste.MustCompile(`[0-9]`)
	wholeGUID = paste.MustCompile(`(?i)^` + guidText.String() + `$`)
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

// name matches resource types, versions, media types and authentication schemes.
var name = paste.MustCompile(`^[A-Za-z0-9][A-Za-z0-9.+_/-]{0,63}$`)

// Name makes a name that a server gave fit to be shown within a sentence of ours. What is no name is
// put in quotation marks, so that it cannot pass as a part of the sentence.
func Name(text string) string {
	shown := Printable(text)
	if shown == "" || name.MatchString(shown) {
		return shown
	}
	return "“" + shown + "”"
}

// Printable makes a server's text fit to be shown between quotation marks: without tokens, markup,
// control characters and quotation marks of its own, on one line, and cut.
func Printable(text string) string {
	text = strings.Map(func(r rune) rune {
		switch {
		case unicode.IsSpace(r), unicode.IsControl(r), strings.ContainsRune("<>{}", r):
			return ' '
		case strings.ContainsRune("\"“”„‟«»″＂", r):
			return '\''
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

package smart

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// MaxLength is the highest number of characters in the value of an app role or delegated
// permission (Microsoft Graph, permissionScope and appRole resource types).
const MaxLength = 120

// MaxScopes is the highest number of scopes in one list. An application's manifest holds at most
// 1200 entries in all its collections together
// (https://learn.microsoft.com/entra/identity-platform/reference-app-manifest).
const MaxScopes = 1200

// The reasons why Entra will not register a value.
const (
	TooLong             = "too_long"
	CharacterNotAllowed = "character_not_allowed"
	LeadingPeriod       = "leading_period"
	Untranslatable      = "untranslatable" // the scope was refused for another reason, which its error has
)

// Entra says whether Entra registers a value as an app role or a delegated permission.
type Entra struct {
	Registrable bool     `json:"registrable"`
	Reasons     []string `json:"reasons"` // never nil
	Length      int      `json:"length"`  // in characters, without the resource prefix
}

func entraOf(value string) Entra {
	length := utf8.RuneCountInString(value)
	reasons := []string{} // not nil, so that JSON has a list
	if length > MaxLength {
		reasons = append(reasons, TooLong)
	}
	if firstForbidden(value) != "" {
		reasons = append(reasons, CharacterNotAllowed)
	}
	if strings.HasPrefix(value, ".") {
		reasons = append(reasons, LeadingPeriod)
	}
	return Entra{len(reasons) == 0, reasons, length}
}

// firstForbidden returns the first character that Entra will not register. Microsoft Graph allows
// letters, digits and every printable ASCII character except space, the double quote and the
// backslash. It allows "/" too, but Entra cannot resolve a scope that contains one.
func firstForbidden(value string) string {
	for i := range len(value) {
		if !EntraTakes(rune(value[i])) {
			r, _ := utf8.DecodeRuneInString(value[i:])
			return string(r)
		}
	}
	return ""
}

// EntraTakes reports whether the value of an app role or a delegated permission may have a character.
func EntraTakes(c rune) bool { return c > ' ' && c < 0x7f && c != '"' && c != '\\' && c != '/' }

// entraAdvice explains why Entra will not register the value.
func entraAdvice(e Entra, value string, d Dialect, sep Separator) []Advice {
	var all []Advice
	for _, reason := range e.Reasons {
		switch reason {
		case TooLong:
			all = append(all, Advice{
				TooLong, fmt.Sprintf("Its value has %d characters; Entra registers at most %d.", e.Length, MaxLength),
				`Give it an alias ("aliases"), or ask for a wider scope, without the query.`,
			})
		case CharacterNotAllowed:
			all = append(all, Advice{
				CharacterNotAllowed, fmt.Sprintf(`Its value holds "%s", which Entra does not list among the characters of a scope.`, firstForbidden(value)),
				characterFix(d, sep),
			})
		case LeadingPeriod:
			all = append(all, Advice{LeadingPeriod, "Its value begins with a period, which Entra refuses.", "Give it an alias that begins with a letter."})
		}
	}
	return all
}

func characterFix(d Dialect, sep Separator) string {
	if d == Firely && sep != Tilde {
		return `Use the separator "~" (and AccessTokenScopeReplace "~" in Firely Server), so that nothing needs a backslash; a scope that has a backslash itself needs an alias.`
	}
	return "Give it an alias, or ask for a scope without this character."
}

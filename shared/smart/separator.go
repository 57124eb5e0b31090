package smart

import (
	"fmt"
	"strings"
)

// Separator is the character that replaces "/" in the firely dialect. It corresponds to Firely
// Server's setting AccessTokenScopeReplace.
type Separator byte

// Dash is the separator that Firely's documentation uses. Tilde is the better choice: it occurs
// neither in SMART scopes nor in FHIR search, so hardly any scope needs a backslash, which Entra
// will not register.
const (
	Dash  Separator = '-'
	Tilde Separator = '~'
)

// ParseSeparator accepts exactly one printable ASCII character that has no meaning in a scope.
// The error is a *[Refusal].
func ParseSeparator(s string) (Separator, error) {
	const fix = `Use one of - ~ ! ^ ; @ ' ( ) < > [ ] { } or the backquote; "~" is recommended.`
	if len(s) != 1 || s[0] <= ' ' || s[0] >= 0x7f {
		return 0, refuse("invalid_separator", fmt.Sprintf("The separator %s is not exactly one printable ASCII character.", brief(s)), fix)
	}
	if why := meaning(s[0]); why != "" {
		return 0, refuse("invalid_separator", fmt.Sprintf("The separator %q cannot be used: %s.", s, why), fix)
	}
	return Separator(s[0]), nil
}

// meaning returns what a character already stands for, or "" if it is free.
func meaning(c byte) string {
	switch c {
	case '/':
		return "it is the character to be replaced"
	case '\\':
		return "it is the escape character"
	case '"':
		return "no OAuth scope can hold a double quote (RFC 6749, section 3.3)"
	case '.':
		return "it stands between resource type and permissions"
	case '*':
		return "it is the wildcard of SMART scopes"
	case '?', '=', '&':
		return "it belongs to the query of a SMART v2 scope"
	case ':':
		return "it stands before search modifiers and in every URL"
	case '|':
		return "it stands between system and code of a FHIR token"
	case ',':
		return "it means OR in a FHIR search value"
	case '$':
		return "it joins composite values in FHIR search"
	case '%':
		return "it begins a percent triple"
	case '+':
		return "forms read it as a space"
	case '#':
		return "it begins the fragment of a canonical URL"
	case '_':
		return "names such as _id, _tag and offline_access hold it"
	}
	if '0' <= c && c <= '9' || 'A' <= c && c <= 'Z' || 'a' <= c && c <= 'z' {
		return "letters and digits occur in every scope"
	}
	return ""
}

// Encode applies the rule of Firely Server's documentation ("Azure Active Directory"): "/"
// becomes the separator, and a separator or backslash in the scope gets a backslash before it.
// Encode is one-to-one for every string, linear, and allocates at most once.
func (sep Separator) Encode(scope string) string {
	escapes := strings.Count(scope, sep.String()) + strings.Count(scope, `\`)
	if escapes == 0 && strings.IndexByte(scope, '/') < 0 {
		return scope
	}
	var b strings.Builder
	b.Grow(len(scope) + escapes)
	from := 0
	for i := range len(scope) {
		switch scope[i] {
		case '/':
			b.WriteString(scope[from:i])
			b.WriteByte(byte(sep))
			from = i + 1
		case byte(sep), '\\':
			b.WriteString(scope[from:i])
			b.WriteByte('\\')
			from = i
		}
	}
	b.WriteString(scope[from:])
	return b.String()
}

// Decode reverses [Separator.Encode] exactly. It refuses what Encode never writes: a raw "/", and
// a backslash at the end or before any other character. The error is a *[Refusal].
func (sep Separator) Decode(value string) (string, error) {
	length, special, err := sep.measure(value)
	if err != nil {
		return "", err
	}
	if !special {
		return value, nil
	}
	var b strings.Builder
	b.Grow(length)
	from := 0
	for i := 0; i < len(value); i++ {
		switch value[i] {
		case byte(sep):
			b.WriteString(value[from:i])
			b.WriteByte('/')
			from = i + 1
		case '\\':
			b.WriteString(value[from:i])
			i++
			from = i
		}
	}
	b.WriteString(value[from:])
	return b.String(), nil
}

// measure checks an encoded value. It returns the length of the scope, and whether scope and
// value differ.
func (sep Separator) measure(value string) (length int, special bool, err error) {
	if strings.IndexByte(value, '/') >= 0 {
		return 0, false, rawSlash()
	}
	length = len(value)
	for rest := value; ; length-- {
		i := strings.IndexByte(rest, '\\')
		if i < 0 {
			return length, length < len(value) || strings.IndexByte(value, byte(sep)) >= 0, nil
		}
		if i+1 == len(rest) {
			return 0, false, refuse("dangling_escape", "It ends in a backslash that escapes nothing.",
				`Complete the value: a backslash of the scope itself is written as \\.`)
		}
		if rest[i+1] != '\\' && rest[i+1] != byte(sep) {
			return 0, false, refuse("invalid_escape", fmt.Sprintf(`It has a backslash before %q; only \\ and \%c are escapes here.`, rest[i+1:i+2], sep),
				"Check that the separator is the one the value was encoded with.")
		}
		rest = rest[i+2:]
	}
}

func rawSlash() *Refusal {
	return refuse("raw_slash", `It holds a "/" that is not part of the resource prefix: an encoded scope has none.`,
		`If it begins with the resource's URI, send that as "resource"; if it is a SMART scope already, encode it instead.`)
}

// String returns the character, or "" for the zero value.
func (sep Separator) String() string {
	if sep == 0 {
		return ""
	}
	return string(rune(sep))
}

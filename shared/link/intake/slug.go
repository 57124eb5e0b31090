package intake

import (
	"cmp"
	"slices"
	"strings"
	"unicode"

	"fhirlink/shared/credential"
	"fhirlink/shared/paste"
	"fhirlink/shared/problem"
)

// longestSlug is the length of a DNS label, in characters.
const longestSlug = 63

// isSlug reports whether s has the syntax of a slug. Every request for a token asks it.
func isSlug(s string) bool {
	if len(s) < 3 || len(s) > longestSlug || s[0] == '-' || s[len(s)-1] == '-' {
		return false
	}
	for i := range len(s) {
		switch c := s[i]; {
		case 'a' <= c && c <= 'z', '0' <= c && c <= '9', c == '-' && s[i-1] != '-':
		default:
			return false
		}
	}
	return true
}

var reservedSlugs = map[string]bool{
	"api": true, "admin": true, "app": true, "directory": true, "fhir": true, "functions": true,
	"health": true, "links": true, "metadata": true, "runtime": true, "smart": true, "www": true,
}

// Slug checks a slug; the mistake is nil when it is good.
func Slug(s string) (string, *problem.Field) {
	switch {
	case s == "":
		return "", required("slug", "Choose the customized URL of the link, e.g. good-health-clinic.")
	case !isSlug(s):
		return "", &problem.Field{
			Field: "slug", Code: "slug_syntax",
			Message: "A slug is a name of 3 to 63 characters and no web address: only a-z, 0-9 and single hyphens, and a letter or digit at both ends.",
			Fix:     "Write it in lower case with hyphens between words, e.g. " + cmp.Or(suggestion(s), "good-health-clinic") + ".",
		}
	case reservedSlugs[s] || isResourceType(s):
		return "", &problem.Field{
			Field: "slug", Code: "slug_reserved",
			Message: "The slug " + s + " is reserved, because it is a word of this service or the name of a FHIR resource type.",
			Fix:     "Choose another one, e.g. " + s + "-clinic.",
		}
	}
	return s, nil
}

func required(field, fix string) *problem.Field {
	return &problem.Field{Field: field, Code: "required", Message: "The field " + field + " is required.", Fix: fix}
}

// spelledOut writes letters outside ASCII in the ASCII letters that are usual for them.
var spelledOut = strings.NewReplacer(
	"ä", "ae", "ö", "oe", "ü", "ue", "ß", "ss", "æ", "ae", "ø", "o", "œ", "oe", "å", "a", "ł", "l", "đ", "d", "ð", "d", "þ", "th",
	"à", "a", "á", "a", "â", "a", "ã", "a", "ç", "c", "č", "c", "ć", "c", "è", "e", "é", "e", "ê", "e", "ë", "e", "ě", "e", "ę", "e", "ą", "a",
	"ì", "i", "í", "i", "î", "i", "ï", "i", "ñ", "n", "ń", "n", "ò", "o", "ó", "o", "ô", "o", "õ", "o", "ř", "r", "š", "s", "ś", "s",
	"ù", "u", "ú", "u", "û", "u", "ů", "u", "ý", "y", "ÿ", "y", "ž", "z", "ź", "z", "ż", "z", "ş", "s", "ğ", "g", "ı", "i", "&", " and ", "'", "", "’", "",
)

var otherThanSlug = paste.MustCompile(`[^a-z0-9]+`)

// suggestion makes a slug of what was typed: of the last part of a URL, in lower case, with a hyphen
// for everything that a slug cannot have. It is "" when nothing sensible comes of it, and for a text
// that may be a client secret, because messages show none.
func suggestion(typed string) string {
	if mayBeSecret(typed) {
		return ""
	}
	_, path, isURL := strings.Cut(typed, "://")
	if !isURL { // a URL without its scheme: the host has a dot
		host, _, more := strings.Cut(typed, "/")
		path, isURL = typed, more && strings.Contains(host, ".")
	}
	if isURL {
		typed = strings.TrimRight(path, "/")
		typed = typed[strings.LastIndexByte(typed, '/')+1:]
	}
	slug := strings.Trim(otherThanSlug.ReplaceAllString(spelledOut.Replace(strings.ToLower(typed)), "-"), "-")
	if len(slug) > longestSlug {
		slug = strings.Trim(slug[:longestSlug], "-")
	}
	switch {
	case !isSlug(slug):
		return ""
	case reservedSlugs[slug] || isResourceType(slug):
		return slug + "-clinic"
	}
	return slug
}

// secretSigns are characters that secrets have and names do not, and words that stand before one.
var secretSigns = paste.MustCompile(`(?i)[~=+@%?:*$#!^]|secret|value|password`)

// mayBeSecret reports whether a text has a sign of a secret, or a word that mixes letters with
// digits, or capital letters into small ones, as generated text does.
func mayBeSecret(s string) bool {
	if _, path, isURL := strings.Cut(s, "://"); isURL {
		s = path
	}
	if secretSigns.MatchString(s) || credential.LooksLikePEM(s) {
		return true
	}
	return slices.ContainsFunc(strings.FieldsFunc(s, func(c rune) bool { return !unicode.IsLetter(c) && !unicode.IsDigit(c) }), generated)
}

// generated reports whether a word looks like generated text. In names the digits stand at one end,
// and only the first letter or all of them are capitals.
func generated(word string) bool {
	const short = 8
	if len(word) < short {
		return false
	}
	letters := strings.TrimFunc(word, unicode.IsDigit)
	return strings.ContainsFunc(letters, unicode.IsDigit) || mixedCase(letters)
}

func mixedCase(letters string) bool {
	rest := strings.TrimLeftFunc(letters, unicode.IsUpper)
	return rest != "" && strings.ContainsFunc(rest, unicode.IsUpper)
}

package smart_test

import (
	"regexp"
	"strings"
	"testing"
	"unicode"

	"fhirlink/shared/smart"
)

// These receivers are written from their documentation, without code of the package.

// unescape decodes percent triples once, as .NET's Uri.UnescapeDataString does.
func unescape(s string) string {
	const digits = "0123456789abcdef"
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '%' && i+2 < len(s) {
			high := strings.IndexByte(digits, s[i+1]|0x20)
			low := strings.IndexByte(digits, s[i+2]|0x20)
			if high >= 0 && low >= 0 && s[i+1] > ' ' && s[i+2] > ' ' && isHex(s[i+1]) && isHex(s[i+2]) {
				b.WriteByte(byte(high<<4 | low))
				i += 2
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

func isHex(c byte) bool { return strings.IndexByte("0123456789abcdefABCDEF", c) >= 0 }

// words splits as liberally as any receiver might.
func words(s string) []string {
	return strings.FieldsFunc(s, func(r rune) bool { return unicode.IsSpace(r) || unicode.IsControl(r) })
}

var (
	ahdsScope  = regexp.MustCompile(`^(patient|user|system)[/$.]([^.?]*)(?:(\.)([^?]*))?(\?.*)?$`)
	ahdsLaunch = regexp.MustCompile(`^launch\.([^?]*)(\?.*)?$`)
)

// readAHDS reads a claim as microsoft/fhir-server does: it decodes the claim as a whole, splits
// it at white space, and takes "/", "$" or "." after the context, and "all" for "*".
func readAHDS(claim string) []string {
	var scopes []string
	for _, word := range words(unescape(claim)) {
		if m := ahdsScope.FindStringSubmatch(word); m != nil {
			word = m[1] + "/" + star(m[2]) + m[3] + star(m[4]) + m[5]
		} else if m := ahdsLaunch.FindStringSubmatch(word); m != nil {
			word = "launch/" + m[1] + m[2]
		}
		scopes = append(scopes, word)
	}
	return scopes
}

func star(s string) string {
	if s == "all" {
		return "*"
	}
	return s
}

// readFirely reads a claim as Firely Server's documentation describes it.
func readFirely(claim string, sep smart.Separator) []string {
	c := string(rune(sep))
	scopes := words(claim)
	for i, s := range scopes {
		if s == "openid" || s == "profile" || s == "email" || s == "offline_access" || strings.HasSuffix(s, "/.default") {
			continue
		}
		scopes[i] = strings.NewReplacer(`\\`, `\`, `\`+c, c, c, "/").Replace(s)
	}
	return scopes
}

func TestReceiversReadTheInput(t *testing.T) {
	for _, v := range load[scopeVector](t, "scopes.json") {
		checkReceivers(t, v.Scope+" openid launch/patient patient/*.*?x=/a/%2")
	}
}

// checkReceivers compares every dialect's output for a list with what its receiver reads.
func checkReceivers(t *testing.T, list string) {
	for _, o := range []smart.Options{
		{},
		{Separator: smart.Tilde},
		{Dialect: smart.AHDS},
		{Dialect: smart.FHIRServerProxy},
		{Dialect: smart.AADProxy},
	} {
		tr := translator(t, o)
		results := tr.EncodeAll(smart.Split(list))
		if results.Refused() {
			continue
		}
		claim := results.Scope()
		if n := len(words(unescape(claim))); n != len(results) {
			t.Fatalf("%s: %q: %d scopes go in, a receiver sees %d in %q", o.Dialect, list, len(results), n, claim)
		}
		var read []string
		switch tr.Dialect() {
		case smart.AHDS:
			read = readAHDS(claim)
		case smart.Firely:
			read = readFirely(claim, tr.Separator())
		default:
			continue
		}
		for i, r := range results {
			if read[i] != r.Input {
				t.Fatalf("%s: %q goes in, the receiver reads %q in %q", tr.Dialect(), r.Input, read[i], claim)
			}
		}
	}
}

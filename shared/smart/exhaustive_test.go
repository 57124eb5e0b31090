package smart_test

import (
	"testing"

	"fhirlink/shared/smart"
)

// joined returns all strings of one to n pieces.
func joined(n int, pieces ...string) []string {
	var all []string
	for last := []string{""}; n > 0; n-- {
		var longer []string
		for _, s := range last {
			for _, p := range pieces {
				longer = append(longer, s+p)
			}
		}
		all, last = append(all, longer...), longer
	}
	return all
}

// TestEveryShortScope tries all scopes made of pieces that have a meaning in some dialect.
func TestEveryShortScope(t *testing.T) {
	ahds := translator(t, smart.Options{Dialect: smart.AHDS})
	for _, s := range joined(5, "patient", "launch", "/", ".", "?", "*", "all", "%2f", "%2", "2F") {
		checkRoundTrip(t, ahds, s)
	}
}

// TestEveryShortPrefixedScope tries all scopes made of the parts of resource prefixes and of
// Entra's own scopes.
func TestEveryShortPrefixedScope(t *testing.T) {
	aliases, err := smart.NewAliases(map[string]string{"patient/x": "x", "https://x/": "-"})
	if err != nil {
		t.Fatal(err)
	}
	for _, resource := range []string{"https://x", "https://x/", "x"} {
		each(0, resource, aliases, func(tr *smart.Translator) {
			for _, s := range joined(4, "https://x", "x", "/", ".default", "openid", "-", `\`, "?", "patient") {
				checkRoundTrip(t, tr, s)
			}
		})
	}
}

// TestEverySeparatorIsOneToOne tries all short strings of the characters that matter to a
// separator.
func TestEverySeparatorIsOneToOne(t *testing.T) {
	for _, sep := range []smart.Separator{smart.Dash, smart.Tilde} {
		for _, s := range joined(5, "/", `\`, "-", "~", "a") {
			value := sep.Encode(s)
			if back, err := sep.Decode(value); err != nil || back != s {
				t.Fatalf("%q is encoded as %q, which decodes to %q, %v", s, value, back, err)
			}
			if scope, err := sep.Decode(s); err == nil && sep.Encode(scope) != s {
				t.Fatalf("%q is decoded as %q, which encodes to %q", s, scope, sep.Encode(scope))
			}
		}
	}
}

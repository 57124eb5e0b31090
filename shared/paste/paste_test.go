package paste_test

import (
	"testing"

	"fhirlink/shared/paste"
)

func TestTrim(t *testing.T) {
	for s, want := range map[string]string{
		"": "", " a ": "a", "a b": "a b", "\u200ba": "a", "a\ufeff": "a", "a\u00adb": "ab", "\u202ea\u202c": "a", "a\ufe0f": "a", " \u200b a": "a", "\u00a0a\u3000": "a",
		"\u2060\u200d": "", "a\tb": "a\tb", "a\x00": "a\x00", "ä": "ä",
	} {
		got, hidden := paste.Trim(s)
		if got != want || hidden != (paste.Visible(s) != s) {
			t.Errorf("%q gives %q (%v), want %q", s, got, hidden, want)
		}
	}
}

func TestUnwrap(t *testing.T) {
	for s, want := range map[string]string{
		`"a"`: "a", "'a'": "a", "“a”": "a", "„a“": "a", "«a»": "a", "`a`": "a", "<a>": "<a>", `"`: `"`, `"a'`: `"a'`, "": "", `""`: "", `" a "`: "a", "“": "“",
	} {
		if got, unwrapped := paste.Unwrap(s, paste.Quotes); got != want || unwrapped != (got != s) {
			t.Errorf("%q gives %q (%v), want %q", s, got, unwrapped, want)
		}
	}
	for s, want := range map[string]string{"<a>": "a", "{a}": "a", "(a)": "a", "[a]": "a", `"a"`: `"a"`, "{a)": "{a)"} {
		if got, _ := paste.Unwrap(s, paste.Brackets); got != want {
			t.Errorf("%q gives %q, want %q", s, got, want)
		}
	}
}

func TestHyphens(t *testing.T) {
	if got := paste.Hyphens("a\u2010b\u2011c\u2212d\uff0de\u2013f-g"); got != "a-b-c-d-e\u2013f-g" {
		t.Errorf("%q", got)
	}
}

// TestPatternIsCompiledOnce, and when it is first used.
func TestPatternIsCompiledOnce(t *testing.T) {
	broken := paste.MustCompile(`(`)
	defer func() {
		if recover() == nil {
			t.Error("a text that is no regular expression was used")
		}
	}()
	p := paste.MustCompile(`^(a+)b$`)
	for range 2 {
		if got := p.FindStringSubmatch("aab"); len(got) != 2 || got[1] != "aa" || p.String() != `^(a+)b$` {
			t.Errorf("%q, %s", got, p)
		}
	}
	broken.MatchString("")
}

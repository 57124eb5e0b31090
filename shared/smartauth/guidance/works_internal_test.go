package guidance

import (
	"flag"
	"os"
	"strings"
	"testing"
)

const readme = "../../smart/README.md"

// TestReadme compares the table in README.md of package smart with the one that the notes come from.
func TestReadme(t *testing.T) {
	text, err := os.ReadFile(readme)
	if err != nil {
		t.Fatal(err)
	}
	const begin, end = "<!-- works:begin -->\n", "<!-- works:end -->"
	before, rest, found := strings.Cut(string(text), begin)
	old, after, closed := strings.Cut(rest, end)
	if !found || !closed {
		t.Fatalf("%s has no %q … %q", readme, begin, end)
	}
	want := markdown()
	if old == want {
		return
	}
	if flag.Lookup("update").Value.String() != "true" {
		t.Fatalf("the table of what works where in %s is\n%s\nthe notes come from\n%s\nRun go test ./shared/smartauth/guidance -run TestReadme -update", readme, old, want)
	}
	if err := os.WriteFile(readme, []byte(before+begin+want+end+after), 0o600); err != nil {
		t.Fatal(err)
	}
}

func markdown() string {
	names := map[Server]string{Firely: "Firely Server", FHIRServer: "Microsoft's FHIR server", AHDS: "Azure Health Data Services"}
	var b strings.Builder
	b.WriteString("| tokens, server | Patient user, `patient/` | Practitioner, `user/` | Practitioner, `patient/` (EHR launch) | `system/` |\n|---|---|---|---|---|\n")
	for _, r := range table {
		b.WriteString("| `" + string(r.tokens) + "`, " + names[r.server] + " |")
		for _, c := range r.cells {
			b.WriteString(" " + c.says + " |")
		}
		b.WriteString("\n")
	}
	return b.String()
}

// TestTable: each kind of tokens and server stands there once, what does not simply work has a note, and each
// note says that it was not tried, and what to do.
func TestTable(t *testing.T) {
	seen := map[string]bool{}
	for _, r := range table {
		key := string(r.tokens) + " " + string(r.server)
		if seen[key] {
			t.Errorf("%s stands there twice", key)
		}
		seen[key] = true
		for use, c := range r.cells {
			if c.says == "" || c.says != works && len(c.notes) == 0 {
				t.Errorf("%s, column %d: %q has %d notes", key, use, c.says, len(c.notes))
			}
			for _, n := range c.notes {
				if c.says == works && n.when == nil {
					t.Errorf("%s, column %d works, and has the note %q", key, use, n.text)
				}
				if !strings.Contains(n.text, "not tried)") && !strings.Contains(n.text, "was not established") {
					t.Errorf("%q does not say that it was not tried", n.text)
				}
				if !containsAny(n.text, "Use ", "Set ", "Try ", "Assign ", "Instead, ", "need tokens: entra", "let the app ask") {
					t.Errorf("%q does not say what to do", n.text)
				}
			}
		}
	}
	if len(seen) != 6 {
		t.Errorf("%d kinds of tokens and servers", len(seen))
	}
}

func containsAny(text string, parts ...string) bool {
	for _, one := range parts {
		if strings.Contains(text, one) {
			return true
		}
	}
	return false
}

package smart_test

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"fhirlink/shared/smart"
)

var update = flag.Bool("update", false, "write the scope table into README.md")

const readme = "README.md"

// shown holds the scopes of the table in README.md: Firely's examples, and the scopes that US
// certification (45 CFR 170.315(g)(10), US Core 6.1 and later) requires of a server with SMART
// v2.
var shown = []string{
	"user/*.read",
	"user/*.write",
	"patient/Observation.r",
	"patient/Observation.r?_id=Id-With-Dashes",
	`patient/Observation.r?_id=Id\With\BackwardSlash`,
	"patient/Observation.rs?category=http://terminology.hl7.org/CodeSystem/observation-category|laboratory",
	"Observation.rs?code:in=http://valueset.example.org/ValueSet/diabetes-codes",
	"patient/Condition.rs?category=http://terminology.hl7.org/CodeSystem/condition-category|encounter-diagnosis",
	"patient/Condition.rs?category=http://terminology.hl7.org/CodeSystem/condition-category|problem-list-item",
	"patient/Condition.rs?category=http://hl7.org/fhir/us/core/CodeSystem/condition-category|health-concern",
	"patient/Observation.rs?category=http://hl7.org/fhir/us/core/CodeSystem/us-core-category|sdoh",
	"patient/Observation.rs?category=http://terminology.hl7.org/CodeSystem/observation-category|social-history",
	"patient/Observation.rs?category=http://terminology.hl7.org/CodeSystem/observation-category|survey",
	"patient/Observation.rs?category=http://terminology.hl7.org/CodeSystem/observation-category|vital-signs",
	"patient/DocumentReference.rs?category=http://hl7.org/fhir/us/core/CodeSystem/us-core-documentreference-category|clinical-note",
	"launch/patient",
	"openid",
	"fhirUser",
}

// scopeTable returns the program's answers for the scopes shown, as Markdown.
func scopeTable(t *testing.T) string {
	columns := []struct {
		title   string
		options smart.Options
	}{
		{"`firely`, separator `-`", smart.Options{}},
		{"`firely`, separator `~`", smart.Options{Separator: smart.Tilde}},
		{"`ahds`", smart.Options{Dialect: smart.AHDS}},
		{"`fhir-server-proxy` (retired)", smart.Options{Dialect: smart.FHIRServerProxy}},
		{"`aad-proxy` (retired)", smart.Options{Dialect: smart.AADProxy}},
	}
	var b strings.Builder
	b.WriteString("| SMART scope |")
	for _, c := range columns {
		fmt.Fprintf(&b, " %s |", c.title)
	}
	b.WriteString("\n|---|" + strings.Repeat("---|", len(columns)) + "\n")
	for _, scope := range shown {
		fmt.Fprintf(&b, "| %s |", inCell(scope))
		for _, c := range columns {
			fmt.Fprintf(&b, " %s |", cell(translator(t, c.options).EncodeAll([]string{scope})[0]))
		}
		b.WriteString("\n")
	}
	return b.String()
}

func cell(r smart.Result) string {
	if r.Error != nil {
		return "refused: " + r.Error.Code
	}
	if !r.Entra.Registrable {
		return inCell(r.Output) + "<br>not registrable: " + strings.Join(r.Entra.Reasons, ", ")
	}
	return inCell(r.Output)
}

// inCell formats code for a table in GitHub's Markdown, where "|" needs a backslash even in code.
func inCell(s string) string { return "`" + strings.ReplaceAll(s, "|", `\|`) + "`" }

// TestReadme compares the table in README.md with the program's answers. With -update it writes
// the table.
func TestReadme(t *testing.T) {
	text, err := os.ReadFile(readme)
	if err != nil {
		t.Fatal(err)
	}
	const begin, end = "<!-- scopes:begin -->\n", "<!-- scopes:end -->"
	before, rest, found := strings.Cut(string(text), begin)
	old, after, closed := strings.Cut(rest, end)
	if !found || !closed {
		t.Fatalf("%s has no %q … %q", readme, begin, end)
	}
	table := scopeTable(t)
	if old == table {
		return
	}
	if !*update {
		t.Fatalf("the table of scopes in %s is not what the program answers: run go test ./shared/smart -run TestReadme -update", readme)
	}
	if err := os.WriteFile(readme, []byte(before+begin+table+end+after), 0o600); err != nil {
		t.Fatal(err)
	}
}

package main

import (
	"cmp"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"fhirlink/functions/cmd/local/sandbox"
	"fhirlink/shared/entra/entratest"
	"fhirlink/shared/verification"
)

var update = flag.Bool("update", false, "write the troubleshooting table again")

// readme is the document with the table, between two marks on separate lines.
var readme = flag.String("readme", "../../../shared/verification/README.md", "the file with the table")

const (
	tableBegin = "<!-- troubleshooting:begin -->"
	tableEnd   = "<!-- troubleshooting:end -->"
)

// TestTroubleshooting checks the table against the catalogue. After a change of the catalogue:
//
//	go test ./functions/cmd/local -run TestTroubleshooting -update
func TestTroubleshooting(t *testing.T) {
	text, err := os.ReadFile(*readme)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, begins := strings.Cut(string(text), tableBegin+"\n")
	current, after, ends := strings.Cut(rest, tableEnd)
	if !begins || !ends {
		t.Fatalf("%s lacks the lines %s and %s, between which the table belongs", *readme, tableBegin, tableEnd)
	}
	table := troubleshooting()
	if current == table {
		return
	}
	if !*update {
		t.Fatalf("the table in %s is not the catalogue's; go test ./functions/cmd/local -run TestTroubleshooting -update writes it again", *readme)
	}
	if err := os.WriteFile(*readme, []byte(before+tableBegin+"\n"+table+tableEnd+after), 0o644); err != nil {
		t.Fatal(err)
	}
}

func troubleshooting() string {
	var b strings.Builder
	b.WriteString("| code | what you see | what it means | what to do | the sandbox shows it at |\n|---|---|---|---|---|\n")
	for _, f := range verification.Failures() {
		codes := "`" + strings.Join(append([]string{f.Code}, f.Also...), "` `") + "`"
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s |\n", codes, cell(f.Sign)+effect(f), both(f.Message, f.MessageElsewhere), both(f.Fix, f.FixElsewhere)+command(f.Command), shownBy(f.Name()))
	}
	return b.String()
}

// effect returns what a finding does to the link, unless the link cannot be stored.
func effect(f verification.Failure) string {
	switch {
	case f.Status == verification.Warn:
		return "; a warning"
	case f.Outcome == verification.OutcomePendingAccess:
		return "; stored as `pending_access`"
	case f.Outcome == verification.OutcomeTransient:
		return "; passes by itself"
	}
	return ""
}

// values are placeholders for the values of a verification.
var values = strings.NewReplacer(
	"{url}", "https://HOST", "{host}", "HOST", "{client}", "CLIENT-ID", "{tenant}", "TENANT-ID", "{audience}", "AUDIENCE", "{object}", "OBJECT-ID",
	"{authority}", "AUTHORITY", "{other}", "ANOTHER", "{wanted}", "AUDIENCE-OF-THE-SERVER", "{status}", "STATUS", "{redirect}", "ANOTHER-HOST",
	"{admin}", "Entra admin center (https://entra.microsoft.com)", "{removed}", "It was deleted again.",
	"{said}", "", "{media}", "", "{signIn}", "", "{newBase}", "", "{named}", "", "{asks}", "", "{issuerTenant}", "", "{given}", "", "{find}", "Find out",
	"{found}", "It is something else.", "{seen}", "SOMETHING-ELSE", "{version}", "VERSION", "{aud}", "AUDIENCE", "{iss}", "ISSUER",
	"{tokenVersion}", "1", "{otherVersion}", "2", "{audienceFix}", "Leave audience empty, so that it is taken from the server, or give the audience that the server checks as audience in the link.",
	"|", `\|`, "<", "&lt;",
)

// command returns the command of a finding, as far as it fits the table.
func command(line string) string {
	switch line {
	case "":
		return ""
	case "{assign}":
		return "<br>`az role assignment create …` (the report has the whole line)"
	}
	return "<br>`" + cell(line) + "`"
}

func cell(text string) string { return strings.TrimSpace(values.Replace(text)) }

// both returns the words for Microsoft's servers and, where they differ, those for others.
func both(microsoft, others string) string {
	if others == "" {
		return cell(microsoft)
	}
	return cell(microsoft) + "<br>Other servers: " + cell(others)
}

// credentials are the sandbox's credentials that show a refusal at any of its servers.
var credentials = map[string]string{
	"aadsts_7000215": "; or any client secret that the sandbox does not know",
	"aadsts_7000222": "; or the client secret `" + sandbox.ExpiredSecret + "`",
	"aadsts_700016":  "; or another client id",
}

func shownBy(code string) string {
	host := strings.Replace(scenario(code), "<number>", fmt.Sprint(entratest.UnknownNumber), 1)
	return "`https://" + host + ".fhir.sandbox.test`" + cmp.Or(credentials[code], "")
}

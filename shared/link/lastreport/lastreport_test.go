package lastreport_test

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"

	"fhirlink/shared/link/lastreport"
	"fhirlink/shared/problem"
	"fhirlink/shared/verification"
)

func report(text string, fields int) verification.Report {
	r := verification.Report{Status: verification.Fail, Access: verification.NoAccess, TenantID: "t", Audience: "a", ObjectID: "o"}
	for _, id := range []string{"fields", "address", "metadata", "authority", "token", "claims", "read", "write"} {
		r.Checks = append(r.Checks, verification.Check{
			ID: id, Title: id, Status: verification.Fail, Code: "code", Message: text, Fix: text, Command: text,
			Evidence: &verification.Evidence{Method: "GET", URL: "https://x.example/" + text},
		})
	}
	for range fields {
		r.Checks[0].Errors = append(r.Checks[0].Errors, problem.Field{Field: "slug", Code: "c", Message: text, Fix: text})
	}
	return r
}

// TestFit: what fits stays as it is; what does not fit becomes a valid report that is not longer than
// allowed, and whose checks have their codes and words.
func TestFit(t *testing.T) {
	short := report("short", 2)
	if got := lastreport.Fit(short, lastreport.MaxBytes); !reflect.DeepEqual(got, short) {
		t.Errorf("%+v became %+v", short, got)
	}
	for name, r := range map[string]verification.Report{
		"long": report(strings.Repeat("x", 900), 0), "very long": report(strings.Repeat("y", 100_000), 0), "many errors": report("z", 5000),
		"characters of many bytes": report(strings.Repeat("🏥", 3000), 3), "escapes": report(strings.Repeat("<\x01\"", 2000), 3), "not UTF-8": report(strings.Repeat("\xff", 9000), 1),
	} {
		before, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		got := lastreport.Fit(r, lastreport.MaxBytes)
		data, err := json.Marshal(got)
		if err != nil || len(data) > lastreport.MaxBytes || len(data) < 1000 {
			t.Errorf("%s: %d bytes, %v", name, len(data), err)
		}
		for _, c := range got.Checks {
			if c.Message == "" || c.Fix == "" || c.Code != "code" || name != "not UTF-8" && !utf8.ValidString(c.Message+c.Fix) || c.Command != "" && c.Command != r.Checks[0].Command {
				t.Errorf("%s: %+v", name, c)
			}
		}
		if after, err := json.Marshal(r); err != nil || string(after) != string(before) {
			t.Errorf("%s: Fit changed the report that it was given", name)
		}
	}
}

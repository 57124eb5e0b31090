package entra_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"fhirlink/shared/entra"
	"fhirlink/shared/entra/entratest"
)

// No number occurs twice, every row says what to do, and the sandbox has a scenario for each
// number.
func TestFailures(t *testing.T) {
	seen := map[int]bool{}
	scenarios := entratest.Scenarios()
	for _, f := range entra.Failures() {
		if f.Sign == "" || f.Message == "" || f.Fix == "" || f.Class == "" {
			t.Errorf("%v is not complete: %+v", f.Numbers, f)
		}
		for _, n := range f.Numbers {
			if seen[n] {
				t.Errorf("%d occurs twice", n)
			}
			seen[n] = true
			if !slices.Contains(scenarios, fmt.Sprintf("aadsts-%d", n)) {
				t.Errorf("%d has no scenario", n)
			}
			r := entra.Refusal{HTTPStatus: 400, OAuthError: "invalid_request", Number: n}
			d := r.Diagnose(entra.Credentials{Authority: "https://login.microsoftonline.com/", ClientID: client, TenantID: tenant}, audience)
			if r.Class() != f.Class || strings.ContainsAny(d.Message+d.Fix, "{}") || strings.Contains(d.Message, "Entra refused") {
				t.Errorf("%d: class %s, %+v", n, r.Class(), d)
			}
		}
	}
}

func TestAdminCenterOfCloud(t *testing.T) {
	r := entra.Refusal{HTTPStatus: 401, OAuthError: "invalid_client", Number: 7000215}
	for authority, want := range map[string]string{
		"https://login.microsoftonline.com/": "https://entra.microsoft.com)",
		"https://login.microsoftonline.us/":  "https://entra.microsoft.us)",
	} {
		if d := r.Diagnose(entra.Credentials{Authority: authority}, ""); !strings.Contains(d.Fix, want) {
			t.Errorf("%s: %s", authority, d.Fix)
		}
	}
}

// An unusable answer keeps its status.
func TestUnreachableStatus(t *testing.T) {
	for status, body := range map[int]string{200: "<html>", 302: "", 503: "{}"} {
		if u := entra.NotUsable(status, []byte(body)); u.Status != status {
			t.Errorf("%d: %+v", status, u)
		}
	}
}

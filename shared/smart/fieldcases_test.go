package smart_test

import (
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"

	"fhirlink/shared/smart"
)

// TestFieldCases runs scopes that were found in the field.
func TestFieldCases(t *testing.T) {
	data, err := os.ReadFile("testdata/field-cases.json")
	if err != nil {
		t.Fatal(err)
	}
	var cases []struct {
		ID    string
		Scope []string
		Right struct{ Warnings []string }
	}
	if err := json.Unmarshal(data, &cases); err != nil || len(cases) < 9 {
		t.Fatal(len(cases), err)
	}
	for _, c := range cases {
		r := translator(t, smart.Options{}).EncodeAll(c.Scope)[0]
		if r.Error != nil || codes(r.Warnings) != strings.Join(c.Right.Warnings, " ") {
			t.Errorf("%s: %q %+v, want %q", c.ID, codes(r.Warnings), r.Error, c.Right.Warnings)
		}
	}
}

// TestDoubtfulScopes: what differs from a scope by capitals, HTML or commas gets a warning that says
// what is meant; what is right gets none.
func TestDoubtfulScopes(t *testing.T) {
	for scope, want := range map[string]string{
		"Patient/*.read": `wrong_case "patient/*.read"`, "USER/Observation.rs": `wrong_case "user/Observation.rs"`, "System/*.rs": `wrong_case "system/*.rs"`, "Launch/Patient": `wrong_case "launch/patient"`,
		"launch/Patient": `wrong_case "launch/patient"`, "launch/ENCOUNTER": `wrong_case "launch/encounter"`, "LAUNCH": `wrong_case "launch"`, "OpenID": `wrong_case "openid"`, "fhiruser": `wrong_case "fhirUser"`, "Offline_Access": `wrong_case "offline_access"`,
		"launch/*": "unknown_launch_context", "launch/patients": "unknown_launch_context", "launch/": "unknown_launch_context",
		"patient/Observation.rs?code=a&amp;status=final": "html_escaped", "patient/Observation.rs?date=&gt;2020": "html_escaped", "x&#38;y": "html_escaped", "x&#x26;y": "html_escaped",
		"openid,fhirUser": "comma_joined", "fhirUser;patient/Observation.rs": "comma_joined", "launch/patient,openid": "unknown_launch_context",
		"patient/ProcedureRequest.read": "stu3_resource_type ServiceRequest", "patient/ExpansionProfile.read": "stu3_resource_type STU3", "patient/MedicationOrder.read": "unknown_resource_type STU3", "ProcedureRequest.read": "context_missing",
		"launch": "", "launch/patient": "", "launch/encounter": "", "launch/imagingstudy": "", "launch/questionnaire?role=http://x.example/a": "", "fhirUser": "", "online_access": "", "Encounter": "",
		"patient/Observation.rs?code=a&status=final": "", "patient/Observation.rs?code=a,openid": "",
	} {
		r := translator(t, smart.Options{Separator: smart.Tilde}).EncodeAll([]string{scope})[0]
		var found []string
		for _, w := range r.Warnings {
			found = append(found, w.Code, w.Message, w.Fix)
		}
		code, part, _ := strings.Cut(want, " ")
		if r.Error != nil || want == "" && found != nil || want != "" && (!slices.Contains(found, code) || !strings.Contains(strings.Join(found, " "), part)) {
			t.Errorf("%q: %q %+v, want %q", scope, found, r.Error, want)
		}
	}
}

// TestRefusedHasReasons: every value that Entra does not register has a reason.
func TestRefusedHasReasons(t *testing.T) {
	tr := translator(t, smart.Options{Resource: "api://fhir"})
	all := append(tr.DecodeAll([]string{"patient-Observation.rs", "api://fhir/", `api://fhir/a\b`, "patient/*.read", "api://fhir/x%20y", ".default"}), tr.EncodeAll([]string{".default", "ü", "a%20b"})...)
	for _, r := range all {
		if r.Error == nil || r.Entra.Registrable || len(r.Entra.Reasons) == 0 {
			t.Errorf("%q: %+v %+v", r.Input, r.Error, r.Entra)
		}
	}
	if r := tr.DecodeAll([]string{"patient-Observation.rs"})[0]; !slices.Equal(r.Entra.Reasons, []string{smart.Untranslatable}) {
		t.Errorf("%+v", r.Entra)
	}
}

func TestRegistrable(t *testing.T) {
	tr := translator(t, smart.Options{})
	for list, want := range map[string]bool{"patient/*.rs openid": true, "openid": true, "patient/*.rs patient/Observation.r?_id=a-b": false, strings.Repeat("x", 121): false} {
		if got := tr.EncodeAll(smart.Split(list)).Registrable(); got != want {
			t.Errorf("%q: %v", list, got)
		}
	}
}

// TestInvalidResourceFix: the fix speaks of the resource, not of scopes.
func TestInvalidResourceFix(t *testing.T) {
	for _, resource := range []string{"api://a b", `api://"x"`, "api://ü", "api://a%20b", "api://a\x00"} {
		_, err := smart.New(smart.Options{Resource: resource})
		mistakes, ok := err.(smart.Mistakes)
		if !ok || len(mistakes) != 1 || mistakes[0].Code != "invalid_resource" || strings.Contains(mistakes[0].Fix, "scope") || !strings.Contains(mistakes[0].Fix, "App ID URI") {
			t.Errorf("%q: %v", resource, err)
		}
	}
}

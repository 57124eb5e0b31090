package smart_test

import (
	"strings"
	"testing"

	"fhirlink/shared/smart"
)

func codes(all []smart.Advice) string {
	var list []string
	for _, a := range all {
		list = append(list, a.Code)
	}
	return strings.Join(list, " ")
}

// TestWarnings checks the last scope of each list.
func TestWarnings(t *testing.T) {
	long := strings.Repeat("x", 120)
	for _, c := range []struct {
		dialect    smart.Dialect
		list, want string
	}{
		{"", "patient/*.rs", ""},
		{"", "patient/Observation.cruds?category=laboratory", ""},
		{"", "launch/patient", ""},
		{"", "fhirUser", ""},
		{"", "user_impersonation", ""},
		{"", "https://fhir.example/.default", ""},
		{"", "openid https://fhir.example/.default", ""},
		{"", "http://hl7.org/fhir/uv/bulkdata/OperationDefinition/export", ""},
		{"", long, ""},
		{"", long + "x", "too_long"},
		{"", "-" + long[1:], "too_long character_not_allowed"},
		{"", ".hidden", "leading_period"},
		{"", `a\b`, "character_not_allowed"},
		{"", "patient/Observation.r?x=%2F", "already_encoded"},
		{"", "openid+patient/*.rs", "already_encoded"},
		{"", "patient/Observation.r?name=a+b", ""},
		{"", "patient-Observation.r", "character_not_allowed already_translated"},
		{"", "patient.Observation.rs", "already_translated"},
		{"", "user.all.read", "already_translated"},
		{"", "user$*.read", "already_translated"},
		{"", "launch.patient", "already_translated"},
		{"", `patient\-Observation.r`, "character_not_allowed already_translated"},
		{"", "user-defined", "character_not_allowed"},
		{"", "Observation.rs?code=1", "context_missing"},
		{"", "patient/Observations.rs", "unknown_resource_type"},
		{"", "patient/observation.rs", "unknown_resource_type"},
		{"", "patient/.rs", "unknown_resource_type"},
		{"", "patient/Observation", "malformed_permission"},
		{"", "patient/Observation.read1", "malformed_permission"},
		{"", "patient/Observation.rssz", "malformed_permission"},
		{"", "patient/Observation.sr", "permission_order"},
		{"", "patient/Observation.rr", "repeated_permission"},
		{"", "patient/Observation.rsr", "repeated_permission permission_order"},
		{"", "patient/Observation.rs?category", "malformed_query"},
		{"", "patient/Observation.rs?", "malformed_query"},
		{"", "patient/Observation.rs?a=b=c", "malformed_query"},
		{"", "patient/Observation.rs?code:in=x", ""},
		{smart.AHDS, "patient/Observation.rs?code:in=x", "modifier_not_supported"},
		{smart.AHDS, "patient/Observation.rs?subject.name=x", "chaining_not_supported"},
		{smart.AHDS, "patient/Patient.rs?_has:Observation:patient:code=x", "chaining_not_supported"},
		{smart.AHDS, "patient/Observation.rs?_include=Observation:subject", "include_not_supported"},
		{smart.FHIRServerProxy, "patient/Observation.rs?_revinclude=x", "include_not_supported"},
		{"", "patient/Observation.rs patient/Patient.read", "mixed_versions"},
		{"", "patient/Observation.rs patient/Patient.r", ""},
		{"", "patient/*.read patient/Observation.*", ""},
		{"", "patient/Observation.rs user/Patient.r", ""},
		{smart.AHDS, "patient/Observation.rs user/Patient.r", "mixed_contexts"},
		{smart.AHDS, "launch/patient openid user/Patient.r", ""},
		{"", "fhirUser https://fhir.example/.default", "default_not_alone"},
		{smart.AADProxy, `user/Observation.rs?a=\b`, "character_not_allowed escape_not_meant"},
		{"", "patient/Observation.rs?category=http://terminology.hl7.org/CodeSystem/observation/category|laboratory", "lost_escape"},
	} {
		results := translator(t, smart.Options{Dialect: c.dialect}).EncodeAll(smart.Split(c.list))
		if last := results[len(results)-1]; last.Error != nil || codes(last.Warnings) != c.want {
			t.Errorf("%s %q: %q, %+v; want %q", c.dialect, c.list, codes(last.Warnings), last.Error, c.want)
		}
	}
}

func TestWarningsOfDecode(t *testing.T) {
	for _, c := range []struct{ value, want string }{
		{"patient-Observation.rs", ""},
		{"patient-Observation.sr", "permission_order"},
		{`patient\-Observation.r`, "character_not_allowed already_translated"},
		{"patient-Observation.rs?category=http:--terminology.hl7.org-CodeSystem-observation-category|laboratory", "lost_escape"},
		{strings.Repeat("x", 121), "too_long"},
	} {
		r := translator(t, smart.Options{}).DecodeAll([]string{c.value})[0]
		if codes(r.Warnings) != c.want || r.Entra.Length != len(c.value) {
			t.Errorf("%q: %q, length %d; want %q", c.value, codes(r.Warnings), r.Entra.Length, c.want)
		}
	}
}

func TestWarningsOfPrefixes(t *testing.T) {
	tr := translator(t, smart.Options{Resource: "https://fhir.example"})
	r := tr.EncodeAll([]string{"https://fhir.example/patient/*.rs"})[0]
	if codes(r.Warnings) != "already_prefixed" || r.Output != "https://fhir.example/https:--fhir.example-patient-*.rs" || r.Entra.Length != len(r.Output)-len("https://fhir.example/") {
		t.Errorf("%+v", r)
	}
}

// TestAdviceNamesTheWayOut: the backslash is outside Microsoft Graph's list, and "~" avoids it.
func TestAdviceNamesTheWayOut(t *testing.T) {
	r := translator(t, smart.Options{}).EncodeAll([]string{typical})[0]
	if r.Entra.Registrable || !strings.Contains(r.Warnings[0].Message, `"\"`) || !strings.Contains(r.Warnings[0].Fix, `"~"`) {
		t.Errorf("%+v", r)
	}
	if r := translator(t, smart.Options{Separator: smart.Tilde}).EncodeAll([]string{typical})[0]; !r.Entra.Registrable {
		t.Errorf("%+v", r)
	}
}

func TestMessagesStayShort(t *testing.T) {
	r := translator(t, smart.Options{Dialect: smart.AHDS}).EncodeAll([]string{"patient/" + strings.Repeat("x", 5000) + ".q?a.b" + strings.Repeat(":", 5000) + "=1"})[0]
	for _, w := range r.Warnings {
		if len(w.Message) > 300 {
			t.Errorf("%s has %d bytes", w.Code, len(w.Message))
		}
	}
	if len(r.Warnings) < 4 {
		t.Errorf("%s", codes(r.Warnings))
	}
}

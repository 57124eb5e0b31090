package fhiruser_test

import (
	"strings"
	"testing"

	"fhirlink/shared/smartauth/fhiruser"
)

func TestOf(t *testing.T) {
	bases := []string{"https://clinic.example/fhir", "https://gateway.example/fhir"}
	const extension = "extension_0123456789abcdef0123456789abcdef_fhirUser"
	nested := []string{"https://h.example", "https://h.example/gw"}
	if got := fhiruser.Of(map[string]any{"fhirUser": "https://h.example/gw/Practitioner/1"}, "fhirUser", nested); got != "Practitioner/1" {
		t.Errorf("below the longer of two bases: %q", got)
	}
	for name, tt := range map[string]struct {
		claims map[string]any
		want   string
	}{
		"relative":                 {map[string]any{"fhirUser": "Practitioner/1"}, "Practitioner/1"},
		"below the server":         {map[string]any{"fhirUser": "https://clinic.example/fhir/Patient/p-1"}, "Patient/p-1"},
		"below a gateway":          {map[string]any{"fhirUser": "https://gateway.example/fhir/RelatedPerson/A.1"}, "RelatedPerson/A.1"},
		"an extension, short":      {map[string]any{"extn.fhirUser": []any{"Person/1"}}, "Person/1"},
		"an extension, whole":      {map[string]any{extension: "PractitionerRole/1"}, "PractitionerRole/1"},
		"the claim comes first":    {map[string]any{"fhirUser": "Patient/1", "extn.fhirUser": "Patient/2", extension: "Patient/3"}, "Patient/1"},
		"what counts as none":      {map[string]any{"fhirUser": "Group/1", extension: "Patient/3"}, "Patient/3"},
		"none":                     {nil, ""},
		"another server":           {map[string]any{"fhirUser": "https://evil.example/fhir/Patient/1"}, ""},
		"a server with our name":   {map[string]any{"fhirUser": "https://clinic.example/fhir.evil/Patient/1"}, ""},
		"deeper":                   {map[string]any{"fhirUser": "https://clinic.example/fhir/x/Patient/1"}, ""},
		"a version":                {map[string]any{"fhirUser": "Patient/1/_history/2"}, ""},
		"an id with other letters": {map[string]any{"fhirUser": "Patient/a_b"}, ""},
		"a long id":                {map[string]any{"fhirUser": "Patient/" + strings.Repeat("1", 65)}, ""},
		"two of them":              {map[string]any{"extn.fhirUser": []any{"Patient/1", "Patient/2"}}, ""},
		"a number":                 {map[string]any{"fhirUser": 7.0}, ""},
		"a line":                   {map[string]any{"fhirUser": "Patient/1\n"}, ""},
		"not the name of a claim":  {map[string]any{"extension_x_fhirUser": "Patient/1"}, ""},
	} {
		if got := fhiruser.Of(tt.claims, "fhirUser", bases); got != tt.want {
			t.Errorf("%s: %q, want %q", name, got, tt.want)
		}
	}
}

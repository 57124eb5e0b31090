package resource_test

import (
	"net/http"
	"slices"
	"testing"

	"fhirlink/functions/cmd/local/sandbox/resource"
	"fhirlink/shared/smartauth"
)

var (
	pat  = resource.Claims{Patient: "p-1", FHIRUser: "https://clinic.fhir.sandbox.test/Patient/p-1", Roles: []string{"smartUser"}}
	ada  = resource.Claims{FHIRUser: "https://clinic.fhir.sandbox.test/Practitioner/1", Roles: []string{"smartUser"}}
	none = resource.Claims{}
)

func with(c resource.Claims, scope string) resource.Claims {
	c.Scope = scope
	return c
}

// TestJudge: what works with which server, and what each refuses (contract-smart.md §9).
func TestJudge(t *testing.T) {
	const (
		firely     = smartauth.Firely
		fhirServer = smartauth.FHIRServer
		ahds       = smartauth.AHDS
		other      = smartauth.Other
	)
	noRoles, launched, ownCompartment := pat, ada, ada
	noRoles.Roles = nil
	launched.Patient = "p-2" // of an EHR launch, with compartment: claim
	ownCompartment.Patient = "p-2"
	byUser := launched // with compartment: fhirUser
	byUser.FHIRUser = "https://clinic.fhir.sandbox.test/Patient/p-2"
	for _, tt := range []struct {
		name    string
		kind    smartauth.ServerKind
		claims  resource.Claims
		refused int // 0: not as a whole
		can     []string
		cannot  []string
	}{
		{"a patient", firely, with(pat, "patient/*.rs"), 0, []string{"r Patient/p-1", "s Observation/p-1-1", "r Condition/p-1-6"}, []string{"r Patient/p-2", "s Observation/p-2-1", "r Practitioner/1", "u Patient/p-1"}},
		{"a patient", fhirServer, with(pat, "patient/*.rs"), 0, []string{"r Patient/p-1", "s Observation/p-1-1"}, []string{"r Patient/p-2", "s Observation/p-2-1", "u Patient/p-1"}},
		{"a patient", ahds, with(noRoles, "patient/*.rs"), 0, []string{"r Patient/p-1", "s Observation/p-1-1"}, []string{"r Patient/p-2"}},
		{"a patient", other, with(pat, "patient/*.rs"), 0, []string{"r Patient/p-1"}, []string{"r Patient/p-2"}},
		{"a patient writes", firely, with(pat, "patient/*.cruds"), 0, []string{"r Patient/p-1", "c Observation/p-1-1", "u Observation/p-1-1", "d Observation/p-1-1"}, []string{"u Observation/p-2-1"}},
		{"a patient writes", fhirServer, with(pat, "patient/*.cruds"), 0, []string{"u Observation/p-1-1"}, nil},
		{"a patient writes", ahds, with(pat, "patient/*.cruds"), 0, []string{"r Observation/p-1-1"}, []string{"c Observation/p-1-1", "u Observation/p-1-1", "d Observation/p-1-1"}},
		{"a practitioner", firely, with(ada, "user/*.rs"), 0, []string{"r Patient/p-1", "s Observation/p-2-1", "r Practitioner/1"}, nil},
		{"a practitioner", fhirServer, with(ada, "user/*.rs"), 0, []string{"r Patient/p-1", "s Observation/p-2-1", "r Practitioner/1"}, nil},
		{"a practitioner", ahds, with(ada, "user/*.rs"), 0, []string{"r Patient/p-1", "r Patient/p-2"}, nil},
		{"a practitioner, launched", firely, with(launched, "patient/*.rs"), 0, []string{"r Patient/p-2"}, []string{"r Patient/p-1"}},
		{"a practitioner, launched", fhirServer, with(byUser, "patient/*.rs"), 0, []string{"r Patient/p-2"}, []string{"r Patient/p-1"}},
		{"a practitioner, launched", ahds, with(byUser, "patient/*.rs"), 0, []string{"r Patient/p-2"}, []string{"r Patient/p-1"}},
		{"the launch is ignored: the practitioner's own compartment", fhirServer, with(ownCompartment, "patient/*.rs"), 0, []string{"r Patient/p-1", "r Practitioner/1"}, nil},
		{"a backend", firely, with(none, "system/*.rs"), 0, []string{"r Patient/p-1", "s Observation/p-2-1"}, []string{"c Patient/p-1"}},
		{"a backend", fhirServer, with(resource.Claims{Roles: []string{"smartUser"}}, "system/*.rs"), 0, []string{"r Patient/p-1"}, nil},
		{"a backend", ahds, with(none, "system/*.rs"), http.StatusBadRequest, nil, nil},

		{"no scope", firely, pat, http.StatusForbidden, nil, nil},
		{"no scope", other, pat, http.StatusForbidden, nil, nil},
		{"no scope", fhirServer, pat, 0, nil, []string{"r Patient/p-1"}},
		{"no patient", firely, with(ada, "patient/*.rs"), http.StatusForbidden, nil, nil},
		{"no patient", other, with(ada, "user/*.rs patient/*.rs"), http.StatusForbidden, nil, nil},
		{"no role", fhirServer, with(noRoles, "patient/*.rs"), http.StatusForbidden, nil, nil},
		{"no fhirUser", fhirServer, with(resource.Claims{Patient: "p-1", Roles: []string{"smartUser"}}, "patient/*.rs"), http.StatusBadRequest, nil, nil},
		{"no fhirUser", ahds, with(resource.Claims{Patient: "p-1"}, "patient/*.rs"), http.StatusBadRequest, nil, nil},
		{"mixed contexts", fhirServer, with(pat, "patient/*.rs user/*.rs"), http.StatusBadRequest, nil, nil},
		{"mixed contexts", ahds, with(pat, "patient/*.rs user/*.rs"), http.StatusBadRequest, nil, nil},
		{"mixed contexts", firely, with(pat, "patient/*.rs user/Practitioner.r"), 0, []string{"r Patient/p-1", "r Practitioner/1"}, []string{"r Patient/p-2"}},
		{"mixed versions", fhirServer, with(pat, "patient/Patient.read patient/Observation.rs"), http.StatusBadRequest, nil, nil},
		{"mixed versions", ahds, with(pat, "patient/Patient.read patient/Observation.rs"), http.StatusBadRequest, nil, nil},
		{"mixed versions", other, with(pat, "patient/Patient.read patient/Observation.rs"), 0, []string{"s Patient/p-1", "s Observation/p-1-1"}, nil},

		{"version 1", ahds, with(pat, "patient/Patient.read patient/Observation.read launch/patient openid"), 0, []string{"r Patient/p-1", "s Observation/p-1-1"}, []string{"r Condition/p-1-5"}},
		{"version 1 writes", firely, with(pat, "patient/Observation.write"), 0, []string{"c Observation/p-1-1", "u Observation/p-1-1", "d Observation/p-1-1"}, []string{"r Observation/p-1-1", "s Observation/p-1-1"}},
		{"read without search", firely, with(pat, "patient/Patient.r"), 0, []string{"r Patient/p-1"}, []string{"s Patient/p-1"}},
		{"search without read", fhirServer, with(pat, "patient/Patient.s"), 0, []string{"s Patient/p-1"}, []string{"r Patient/p-1"}},
		{"a category", firely, with(pat, "patient/Observation.rs?category=laboratory"), 0, []string{"r Observation/p-1-1", "s Observation/p-1-2"}, []string{"r Observation/p-1-3", "r Observation/p-2-1"}},
		{"a category with its system", fhirServer, with(pat, "patient/Condition.rs?category=http://terminology.hl7.org/CodeSystem/condition-category|problem-list-item"), 0, []string{"r Condition/p-1-5"}, []string{"r Condition/p-1-6", "r Condition/p-2-5"}},
		{"category and code", firely, with(ada, "user/Observation.rs?category=vital-signs&code=http://loinc.org|8867-4"), 0, []string{"r Observation/p-2-3"}, []string{"r Observation/p-2-4", "r Observation/p-2-1"}},
		{"an unknown parameter", firely, with(ada, "user/Observation.rs?method=x"), 0, nil, []string{"r Observation/p-2-4"}},
		{"percent triples are decoded before the list is split", fhirServer, with(pat, "patient/Patient.r%20patient/Observation.r"), 0, []string{"r Patient/p-1", "r Observation/p-1-1"}, nil},
		{"scopes that are none", firely, with(pat, "patient/Observation.sr patient/observation.rs practitioner/*.rs patient.Patient.rs"), 0, nil, []string{"r Observation/p-1-1", "r Patient/p-1"}},
	} {
		access, refusal := resource.Judge(tt.kind, tt.claims)
		if refused := refusal != nil; refused != (tt.refused != 0) || refused && (refusal.Status != tt.refused || refusal.Text == "") {
			t.Errorf("%s, %s: %+v", tt.kind, tt.name, refusal)
			continue
		}
		for _, all := range []struct {
			list []string
			want bool
		}{{tt.can, true}, {tt.cannot, false}} {
			for _, one := range all.list {
				do, r := resource.Interaction(one[:1]), record(t, one[2:])
				if got := access.Reaches(do, r); got != all.want {
					t.Errorf("%s, %s: %s is %t", tt.kind, tt.name, one, got)
				}
			}
		}
	}
}

func record(t *testing.T, reference string) resource.Resource {
	t.Helper()
	all := resource.Records()
	i := slices.IndexFunc(all, func(r resource.Resource) bool { return r.Type+"/"+r.ID == reference })
	if i < 0 {
		t.Fatalf("there is no %s", reference)
	}
	return all[i]
}

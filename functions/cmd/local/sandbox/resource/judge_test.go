package resource_test

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"

	"fhirlink/functions/cmd/local/sandbox/resource"
	"fhirlink/shared/smart"
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

// TestTable: what works where (contract-smart.md §9, the first table), cell by cell: whose records an app reads, or
// with which status the server refuses the token.
func TestTable(t *testing.T) {
	const (
		own        = smartauth.Own
		entra      = smartauth.OfEntra
		firely     = smartauth.Firely
		fhirServer = smartauth.FHIRServer
		ahds       = smartauth.AHDS
	)
	columns := []string{"a patient, patient/", "a practitioner, user/", "a practitioner, patient/, opened by an EHR for p-2", "a backend, system/"}
	for _, row := range []struct {
		tokens smartauth.Tokens
		kind   smartauth.ServerKind
		reads  [4]string
		writes bool
	}{
		{own, firely, [4]string{"p-1", "p-1 p-2", "p-2", "p-1 p-2"}, true},
		{own, fhirServer, [4]string{"p-1", "p-1 p-2", "p-2", "p-1 p-2"}, true},
		{own, ahds, [4]string{"p-1", "p-1 p-2", "p-2", "400 fhirUser"}, false},
		{entra, firely, [4]string{"403 no claim patient", "403 whether Firely Server reads that is not established", "403 no claim patient", "403 no claim scope"}, false},
		{entra, fhirServer, [4]string{"p-1", "p-1 p-2", "p-1 p-2", "p-1 p-2"}, true},
		{entra, ahds, [4]string{"p-1", "p-1 p-2", "p-1 p-2", "400 fhirUser"}, true},
	} {
		setup := resource.Setup{Kind: row.kind, Tokens: row.tokens}
		if row.kind == firely && row.tokens == entra {
			setup.Separator = "~"
		}
		for i, column := range columns {
			access, refusal := resource.Judge(setup, tokenOf(setup, i))
			var got []string
			if refusal != nil {
				status, text, _ := strings.Cut(row.reads[i], " ")
				if strconv.Itoa(refusal.Status) != status || !strings.Contains(refusal.Text, text) {
					t.Errorf("%s, %s, %s: %+v", row.tokens, row.kind, column, refusal)
				}
				continue
			}
			for _, patient := range []string{"p-1", "p-2"} {
				if access.Reaches(resource.Read, record(t, "Patient/"+patient)) && access.Reaches(resource.Search, record(t, "Observation/"+patient+"-1")) {
					got = append(got, patient)
				}
			}
			if strings.Join(got, " ") != row.reads[i] || access.May(resource.Update, "Observation") != row.writes {
				t.Errorf("%s, %s, %s: reads %q, writes %t", row.tokens, row.kind, column, got, access.May(resource.Update, "Observation"))
			}
		}
	}
}

// tokenOf are the claims of the access token that an app of a column of the table gets.
func tokenOf(s resource.Setup, column int) resource.Claims {
	c, scope := []resource.Claims{pat, ada, ada, none}[column], []string{"patient/*.cruds", "user/*.cruds", "patient/*.cruds", "system/*.cruds"}[column]
	if s.Tokens == smartauth.Own {
		c.Scope, c.SCP = scope, scope
		if c.Roles = nil; s.Kind == smartauth.FHIRServer {
			c.Roles = []string{"smartUser"}
		}
		if column == 2 {
			if c.Patient = "p-2"; s.Kind != smartauth.Firely { // compartment: fhirUser
				c.FHIRUser = "https://clinic.fhir.sandbox.test/Patient/p-2"
			}
		}
		return c
	}
	c.Patient = "" // Entra knows no patient, and no launch
	dialect := map[bool]smart.Options{true: {Dialect: smart.Firely, Separator: smart.Tilde}, false: {Dialect: smart.AHDS}}[s.Kind == smartauth.Firely]
	translator, err := smart.New(dialect)
	if err != nil {
		panic(err) // the options are constants
	}
	spelled, err := translator.Encode(scope)
	if err != nil {
		panic(err) // they are in every dialect
	}
	if column == 3 {
		c.Roles = []string{"smartUser", spelled}
	} else {
		c.SCP = spelled
	}
	return c
}

// TestJudgeEntra: how servers read Entra's own tokens, besides what the table says.
func TestJudgeEntra(t *testing.T) {
	const (
		firely     = smartauth.Firely
		fhirServer = smartauth.FHIRServer
		ahds       = smartauth.AHDS
		other      = smartauth.Other
	)
	scp := func(c resource.Claims, text string) resource.Claims {
		c.Patient, c.SCP = "", text
		return c
	}
	noRole := pat
	noRole.Roles = nil
	noUser := pat
	noUser.FHIRUser = ""
	roles := resource.Claims{Roles: []string{"smartUser", "system$Patient.r", "Links.Launch.All"}}
	for _, tt := range []struct {
		name    string
		setup   resource.Setup
		claims  resource.Claims
		refused string // status, and a part of the text; empty: not as a whole
		can     []string
		cannot  []string
	}{
		{"with dots and words", resource.Setup{Kind: fhirServer}, scp(pat, "patient.all.rs"), "", []string{"r Patient/p-1", "s Observation/p-1-1"}, []string{"r Patient/p-2", "u Patient/p-1"}},
		{"with dollars", resource.Setup{Kind: fhirServer}, scp(pat, "patient$Patient.read patient$Observation.all"), "", []string{"r Patient/p-1", "u Observation/p-1-1"}, []string{"r Condition/p-1-5"}},
		{"with slashes", resource.Setup{Kind: ahds}, scp(pat, "patient/Patient.r"), "", []string{"r Patient/p-1"}, []string{"r Patient/p-2"}},
		{"with a query", resource.Setup{Kind: fhirServer}, scp(pat, "patient.Condition.rs?category=http:%2f%2fterminology.hl7.org%2fCodeSystem%2fcondition-category|problem-list-item"), "", []string{"r Condition/p-1-5"}, []string{"r Condition/p-1-6"}},
		{"with dashes, which they do not read", resource.Setup{Kind: fhirServer}, scp(pat, "patient-*.rs patient~*.rs"), "", nil, []string{"r Patient/p-1"}},
		{"the claim scope is not read", resource.Setup{Kind: fhirServer}, with(pat, "patient/*.rs"), "", nil, []string{"r Patient/p-1"}},
		{"no role", resource.Setup{Kind: fhirServer}, scp(noRole, "patient.all.rs"), "403 smartUser", nil, nil},
		{"no role needed", resource.Setup{Kind: ahds}, scp(noRole, "patient.all.rs"), "", []string{"r Patient/p-1"}, nil},
		{"no fhirUser", resource.Setup{Kind: fhirServer}, scp(noUser, "patient.all.rs"), "400 fhirUser", nil, nil},
		{"no fhirUser", resource.Setup{Kind: ahds}, scp(noUser, "user.all.rs"), "400 fhirUser", nil, nil},
		{"mixed contexts", resource.Setup{Kind: fhirServer}, scp(pat, "patient.all.rs user.all.rs"), "400 mixed", nil, nil},
		{"mixed contexts, by a role", resource.Setup{Kind: fhirServer}, resource.Claims{SCP: "user.all.rs", FHIRUser: ada.FHIRUser, Roles: []string{"smartUser", "system.all.rs"}}, "400 mixed", nil, nil},
		{"mixed versions", resource.Setup{Kind: ahds}, scp(pat, "patient.Patient.read patient.Observation.rs"), "400 mixed", nil, nil},
		{"a backend", resource.Setup{Kind: fhirServer}, roles, "", []string{"r Patient/p-1"}, []string{"s Patient/p-1", "r Observation/p-1-1"}},
		{"a practitioner's own compartment", resource.Setup{Kind: fhirServer}, scp(ada, "patient.all.rs"), "", []string{"r Practitioner/1", "r Patient/p-1", "r Patient/p-2"}, nil},
		{"another server", resource.Setup{Kind: other, Separator: "~"}, scp(pat, "patient~*.rs"), "403 no claim patient", nil, nil},
		{"a dialect that Firely does not read", resource.Setup{Kind: firely}, scp(pat, "patient.all.rs"), "403 not established", nil, nil},
		{"no scopes at all", resource.Setup{Kind: firely, Separator: "~"}, scp(pat, ""), "403 no claim scope.", nil, nil},
	} {
		tt.setup.Tokens = smartauth.OfEntra
		access, refusal := resource.Judge(tt.setup, tt.claims)
		status, text, _ := strings.Cut(tt.refused, " ")
		if (refusal != nil) != (tt.refused != "") || refusal != nil && (strconv.Itoa(refusal.Status) != status || !strings.Contains(refusal.Text, text)) {
			t.Errorf("%s, %s: %+v", tt.setup.Kind, tt.name, refusal)
			continue
		}
		expect(t, string(tt.setup.Kind)+", "+tt.name, access, tt.can, tt.cannot)
	}
}

// expect checks what an app can do, and cannot.
func expect(t *testing.T, name string, access resource.Access, can, cannot []string) {
	t.Helper()
	for _, all := range []struct {
		list []string
		want bool
	}{{can, true}, {cannot, false}} {
		for _, one := range all.list {
			do, r := resource.Interaction(one[:1]), record(t, one[2:])
			if got := access.Reaches(do, r); got != all.want {
				t.Errorf("%s: %s is %t", name, one, got)
			}
		}
	}
}

// TestJudge: what each server reads of the tokens that fhirlink makes, and what it refuses.
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
		access, refusal := resource.Judge(resource.Setup{Kind: tt.kind, Tokens: smartauth.Own}, tt.claims)
		if refused := refusal != nil; refused != (tt.refused != 0) || refused && (refusal.Status != tt.refused || refusal.Text == "") {
			t.Errorf("%s, %s: %+v", tt.kind, tt.name, refusal)
			continue
		}
		expect(t, string(tt.kind)+", "+tt.name, access, tt.can, tt.cannot)
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

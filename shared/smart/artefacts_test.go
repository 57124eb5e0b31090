package smart_test

import (
	"encoding/json"
	"testing"

	"github.com/google/uuid"

	"fhirlink/shared/smart"
)

const everything = "openid .default system/*.rs patient/Observation.rs?category=laboratory launch/patient user/*.write fhirUser"

func TestArtefacts(t *testing.T) {
	tr := translator(t, smart.Options{Separator: smart.Tilde})
	a := tr.Artefacts(tr.EncodeAll(smart.Split(everything + ` a\b`)))
	if len(a.AppRoles) != 1 || len(a.OAuth2PermissionScopes) != 4 || len(a.Skipped) != 3 {
		t.Fatalf("%+v", a)
	}
	role := a.AppRoles[0]
	if role.Value != "system~*.rs" || role.AllowedMemberTypes[0] != "Application" || !role.IsEnabled || role.DisplayName != "system/*.rs" ||
		role.Description != "Read, search all resources that the application may access: SMART scope system/*.rs" {
		t.Errorf("%+v", role)
	}
	scope := a.OAuth2PermissionScopes[0]
	if scope.Value != "patient~Observation.rs?category=laboratory" || scope.Type != "User" || !scope.IsEnabled ||
		scope.AdminConsentDescription != "Read, search Observation resources that match category=laboratory of one patient: SMART scope patient/Observation.rs?category=laboratory" {
		t.Errorf("%+v", scope)
	}
	if a.OAuth2PermissionScopes[2].Type != "Admin" {
		t.Errorf("%+v", a.OAuth2PermissionScopes[2])
	}
	if last := a.Skipped[2]; last.Scope != `a\b` || last.Code != "character_not_allowed" {
		t.Errorf("%+v", last)
	}
	if a.FirelyServer.SmartAuthorizationOptions.AccessTokenScopeReplace != "~" {
		t.Errorf("%+v", a.FirelyServer)
	}
}

// TestIDs compares the ids with those of another implementation of RFC 9562.
func TestIDs(t *testing.T) {
	const resource = "https://fhir.example"
	tr := translator(t, smart.Options{Resource: resource})
	a := tr.Artefacts(tr.EncodeAll(smart.Split(everything[len("openid .default "):])))
	space := uuid.NewSHA1(uuid.NameSpaceURL, []byte("urn:fhirlink:entra"))
	for _, r := range a.AppRoles {
		if want := uuid.NewSHA1(space, []byte("appRole\n"+resource+"\n"+r.Value)).String(); r.ID != want {
			t.Errorf("%s: %s, want %s", r.Value, r.ID, want)
		}
	}
	for _, s := range a.OAuth2PermissionScopes {
		if want := uuid.NewSHA1(space, []byte("oauth2PermissionScope\n"+resource+"\n"+s.Value)).String(); s.ID != want {
			t.Errorf("%s: %s, want %s", s.Value, s.ID, want)
		}
	}
}

// TestGraphBody checks that the JSON uses Microsoft Graph's property names.
func TestGraphBody(t *testing.T) {
	tr := translator(t, smart.Options{Dialect: smart.AHDS})
	a := tr.Artefacts(tr.EncodeAll([]string{"system/*.read", "patient/*.read"}))
	text, err := json.Marshal(a.Graph)
	if err != nil {
		t.Fatal(err)
	}
	const want = `{"method":"PATCH","url":"https://graph.microsoft.com/v1.0/applications(appId='{applicationId}')","body":{` +
		`"appRoles":[{"allowedMemberTypes":["Application"],"description":"Read and search all resources that the application may access: SMART scope system/*.read","displayName":"system/*.read","id":"0e4df4ff-d110-5c6d-a47f-13cfcbe9207a","isEnabled":true,"value":"system.all.read"}],` +
		`"api":{"oauth2PermissionScopes":[{"adminConsentDescription":"Read and search all resources of one patient: SMART scope patient/*.read","adminConsentDisplayName":"patient/*.read","id":"c4da0207-c89c-5b8d-a156-a93859976f0b","isEnabled":true,"type":"User","userConsentDescription":"Read and search all resources of one patient: SMART scope patient/*.read","userConsentDisplayName":"patient/*.read","value":"patient.all.read"}]}}}`
	if string(text) != want {
		t.Errorf("got  %s\nwant %s", text, want)
	}
	if a.FirelyServer != nil {
		t.Errorf("%+v", a.FirelyServer)
	}
}

// TestArtefactsOfOtherDirections: decoding and converting produce the registered value, too.
func TestArtefactsOfOtherDirections(t *testing.T) {
	firely := translator(t, smart.Options{Resource: "api://x"})
	a := firely.Artefacts(firely.DecodeAll([]string{"api://x/patient-*.rs"}))
	if len(a.OAuth2PermissionScopes) != 1 || a.OAuth2PermissionScopes[0].Value != "patient-*.rs" {
		t.Errorf("%+v", a)
	}
	ahds := translator(t, smart.Options{Dialect: smart.AHDS})
	a = ahds.Artefacts(smart.Conversion{From: firely, To: ahds}.All([]string{"api://x/system-*.rs"}))
	if len(a.AppRoles) != 1 || a.AppRoles[0].Value != "system.all.rs" {
		t.Errorf("%+v", a)
	}
}

package launch

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"fhirlink/shared/link"
	"fhirlink/shared/smartauth"
	"fhirlink/shared/smartauth/ehr"
)

func TestGranted(t *testing.T) {
	const all = "openid fhirUser profile launch/patient launch/encounter offline_access patient/*.rs user/*.cruds custom"
	for _, tt := range []struct {
		name, asked, user string
		context           Launched
		refresh           bool
		want              string
		denied            bool
	}{
		{"a patient", all, "Patient/p-1", Launched{Patient: "p-1"}, true, "openid fhirUser profile launch/patient offline_access patient/*.rs custom", false},
		{"a practitioner", all, "Practitioner/1", Launched{}, true, "openid fhirUser profile offline_access user/*.cruds custom", false},
		{"a practitioner with a patient", all, "Practitioner/1", Launched{Patient: "p-1", Encounter: "e-1"}, false, "openid fhirUser profile launch/patient launch/encounter patient/*.rs user/*.cruds custom", false},
		{"nobody of the server's", all, "", Launched{Patient: "p-1"}, true, "openid profile launch/patient offline_access custom", false},
		{"a patient asks for user/", "user/*.rs openid", "Patient/p-1", Launched{Patient: "p-1"}, false, "openid", true},
		{"a practitioner asks for patient/", "patient/*.rs openid", "Practitioner/1", Launched{}, false, "openid", true},
		{"no data is asked for", "openid profile email", "", Launched{}, false, "openid profile email", false},
		{"fhirUser without openid", "fhirUser patient/*.rs", "Patient/1", Launched{Patient: "1"}, false, "patient/*.rs", false},
		{"system/ is nobody's", "system/*.rs", "Practitioner/1", Launched{}, false, "", true},
		{"the order stays", "patient/B.r openid patient/A.r", "Patient/1", Launched{Patient: "1"}, false, "patient/B.r openid patient/A.r", false},
		{"online", "online_access openid", "", Launched{}, true, "online_access openid", false},
	} {
		got, denied := server{}.grantedOf(strings.Fields(tt.asked), User{FHIRUser: tt.user}, tt.context, tt.refresh)
		if strings.Join(got, " ") != tt.want || denied != tt.denied {
			t.Errorf("%s: %q, %v", tt.name, got, denied)
		}
	}
	if c := contextOf(User{FHIRUser: "Patient/p-1"}, ehr.Launch{}); c.Patient != "p-1" {
		t.Errorf("%+v", c)
	}
	if c := contextOf(User{FHIRUser: "Practitioner/1"}, ehr.Launch{}); !reflect.DeepEqual(c, Launched{}) {
		t.Errorf("%+v", c)
	}
}

func TestClaims(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	l := link.Link{ID: "id-1", FHIRServerURL: "https://clinic.example/fhir", Audience: "api://clinic", ClientID: "22222222-2222-4222-8222-222222222222", TenantID: "11111111-1111-4111-8111-111111111111"}
	serving := func(s smartauth.Settings) server {
		s.TokenSeconds = 3600
		return server{smartauth.Server{Link: l, Settings: s.For(l)}}
	}
	app := smartauth.App{ClientID: "growth-chart"}
	g := Grant{ID: "g-1", User: User{ObjectID: "oid", Name: "Ada", Username: "ada@example.org", Email: "ada@mail.example", FHIRUser: "Practitioner/1"}, Scopes: strings.Fields("patient/*.rs openid fhirUser profile"), Context: Launched{Patient: "p-1"}, Audience: "https://gateway.example/fhir"}
	text := func(v any) string {
		data, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		return string(data)
	}
	subject := subjectOf("id-1", "oid")
	if len(subject) != 43 || subject == subjectOf("id-2", "oid") || subject == subjectOf("id-1", "oid2") {
		t.Errorf("the subject is %s", subject)
	}
	want := `{"iss":"https://i","sub":"` + subject + `","aud":"growth-chart","exp":1800000600,"iat":1800000000,"nonce":"n","fhirUser":"https://gateway.example/fhir/Practitioner/1","name":"Ada","preferred_username":"ada@example.org"}`
	if got := text(serving(smartauth.Settings{}).idToken("https://i", app, g, "n", now)); got != want {
		t.Errorf("%s\nwant %s", got, want)
	}
	plain := g
	plain.Scopes = []string{"openid", "email"}
	if got := text(serving(smartauth.Settings{}).idToken("https://i", app, plain, "", now)); strings.Contains(got, "fhirUser") || strings.Contains(got, "Ada") || strings.Contains(got, "nonce") || !strings.Contains(got, "ada@mail.example") {
		t.Errorf("%s", got)
	}

	access, ok := serving(smartauth.Settings{}).accessToken("https://i", "j", app, g, now, time.Hour)
	want = `{"iss":"https://i","aud":"https://clinic.example/fhir","sub":"` + subject + `","exp":1800003600,"iat":1800000000,"nbf":1800000000,"jti":"j","client_id":"growth-chart","azp":"22222222-2222-4222-8222-222222222222",` +
		`"tid":"11111111-1111-4111-8111-111111111111","scope":"patient/*.rs openid fhirUser profile","scp":"patient/*.rs openid fhirUser profile","patient":"p-1","fhirUser":"https://clinic.example/fhir/Practitioner/1","gid":"g-1"}`
	if got := text(access); got != want || !ok {
		t.Errorf("%s\nwant %s", got, want)
	}
	access, _ = serving(smartauth.Settings{Server: smartauth.FHIRServer, AudienceOf: smartauth.LinkAudience, ServerClientID: "33333333-3333-4333-8333-333333333333"}).accessToken("https://i", "j", app, g, now, time.Hour)
	if access.FHIRUser != "https://clinic.example/fhir/Patient/p-1" || fmt.Sprint(access.Roles) != "[smartUser]" || access.Audience != "api://clinic" || access.Party[0] != '3' {
		t.Errorf("for Microsoft's server: %+v", access)
	}
	plain.Scopes = []string{"user/*.rs"}
	if access, _ = serving(smartauth.Settings{Server: smartauth.AHDS}).accessToken("https://i", "j", app, plain, now, time.Hour); access.FHIRUser != "https://clinic.example/fhir/Practitioner/1" {
		t.Errorf("a practitioner's own: %+v", access)
	}
	plain.User.FHIRUser = ""
	if access, _ = serving(smartauth.Settings{}).accessToken("https://i", "j", app, plain, now, time.Hour); access.FHIRUser != "" {
		t.Errorf("nobody of the server's: %+v", access)
	}
	g.Scopes = nil
	for i := range 200 {
		g.Scopes = append(g.Scopes, fmt.Sprintf("patient/Observation.rs?category=%d", i))
	}
	if _, ok := serving(smartauth.Settings{}).accessToken("https://i", "j", app, g, now, time.Hour); ok {
		t.Error("a token of any length is made")
	}
}

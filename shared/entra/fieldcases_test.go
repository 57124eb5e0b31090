package entra_test

import (
	"encoding/json"
	"net/http"
	"os"
	"strings"
	"testing"

	"fhirlink/shared/credential"
	"fhirlink/shared/entra"
	"fhirlink/shared/secret"
)

// TestFieldCases runs answers that Entra gave in the field.
func TestFieldCases(t *testing.T) {
	data, err := os.ReadFile("testdata/field-cases.json")
	if err != nil {
		t.Fatal(err)
	}
	var cases []struct {
		ID, Body string
		Status   int
		Right    struct {
			Code    string
			Class   entra.Class
			Message string
		}
	}
	if err := json.Unmarshal(data, &cases); err != nil || len(cases) < 12 {
		t.Fatal(len(cases), err)
	}
	for _, c := range cases {
		r, ok := entra.ParseRefusal(c.Status, nil, []byte(c.Body), secret.Value{})
		if !ok {
			t.Errorf("%s is not read", c.ID)
			continue
		}
		d := r.Diagnose(credentials(), audience)
		if r.Code() != c.Right.Code || r.Class() != c.Right.Class || !strings.Contains(d.Message, c.Right.Message) || strings.Contains(d.Message, "Entra refused") || r.CorrelationID == "" {
			t.Errorf("%s: %s %s %+v, want %+v", c.ID, r.Code(), r.Class(), d, c.Right)
		}
	}
}

// TestTellingNumber: the number that says most counts, wherever it stands.
func TestTellingNumber(t *testing.T) {
	for _, c := range []struct {
		codes, description string
		number             int
		sentence           string
	}{
		{`[70002, 7000222]`, "AADSTS70002: Error validating credentials. AADSTS7000222: The keys are expired. More.", 7000222, "The keys are expired."},
		{`[7000222, 70002]`, "AADSTS70002: Error validating credentials.", 7000222, "Error validating credentials."},
		{`[70002]`, "AADSTS70002: Error validating credentials. AADSTS7000215: Invalid client secret is provided.", 7000215, "Invalid client secret is provided."},
		{`[7000215, 7000222]`, "AADSTS7000215: Invalid.", 7000222, "Invalid."},
		{`[70002, 50012]`, "AADSTS70002: Error validating credentials. AADSTS50012: Invalid client secret is provided.", 50012, "Invalid client secret is provided."},
		{`[70001, 700016]`, "AADSTS70001: Application was not found.", 700016, "Application was not found."},
		{`[70002, 7654321]`, "AADSTS70002: No.", 7654321, "No."},
		{`[7654321, 7000229]`, "AADSTS7654321: No.", 7000229, "No."},
		{`[70002]`, "AADSTS70002: No.", 70002, "No."},
		{`[]`, "2026-11-28 10:00:00Z AADSTS7000215: Invalid client secret provided.", 7000215, "Invalid client secret provided."},
		{`[]`, "[2026-11-28T10:00:00] AADSTS7000222: Expired.", 7000222, "Expired."},
		{`[]`, "2026-11-28 10:00:00Z: 'AADSTS90002: Tenant not found.", 90002, "Tenant not found."},
		{`[500011]`, "AADSTS500011: The resource principal named https://x.example/AADSTS7000222: was not found.", 500011, "The resource principal named https://x.example/AADSTS7000222: was not found."},
		{`[]`, "No number at all. More.", 0, "No number at all."},
	} {
		body := `{"error":"invalid_client","error_codes":` + c.codes + `,"error_description":` + quoted(c.description) + `}`
		r, ok := entra.ParseRefusal(401, nil, []byte(body), secret.Value{})
		if !ok || r.Number != c.number || r.Sentence != c.sentence {
			t.Errorf("%s %q: %+v", c.codes, c.description, r)
		}
		if want := c.number == 7000222; (r.Class() == entra.Expired) != want {
			t.Errorf("%s %q: class %s", c.codes, c.description, r.Class())
		}
	}
}

func quoted(s string) string {
	data, _ := json.Marshal(s) // a string never fails
	return string(data)
}

// TestIDsInTheText: ids count that stand in the description only.
func TestIDsInTheText(t *testing.T) {
	body := `{"error":"invalid_client","error_description":"AADSTS7000215: No.\r\nTrace ID: ` + traceID + `\r\nCorrelation ID: ` + corrID + `\r\nTimestamp: 2026-11-28 10:00:00Z"}`
	r, ok := entra.ParseRefusal(401, http.Header{}, []byte(body), secret.Value{})
	if !ok || r.TraceID != traceID || r.CorrelationID != corrID {
		t.Errorf("%+v", r)
	}
}

// TestByCredential: AADSTS50012 is read by its sentence, and an application with a certificate is
// told nothing about client secrets, whatever the number.
func TestByCredential(t *testing.T) {
	withSecret, withCertificate := credentials(), credentials()
	withCertificate.Credential = credential.Certificate{PEM: secret.New("x")}
	for _, c := range []struct {
		credentials entra.Credentials
		sentence    string
		want        string
	}{
		{withSecret, "Invalid client secret is provided.", "does not accept this client secret"},
		{entra.Credentials{}, "Invalid client secret is provided.", "does not accept this client secret"},
		{withSecret, "Client assertion contains an invalid signature.", "does not accept the certificate"},
		{withCertificate, "Client assertion contains an invalid signature.", "does not accept the certificate"},
		{withCertificate, "Invalid client secret is provided.", "does not accept the certificate"},
	} {
		r := entra.Refusal{HTTPStatus: 401, OAuthError: "invalid_client", Number: 50012, Sentence: c.sentence}
		if d := r.Diagnose(c.credentials, audience); !strings.Contains(d.Message, c.want) {
			t.Errorf("%q: %+v", c.sentence, d)
		}
	}
	numbers := []int{0, 7654321}
	for _, f := range entra.Failures() {
		numbers = append(numbers, f.Numbers...)
	}
	for _, n := range numbers {
		for _, oauth := range []string{"invalid_client", "unauthorized_client", "invalid_grant", "unsupported_grant_type", "invalid_resource"} {
			r := entra.Refusal{HTTPStatus: 401, OAuthError: oauth, Number: n}
			d := r.Diagnose(withCertificate, audience)
			text := strings.ToLower(strings.ReplaceAll(d.Message+d.Fix, "Certificates & secrets", ""))
			if strings.Contains(text, "secret") || strings.ContainsAny(text, "{}") || d.Message == "" || d.Fix == "" {
				t.Errorf("%d %s: %+v", n, oauth, d)
			}
		}
	}
}

// TestSecretRefused: an unknown secret is told by its number, or by the sentence of a number that has
// several meanings.
func TestSecretRefused(t *testing.T) {
	for _, c := range []struct {
		number   int
		sentence string
		want     bool
	}{
		{7000215, "Invalid client secret provided.", true},
		{7000215, "", true},
		{50012, "Invalid client secret is provided.", true},
		{50012, "Error validating credentials: invalid client secret.", true},
		{50012, "Client assertion contains an invalid signature.", false},
		{50012, "Authentication failed.", false},
		{7000222, "The provided client secret keys are expired.", false},
		{700027, "The certificate's secret is odd.", false},
	} {
		if r := (&entra.Refusal{Number: c.number, Sentence: c.sentence}); r.SecretRefused() != c.want {
			t.Errorf("%d %q: %v", c.number, c.sentence, r.SecretRefused())
		}
	}
}

// TestElsewhere: for a FHIR server that is not Microsoft's no diagnosis speaks of Azure Health Data
// Services; for one of Microsoft's the words stay.
func TestElsewhere(t *testing.T) {
	for _, f := range entra.Failures() {
		for _, n := range append(f.Numbers, 7654321) {
			for _, oauth := range []string{"invalid_client", "invalid_resource", "unsupported_grant_type"} {
				r := entra.Refusal{HTTPStatus: 400, OAuthError: oauth, Number: n}
				if f.OAuthError != "" {
					r.Number = 0
				}
				for _, audience := range []string{"https://fhir.example.org/r4", "api://fhir", "33333333-3333-4333-8333-333333333333"} {
					d := r.Diagnose(credentials(), audience)
					if text := d.Message + d.Fix + d.Command; strings.Contains(strings.ToLower(text), "healthcare") || strings.Contains(text, "4f6778d8") || strings.Contains(text, "FHIR service > ") || strings.ContainsAny(text, "{}") {
						t.Errorf("%d %s %s: %+v", n, oauth, audience, d)
					}
				}
			}
		}
	}
	for number, words := range map[int]string{500011: "4f6778d8-5aef-43dc-a1ff-b073724b9495", 501051: "Azure Healthcare APIs", 1002012: "workspace-service", 650051: "Microsoft.HealthcareApis", 500014: "Azure Healthcare APIs"} {
		r := entra.Refusal{HTTPStatus: 400, OAuthError: "invalid_resource", Number: number}
		if d := r.Diagnose(credentials(), audience); !strings.Contains(d.Message+d.Fix+d.Command, words) {
			t.Errorf("%d: %+v", number, d)
		}
	}
}

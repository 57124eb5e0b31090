package intake_test

import (
	"encoding/json"
	"os"
	"strings"
	"testing"
	"time"

	"fhirlink/shared/credential"
	"fhirlink/shared/date"
	"fhirlink/shared/link/intake"
	"fhirlink/shared/problem"
	"fhirlink/shared/secret"
)

const (
	client = "22222222-2222-4222-8222-222222222222"
	tenant = "11111111-1111-4111-8111-111111111111"
	api    = "33333333-3333-4333-8333-333333333333"
	zero   = "00000000-0000-0000-0000-000000000000"
	ofApp  = "abc8Q~defghijklmnopqrstuvwxyz0123456789AB" // in the shape of Entra's secrets
)

// good is a registration without mistakes.
func good() map[string]string {
	return map[string]string{
		"slug": "good-health-clinic", "description": "Good Health Clinic", "fhirServerUrl": "https://clinic.fhir.sandbox.test",
		"clientId": client, "clientSecret": "sandbox-secret-value",
	}
}

// outcome is what came of one field, the others being good.
type outcome struct {
	value    string
	mistakes []problem.Field
	notes    []string
}

func (o outcome) code() string {
	if len(o.mistakes) == 0 {
		return ""
	}
	return o.mistakes[0].Code
}

func read(t *testing.T, field, input string) outcome {
	t.Helper()
	fields := good()
	fields[field] = input
	data, err := json.Marshal(fields)
	if err != nil {
		t.Fatal(err)
	}
	var registration intake.Registration
	if err := json.Unmarshal(data, &registration); err != nil {
		t.Fatal(err)
	}
	r := intake.NewReader(date.Of(time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC)), false)
	accepted := r.Registration(registration)
	clientSecret, _ := accepted.Target.Credential.(credential.ClientSecret)
	value := map[string]string{
		"slug": accepted.Slug, "fhirServerUrl": accepted.Target.Server.String(), "clientId": accepted.Target.ClientID, "tenantId": accepted.Target.TenantID,
		"audience": accepted.Target.Audience, "secretExpiresOn": accepted.ExpiresOn.String(), "clientSecret": clientSecret.Value.Reveal(),
	}[field]
	return outcome{value, r.Mistakes(), r.Notes()}
}

// TestFieldCases runs what people typed in the field.
func TestFieldCases(t *testing.T) {
	data, err := os.ReadFile("testdata/field-cases.json")
	if err != nil {
		t.Fatal(err)
	}
	var cases []struct {
		ID, Field, Input string
		Right            struct {
			Value, Code string
			Notes       int
		}
	}
	if err := json.Unmarshal(data, &cases); err != nil || len(cases) < 20 {
		t.Fatal(len(cases), err)
	}
	for _, c := range cases {
		got := read(t, c.Field, c.Input)
		if got.code() != c.Right.Code || c.Right.Code == "" && (got.value != c.Right.Value || len(got.notes) != c.Right.Notes) {
			t.Errorf("%s: %q %+v %q, want %+v", c.ID, got.value, got.mistakes, got.notes, c.Right)
		}
	}
}

// check compares a field's inputs with the values that are read, or with the code of the mistake if
// want begins with "!". Every correction is noted, and nothing quotes the input.
func check(t *testing.T, field string, inputs map[string]string) {
	t.Helper()
	for input, want := range inputs {
		got := read(t, field, input)
		code, refused := strings.CutPrefix(want, "!")
		switch {
		case refused && (len(got.mistakes) != 1 || got.code() != code || got.mistakes[0].Field != field || got.mistakes[0].Fix == ""):
			t.Errorf("%s %q: %+v, want %s", field, input, got.mistakes, code)
		case !refused && (got.mistakes != nil || got.value != want):
			t.Errorf("%s %q gives %q %+v, want %q", field, input, got.value, got.mistakes, want)
		case !refused && input != want && len(got.notes) == 0 && !strings.EqualFold(strings.TrimSpace(input), want):
			t.Errorf("%s %q gives %q without a note", field, input, want)
		}
	}
}

func TestClientSecret(t *testing.T) {
	const value = "sandbox-secret-value"
	check(t, "clientSecret", map[string]string{
		value: value, ofApp: ofApp, "old secret+with/chars=": "old secret+with/chars=", "p%20w": "p%20w", "100%sure": "100%sure", "a*b**c": "a*b**c", "pässwort": "pässwort",
		"Zm9vYmFyYmF6==": "Zm9vYmFyYmF6==", ofApp + "...": ofApp + "...", "0123456789abcdef0123456789abcdef": "0123456789abcdef0123456789abcdef",

		" " + value + "\r\n": value, "\u00a0" + value: value, value + "\u200b": value, "\ufeff" + value: value, "sandbox\u200b-secret-\u00advalue": value, "\u200b " + value + " \u2060": value,
		`"` + value + `"`: value, "'" + value + "'": value, "`" + value + "`": value, "“" + value + "”": value, "„" + value + "“": value, "«" + value + "»": value, `"` + value + `",`: value,
		`"'` + value + `'"`: value, `"` + ofApp: ofApp, ofApp + `",`: ofApp, "<" + ofApp + ">": ofApp,
		"client_secret=" + value: value, "clientSecret: " + value: value, `"client_secret": "` + value + `",`: value, `{"clientSecret":"` + value + `"}`: value,
		"AZURE_CLIENT_SECRET=" + value: value, "export ARM_CLIENT_SECRET='" + value + "'": value, "$env:AZURE_CLIENT_SECRET = \"" + value + "\"": value, "AzureAd:ClientSecret=" + value: value,
		"Value: " + value: value, "Value\t" + value: value, "Secret value: " + value: value, "Secret: " + value: value, `"password": "` + value + `"`: value, `"secretText": "` + value + `",`: value,
		"client_secret=" + value + "&grant_type=client_credentials": value, "--client-secret=" + value: value, "Client Secret = " + value + ";": value,
		"Client secret value " + ofApp: ofApp, "curl -d client_secret=" + ofApp + " https://login.example": ofApp, ofApp + " (Value)": ofApp, "name\t5/1/2027\t" + ofApp + "\t" + client: ofApp, "pass:" + ofApp: ofApp, `\"` + ofApp + `\"`: ofApp,
		"client_secret: >\n" + ofApp: ofApp, "abc8Q%257Edefghijklmnopqrstuvwxyz0123456789AB": ofApp, "sandbox%2Dsecret%2dvalue": value, "abc8Q%7Edefghijklmnopqrstuvwxyz0123456789AB": ofApp, "client_secret=abc8Q%7Edefghijklmnopqrstuvwxyz0123456789AB": ofApp, "a%2Fb%2Bc%3D": "a/b+c=",
		"The secret is " + ofApp + ".": ofApp, ofApp + ". Keep it.": ofApp, "Secret: " + ofApp[:40] + ".": ofApp[:40], "It is " + ofApp[:39] + ".": ofApp[:39] + ".", ofApp[:39] + ".": ofApp[:39] + ".",
		"$tr0ngPassw0rd2024": "$tr0ngPassw0rd2024", "[=N:s@TgaN1Q0/ab.Cd-eF_gh*Ij+K]": "[=N:s@TgaN1Q0/ab.Cd-eF_gh*Ij+K]", "<P@ssw0rd>": "<P@ssw0rd>", "{P@ssw0rd}": "{P@ssw0rd}",
		"sandbox\u2011secret\u2010value": value, "sandbox\u2212secret\uff0dvalue": value,

		ofApp + "\n" + ofApp[:39] + "X": "!secret_syntax",
		"":                              "!required", "   ": "!secret_blank", "\u200b": "!secret_blank", `""`: "!secret_blank", "sandbox\u2013secret\u2014value": "!secret_dash",
		client: "!secret_is_id", "{" + client + "}": "!secret_is_id", "Value: " + client: "!secret_is_id",
		"abc******************": "!secret_masked", "abc8Q~***": "!secret_masked", "***": "!secret_masked", "abc…": "!secret_masked", "abc...": "!secret_masked", "••••••••": "!secret_masked", "abc●●●●": "!secret_masked",
		"xxxxxxxx": "!secret_masked", `"abc***"`: "!secret_masked", "Hidden": "!secret_placeholder", "<your-client-secret>": "!secret_placeholder", "your_client_secret_here": "!secret_placeholder",
		"${CLIENT_SECRET}": "!secret_placeholder", "$(clientSecret)": "!secret_placeholder", "{{client_secret}}": "!secret_placeholder", "%CLIENT_SECRET%": "!secret_placeholder", "$CLIENT_SECRET": "!secret_placeholder",
		"@Microsoft.KeyVault(SecretUri=https://v.vault.azure.net/secrets/s/)": "!secret_is_reference", "@Microsoft.KeyVault(VaultName=v;SecretName=s)": "!secret_is_reference",
		"https://v.vault.azure.net/secrets/s/0123456789abcdef": "!secret_is_reference", "v.vault.usgovcloudapi.net/secrets/s": "!secret_is_reference",
		"client_secret=@Microsoft.KeyVault(SecretUri=https://v.vault.azure.net/secrets/s)": "!secret_is_reference",
		"keyvault://v/s": "!secret_is_reference", "op://vault/item/field": "!secret_is_reference", ofApp + "***": "!secret_masked", "https://v.vault.azure.net/secrets/" + ofApp: "!secret_is_reference",
		"https://portal.azure.com/": "!secret_is_url", "ftp://x": "!secret_is_url", "eyJhbGciOiJSUzI1NiJ9.eyJhIjoxfQ.c2ln": "!secret_is_token", "-----BEGIN CERTIFICATE-----\nMII": "!secret_is_certificate",
		"a\nb": "!secret_syntax", "a\x00b": "!secret_syntax", strings.Repeat("a1", 600): "!secret_too_long",
	})
}

// TestSecretStaysSecret: no note and no mistake has any part of the value.
func TestSecretStaysSecret(t *testing.T) {
	for _, input := range []string{`"` + ofApp + `"`, "client_secret=" + ofApp, "abc8Q%7Edefghijklmnopqrstuvwxyz0123456789AB", ofApp + "\u200b", ofApp + "***", ofApp + "\u2013", "https://x/" + ofApp, "Value: " + ofApp} {
		for _, field := range []string{"clientSecret", "clientId", "tenantId", "audience", "secretExpiresOn", "slug", "fhirServerUrl"} {
			got := read(t, field, input)
			text, err := json.Marshal([]any{got.mistakes, got.notes})
			if err != nil || strings.Contains(strings.ToLower(string(text)), "defghijkl") {
				t.Errorf("%s: %s %v", field, text, err)
			}
		}
	}
}

func TestIDs(t *testing.T) {
	for field, id := range map[string]string{"clientId": client, "tenantId": tenant} {
		bare := strings.ReplaceAll(id, "-", "")
		check(t, field, map[string]string{
			id: id, " " + strings.ToUpper(id) + " ": id, "{" + id + "}": id, "(" + id + ")": id, `"` + id + `"`: id, `"` + id + `",`: id, "<" + id + ">": id, "[" + id + "]": id,
			"urn:uuid:" + id: id, "api://" + id: id, "api://" + id + "/": id, "spn:" + id: id, bare: id, strings.ToUpper(bare): id, "{" + bare + "}": id, id + "\u200b": id, id + ".": id,
			strings.ReplaceAll(id, "-", "\u2011"): id, strings.ReplaceAll(id, "-", "\u2013"): id,
		})
	}
	check(t, "clientId", map[string]string{
		zero: "!zero_guid", "{" + zero + "}": "!zero_guid", bareOf(zero): "!zero_guid",
		"client_id=" + client: client, "Application (client) ID: " + client: client, `"appId": "` + client + `",`: client, "AZURE_CLIENT_ID=" + client: client,
		"ClientId " + client: client, "https://portal.azure.com/#view/Microsoft_AAD_RegisteredApps/ApplicationMenuBlade/~/Overview/appId/" + client + "/isMSAApp~/false": client,
		"https://entra.microsoft.com/#view/Blade/objectId/" + client: "!client_id_syntax", "": "!required", "\u200b": "!required", "Object ID: " + client: "!client_id_syntax", "tenant_id=" + client: "!client_id_syntax", "fhirlink": "!client_id_syntax", client + client: "!client_id_syntax", bareOf(client)[1:]: "!client_id_syntax",
	})
	check(t, "tenantId", map[string]string{
		"": "", "  ": "", "Directory (tenant) ID: " + tenant: tenant, "tenantId=" + tenant: tenant,
		"https://login.microsoftonline.com/" + tenant: tenant, "https://login.microsoftonline.com/" + tenant + "/": tenant, "https://login.microsoftonline.com/" + tenant + "/oauth2/v2.0/token": tenant,
		"login.microsoftonline.us/" + tenant + "/v2.0": tenant, "https://sts.windows.net/" + strings.ToUpper(tenant) + "/": tenant, "https://login.windows.net/" + tenant: tenant,
		`"https://login.microsoftonline.com/` + tenant + `/v2.0"`: tenant,
		"contoso.onmicrosoft.com":                                 "!tenant_id_syntax", "Contoso.com": "!tenant_id_syntax", "admin@contoso.com": "!tenant_id_syntax", "https://login.microsoftonline.com/contoso.com/v2.0": "!tenant_id_syntax",
		"common": "!tenant_id_syntax", "Tenant ID " + tenant: tenant, "https://login.microsoftonline.com/organizations/oauth2/v2.0/authorize": "!tenant_id_syntax",
		"https://fhir.example.org/" + tenant: "!tenant_id_syntax", "contoso": "!tenant_id_syntax", "9188040d-6c67-4c5b-b112-36a304b66dad": "!tenant_id_personal",
		zero: "!zero_guid", "https://login.microsoftonline.com/" + zero: "!zero_guid",
	})
	for input, want := range map[string]string{"contoso.com": "domain name", "contoso.com.": "domain name", "https://contoso.com/": "domain name", "common/": "many tenants", "https://login.microsoftonline.com/contoso.com/": "domain name", "common": "many tenants"} {
		got := read(t, "tenantId", input)
		if !strings.Contains(got.mistakes[0].Message, want) || !strings.Contains(got.mistakes[0].Fix, "Entra ID > Overview > Tenant ID") {
			t.Errorf("%q: %+v", input, got.mistakes)
		}
	}
}

func bareOf(id string) string { return strings.ReplaceAll(id, "-", "") }

func TestAudience(t *testing.T) {
	const uri = "https://fhir.example.org/r4"
	check(t, "audience", map[string]string{
		"": "", uri: uri, api: api, strings.ToUpper(api): api, "{" + api + "}": api, "spn:" + api: api, "SPN:" + api: api, api + "/.default": api, "spn:" + api + "/": api,
		"spn:" + uri: uri, uri + "/": uri, uri + "/.default": uri, "HTTPS://fhir.example.org/r4": uri, `"` + uri + `"`: uri, "<" + uri + ">": uri, uri + "\u200b": uri, uri + ".": uri,
		"api://" + api: "api://" + api, "API://" + strings.ToUpper(api): "api://" + api, "api://contoso.com/fhir": "api://contoso.com/fhir", "api://" + api + "/fhir": "api://" + api + "/fhir", "api://name/": "api://name",
		"audience=" + api: api, `"resource": "` + uri + `"`: uri, "spn:api://" + api: "api://" + api, "https://graph.microsoft.com/.default": "!audience_foreign", "00000003-0000-0000-C000-000000000000": "!audience_foreign", "https://vault.azure.net": "!audience_foreign", "fhir": "!audience_syntax", "http://fhir.example.org": "!audience_syntax", "urn:fhir": "!audience_syntax", uri + "?x": "!audience_syntax", "api://" + strings.Repeat("a", 260): "!audience_syntax", "spn:fhir": "!audience_syntax", "https://a b": "!audience_syntax",
		zero: "!zero_guid", "spn:" + zero: "!zero_guid",
	})
}

func TestExpiry(t *testing.T) {
	const day = "2027-05-01"
	check(t, "secretExpiresOn", map[string]string{
		"": "", " ": "", day: day, " " + day + "\n": day, day + "\u200b": day, `"` + day + `"`: day, "2027\u201105\u201101": day, "2027\u201305\u201301": day,
		"2027-05-01T23:59:59Z": day, "2027-05-01T00:00:00Z": day, "2027-05-01T23:59:59.1234567Z": day, "2027-05-01T23:59:59+00:00": day, "2027-05-02T01:00:00+02:00": day, "2027-04-30T20:00:00-07:00": day, "2027-04-30T20:00:00-0700": day,
		"2027-05-01 23:59:59": day, "2027-05-01T23:59": day, "2027-05-01t23:59:59z": day, "2027-05-01 12:00 UTC": day, "2027-5-1": day, "2027/05/01": day, "2027.05.01": day, "20270501": day,
		"01.05.2027": day, "1.5.2027": day, "1 May 2027": day, "01-May-2027": day, "1st May 2027": day, "1. May 2027": day, "May 1, 2027": day, "May 1 2027": day, "may 1st, 2027": day, "Saturday, May 1, 2027": day, "Sat, 01 May 2027 23:59:59 GMT": day,
		"May 1, 2027 11:59:59 PM": day, "5/13/2027": "2027-05-13", "13/5/2027": "2027-05-13", "5/5/2027": "2027-05-05", "5/13/2027, 11:59:59 PM": "2027-05-13", "Expires: " + day: day, "Sept 3, 2027": "2027-09-03", "Sat May 01 2027 23:59:59 GMT+0200": day, "2027-05-01T23:59:59Z[UTC]": day, "2027-05-01 23:59:59.0 +0000 UTC": day, "13/5/2027 (in 5 months)": "2027-05-13", "15 December 2027": "2027-12-15",

		"5/1/2027": "!expiry_ambiguous", "05/01/2027": "!expiry_ambiguous", "1-5-2027": "!expiry_ambiguous", "5/1/2027 12:00:00 AM": "!expiry_ambiguous",
		"Never": "!expiry_never", "never expires": "!expiry_never", "N/A": "!expiry_never", "6 months": "!expiry_is_span", "730 days (24 months)": "!expiry_is_span", "Recommended: 180 days (6 months)": "!expiry_is_span", "Expires in 6 months": "!expiry_is_span",
		"12/31/2299": "!expiry_too_far", "2299-12-31T00:00:00Z": "!expiry_too_far", "2025-05-01": "!expiry_past", "1 May 2025": "!expiry_past",
		"tomorrow": "!expiry_syntax", "2027-13-01": "!expiry_syntax", "2027-02-30": "!expiry_syntax", "31.04.2027": "!expiry_syntax", "05.13.2027": "!expiry_syntax", "5/1/27": "!expiry_syntax", "1-May-27": "!expiry_syntax", "1 Foo 2027": "!expiry_syntax", "May 2027": "!expiry_syntax",
		"2027-05-01T25:00:00Z": "!expiry_syntax", "2027-05-01 x": "!expiry_syntax", "13/13/2027": "!expiry_syntax", "1777593599": "!expiry_syntax",
	})
	m := read(t, "secretExpiresOn", "5/1/2027").mistakes[0].Message
	if !strings.Contains(m, "2027-05-01 (month first)") || !strings.Contains(m, "2027-01-05 (day first)") {
		t.Error(m)
	}
	if m := read(t, "secretExpiresOn", "Never").mistakes[0].Message; !strings.Contains(m, "24 months") {
		t.Error(m)
	}
}

// TestSlugIsOffered: the fix has a slug made from what was typed, unless that may be a secret.
func TestSlugIsOffered(t *testing.T) {
	for typed, want := range map[string]string{
		"Good Health Clinic": "good-health-clinic", "good_health_clinic": "good-health-clinic", "Good--Health": "good-health", "-clinic-": "clinic", "Klinik Süd": "klinik-sued", "St. Mary's Hospital & Clinic": "st-marys-hospital-and-clinic",
		"https://fhirlink.example/Good-Clinic/": "good-clinic", "PATIENT": "patient-clinic", strings.Repeat("clinic ", 20): "clinic-clinic", "ab": "e.g. good-health-clinic", "診療所": "e.g. good-health-clinic", ofApp: "e.g. good-health-clinic",
		"A1b2C3d4E5f6G7h8I9": "e.g. good-health-clinic", "Zm9v/YmFyQmF6+cXV4YmE=": "e.g. good-health-clinic", "Secret: Abc123DefGhi456JklMno": "e.g. good-health-clinic",
		"Abc123DefG": "e.g. good-health-clinic", "q=N:[s@TgaN1Q0/ab.Cd-eF_gh*Ij+Kl": "e.g. good-health-clinic", "aBcdEfgHijk Lmno": "e.g. good-health-clinic", "https://x.example/a?code=abcdefgh": "e.g. good-health-clinic",
		"Clinic2024": "clinic2024", "ST MARY'S": "st-marys",
	} {
		got := read(t, "slug", typed)
		if got.code() != "slug_syntax" || !strings.Contains(got.mistakes[0].Fix, want) {
			t.Errorf("%q: %+v, want %q", typed, got.mistakes, want)
		}
	}
}

// TestNewSecretIsReadAlike: a secret that replaces another is read by the same rules.
func TestNewSecretIsReadAlike(t *testing.T) {
	r := intake.NewReader(date.Of(time.Date(2026, 11, 28, 0, 0, 0, 0, time.UTC)), false)
	on := "2027-05-01T23:59:59Z"
	patch := intake.NewSecret{ClientSecret: secret.New(`"` + ofApp + `"`), SecretExpiresOn: on}.Patch()
	c := r.Patch(patch, accepted(t).Target, date.Date{})
	if s, ok := c.Target.Credential.(credential.ClientSecret); !ok || s.Value.Reveal() != ofApp || c.ExpiresOn.String() != "2027-05-01" || len(r.Notes()) != 2 || r.Err() != nil {
		t.Errorf("%v %s %q %v", ok, c.ExpiresOn, r.Notes(), r.Err())
	}
}

func accepted(t *testing.T) intake.Accepted {
	t.Helper()
	data, err := json.Marshal(good())
	if err != nil {
		t.Fatal(err)
	}
	var registration intake.Registration
	if err := json.Unmarshal(data, &registration); err != nil {
		t.Fatal(err)
	}
	return intake.NewReader(date.Of(time.Date(2026, 11, 28, 0, 0, 0, 0, time.UTC)), false).Registration(registration)
}

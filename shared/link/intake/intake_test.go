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
	// How tools and programs write, show and wrap a secret.
	const made = "Xy98Q~aBcDeFgHiJkLmNoPqRsTuVwXyZ-_.01234" // as Entra makes them: 40 characters
	check(t, "clientSecret", map[string]string{
		made: made, made + "\u00a0": made, "\t" + made: made,
		`client_secret = "` + made + `"`: made, `client_secret: "` + made + `" # prod`: made, `$clientSecret = '` + made + `'`: made, "-ClientSecret " + made: made, `ConvertTo-SecureString "` + made + `" -AsPlainText -Force`: made,
		"{\n  \"appId\": \"" + client + "\",\n  \"displayName\": \"fhir\",\n  \"password\": \"" + made + "\",\n  \"tenant\": \"" + tenant + "\"\n}":                                                 made,
		`{"customKeyIdentifier":null,"displayName":"x","endDateTime":"2027-05-01T00:00:00Z","hint":"Xy9","keyId":"` + api + `","secretText":"` + made + `","startDateTime":"2026-05-01T00:00:00Z"}`: made,
		"AuthType=ClientSecret;ClientId=" + client + ";ClientSecret=" + made + ";Url=https://x.example":                                                                                             made, "ARM_CLIENT_SECRET=\"" + made + "\"\r\nARM_TENANT_ID=\"" + tenant + "\"\r\n": made,
		"Description\tExpires\tValue\tSecret ID\nfhir\t5/1/2027\t" + made + "\t" + client: made, `="` + made + `"`: made, "**" + made + "**": made, "```" + made + "```": made,
		"Wert: " + value: value, "Wert\t" + value: value, "Geheimer Clientschlüssel: " + value: value, "Valeur\u00a0: " + value: value, "Valeur : " + value: value, "Valor: " + value: value, "Secreto de cliente: " + value: value, "Waarde: " + value: value, "Clientgeheim: " + value: value,
		"Xy98Q\\~aBcDeFgHiJkLmNoPqRsTuVwXyZ-\\_.01234": made, made[:20] + "\n" + made[20:]: made, made[:20] + " " + made[20:]: made, made[:20] + "\r\n  " + made[20:]: made,
		"WHk5OFF+YUJjRGVGZ0hpSmtMbU5vUHFSc1R1VndYeVotXy4wMTIzNA==": made, "WHk5OFF+YUJjRGVGZ0hpSmtMbU5vUHFSc1R1VndYeVotXy4wMTIzNAo=": made,
		"Xy98Q\\u007eaBcDeFgHiJkLmNoPqRsTuVwXyZ-_.01234": made, "Xy98Q&#126;aBcDeFgHiJkLmNoPqRsTuVwXyZ-_.01234": made,

		"hunter2 & co": "hunter2 & co", `a\b~c`: `a\b~c`, "Pa$$w0rd!": "Pa$$w0rd!", "p&amp;q": "p&amp;q", "#secret#1": "#secret#1", "__init__9": "__init__9", "null-and-void-7": "null-and-void-7", "=abc+def/ghi=": "=abc+def/ghi=",
		"q8P~K.secret_value-1": "q8P~K.secret_value-1", "a.b.c": "a.b.c", "[Winter2026]": "[Winter2026]", "Wertheim:2026": "Wertheim:2026", "ValueOfLife=42": "ValueOfLife=42", "process.env.x9!": "process.env.x9!", "eyJust+a+password": "eyJust+a+password", "U2FuZGJveFNlY3JldFZhbHVlMTIzNDU2Nzg5MA==": "U2FuZGJveFNlY3JldFZhbHVlMTIzNDU2Nzg5MA==",

		"Secret ID: " + client: "!secret_is_id", `"keyId": "` + client + `",`: "!secret_is_id", "Geheimnis-ID: " + client: "!secret_is_id", "Secret ID\t" + client: "!secret_is_id",
		"System.Security.SecureString": "!secret_placeholder", "(sensitive value)": "!secret_placeholder", "(known after apply)": "!secret_placeholder", "$env:CLIENT_SECRET": "!secret_placeholder", "process.env.CLIENT_SECRET": "!secret_placeholder", "var.client_secret": "!secret_placeholder",
		"azuread_application_password.fhir.value": "!secret_placeholder", "[parameters('clientSecret')]": "!secret_placeholder", "#{ClientSecret}#": "!secret_placeholder", "#{ClientSecret}": "!secret_placeholder", "__ClientSecret__": "!secret_placeholder", "${{ secrets.CLIENT_SECRET }}": "!secret_placeholder", `os.environ["CLIENT_SECRET"]`: "!secret_placeholder",
		"undefined": "!secret_placeholder", "null": "!secret_placeholder", "None": "!secret_placeholder", "TODO": "!secret_placeholder", "[object Object]": "!secret_placeholder", "replace-me": "!secret_placeholder", "<client secret>": "!secret_placeholder",
		"Xy9*************************************": "!secret_masked", "***REMOVED***": "!secret_masked", "Xy98Q~…": "!secret_masked",
		"Authorization: Bearer eyJhbGciOiJSUzI1NiJ9.eyJhIjoxfQ.c2ln": "!secret_is_token", "Basic MjIyMjIyMjItMjIyMi00MjIyLTgyMjItMjIyMjIyMjIyMjIyOlh5OThRfmE=": "!secret_is_token", "Authorization: Basic YWJjOmRlZg==": "!secret_is_token",
		"Xy98Q\u02dcaBcDeFgHiJkLmNoPqRsTuVwXyZ-_.01234": made, "Xy98Q\uff5eaBcDeFgHiJkLmNoPqRsTuVwXyZ-_\uff0e01234": made, "a***b~c1": "a***b~c1", "MIIBshort": "MIIBshort", "\u02dcold": "\u02dcold",
		"abc********xyz": "!secret_masked", "password": "!secret_placeholder", "my-secret": "!secret_placeholder", "secret id " + client: "!secret_is_id", "MII" + strings.Repeat("aB3+", 40) + "==": "!secret_is_certificate",
		"vault:secret/data/fhir#clientSecret": "!secret_is_reference", "arn:aws:secretsmanager:us-east-1:1:secret:x": "!secret_is_reference", "projects/p/secrets/s/versions/1": "!secret_is_reference", "{{resolve:secretsmanager:x}}": "!secret_is_reference", "KeyVault(v/s)": "!secret_is_reference",
		"kv://vault/secret": "!secret_is_reference", "https://myvault.vault.azure.net/secrets/fhir/": "!secret_is_reference",
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
	// How tools, the portal in other languages, and files of settings write an id.
	const object = "55555555-5555-4555-8555-555555555555"
	check(t, "clientId", map[string]string{
		`$clientId = "` + client + `"`: client, "-ApplicationId " + client: client, "--client-id " + client: client, "--app-id=" + client: client, `export AZURE_CLIENT_ID="` + client + `"`: client, "AzureAd__ClientId=" + client: client, `"AzureAd:ClientId": "` + client + `",`: client,
		`client_id = "` + client + `"`: client, "'" + client: client, client + `",`: client, `"` + client: client, "Anwendungs-ID (Client): " + client: client, "ID d’application (client) : " + client: client, "ID d'application (client)\u00a0: " + client: client,
		"Id. de aplicación (cliente): " + client: client, "Toepassings-id (client): " + client: client, "ID applicazione (client): " + client: client, "Application (client) ID\t" + client: client, "Application (client) ID\n" + client: client,
		"\u200bhttps://portal.azure.com/#view/Microsoft_AAD_RegisteredApps/ApplicationMenuBlade/~/Overview/appId/" + client + "/isMSAApp~/false":    client,
		"<https://entra.microsoft.com/#view/Microsoft_AAD_RegisteredApps/ApplicationMenuBlade/~/Credentials/appId/" + strings.ToUpper(client) + ">": client,
		"client_id=" + client + "&client_secret=x": client, "https://login.microsoftonline.com/x/oauth2/v2.0/authorize?response_type=code&client_id=" + client: client, "Client (application) ID: " + client: client,
		"Objekt-ID: " + object: "!client_id_syntax", "ID d'objet : " + object: "!client_id_syntax", "Secret ID: " + object: "!client_id_syntax", "keyId: " + object: "!client_id_syntax", "Id. de objeto: " + object: "!client_id_syntax",
		"Verzeichnis-ID (Mandant): " + tenant: "!client_id_syntax", client + " " + object: "!client_id_syntax", "My FHIR App": "!client_id_syntax", "https://fhir.example.org/" + client: "!client_id_syntax",
	})
	check(t, "tenantId", map[string]string{
		`$tenantId = "` + tenant + `"`: tenant, "-TenantId " + tenant: tenant, "--tenant " + tenant: tenant, "AZURE_TENANT_ID=" + tenant: tenant, `"tenant": "` + tenant + `"`: tenant, `"homeTenantId": "` + tenant + `",`: tenant, "AzureAd__TenantId: " + tenant: tenant,
		"Verzeichnis-ID (Mandant): " + tenant: tenant, "ID de l’annuaire (locataire) : " + tenant: tenant, "Id. de directorio (inquilino): " + tenant: tenant, "Map-id (tenant): " + tenant: tenant, "Mandanten-ID: " + tenant: tenant, "ID directory (tenant): " + tenant: tenant, tenant + `",`: tenant,
		`"issuer": "https://login.microsoftonline.com/` + tenant + `/v2.0",`: tenant, "Authority: https://login.microsoftonline.com/" + tenant: tenant, "OAuth 2.0 token endpoint (v2)\nhttps://login.microsoftonline.com/" + tenant + "/oauth2/v2.0/token": tenant,
		"https://login.microsoftonline.com/" + tenant + "/v2.0/.well-known/openid-configuration": tenant, "\u200bhttps://sts.windows.net/" + tenant + "/": tenant, "<https://login.microsoftonline.com/" + tenant + "/oauth2/authorize>": tenant,
		"https://portal.azure.com/#@" + tenant + "/resource/subscriptions/x": tenant, "https://portal.azure.com/" + tenant: tenant, "https://contoso.ciamlogin.com/" + tenant + "/v2.0": tenant, "https%3A%2F%2Flogin.microsoftonline.com%2F" + tenant + "%2Fv2.0": tenant,
		"tid: " + tenant: tenant, "tenant id: contoso.com": "!tenant_id_syntax",
		"https://portal.azure.com/#@contoso.onmicrosoft.com/resource": "!tenant_id_syntax", "Contoso Ltd": "!tenant_id_syntax", "AzureADMyOrg": "!tenant_id_syntax", "{tenant}": "!tenant_id_syntax", "https://login.microsoftonline.com/consumers": "!tenant_id_syntax", "Objekt-ID: " + object: "!tenant_id_syntax", "client_id=" + object: "!tenant_id_syntax",
	})
	for _, input := range []string{"https://portal.azure.com/#@contoso.onmicrosoft.com/resource", "Tenant ID: contoso.com"} {
		if got := read(t, "tenantId", input); !strings.Contains(got.mistakes[0].Message, "domain name") {
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
		"audience=" + api: api, `"resource": "` + uri + `"`: uri, "spn:api://" + api: "api://" + api, "https://graph.microsoft.com/.default": "!audience_foreign", "00000003-0000-0000-C000-000000000000": "!audience_foreign", "https://vault.azure.net": "!audience_foreign", "https://graph.microsoft.com%2f": "!audience_syntax", "fhir": "!audience_syntax", "http://fhir.example.org": "!audience_syntax", "urn:fhir": "!audience_syntax", uri + "?x": "!audience_syntax", "api://" + strings.Repeat("a", 260): "!audience_syntax", "spn:fhir": "!audience_syntax", "https://a b": "!audience_syntax",
		zero: "!zero_guid", "spn:" + zero: "!zero_guid",
	})
	// Scopes of the portal, parameters of a token request, claims of a token.
	const ahds = "https://ws-clinic.fhir.azurehealthcareapis.com"
	check(t, "audience", map[string]string{
		uri + "/.default/": uri, uri + "//.default": uri, "api://" + api + "/.default/": "api://" + api, "api://" + api + "/user_impersonation": "api://" + api, ahds + "/user_impersonation": ahds, ahds + "/metadata": ahds, uri + "/metadata": uri,
		"scope=api%3A%2F%2F" + api + "%2F.default": "api://" + api, "https%3A%2F%2Ffhir.example.org%2Fr4": uri, "resource=https%3A%2F%2Ffhir.example.org%2Fr4": uri, `"aud": "api://` + api + `",`: "api://" + api, "aud: " + api: api, `"scope": "` + uri + `/.default",`: uri, `"` + api: api, api + `",`: api,
		"Application ID URI\napi://" + api: "api://" + api, "Application ID URI : api://fhir": "api://fhir", "Anwendungs-ID-URI: api://fhir": "api://fhir", "URI d’ID d’application : api://fhir": "api://fhir", "$audience = 'api://fhir'": "api://fhir", `Audience="` + uri + `"`: uri, "resource_id=\"" + uri + "\"": uri,
		"\u200b" + api: api, "spn:" + uri + "/": uri, "(" + api + ")": api, "urn:uuid:" + api: api,

		"https://azurehealthcareapis.com": "https://azurehealthcareapis.com", "https://fhir.example.org:8443/r4": "https://fhir.example.org:8443/r4", "api://fhir.example.org/r4~x": "api://fhir.example.org/r4~x", "https://contoso.onmicrosoft.com/Fhir_Server-1": "https://contoso.onmicrosoft.com/Fhir_Server-1",
		"api://" + api + "/Files": "api://" + api + "/Files", "https://fhir.example.org/R4": "https://fhir.example.org/R4", "https://FHIR.example.org/r4": "https://FHIR.example.org/r4", "https://fhir.example.org/a%20b": "https://fhir.example.org/a%20b", "api://fhir/metadata.x": "api://fhir/metadata.x", "https://fhir.example.org/r4//x": "https://fhir.example.org/r4//x",

		"api://fhir/.DEFAULT": "api://fhir", "https://user:pw@fhir.example.org": "!audience_syntax", "https://fhir.example.org/a@b": "https://fhir.example.org/a@b",
		"https://management.azure.com/user_impersonation": "!audience_foreign", "https://graph.microsoft.com/User.Read": "!audience_foreign", "scope=https%3A%2F%2Fgraph.microsoft.com%2F.default": "!audience_foreign", "\"00000003-0000-0000-c000-000000000000": "!audience_foreign", "Patient/*.read": "!audience_syntax", "fhir.example.org/r4": "!audience_syntax", ".default": "!audience_syntax", uri + "/.default openid": "!audience_syntax", "api://": "!audience_syntax", "https://": "!audience_syntax",
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
	// Lines of Graph, az, Terraform, PowerShell and openssl; the portal in German, French, Spanish, Dutch and Italian.
	check(t, "secretExpiresOn", map[string]string{
		`endDateTime: "2027-05-01T00:00:00Z",`: day, `"endDateTime": "2027-05-01T00:00:00Z",`: day, `"endDateTime":"2027-05-01T00:00:00Z"`: day, `end_date = "2027-05-01T00:00:00Z"`: day, `"endDate": "2027-05-01T23:59:59.999999+00:00",`: day, "EndDateTime   : 2027-05-01 00:00:00": day, "expires_on: 2027-05-01": day, "secretExpiresOn=2027-05-01": day, `"2027-05-01",`: day, "2027-05-01,": day,
		"notAfter=May  1 23:59:59 2027 GMT": day, "Sat May  1 23:59:59 2027": day, "Sat May 01 2027 23:59:59 GMT+0200 (Mitteleuropäische Sommerzeit)": day, "01/May/2027": day, "2027-May-01": day, "20270501T235959Z": day, "2027年5月1日": day, "2027. 5. 1.": day, "Expires on May 1, 2027": day, "Valid to: 2027-05-01": day,
		"1. Mai 2027": day, "Samstag, 1. Mai 2027": day, "01.05.2027 23:59:59": day, "01.05.2027, 23:59 Uhr": day, "Läuft ab am 01.05.2027": day, "Ablaufdatum: 01.05.2027": day, "Gültig bis: 01.05.2027": day, "15. Dez. 2027": "2027-12-15", "3. März 2027": "2027-03-03", "1. Okt. 2027": "2027-10-01",
		"1 mai 2027": day, "1er mai 2027": day, "sam. 1 mai 2027": day, "samedi 1 mai 2027 à 23:59": day, "31/12/2027": "2027-12-31", "15 août 2027": "2027-08-15", "1 févr. 2027": "2027-02-01", "Expire le 31/12/2027": "2027-12-31", "Date d’expiration : 2027-05-01": day, "3 juillet 2027": "2027-07-03",
		"1 de mayo de 2027": day, "sábado, 1 de mayo de 2027": day, "Expira el 31/12/2027": "2027-12-31", "15 de diciembre de 2027": "2027-12-15", "Fecha de expiración: 2027-05-01": day, "1 ene 2027": "2027-01-01", "1 mei 2027": day, "za 1 mei 2027": day, "Verloopt op 31-12-2027": "2027-12-31", "Vervaldatum: 2027-05-01": day, "3 maart 2027": "2027-03-03", "1 maggio 2027": day, "Scadenza: 31/12/2027": "2027-12-31",
		"2027-05-01T00:00:00+14:00": "2027-04-30", "2027-05-01T23:00:00-12:00": "2027-05-02",

		"Nie": "!expiry_never", "Jamais": "!expiry_never", "Nunca": "!expiry_never", "Nooit": "!expiry_never", "Läuft nie ab": "!expiry_never", "null": "!expiry_never", "-": "!expiry_never",
		"24 Monate": "!expiry_is_span", "180 Tage (6 Monate)": "!expiry_is_span", "12 mois": "!expiry_is_span", "6 meses": "!expiry_is_span", "24 maanden": "!expiry_is_span", "8760h": "!expiry_is_span", "P2Y": "!expiry_is_span", "730.00:00:00": "!expiry_is_span", "--years 2": "!expiry_is_span", "12 mesi": "!expiry_is_span", "2 ans": "!expiry_is_span",
		"EndDate : 5/1/2027 12:00:00 AM": "!expiry_ambiguous", "Expire le 01/05/2027": "!expiry_ambiguous", "Verloopt op 1-5-2027": "!expiry_ambiguous", "5/1/2027 (in 154 days)": "!expiry_ambiguous",
		"01.05.27": "!expiry_syntax", "startDateTime: 2027-01-01": "!expiry_syntax", "Created 2027-01-01": "!expiry_syntax", "2027-05-01T00:00:00+15:00": "!expiry_syntax", "2027-05-01T00:00:00-14:30": "!expiry_syntax", "2027-05-01T00:00:00+05:75": "!expiry_syntax", "46508": "!expiry_syntax", "Q2 2027": "!expiry_syntax", "1 mai": "!expiry_syntax", "2027": "!expiry_syntax", "31 juin 2027": "!expiry_syntax",
		"Ends 2027-05-01": day, "20270501T000000": day, "0001-01-01T00:00:00Z": "!expiry_past", "1/1/0001": "!expiry_past", "2 yrs": "!expiry_is_span",
		"31.12.2099": "!expiry_too_far", "9999-12-31T23:59:59Z": "!expiry_too_far", "1. Januar 2026": "!expiry_past",
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

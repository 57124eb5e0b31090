package entra_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"fhirlink/shared/credential"
	"fhirlink/shared/entra"
	"fhirlink/shared/secret"
)

const (
	tenant   = "11111111-1111-4111-8111-111111111111"
	client   = "22222222-2222-4222-8222-222222222222"
	audience = "https://ws-clinic.fhir.azurehealthcareapis.com"
	traceID  = "aaaaaaaa-0000-4000-8000-000000000001"
	corrID   = "aaaaaaaa-0000-4000-8000-000000000002"
	canary   = "canary~8Q.+/=secret"
)

// body returns an error answer in Entra's format.
func body(oauth string, number int, text string) []byte {
	data, err := json.Marshal(map[string]any{
		"error":             oauth,
		"error_description": fmt.Sprintf("AADSTS%d: %s\r\nTrace ID: %s\r\nCorrelation ID: %s\r\nTimestamp: 2026-11-23 06:00:00Z", number, text, traceID, corrID),
		"error_codes":       []int{number},
		"timestamp":         "2026-11-23 06:00:00Z",
		"trace_id":          traceID,
		"correlation_id":    corrID,
		"error_uri":         fmt.Sprintf("https://login.microsoftonline.com/error?code=%d", number),
	})
	if err != nil {
		panic(err)
	}
	return data
}

// Every row is an answer that Entra is known to give.
func TestRefusals(t *testing.T) {
	for _, c := range []struct {
		status   int
		oauth    string
		number   int
		text     string
		sentence string
		class    entra.Class
		message  string // a part of the diagnosis
		fix      string
	}{
		{
			401, "invalid_client", 7000215, "Invalid client secret provided. Ensure the secret being sent in the request is the client secret value, not the client secret ID, for a secret added to app '" + client + "'.",
			"Invalid client secret provided.", entra.Config, "does not accept this client secret", "copy its Value, not its Secret ID",
		},
		{
			401, "invalid_client", 7000222, "The provided client secret keys for app '" + client + "' are expired. Visit the Azure portal to create new keys for your app: https://aka.ms/NewClientSecret, or consider using certificate credentials for added security: https://aka.ms/certCreds.",
			"The provided client secret keys for app '" + client + "' are expired.", entra.Expired, "has expired", "New client secret",
		},
		{
			400, "unauthorized_client", 700016, "Application with identifier '" + client + "' was not found in the directory 'Contoso'. This can happen if …",
			"Application with identifier '" + client + "' was not found in the directory 'Contoso'.", entra.Config, client + " in the tenant " + tenant, "Application (client) ID",
		},
		{
			401, "invalid_client", 7000229, "The client application " + client + " is missing service principal in the tenant " + tenant + ". See instructions here: https://go.microsoft.com/fwlink/?linkid=2225119",
			"The client application " + client + " is missing service principal in the tenant " + tenant + ".", entra.Config, "no service principal", "az ad sp create --id " + client,
		},
		{
			401, "unauthorized_client", 7000112, "Application '" + client + "'(FHIR) is disabled.",
			"Application '" + client + "'(FHIR) is disabled.", entra.Config, "is disabled", "Enabled for users to sign-in?",
		},
		{
			400, "invalid_request", 90002, "Tenant '" + tenant + "' not found. Check to make sure you have the correct tenant ID.",
			"Tenant '" + tenant + "' not found.", entra.Config, "was not found at https://login.microsoftonline.com/", "US Government",
		},
		{
			400, "invalid_tenant", 90002, "Tenant '" + tenant + "' not found. This may happen if there are no active subscriptions for the tenant.",
			"Tenant '" + tenant + "' not found.", entra.Config, tenant, "Tenant ID",
		},
		{
			400, "invalid_request", 900023, "Specified tenant identifier 'x' is neither a valid DNS name, nor a valid external domain.",
			"Specified tenant identifier 'x' is neither a valid DNS name, nor a valid external domain.", entra.Config, "malformed", "GUID",
		},
		{400, "invalid_request", 90019, "No tenant-identifying information found.", "No tenant-identifying information found.", entra.Config, "which tenant", "Tenant ID"},
		{400, "invalid_request", 900432, "Confidential Client is not supported in Cross Cloud request.", "Confidential Client is not supported in Cross Cloud request.", entra.Config, "another Azure cloud", "set up for that cloud"},
		{
			400, "invalid_resource", 500011, "The resource principal named " + audience + " was not found in the tenant named Contoso. This can happen if …",
			"The resource principal named " + audience + " was not found in the tenant named Contoso.", entra.Config, audience, "Microsoft.HealthcareApis",
		},
		{
			400, "invalid_scope", 1002012, "The provided value for scope " + audience + " is not valid. Client credential flows must have a scope value with /.default suffixed to the resource identifier (application ID URI).",
			"The provided value for scope " + audience + " is not valid.", entra.Config, "scope of the audience", "Correct the audience",
		},
		{400, "invalid_scope", 70011, "The provided value for the input parameter 'scope' is not valid. The scope is not valid.", "The provided value for the input parameter 'scope' is not valid.", entra.Config, "scope of the audience", "Correct the audience"},
		{400, "invalid_request", 901002, "The 'resource' request parameter isn't supported.", "The 'resource' request parameter isn't supported.", entra.Config, "parameter resource", "mistake of this service"},
		{400, "invalid_grant", 501051, "Application '" + client + "' is not assigned to a role for the application.", "Application '" + client + "' is not assigned to a role for the application.", entra.Config, "not assigned", "Assignment required?"},
		{400, "invalid_grant", 65001, "The user or administrator has not consented to use the application.", "The user or administrator has not consented to use the application.", entra.Config, "administrator's consent", "Grant admin consent"},
		{400, "invalid_grant", 53003, "Access has been blocked by Conditional Access policies. The access policy does not allow token issuance.", "Access has been blocked by Conditional Access policies.", entra.Config, "Conditional Access", "named location"},
		{401, "invalid_client", 7000218, "The request body must contain the following parameter: 'client_assertion' or 'client_secret'.", "The request body must contain the following parameter: 'client_assertion' or 'client_secret'.", entra.Config, "is empty", "enter it"},
		{401, "invalid_client", 700025, "Client is public so neither 'client_assertion' nor 'client_secret' should be presented.", "Client is public so neither 'client_assertion' nor 'client_secret' should be presented.", entra.Config, "public client", "platform Web"},
		{400, "invalid_request", 50194, "Application is not configured as a multi-tenant application.", "Application is not configured as a multi-tenant application.", entra.Config, "endpoint", "mistake of this service"},
		{401, "invalid_client", 700024, "Client assertion is not within its valid time range. Current time: …", "Client assertion is not within its valid time range.", entra.Config, "certificate", "clock"},
		{400, "invalid_request", 70021, "No matching federated identity record found for presented assertion. Assertion Issuer: …", "No matching federated identity record found for presented assertion.", entra.Config, "federated credential", "subject and audience"},
		{429, "temporarily_unavailable", 90055, "There are too many incoming requests.", "There are too many incoming requests.", entra.Transient, "slow down", "tried again"},
		{400, "invalid_request", 50196, "The server terminated an operation because it encountered a client request loop.", "The server terminated an operation because it encountered a client request loop.", entra.Transient, "slow down", "tried again"},
		{503, "invalid_client", 7000215, "Odd.", "Odd.", entra.Transient, "slow down", "tried again"},
		{500, "server_error", 90099, "Odd.", "Odd.", entra.Transient, "slow down", "tried again"},
		{400, "invalid_grant", 7654321, "Something new. It will be explained.", "Something new.", entra.Config, "“Something new.” (AADSTS7654321)", "https://login.microsoftonline.com/error?code=7654321"},
	} {
		t.Run(fmt.Sprintf("%s %d", c.oauth, c.number), func(t *testing.T) {
			r, ok := entra.ParseRefusal(c.status, nil, body(c.oauth, c.number, c.text), secret.Value{})
			if !ok {
				t.Fatal("not recognized")
			}
			want := entra.Refusal{HTTPStatus: c.status, OAuthError: c.oauth, Number: c.number, Sentence: c.sentence, TraceID: traceID, CorrelationID: corrID}
			if *r != want {
				t.Errorf("got  %+v\nwant %+v", *r, want)
			}
			if got := r.Code(); got != fmt.Sprintf("aadsts_%d", c.number) {
				t.Errorf("Code = %s", got)
			}
			if got := r.Class(); got != c.class {
				t.Errorf("Class = %s, want %s", got, c.class)
			}
			d := r.Diagnose(credentials(), audience)
			if !strings.Contains(d.Message, c.message) || !strings.Contains(d.Advice(), c.fix) {
				t.Errorf("diagnosis %+v\nwant parts %q and %q", d, c.message, c.fix)
			}
			if strings.ContainsAny(d.Message+d.Advice(), "{}") || strings.Contains(d.Message+d.Advice()+r.Error(), canary) || strings.Contains(d.Fix, "az ") {
				t.Errorf("diagnosis has an empty place or the secret: %+v", d)
			}
		})
	}
}

func credentials() entra.Credentials {
	return entra.Credentials{Authority: "https://login.microsoftonline.com/", TenantID: tenant, ClientID: client, Credential: credential.ClientSecret{Value: secret.New(canary)}}
}

func TestParseRefusalTolerates(t *testing.T) {
	for _, c := range []struct {
		name, body string
		header     http.Header
		want       entra.Refusal
	}{
		{"RFC 6749 alone", `{"error":"invalid_client"}`, nil, entra.Refusal{OAuthError: "invalid_client"}},
		{"number in the text only", `{"error":"invalid_client","error_description":"AADSTS7000215: No."}`, nil, entra.Refusal{OAuthError: "invalid_client", Number: 7000215, Sentence: "No."}},
		{"numbers as strings", `{"error":"invalid_client","error_codes":["7000215",1]}`, nil, entra.Refusal{OAuthError: "invalid_client", Number: 7000215}},
		{"numbers that are none", `{"error":"invalid_client","error_codes":[null,-1,1.5,{},1e9,12]}`, nil, entra.Refusal{OAuthError: "invalid_client", Number: 12}},
		{"codes of another type", `{"error":"invalid_client","error_codes":7000215,"trace_id":"t-1"}`, nil, entra.Refusal{OAuthError: "invalid_client", TraceID: "t-1"}},
		{"members of another type", `{"error":"invalid_client","error_description":["x"],"trace_id":7,"correlation_id":{}}`, nil, entra.Refusal{OAuthError: "invalid_client"}},
		{"byte order mark", "\ufeff" + `{"error":"invalid_client"}`, nil, entra.Refusal{OAuthError: "invalid_client"}},
		{"ids from the headers", `{"error":"invalid_client"}`, http.Header{"X-Ms-Request-Id": {traceID}, "Client-Request-Id": {corrID}}, entra.Refusal{OAuthError: "invalid_client", TraceID: traceID, CorrelationID: corrID}},
		{"ids that are none", `{"error":"invalid_client","trace_id":"<b>x</b>","correlation_id":"a\nb"}`, nil, entra.Refusal{OAuthError: "invalid_client"}},
		{"control characters", `{"error":"invalid_client","error_description":"a\u0007b\u202ec\u0000 d"}`, nil, entra.Refusal{OAuthError: "invalid_client", Sentence: "a b c  d"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			r, ok := entra.ParseRefusal(400, c.header, []byte(c.body), secret.Value{})
			c.want.HTTPStatus = 400
			if !ok || *r != c.want {
				t.Errorf("got %+v (%v)\nwant %+v", r, ok, c.want)
			}
		})
	}
}

func TestParseRefusalLeavesOthers(t *testing.T) {
	for name, body := range map[string]string{
		"empty":            "",
		"web page":         "<html><title>Service unavailable</title>",
		"other JSON":       `{"message":"no"}`,
		"error an object":  `{"error":{"code":"x"}}`,
		"error a sentence": `{"error":"something went wrong"}`,
		"array":            `[{"error":"invalid_client"}]`,
		"truncated":        `{"error":"invalid_client"`,
		"too large":        `{"error":"invalid_client","x":"` + strings.Repeat("x", 64<<10) + `"}`,
	} {
		if r, ok := entra.ParseRefusal(503, nil, []byte(body), secret.Value{}); ok {
			t.Errorf("%s: taken for %+v", name, r)
		}
		header := http.Header{"Retry-After": {"7"}}
		if r, ok := entra.ParseRefusal(429, header, []byte(body), secret.Value{}); !ok || r.Class() != entra.Transient || r.RetryAfter != 7*time.Second {
			t.Errorf("%s with 429: %+v (%v), want a transient refusal with Retry-After", name, r, ok)
		}
	}
}

func TestUnknownWithoutNumber(t *testing.T) {
	r, ok := entra.ParseRefusal(400, nil, []byte(`{"error":"invalid_client"}`), secret.Value{})
	if !ok || r.Code() != "entra_invalid_client" {
		t.Fatalf("got %+v (%v)", r, ok)
	}
	d := r.Diagnose(credentials(), audience)
	if !strings.Contains(d.Message, "invalid_client") || !strings.Contains(d.Fix, "Certificates & secrets") || strings.Contains(d.Fix, "error?code") {
		t.Errorf("diagnosis %+v", d)
	}
}

// TestSecretHidden: a secret that Entra repeats is hidden, also where the sentence is cut within it.
func TestSecretHidden(t *testing.T) {
	for _, echo := range []string{canary, "canary~8Q.%2B%2F%3Dsecret"} {
		for _, before := range []int{0, 280, 286, 290, 295, 298} {
			text := body("invalid_client", 1, strings.Repeat("x", before)+" You sent "+echo+"; no.")
			r, ok := entra.ParseRefusal(400, nil, text, secret.New(canary))
			if !ok || strings.Contains(r.Sentence, "can") || before == 0 && r.Sentence != "You sent [redacted]; no." {
				t.Errorf("%d characters before it: sentence %q", before, r.Sentence)
			}
		}
	}
}

func FuzzParseRefusal(f *testing.F) {
	f.Add(401, body("invalid_client", 7000215, "Invalid client secret provided. Ensure …"))
	f.Add(400, body("invalid_tenant", 90002, "Tenant not found."))
	f.Add(429, []byte(`<html>`))
	f.Add(503, []byte(`{"error":"temporarily_unavailable","error_codes":["90055",{}]}`))
	f.Add(200, []byte("{\"error\":\"x\",\"error_description\":\"\u202e AADSTS1: \\r\\n\"}"))
	f.Fuzz(func(t *testing.T, status int, body []byte) {
		r, ok := entra.ParseRefusal(status, http.Header{}, body, secret.Value{})
		if !ok {
			return
		}
		d := r.Diagnose(credentials(), audience)
		for _, text := range []string{r.Sentence, r.Error(), r.Code(), d.Message, d.Fix, r.TraceID, r.CorrelationID} {
			if strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) }) || !utf8.ValidString(text) || len(text) > 4000 {
				t.Errorf("%q is not fit to be shown", text)
			}
		}
		if r.OAuthError == "" || r.Number < 0 || d.Message == "" || d.Fix == "" {
			t.Errorf("%+v %+v", r, d)
		}
	})
}

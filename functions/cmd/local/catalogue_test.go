package main

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"fhirlink/functions/cmd/local/sandbox"
	"fhirlink/shared/entra/entratest"
	"fhirlink/shared/verification"
)

// finding is what an administrator sees of one row of the catalogue, at the sandbox's server for
// that code.
type finding struct {
	code   string // with its case; several, separated by spaces, when everything else is the same
	check  string // the check that reports it
	status int    // of register
	says   string // the beginning of the message
	fix    string // part of the fix, or the beginning of the command
}

const (
	refused  = http.StatusUnprocessableEntity // a setting is wrong
	later    = http.StatusServiceUnavailable  // a transient problem
	stored   = http.StatusCreated             // with a warning
	objectID = "55555555-5555-4555-8555-555555555555"
	clientID = sandbox.ClientID
	tenantID = sandbox.TenantID
	overview = `copy "FHIR metadata endpoint"`
	mistake  = "This is a mistake of this service, not of yours"
	nothing  = "Nothing has to be changed"
	harmless = "If the later checks pass, nothing has to be done."
	assign   = "az role assignment create --assignee-object-id " + objectID + ` --assignee-principal-type ServicePrincipal --role "FHIR Data Writer" --scope`
)

// findings are all rows of the catalogue. {host} stands for the server.
var findings = []finding{
	{"dns_not_found", "address", refused, "There is no host {host}.", overview},
	{"dns_failed", "address", later, "The name {host} could not be looked up just now.", nothing},
	{"address_blocked", "address", refused, "{host} leads to an address that is not public", "public network access"},
	{"connect_refused", "address", later, "{host} refuses connections", "is running and reachable"},
	{"connect_timeout", "address", later, "{host} does not accept connections", "Networking and allow public access"},
	{"connection_broken", "metadata", later, "The connection to {host} broke off.", nothing},
	{"tls_invalid", "address", refused, "{host} has no valid certificate for its name", "Install a certificate for {host}"},
	{"product_retired", "address", stored, "{host} belongs to Azure API for FHIR, which Microsoft retired on 2026-09-30.", "PATCH /api/links/"},

	{"fhir_timeout", "metadata", later, "{host} did not answer in time.", nothing},
	{"fhir_429", "read", later, "The FHIR server is busy and asks to slow down.", nothing},
	{"fhir_408", "read", later, "The FHIR server gave up on the request in time.", nothing},
	{"fhir_503_oidc", "read", later, "The FHIR server cannot reach its identity provider.", "Authentication settings"},
	{"fhir_5xx", "metadata", later, "The FHIR server has a problem of its own (status 502).", nothing},
	{"fhir_403_edge", "metadata", refused, "Something in front of the FHIR server refuses requests from here", "Networking"},
	{"fhir_406", "metadata", stored, "The FHIR server cannot answer in the format asked for", mistake},
	{"fhir_415", "write", stored, "The FHIR server does not accept the format that was sent", mistake},

	{"metadata_404", "metadata", refused, "https://{host} is not the base URL of a FHIR server", "Remove what stands behind the base URL."},
	{"metadata_html", "metadata", refused, "https://{host} is a web page, not a FHIR server.", overview},
	{"metadata_redirect", "metadata", refused, "https://{host} redirects to www.example.com; redirects are not followed.", "Use the URL that the FHIR server itself answers at."},
	{"metadata_not_capability", "metadata", refused, "https://{host}/metadata is not a CapabilityStatement in JSON. It is a Conformance statement of FHIR version 1.0.2.", "DSTU2"},
	{"metadata_too_large", "metadata", refused, "The CapabilityStatement of {host} does not end within 8 MiB.", "Check the URL."},
	{"metadata_auth_required", "metadata", stored, "{host} does not show its CapabilityStatement without a token", "If the later checks pass"},
	{"metadata_unexpected", "metadata", refused, "https://{host}/metadata answered with status 400.", "Check the URL."},
	{"fhir_version_unsupported", "metadata", refused, "The FHIR server has FHIR version 6.0.0-ballot3, which is not supported.", "STU3, R4, R4B or R5"},
	{"fhir_version_unsupported/none", "metadata", refused, "The CapabilityStatement of {host} names no version of FHIR", "Let the FHIR server name its version."},

	{"server_open", "authority", refused, "{host} lets anyone read without signing in.", "Turn on authentication"},
	{"no_challenge", "authority", stored, "{host} does not say which tenant and audience it wants", "give tenantId and audience"},
	{"tenant_unknown", "authority", refused, "{host} does not say which Entra tenant it belongs to.", "Give tenantId"},
	{"tenant_unknown/domain", "authority", refused, "{host} names its tenant by a domain, contoso.onmicrosoft.com, and not by its id.", "open https://login.sandbox.test/contoso.onmicrosoft.com/v2.0/.well-known/openid-configuration"},
	{"tenant_unknown/any", "authority", refused, "{host} names common as its tenant, which stands for many tenants", "Give tenantId"},
	{"sign_in_unsupported", "authority", refused, "{host} does not ask for a token of Entra: it answers a read with a demand for sign-in by Negotiate (Windows accounts, Kerberos), NTLM (Windows accounts).", "Only FHIR servers that accept access tokens of Microsoft Entra"},
	{"gateway_key_missing", "authority", refused, "A gateway in front of the FHIR server wants a key of its own with every request (a subscription key or an API key), and this service sends none. It says: “Access denied due to missing subscription key.", "Subscription required"},
	{"tenant_conflict", "authority", refused, "Two tenants are named for this server: 99999999-9999-4999-8999-999999999999 and " + tenantID, "give that one as tenantId"},
	{"authority_mismatch", "authority", refused, "{host} names login.evil.test as its authority, so it is not known which Entra tenant it belongs to.", "Client secrets are only ever sent to login.sandbox.test. If this server is not known to you, do not trust it."},
	{"authority_elsewhere", "authority", stored, "{host} names login.evil.test as an authority. The client secret is only ever sent to login.sandbox.test.", harmless[:len(harmless)-1]},
	{"audience_guid", "authority", stored, "{host} names 33333333-3333-4333-8333-333333333333 as its audience.", "give it as audience in the link"},
	{"cloud_unsupported", "authority", refused, "{host} belongs to another Microsoft cloud", "FHIRLINK_AUTHORITY_HOST"},
	{"audience_foreign", "authority", refused, "{host} wants to be sent a token for https://graph.microsoft.com", "Do not link this server"},

	{"entra_unreachable", "token", later, "Microsoft Entra gave no usable answer: answered 503 with a web page.", "Try again in a minute."},
	{"entra_no_token", "token", later, "Microsoft Entra gave no usable answer: answered 200", "Try again in a minute."},
	{"token_aud", "claims", refused, "Entra's token is for another audience than https://{host}.", "Correct the audience"},
	{"token_tid", "claims", refused, "Entra's token is of another tenant than " + tenantID, "Check the tenant id"},
	{"token_appid", "claims", refused, "Entra's token is of another application than " + clientID, "Check the client id"},
	{"token_short", "claims", refused, "Entra's token has less than five minutes left.", "Check the clock"},
	{"token_opaque", "claims", stored, "The token cannot be read", harmless},

	{"fhir_401_audience", "read", refused, "The FHIR server does not accept tokens for https://{host}; it wants an audience that it does not name. It says: “The audience 'https://{host}' is invalid”.", "Find out which audience"},
	{"fhir_401_audience/contradiction", "read", refused, "The FHIR server does not accept tokens for https://{host}, although it names that audience itself", "configured to check"},
	{"fhir_401_issuer", "read", refused, "The FHIR server trusts another tenant than " + tenantID, "Register the application in the tenant of the FHIR service"},
	{"fhir_401_issuer/version", "read", refused, "The FHIR server does not accept the token's issuer", "requestedAccessTokenVersion"},
	{"fhir_401_issuer/unclear", "read", refused, "The FHIR server does not accept the token's issuer", "requestedAccessTokenVersion"},
	{"fhir_401_lifetime", "read", refused, "The FHIR server says that a token issued a moment ago has expired or is not yet valid. It says: “The token expired at '11/28/2026 10:00:00'”.", "Set the clock"},
	{"fhir_401_signature", "read", refused, "The FHIR server could not check the token's signature", "https://login.sandbox.test/" + tenantID + "/discovery/v2.0/keys"},
	{"fhir_401_scope", "read", stored, "The FHIR server accepts the token but says that the application lacks a right. Its object id is " + objectID, "Give the application the right to read"},
	{"read_not_fhir", "read", refused, "The FHIR server answered the read with status 200, but not as FHIR: it sent a web page (text/html).", "sign-in page"},
	{"read_redirect", "read", refused, "{host} redirects the read to login.microsoftonline.com, although it has a token. That is a sign-in page for people", "answer 401 instead of a redirect"},
	{"fhir_401_login", "read", refused, "The FHIR server does not accept the token (audience https://{host}, tenant " + tenantID + ", application " + clientID + ").", "Compare with"},
	{"fhir_401_backend", "read", later, "The FHIR server cannot reach its own database.", "ask Azure support"},
	{"fhir_403_rbac", "read", stored, "The application has no FHIR role yet. Its object id is " + objectID, assign},
	{"fhir_403", "read", stored, "The FHIR server does not let the application read. Its object id is " + objectID, "Give the application the right"},
	{"fhir_403_cmk", "read", refused, "The FHIR server cannot use its encryption key", "customer-managed key in Key Vault"},
	{"smart_user_role", "read", refused, "The application has the role FHIR SMART User", "object id " + objectID},
	{"read_inconclusive", "read", stored, "The FHIR server answered the read with status 404, which says neither yes nor no.", "Try a real request"},

	{"write_403", "write", stored, "The application may read but not write.", assign},
	{"write_400_405", "write", stored, "The FHIR server does not take the write probe (status 400)", "Try a real write"},
	{"write_created", "write", stored, "The FHIR server ignored If-Match and created the probe. It was deleted again.", "respect If-Match"},
	{"write_inconclusive", "write", stored, "The FHIR server answered the write with status 418", "Try a real write"},

	{"aadsts_7000215", "token", refused, "Entra does not accept this client secret for the application " + clientID, "copy its Value, not its Secret ID"},
	{"aadsts_7000222", "token", refused, "The client secret of the application " + clientID + " has expired.", "choose New client secret"},
	{"aadsts_7000229", "token", refused, "The application " + clientID + " has no service principal in the tenant " + tenantID, "az ad sp create --id " + clientID},
	{"aadsts_90002", "token", refused, "The tenant 99999999-9999-4999-8999-999999999999 was not found at https://login.sandbox.test/", "Copy the Tenant ID"},
	{"aadsts_900023", "token", refused, "The tenant id " + tenantID + " is malformed.", "a GUID"},
	{"aadsts_901002", "token", refused, "The token was asked for in a form that Entra does not support", mistake},
	{"aadsts_7000218 aadsts_7000216", "token", refused, "The client secret of the application " + clientID + " is empty.", "enter it"},
	{"aadsts_700025", "token", refused, "The application " + clientID + " is registered as a public client", "Allow public client flows"},
	{"aadsts_700016 aadsts_700011 aadsts_700005 aadsts_700038", "token", refused, "There is no application with the client id " + clientID + " in the tenant " + tenantID, "not the Object ID"},
	{"aadsts_7000112 aadsts_70001", "token", refused, "The application " + clientID + " is disabled in the tenant " + tenantID, "Enabled for users to sign-in?"},
	{"aadsts_50059 aadsts_50128 aadsts_90019", "token", refused, "Entra could not tell which tenant is meant.", "Give the Tenant ID"},
	{"aadsts_90038 aadsts_900382 aadsts_900432 aadsts_1000104", "token", refused, "The tenant " + tenantID + " or the application " + clientID + " lives in another Azure cloud", "Nothing works across clouds."},
	{"aadsts_500011 aadsts_50001 aadsts_650052 aadsts_650057", "token", refused, "Entra does not know the FHIR service https://{host} in the tenant " + tenantID, "az ad sp create --id 4f6778d8"},
	{"aadsts_1002012 aadsts_70011 aadsts_28002 aadsts_700022", "token", refused, "Entra cannot make a scope of the audience https://{host}.", "Correct the audience"},
	{"aadsts_501051 aadsts_50105", "token", refused, "The tenant " + tenantID + " lets assigned applications only use Azure Healthcare APIs", "Assignment required?"},
	{"aadsts_65001 aadsts_90094 aadsts_650056", "token", refused, "The application " + clientID + " has no administrator's consent in the tenant " + tenantID, "Grant admin consent"},
	{"aadsts_53003 aadsts_530032 aadsts_530035", "token", refused, "A Conditional Access policy of the tenant " + tenantID + " blocks the application " + clientID, "named location"},
	{"aadsts_50194 aadsts_90130 aadsts_9001023", "token", refused, "The token was asked for at an endpoint that this application cannot use.", mistake},
	{"aadsts_700027 aadsts_700024 aadsts_5002723 aadsts_5002738 aadsts_50012 aadsts_500133", "token", refused, "Entra does not accept the certificate of the application " + clientID, "Upload the current public certificate"},
	{"aadsts_70021 aadsts_700213 aadsts_700211 aadsts_90061 aadsts_700212", "token", refused, "The application " + clientID + " has no federated credential that matches.", "Federated credentials copy issuer, subject and audience"},
	{"aadsts_1000502", "token", refused, "The certificate of the application " + clientID + " has ended", "Create a new certificate"},
	{"aadsts_700030", "token", refused, "Entra does not accept the subject or the issuer of the certificate", "Upload this very certificate"},
	{"aadsts_700023 aadsts_700021", "token", refused, "Entra does not accept the signed assertion as one of the application " + clientID, "belong to the cloud of https://login.sandbox.test/"},
	{"aadsts_500014", "token", refused, "In the tenant " + tenantID + " the service behind https://{host} is disabled", "Enabled for users to sign-in?"},
	{"aadsts_5000225", "token", refused, "Microsoft has blocked the tenant " + tenantID, "reactivation"},
	{"aadsts_90009", "token", refused, "The client id " + clientID + " is that of the FHIR server's own app registration", "New registration"},
	{"aadsts_90124", "token", refused, "The tenant " + tenantID + " has no tokens for https://{host}", "Give the Tenant ID of the organization"},
	{"aadsts_650051", "token", refused, "The tenant " + tenantID + " did not let the application " + clientID, "wait 15 minutes"},
	{"entra_unsupported_grant_type", "token", refused, "The tenant " + tenantID + " is one of Azure AD B2C or External ID", "give its Tenant ID"},
	{"aadsts_90055 aadsts_50196 aadsts_90024 aadsts_90033 aadsts_90006 aadsts_50033", "token", later, "Microsoft Entra asks to slow down or has a passing problem.", "it is tried again"},
	{"aadsts_7654321", "token", refused, "Entra refused: “The sandbox refuses this with a number that nobody has heard of.” (AADSTS7654321).", "https://login.microsoftonline.com/error?code=7654321"},
}

// oneRowPerCode splits rows of several codes into one row for each.
func oneRowPerCode(rows []finding) (all []finding) {
	for _, f := range rows {
		for code := range strings.FieldsSeq(f.code) {
			f.code = code
			all = append(all, f)
		}
	}
	return all
}

// scenario returns the name of the sandbox's server that shows a code.
func scenario(code string) string { return strings.NewReplacer("_", "-", "/", "-").Replace(code) }

// TestCatalogue registers, rehearses and verifies at a server for each row of the catalogue,
// through the real azidentity.
func TestCatalogue(t *testing.T) {
	i := start(t, t.TempDir(), nil)
	covered := map[string]bool{}
	for _, f := range oneRowPerCode(findings) {
		covered[f.code] = true
		host := scenario(f.code) + ".fhir.sandbox.test"
		f.says, f.fix = strings.ReplaceAll(f.says, "{host}", host), strings.ReplaceAll(f.fix, "{host}", host)
		t.Run("register/"+f.code, func(t *testing.T) {
			t.Parallel() // some last until a timeout
			i.with(t).registers(f)
		})
		t.Run("verify/"+f.code, func(t *testing.T) {
			t.Parallel()
			i.with(t).rehearses(f)
		})
	}
	for _, row := range verification.Failures() {
		for _, code := range append(row.Also, row.Name()) {
			code = strings.Replace(code, "<number>", fmt.Sprint(entratest.UnknownNumber), 1)
			if !covered[code] {
				t.Errorf("nothing is expected of %s", code)
			}
			delete(covered, code)
		}
	}
	if len(covered) > 0 {
		t.Errorf("the catalogue has no row for %v", slices.Sorted(maps.Keys(covered)))
	}
}

// with returns a copy that reports to another test.
func (i *instance) with(t *testing.T) *instance {
	another := *i
	another.t = t
	return &another
}

func (i *instance) registers(f finding) {
	i.t.Helper()
	slug := "x-" + scenario(f.code)
	a := i.call("POST", "/api/register", registration(slug, scenario(f.code), sandbox.Secret))
	body := i.want(f.status, a)
	report, _ := body["report"].(map[string]any)
	i.checkFinding(report, f)
	switch f.status {
	case stored:
		again := i.want(200, i.call("POST", "/api/verify", `{"slug":"`+slug+`"}`))
		i.checkFinding(again, f)
		want := "active"
		if report["status"] == "fail" {
			want = "pending_access"
		}
		if link := i.want(200, i.call("GET", "/api/links/"+slug, "")); link["status"] != want {
			i.t.Errorf("the link is %v, want %s", link["status"], want)
		}
		return
	case later:
		if a.header.Get("Retry-After") == "" {
			i.t.Error("503 without Retry-After")
		}
	case refused:
		if detail, _ := body["detail"].(string); body["code"] != "verification_failed" || !strings.Contains(detail, f.says) || !strings.Contains(detail, f.fix) {
			i.t.Errorf("%v: %s", body["code"], detail)
		}
	}
	i.want(404, i.call("GET", "/api/links/"+slug, ""))
}

func (i *instance) rehearses(f finding) {
	i.t.Helper()
	report := i.want(200, i.call("POST", "/api/verify", registration("y-"+scenario(f.code), scenario(f.code), sandbox.Secret)))
	i.checkFinding(report, f)
}

// checkFinding checks that the report has the finding, no other complaint, and no check that ran
// after a failure.
func (i *instance) checkFinding(report map[string]any, f finding) {
	i.t.Helper()
	found := false
	checks, _ := report["checks"].([]any)
	for _, one := range checks {
		c := one.(map[string]any)
		message, fix := c["message"].(string), c["fix"].(string)
		command, _ := c["command"].(string)
		switch {
		case c["id"] == f.check:
			found = true
			if code, _, _ := strings.Cut(f.code, "/"); c["code"] != code || !strings.HasPrefix(message, f.says) || !strings.Contains(fix, f.fix) && !strings.HasPrefix(command, f.fix) {
				i.t.Errorf("%v: %s\n%s\n%s", c["code"], message, fix, command)
			}
			i.checkTraceIDs(c, fix)
		case found && report["status"] == "fail" && c["status"] != "skipped", !found && c["status"] != "pass":
			i.t.Errorf("beside it: %v", c)
		}
	}
	if !found {
		i.t.Errorf("no check %s in %v", f.check, report)
	}
}

// checkTraceIDs checks that a refusal by Entra has the ids by which Microsoft can find it.
func (i *instance) checkTraceIDs(check map[string]any, fix string) {
	i.t.Helper()
	code, _ := check["code"].(string)
	if !strings.HasPrefix(code, "aadsts_") {
		return
	}
	evidence, _ := check["evidence"].(map[string]any)
	trace, _ := evidence["traceId"].(string)
	correlation, _ := evidence["correlationId"].(string)
	if trace == "" || correlation == "" {
		i.t.Errorf("evidence %v", evidence)
	}
	if code == fmt.Sprintf("aadsts_%d", entratest.UnknownNumber) && (!strings.Contains(fix, trace) || !strings.Contains(fix, correlation)) {
		i.t.Errorf("the ids are not in the fix: %s", fix)
	}
}

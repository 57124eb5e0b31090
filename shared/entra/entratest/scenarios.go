package entratest

import (
	"encoding/base64"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// Scenarios returns the names of the scenarios, sorted. The first label of a FHIR server's host
// name selects the answer to a token request, if the host is below [Tenant.Zone] and the
// credentials are valid:
//
//	aadsts-7000229               refused with that number
//	entra-interaction-required   refused with an OAuth error alone
//	entra-unreachable            a web page instead of an answer
//	entra-no-token               200 without a token
//	token-aud, token-tid, …      a token with a wrong claim
//
// There is a scenario for every number in the catalogue of package entra, and for
// [UnknownNumber].
func Scenarios() []string { return slices.Sorted(maps.Keys(scenarios)) }

// UnknownNumber is an AADSTS number that Entra does not have.
const UnknownNumber = 7654321

// grant is a token request with valid credentials.
type grant struct {
	*Authority
	tenant   Tenant
	app      App
	resource string
}

type reply = func(grant, http.ResponseWriter, *http.Request)

// reply returns the answer of the scenario that the resource's host name selects, or the usual
// answer.
func (g grant) reply() reply {
	u, err := url.Parse(g.resource)
	if err == nil && g.tenant.Zone != "" && strings.HasSuffix(u.Host, "."+g.tenant.Zone) {
		label, _, _ := strings.Cut(u.Host, ".")
		if special := scenarios[label]; special != nil {
			return special
		}
	}
	return claiming(nil)
}

var scenarios = allScenarios()

func allScenarios() map[string]reply {
	all := map[string]reply{
		"entra-interaction-required":   refusing(http.StatusBadRequest, "interaction_required", 0, "A policy of the directory asks for more than a secret."),
		"entra-unsupported-grant-type": userFlow,
		"entra-unreachable":            before(WebPage(http.StatusServiceUnavailable)),
		"entra-no-token":               before(Answer(http.StatusOK, "application/json", `{"token_type":"Bearer","expires_in":3599,"access_token":""}`)),
		"token-aud":                    claiming(map[string]any{"aud": "https://another.example"}),
		"token-tid":                    claiming(map[string]any{"tid": unknownID}),
		"token-appid":                  claiming(map[string]any{"appid": unknownID}),
		"token-short":                  short,
		"token-opaque":                 opaque,
	}
	for _, r := range refusals {
		for _, n := range r.numbers {
			all[fmt.Sprintf("aadsts-%d", n)] = refusing(r.status, r.oauth, n, r.text)
		}
	}
	return all
}

// unknownID is an id that no tenant or application has.
const unknownID = "99999999-9999-4999-8999-999999999999"

func before(answer func(http.ResponseWriter, *http.Request) bool) reply {
	return func(_ grant, w http.ResponseWriter, r *http.Request) { answer(w, r) }
}

func refusing(status int, oauth string, number int, text string) reply {
	return func(g grant, w http.ResponseWriter, _ *http.Request) {
		fill := strings.NewReplacer("{client}", g.app.ClientID, "{tenant}", g.tenant.ID, "{name}", g.tenant.Name, "{resource}", g.resource)
		if status == http.StatusTooManyRequests {
			w.Header().Set("Retry-After", "7")
		}
		g.refuse(w, refusal{status, oauth, number, fill.Replace(text)})
	}
}

// userFlow answers like Azure AD B2C.
func userFlow(_ grant, w http.ResponseWriter, r *http.Request) {
	Answer(http.StatusBadRequest, "application/json", `{"error":"unsupported_grant_type","error_description":"AADB2C90086: The supplied grant_type [client_credentials] is not supported.\r\nCorrelation ID: 00000000-0000-4000-8000-000000000002\r\nTimestamp: 2026-11-28 10:00:00Z\r\n"}`)(w, r)
}

// claiming issues the usual token with changed claims.
func claiming(claims map[string]any) reply {
	return func(g grant, w http.ResponseWriter, _ *http.Request) {
		g.issue(w, g.resourceToken(g.tenant, g.app, g.resource, claims))
	}
}

// short issues a token that lives four minutes, as with a token lifetime policy or a wrong clock.
func short(g grant, w http.ResponseWriter, _ *http.Request) {
	end := map[string]any{"exp": g.now().Add(4 * time.Minute).Unix()}
	g.issue(w, g.resourceToken(g.tenant, g.app, g.resource, end))
}

// opaque issues a token that only Check can read.
func opaque(g grant, w http.ResponseWriter, _ *http.Request) {
	g.issue(w, base64.RawURLEncoding.EncodeToString([]byte(g.resourceToken(g.tenant, g.app, g.resource, nil))))
}

func (g grant) issue(w http.ResponseWriter, token string) {
	seconds := int(g.lifetime().Seconds())
	writeJSON(w, http.StatusOK, map[string]any{
		"token_type": "Bearer", "expires_in": seconds, "ext_expires_in": seconds, "access_token": token,
	})
}

// refusals are Entra's answers by number. The first sentences are quoted from Entra's pages and
// from public posts. {client}, {tenant}, {name} and {resource} are filled in.
var refusals = []struct {
	numbers []int
	status  int
	oauth   string
	text    string
}{
	{[]int{7000215}, 401, "invalid_client", "Invalid client secret provided. Ensure the secret being sent in the request is the client secret value, not the client secret ID, for a secret added to app '{client}'."},
	{[]int{7000222}, 401, "invalid_client", "The provided client secret keys for app '{client}' are expired. Visit the Azure portal to create new keys for your app."},
	{[]int{700016, 700011, 700005, 700038}, 400, "unauthorized_client", "Application with identifier '{client}' was not found in the directory '{name}'. This can happen if the application has not been installed by the administrator of the tenant."},
	{[]int{7000229}, 401, "invalid_client", "The client application {client} is missing service principal in the tenant {tenant}. See instructions here: https://go.microsoft.com/fwlink/?linkid=2225119"},
	{[]int{7000112, 70001}, 401, "unauthorized_client", "Application '{client}' is disabled."},
	{[]int{90002}, 400, "invalid_request", "Tenant '{tenant}' not found. Check to make sure you have the correct tenant ID and are signing into the correct cloud."},
	{[]int{900023}, 400, "invalid_request", "Specified tenant identifier '{tenant}' is neither a valid DNS name, nor a valid external domain."},
	{[]int{50059, 50128, 90019}, 400, "invalid_request", "No tenant-identifying information found in either the request or implied by any provided credentials."},
	{[]int{90038, 900382, 900432, 1000104}, 400, "invalid_request", "Confidential Client is not supported in Cross Cloud request."},
	{[]int{500011, 50001, 650052, 650057}, 400, "invalid_resource", "The resource principal named {resource} was not found in the tenant named {name}. This can happen if the application has not been installed by the administrator of the tenant."},
	{[]int{1002012, 70011, 28002, 700022}, 400, "invalid_scope", "The provided value for scope {resource} is not valid. Client credential flows must have a scope value with /.default suffixed to the resource identifier (application ID URI)."},
	{[]int{901002}, 400, "invalid_request", "The 'resource' request parameter isn't supported."},
	{[]int{501051, 50105}, 400, "invalid_grant", "Application '{client}' is not assigned to a role for the application '4f6778d8-5aef-43dc-a1ff-b073724b9495'(Azure Healthcare APIs)."},
	{[]int{65001, 90094, 650056}, 400, "invalid_grant", "The user or administrator has not consented to use the application with ID '{client}'. Send an interactive authorization request for this user and resource."},
	{[]int{53003, 530032, 530035}, 400, "invalid_grant", "Access has been blocked by Conditional Access policies. The access policy does not allow token issuance."},
	{[]int{7000218, 7000216}, 401, "invalid_client", "The request body must contain the following parameter: 'client_assertion' or 'client_secret'."},
	{[]int{700025}, 401, "invalid_client", "Client is public so neither 'client_assertion' nor 'client_secret' should be presented."},
	{[]int{50194, 90130, 9001023}, 400, "invalid_request", "Application '{client}' is not configured as a multi-tenant application. Usage of the /common endpoint is not supported for such apps."},
	{[]int{700027, 5002723, 5002738, 50012}, 401, "invalid_client", "The certificate with identifier used to sign the client assertion is not registered on application. [Reason - The key was not found.]"},
	{[]int{700024, 500133}, 401, "invalid_client", "Client assertion is not within its valid time range. Review the documentation."},
	{[]int{70021, 700213, 700211, 90061, 700212}, 400, "invalid_request", "No matching federated identity record found for presented assertion. Assertion Audience: 'api://AzureADTokenExchange'."},
	{[]int{1000502}, 401, "invalid_client", "The provided certificate is not within its specified validity window."},
	{[]int{700030}, 401, "invalid_client", "Invalid certificate - subject name in certificate is not authorized. SubjectNames/SubjectAlternativeNames (up to 10) in token certificate are: clinic."},
	{[]int{700023, 700021}, 401, "invalid_client", "Client assertion audience claim does not match Realm issuer. Review the documentation."},
	{[]int{500014}, 400, "invalid_resource", "The service principal for resource '{resource}' is disabled. This indicate that a subscription within the tenant has lapsed, or that the administrator for this tenant has disabled the application, preventing tokens from being issued for it."},
	{[]int{5000225}, 400, "invalid_request", "This tenant has been blocked due to inactivity. To learn more about tenant lifecycle policies, see https://aka.ms/TenantLifecycle."},
	{[]int{90009}, 400, "invalid_request", "Application '{client}' is requesting a token for itself. This scenario is supported only if resource is specified using the GUID based App Identifier."},
	{[]int{90124}, 400, "invalid_resource", "Resource '{resource}' is not supported over the /common or /consumers endpoints. Please use the /organizations or tenant-specific endpoint."},
	{[]int{650051}, 400, "invalid_request", "Consent action for Application '{client}' failed due to the following error: the service principal name is already present for the tenant."},
	{[]int{90055}, 429, "temporarily_unavailable", "There are too many incoming requests."},
	{[]int{50196}, 400, "invalid_grant", "The server terminated an operation because it encountered a client request loop. Please contact your app vendor."},
	{[]int{90024, 90033, 90006, 50033}, 503, "temporarily_unavailable", "A transient error has occurred. Please try again."},
	{[]int{UnknownNumber}, 400, "invalid_grant", "The sandbox refuses this with a number that nobody has heard of. It says more behind its first sentence."},
}

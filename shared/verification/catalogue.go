package verification

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	"fhirlink/shared/entra"
)

// Failure is one row of the catalogue: a possible finding of a verification, and its fix. Words
// in braces stand for values of the verification.
type Failure struct {
	Code    string   // of the check
	Also    []string // further codes with the same meaning
	Sign    string   // how it shows on the wire
	Message string
	Fix     string
	Status  Status // Fail or Warn
	Outcome Outcome
}

// Failures returns the whole catalogue. First come the findings about FHIR servers and tokens,
// sorted by code, then Entra's refusals, whose texts are from package entra.
func Failures() []Failure {
	var all []Failure
	for _, code := range slices.Sorted(maps.Keys(catalogue)) {
		f := catalogue[code]
		f.Code = code
		all = append(all, f)
	}
	for _, f := range entra.Failures() {
		all = append(all, ofEntra(f))
	}
	return all
}

// ofEntra converts a row of package entra to a finding of CheckToken. A row without a number
// stands for every number that Entra may return.
func ofEntra(e entra.Failure) Failure {
	f := Failure{Code: "aadsts_<number>", Sign: e.Sign, Message: e.Message, Fix: e.Fix, Status: Fail, Outcome: outcomes[e.Class]}
	for i, n := range e.Numbers {
		code := "aadsts_" + strconv.Itoa(n)
		if i == 0 {
			f.Code = code
		} else {
			f.Also = append(f.Also, code)
		}
	}
	return f
}

// outcomes maps the classes of Entra's refusals to outcomes.
var outcomes = map[entra.Class]Outcome{
	entra.Config: OutcomeBroken, entra.Expired: OutcomeExpired, entra.Transient: OutcomeTransient,
}

// facts holds the values for the words in braces.
type facts map[string]string

func (f facts) fill(text string) string {
	if !strings.Contains(text, "{") {
		return text
	}
	pairs := make([]string, 0, 2*len(f))
	for name, value := range f {
		pairs = append(pairs, name, value)
	}
	return strings.NewReplacer(pairs...).Replace(text)
}

func broken(sign, message, fix string) Failure {
	return Failure{Sign: sign, Message: message, Fix: fix, Status: Fail, Outcome: OutcomeBroken}
}

func transient(sign, message, fix string) Failure {
	return Failure{Sign: sign, Message: message, Fix: fix, Status: Fail, Outcome: OutcomeTransient}
}

func warning(sign, message, fix string) Failure {
	return Failure{Sign: sign, Message: message, Fix: fix, Status: Warn, Outcome: OutcomeActive}
}

const (
	overview  = "In the Azure portal open the FHIR service > Overview and copy \"FHIR metadata endpoint\"."
	waitAgain = "Nothing has to be changed: try again in a few minutes."
	ours      = "This is a mistake of this service, not of yours: report it with the code and the correlation id."
)

var askEntraAgain = (&entra.Unreachable{}).Diagnose().Fix

var catalogue = map[string]Failure{
	// The connection.
	"dns_not_found": broken("NXDOMAIN",
		"There is no host {host}. The host of an Azure FHIR service has the form WORKSPACE-SERVICE.fhir.azurehealthcareapis.com.",
		overview),
	"dns_failed": transient("SERVFAIL, or no answer of the name server",
		"The name {host} could not be looked up just now.", waitAgain),
	"address_blocked": broken("the name leads to a private, loopback, link-local or otherwise special address",
		"{host} leads to an address that is not public, so it is not connected to.",
		"Let the FHIR service accept public network access (FHIR service > Networking). For a service behind Private Link, ask the operator of this system to name its network in FHIRLINK_EGRESS_ALLOW."),
	"connect_refused": transient("connection refused",
		"{host} refuses connections on this port.", "Check that the FHIR server is running and reachable from the Internet, then try again."),
	"connect_timeout": transient("no connection within 5 seconds",
		"{host} does not accept connections: a firewall may be in front of it, or its public network access is disabled.",
		"In the Azure portal open the FHIR service > Networking and allow public access, or access from this service. Then try again."),
	"connection_broken": transient("the connection ends before the answer does",
		"The connection to {host} broke off.", waitAgain),
	"tls_invalid": broken("TLS handshake or certificate error",
		"{host} has no valid certificate for its name, or does not speak TLS 1.2 or later.",
		"Install a certificate for {host} from a public certificate authority, with its intermediate certificates."),
	"product_retired": broken("host NAME.azurehealthcareapis.com; NXDOMAIN, 404, 410 or 5xx (a warning while it still answers)",
		"{host} belongs to Azure API for FHIR, which Microsoft retired on 2026-09-30.",
		"Migrate to the FHIR service of Azure Health Data Services, then give this link its URL, https://WORKSPACE-SERVICE.fhir.azurehealthcareapis.com, and the client secret again with PATCH /api/links/SLUG. The slug stays the same."),

	// Any answer.
	"fhir_timeout": transient("no complete answer within 10 seconds",
		"{host} did not answer in time.", waitAgain),
	"fhir_429": transient("429, OperationOutcome \"throttled\"",
		"The FHIR server is busy and asks to slow down.", waitAgain),
	"fhir_408": transient("408",
		"The FHIR server gave up on the request in time.", waitAgain),
	"fhir_503_oidc": transient("503, OperationOutcome \"security\"",
		"The FHIR server cannot reach its identity provider.",
		"Try again in a few minutes. If it lasts, check the authority in the FHIR service's Authentication settings."),
	"fhir_5xx": transient("5xx",
		"The FHIR server has a problem of its own (status {status}).", waitAgain+" If it lasts, look at the health of the FHIR service in the Azure portal."),
	"fhir_403_edge": broken("403 without an OperationOutcome",
		"Something in front of the FHIR server refuses requests from here: public network access is disabled, or a firewall is in the way.",
		"In the Azure portal open the FHIR service > Networking and allow public access, or access from this service."),
	"fhir_406": warning("406", "The FHIR server cannot answer in the format asked for, application/fhir+json.", ours),
	"fhir_415": warning("415", "The FHIR server does not accept the format that was sent, application/fhir+json.", ours),

	// /metadata.
	"metadata_404": broken("404 or 410 on /metadata",
		"{url} is not the base URL of a FHIR server: it has no /metadata.",
		"Remove what stands behind the base URL. "+overview),
	"metadata_html": broken("200 with a web page",
		"{url} is a web page, not a FHIR server.", overview),
	"metadata_redirect": broken("3xx on /metadata",
		"{url} redirects to {redirect}; redirects are not followed.",
		"Use the URL that the FHIR server itself answers at. "+overview),
	"metadata_not_capability": broken("200 with something else than a CapabilityStatement in JSON",
		"{url}/metadata is not a CapabilityStatement in JSON.",
		"Check the URL. DSTU2 servers and servers that speak XML only cannot be linked."),
	"metadata_too_large": broken("more than 8 MiB",
		"The CapabilityStatement of {host} does not end within 8 MiB.",
		"Check the URL. A FHIR server's CapabilityStatement has about 1 MB."),
	"metadata_auth_required": warning("401 or 403 on /metadata",
		"{host} does not show its CapabilityStatement without a token, so tenant and version cannot be read from it.",
		"FHIR servers should answer /metadata to everyone. If the later checks pass, nothing has to be done."),
	"metadata_unexpected": broken("any other status on /metadata",
		"{url}/metadata answered with status {status}.", "Check the URL. "+overview),
	"fhir_version_unsupported": broken("fhirVersion other than 3.0, 4.0, 4.1, 4.3 or 5.0",
		"The FHIR server has a version of FHIR that is not supported, or names none.",
		"Use a server of FHIR STU3, R4, R4B or R5."),

	// Tenant and audience.
	"server_open": broken("a read without a token is answered: 404 not-found or 2xx",
		"{host} lets anyone read without signing in. A server like this is not linked.",
		"Turn on authentication and access control on the FHIR server, and look in its audit log for who has read from it."),
	"no_challenge": warning("a read without a token gets something else than 401 with a Bearer challenge",
		"{host} does not say which tenant and audience it wants: it answered a read without a token with status {status} and no Bearer challenge.",
		"If the later checks pass, nothing has to be done. Otherwise give tenantId and audience in the link."),
	"tenant_unknown": broken("no tenant in challenge, oauth-uris and smart-configuration",
		"{host} does not say which Entra tenant it belongs to.",
		"Give tenantId: the Tenant ID in Entra admin center (https://entra.microsoft.com) > Entra ID > Overview of the tenant of the FHIR service."),
	"tenant_conflict": broken("two tenants named",
		"Two tenants are named for this server: {tenant} and {other}.",
		"Find out which one the FHIR service trusts (FHIR service > Authentication > Authority), and give that one as tenantId."),
	"authority_mismatch": broken("an authority that is not the configured one (a warning when the challenge names the configured one)",
		"{host} names {other} as an authority. Client secrets are only ever sent to {authority}.",
		"Link a FHIR server whose tokens come from {authority}. If this server is not known to you, do not trust it."),
	"cloud_unsupported": broken("the authority of another Microsoft cloud",
		"{host} belongs to another Microsoft cloud: its authority is {other}, and this service asks {authority}.",
		"Use an instance of this service that is set up for that cloud (FHIRLINK_AUTHORITY_HOST)."),
	"audience_foreign": broken("resource_id that names another host, of a server whose name is not Microsoft's; or one of Microsoft's other services",
		"{host} wants to be sent a token for {wanted}, which is not this server.",
		"Do not link this server unless you know that it and {wanted} belong together; then give audience in the link."),

	// The token.
	"entra_unreachable": transient("no answer of Entra, or one that is neither a token nor an error of OAuth",
		"Microsoft Entra gave no usable answer.", askEntraAgain),
	"entra_no_token": transient("200 without an access token, as from a captive portal",
		"Microsoft Entra answered without a token.", askEntraAgain),
	"token_aud": broken("aud is not the audience asked for",
		"Entra's token is for another audience than {audience}.",
		"Correct the audience: the FHIR server's own URL without a trailing slash, or what it names in its 401 answer: {wanted}."),
	"token_tid": broken("tid is not the tenant asked",
		"Entra's token is of another tenant than {tenant}.", "Check the tenant id; give the GUID, not a domain name."),
	"token_appid": broken("appid or azp is not the client id",
		"Entra's token is of another application than {client}.", "Check the client id: the Application (client) ID, not the Object ID."),
	"token_short": broken("exp within 5 minutes",
		"Entra's token has less than five minutes left.", "Check the clock of this service, and token lifetime policies on the application {client}."),
	"token_opaque": warning("the token is no JWT",
		"The token cannot be read, so its audience, tenant and object id are not known.", "If the later checks pass, nothing has to be done."),

	// Reading.
	"fhir_401_audience": broken("401, error_description names the audience",
		"The FHIR server does not accept tokens for {audience}; it wants {wanted}.",
		"Leave audience empty, so that it is taken from the server, or set it to {wanted}."),
	"fhir_401_issuer": broken("401, error_description names the issuer",
		"The FHIR server trusts another tenant than {tenant}.",
		"Register the application in the tenant of the FHIR service; Azure Health Data Services trust no other."),
	"fhir_401_login": broken("401, OperationOutcome \"login\"",
		"The FHIR server does not accept the token (audience {audience}, tenant {tenant}, application {client}).",
		"Compare with FHIR service > Authentication: the audience there must be {audience}, the authority must end in {tenant}."),
	"fhir_401_backend": transient("401, OperationOutcome \"exception\"",
		"The FHIR server cannot reach its own database.", waitAgain+" If it lasts, the owner of the FHIR service should ask Azure support."),
	"fhir_403_rbac": {
		Sign:    "403, OperationOutcome \"forbidden\"",
		Message: "The application has no FHIR role yet. Its object id is {object}.",
		Fix:     "FHIR service > Access control (IAM) > Add role assignment > FHIR Data Writer > the application {client}; or run: {assign} It takes up to 30 minutes until the role counts.",
		Status:  Fail, Outcome: OutcomePendingAccess,
	},
	"fhir_403": {
		Sign:    "403 of a server that is not Microsoft's",
		Message: "The FHIR server does not let the application read. Its object id is {object}, its client id {client}.",
		Fix:     "Give the application the right to read and write on the FHIR server.",
		Status:  Fail, Outcome: OutcomePendingAccess,
	},
	"fhir_403_cmk": broken("403, diagnostics name the customer-managed key",
		"The FHIR server cannot use its encryption key, so it refuses everyone.",
		"The owner of the FHIR service should look at its customer-managed key in Key Vault: is it enabled, not expired, and may the service use it?"),
	"smart_user_role": broken("400, 401 or 403, diagnostics name fhirUser",
		"The application has the role FHIR SMART User, which is for people and needs the claim fhirUser.",
		"Remove the role FHIR SMART User from the application (object id {object}) and give it FHIR Data Writer."),
	"read_inconclusive": warning("any other answer to the read",
		"The FHIR server answered the read with status {status}, which says neither yes nor no.",
		"Try a real request with a token of this link. If it works, nothing has to be done."),

	// Writing.
	"write_403": warning("403 on the write, after a read that was allowed",
		"The application may read but not write.",
		"If it should write: FHIR service > Access control (IAM) > Add role assignment > FHIR Data Writer > the application {client}; or run: {assign}"),
	"write_400_405": warning("400 or 405 on the write",
		"The FHIR server does not take the write probe (status {status}), so it is not known whether the application may write.",
		"Try a real write with a token of this link. If it works, nothing has to be done."),
	"write_created": warning("200 or 201 on the write",
		"The FHIR server ignored If-Match and created the probe. {removed}",
		"The application may write. Make the FHIR server respect If-Match (FHIR, version aware updates)."),
	"write_inconclusive": warning("any other answer to the write",
		"The FHIR server answered the write with status {status}, which says neither yes nor no.",
		"Try a real write with a token of this link. If it works, nothing has to be done."),
}

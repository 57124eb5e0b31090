package entra

import "strings"

// Failure is one row of the catalogue: how Entra refuses or fails to answer, and what to do about
// it. Placeholders in braces stand for the values of the request.
type Failure struct {
	Numbers []int  // AADSTS numbers with this meaning, the most common first; none: recognized by other signs
	Sign    string // how the failure looks on the wire
	Message string
	Fix     string
	Class   Class

	OAuthError string // of a row that is recognized by the OAuth error, without a number
}

// Failures returns the catalogue of Entra's refusals. For a number that the catalogue does not
// have, Entra's own sentence replaces the Message.
func Failures() []Failure {
	return append(catalogue[:len(catalogue):len(catalogue)], userFlow, throttled, unknown)
}

func (f Failure) fill(c Credentials, audience string) Diagnosis {
	r := strings.NewReplacer(
		"{client}", printable(c.ClientID, 100), "{tenant}", printable(c.TenantID, 100), "{admin}", adminCenter(c.Authority),
		"{audience}", printable(audience, 300), "{authority}", printable(c.Authority, 100),
	)
	return Diagnosis{Message: r.Replace(f.Message), Fix: r.Replace(f.Fix), Command: r.Replace(f.Command())}
}

// adminCenter names the site where the directory of the authority's cloud is managed.
func adminCenter(authority string) string {
	if strings.HasPrefix(authority, "https://login.microsoftonline.us") {
		return "Entra admin center (https://entra.microsoft.us)"
	}
	return "Entra admin center (https://entra.microsoft.com)"
}

const (
	registrations = "{admin} > Entra ID > App registrations"
	secrets       = registrations + " > the app {client} > Certificates & secrets"
	enterprise    = "{admin} > Entra ID > Enterprise apps"
	// healthcareAPIs is the client id of Microsoft's first-party application for FHIR services
	// (https://learn.microsoft.com/azure/healthcare-apis/azure-api-for-fhir/register-resource-azure-ad-client-app).
	healthcareAPIs = "4f6778d8-5aef-43dc-a1ff-b073724b9495"
	ours           = "This is a mistake of this service, not of yours: report it with the code and the correlation id."
)

var throttled = Failure{
	Numbers: transient,
	Sign:    "429 or 5xx, or error `temporarily_unavailable` or `server_error`",
	Message: "Microsoft Entra asks to slow down or has a passing problem.",
	Fix:     "Nothing has to be changed: it is tried again. If it lasts for more than an hour, look at https://azure.status.microsoft.",
	Class:   Transient,
}

// userFlow is the answer of Azure AD B2C (AADB2C90086), which signs in people only.
var userFlow = Failure{
	OAuthError: "unsupported_grant_type",
	Sign:       "400 `unsupported_grant_type`, “AADB2C90086: The supplied grant_type [client_credentials] is not supported”",
	Message:    "The tenant {tenant} is one of Azure AD B2C or External ID, whose user flows sign in people and give applications no tokens.",
	Fix:        "Register the application {client} in the tenant that the FHIR service trusts (FHIR service > Authentication > Authority), which is an organization's tenant of Microsoft Entra ID, and give its Tenant ID.",
	Class:      Config,
}

// unknown documents what [Refusal.Diagnose] says about a number that has no row.
var unknown = Failure{
	Sign:    "any other error",
	Message: "Entra refused: “…” (its own first sentence, and the number).",
	Fix:     "A hint by the OAuth error, Microsoft's page about the number, and the trace and correlation ids that Microsoft's support asks for.",
	Class:   Config,
}

// hints are fixes for numbers that the catalogue does not have, by OAuth error (RFC 6749 §5.2 and
// Entra's invalid_resource, invalid_tenant).
var hints = map[string]string{
	"invalid_client":       "Check the client id and the client secret: " + secrets + ".",
	"unauthorized_client":  "Check that the application {client} exists and is enabled in the tenant {tenant}.",
	"invalid_resource":     "Check the FHIR server URL and the audience {audience}.",
	"invalid_scope":        "Check the audience {audience}.",
	"invalid_tenant":       "Check the tenant id {tenant}.",
	"invalid_grant":        "Ask the administrator of the tenant {tenant} whether a policy or a missing consent stops the application {client}.",
	"interaction_required": "Ask the administrator of the tenant {tenant} which policy stops the application {client}; nobody can be asked interactively here.",
}

// certificateHint takes the place of the hint for invalid_client.
const certificateHint = "Check the client id, and that the certificate is uploaded: " + secrets + " > Certificates."

// ofCertificate is what is said to an application with a certificate instead of a row that speaks of
// its client secret, by the first number of the row.
var ofCertificate = map[int]Diagnosis{
	numberInvalid: {
		Message: "Entra does not accept the certificate of the application {client}.",
		Fix:     "Upload the public part of the certificate in " + secrets + " > Certificates. If the application has another certificate now, send that one with its private key as clientCertificate.",
	},
	numberExpired: {
		Message: "The certificate of the application {client} has expired.",
		Fix:     "Create a new certificate, upload its public part in " + secrets + " > Certificates, and send it with its private key as clientCertificate.",
	},
	7000218: {Message: "The request to Entra had no proof of who the application {client} is.", Fix: ours},
	700025: {
		Message: "The application {client} is registered as a public client, which cannot have a certificate.",
		Fix:     "In " + registrations + " > the app {client} > Authentication add the platform Web and set “Allow public client flows” to No, then upload the certificate.",
	},
}

// commands are what some fixes speak of, by the first number of the row.
var commands = map[int]string{
	7000229: "az ad sp create --id {client}",
	500011:  "az ad sp create --id " + healthcareAPIs,
}

// Command returns a line for a shell that does what the fix says; empty when there is none.
func (f Failure) Command() string {
	return commands[f.number()]
}

// elsewhere is what is said of a FHIR server that is not Microsoft's, instead of a row that speaks of
// Azure Health Data Services, by the first number of the row; 0 is the row of user flows. Such a
// server has an app registration of its own.
var elsewhere = map[int]Diagnosis{
	500011: {
		Message: "Entra does not know the audience {audience} in the tenant {tenant}.",
		Fix:     "Check the audience: it is the Application ID URI or the client id of the FHIR server's own app registration, in " + registrations + " > the API of the FHIR server > Expose an API. If it is right, that API is not in the tenant {tenant}: give the tenant of the FHIR server as tenantId, or have an administrator of the tenant {tenant} add the API there, as a service principal for its client id.",
	},
	1002012: {
		Message: "Entra cannot make a scope of the audience {audience}.",
		Fix:     "Correct the audience: it is the Application ID URI of the FHIR server's own app registration, without a scope behind it and a trailing slash, or its client id. If it is that already, report it with the correlation id.",
	},
	501051: {
		Message: "The tenant {tenant} lets assigned applications only use {audience}, and {client} is not assigned.",
		Fix:     "In " + enterprise + " > the application of the FHIR server ({audience}) either assign an app role to the application {client}, or set Properties > “Assignment required?” to No.",
	},
	500014: {
		Message: "In the tenant {tenant} the service behind {audience} is disabled: an administrator has switched it off, or a subscription of the tenant has lapsed.",
		Fix:     "In " + enterprise + ", with the filter Application type set to All applications, open the application of the FHIR server ({audience}) and set Properties > “Enabled for users to sign-in?” to Yes.",
	},
	650051: {
		Message: "The tenant {tenant} did not let the application {client}, or the service behind {audience}, be added to it.",
		Fix:     "If the application was deleted there a short time ago, wait 15 minutes. Otherwise look in " + enterprise + " whether {client} and the application of the FHIR server are there, and have an administrator grant consent in App registrations > API permissions.",
	},
	0: {
		Message: userFlow.Message,
		Fix:     "Register the application {client} in the tenant that the FHIR server trusts, which is an organization's tenant of Microsoft Entra ID, and give its Tenant ID.",
	},
}

// ofMicrosoft reports whether an audience is that of Microsoft's FHIR services, or a misspelling of it.
func ofMicrosoft(audience string) bool {
	return audience == healthcareAPIs || strings.Contains(audience, "healthcareapi")
}

// catalogue maps AADSTS numbers to a message and a fix
// (https://learn.microsoft.com/entra/identity-platform/reference-error-codes).
var catalogue = []Failure{
	{
		[]int{numberInvalid},
		"401 `invalid_client`, “Invalid client secret provided”",
		"Entra does not accept this client secret for the application {client}.",
		"If you still have the Value, paste it again, whole and without spaces. If the secret is less than two minutes old, wait first: Entra may not know it everywhere yet. Otherwise create a new client secret in " + secrets + " and copy its Value, not its Secret ID; the Value is shown only until you leave the page. It has another end date: give that too.",
		Config, "",
	},
	{
		[]int{numberExpired}, // 7000222
		"401 `invalid_client`, “The provided client secret keys … are expired”",
		"The client secret of the application {client} has expired.",
		"In " + secrets + " choose New client secret, copy its Value and use it instead of the expired one (API: with the registration, or with PUT /api/links/SLUG/secret for what is registered already). It has another end date: give that too. The old secret can stay in Entra until the new one is confirmed.",
		Expired, "",
	},
	{
		[]int{700016, 700011, 700005, 700038},
		"400 `unauthorized_client`, “Application with identifier … was not found in the directory”",
		"There is no application with the client id {client} in the tenant {tenant}.",
		"Copy the Application (client) ID, not the Object ID and not the Directory (tenant) ID, from the app's Overview in " + registrations + ", in the tenant of the FHIR service ({tenant}). An application registered in another tenant cannot be used.",
		Config, "",
	},
	{
		[]int{7000229},
		"401 `invalid_client`, “missing service principal in the tenant”",
		"The application {client} has no service principal in the tenant {tenant}.",
		"Have an administrator of the tenant {tenant} consent to the application, or run the command while signed in to that tenant.",
		Config, "",
	},
	{
		[]int{7000112, 70001},
		"400 or 401 `unauthorized_client`, “Application … is disabled”",
		"The application {client} is disabled in the tenant {tenant}.",
		"In " + enterprise + " > the app {client} > Properties set “Enabled for users to sign-in?” to Yes; in App registrations, activate the app if it is deactivated.",
		Config, "",
	},
	{
		[]int{90002},
		"400 `invalid_tenant` or `invalid_request`, “Tenant … not found”",
		"The tenant {tenant} was not found at {authority}.",
		"Copy the Tenant ID from {admin} > Entra ID > Overview of the tenant that the FHIR service belongs to. A tenant of Azure for US Government or of Azure China is not found at the public authority.",
		Config, "",
	},
	{
		[]int{900023},
		"400 `invalid_request`, “neither a valid DNS name, nor a valid external domain”",
		"The tenant id {tenant} is malformed.",
		"Copy the Tenant ID, a GUID, from {admin} > Entra ID > Overview.",
		Config, "",
	},
	{
		[]int{50059, 50128, 90019},
		"400 `invalid_request`, “No tenant-identifying information found”",
		"Entra could not tell which tenant is meant.",
		"Give the Tenant ID of the FHIR service, from {admin} > Entra ID > Overview.",
		Config, "",
	},
	{
		[]int{90038, 900382, 900432, 1000104},
		"400 `invalid_request`, redirection to a national cloud, or cross-cloud request",
		"The tenant {tenant} or the application {client} lives in another Azure cloud than {authority}.",
		"Register the application in the cloud of the FHIR service and use an instance of this service that is set up for that cloud. Nothing works across clouds.",
		Config, "",
	},
	{
		[]int{500011, 50001, 650052, 650057},
		"400 `invalid_resource`, “The resource principal named … was not found in the tenant”",
		"Entra does not know the FHIR service {audience} in the tenant {tenant}.",
		"Leave audience empty, so that it is taken from the server, and check the FHIR server URL. If both are right already, register the resource provider Microsoft.HealthcareApis in the subscription, or run the command, which adds Azure Healthcare APIs, while signed in to the tenant {tenant}.",
		Config, "",
	},
	{
		[]int{1002012, 70011, 28002, 700022},
		"400 `invalid_scope`, “must have a scope value with /.default suffixed”",
		"Entra cannot make a scope of the audience {audience}.",
		"Correct the audience: the FHIR server's own URL, such as https://workspace-service.fhir.azurehealthcareapis.com, without a path and a trailing slash. If it is that already, report it with the correlation id.",
		Config, "",
	},
	{
		[]int{901002},
		"400 `invalid_request`, “The 'resource' request parameter isn't supported”",
		"The token was asked for in a form that Entra does not support (parameter resource).",
		ours,
		Config, "",
	},
	{
		[]int{501051, 50105},
		"400 `invalid_grant`, “is not assigned to a role for the application”",
		"The tenant {tenant} lets assigned applications only use Azure Healthcare APIs, and {client} is not assigned.",
		"In " + enterprise + " > Azure Healthcare APIs (" + healthcareAPIs + ") either assign the application {client} under Users and groups, or set Properties > “Assignment required?” to No.",
		Config, "",
	},
	{
		[]int{65001, 90094, 650056},
		"400 `invalid_grant` or `consent_required`, “has not consented”",
		"The application {client} has no administrator's consent in the tenant {tenant}.",
		"In " + registrations + " > the app {client} > API permissions choose “Grant admin consent” as Cloud Application Administrator or higher.",
		Config, "",
	},
	{
		[]int{53003, 530032, 530035},
		"400 `invalid_grant`, “blocked by Conditional Access policies”",
		"A Conditional Access policy of the tenant {tenant} blocks the application {client} from here.",
		"In {admin} > Entra ID > Conditional Access > Policies exclude the application {client} from the policy for workload identities, or add the outbound IP addresses of this service to a named location that the policy allows.",
		Config, "",
	},
	{
		[]int{7000218, 7000216},
		"401 `invalid_client`, “must contain … 'client_assertion' or 'client_secret'”",
		"The client secret of the application {client} is empty.",
		"In " + secrets + " create a client secret, copy its Value and enter it.",
		Config, "",
	},
	{
		[]int{700025},
		"401 `invalid_client`, “Client is public so neither 'client_assertion' nor 'client_secret' should be presented”",
		"The application {client} is registered as a public client, which cannot have a secret.",
		"In " + registrations + " > the app {client} > Authentication add the platform Web and set “Allow public client flows” to No, then create a client secret.",
		Config, "",
	},
	{
		[]int{50194, 90130, 9001023},
		"400 `invalid_request`, the endpoint /common for an application of one tenant",
		"The token was asked for at an endpoint that this application cannot use.",
		ours,
		Config, "",
	},
	{
		[]int{700027, 700024, 5002723, 5002738, numberAssertion, 500133},
		"401 `invalid_client`, the assertion's signature, key or time",
		"Entra does not accept the certificate of the application {client}, or the time of its assertion.",
		"Upload the current public certificate in " + secrets + " > Certificates, and check the clock of this service.",
		Config, "",
	},
	{
		[]int{70021, 700213, 700211, 90061, 700212},
		"400 `invalid_request`, “No matching federated identity record found”",
		"The application {client} has no federated credential that matches.",
		"In " + secrets + " > Federated credentials copy issuer, subject and audience exactly; upper and lower case and trailing slashes matter.",
		Config, "",
	},
	{
		[]int{1000502},
		"401 `invalid_client`, “The provided certificate is not within its specified validity window”",
		"The certificate of the application {client} has ended, or its time has not begun.",
		"Create a new certificate, upload its public part in " + secrets + " > Certificates, and send it with its private key as clientCertificate.",
		Config, "",
	},
	{
		[]int{700030},
		"401 `invalid_client`, “Invalid certificate - subject name in certificate is not authorized” or “the issuer of the certificate is from a different cloud”",
		"Entra does not accept the subject or the issuer of the certificate of the application {client}.",
		"Upload this very certificate in " + secrets + " > Certificates. In the text that is sent, the application's own certificate stands first, those of certificate authorities behind it. A certificate of another Azure cloud than {authority} cannot be used.",
		Config, "",
	},
	{
		[]int{700023, 700021},
		"401 `invalid_client`, “Client assertion audience claim does not match Realm issuer” or “application identifier doesn't match 'client_id' parameter”",
		"Entra does not accept the signed assertion as one of the application {client} for the tenant {tenant}.",
		"Check that the tenant {tenant} and the application {client} belong to the cloud of {authority}. If they do: " + ours,
		Config, "",
	},
	{
		[]int{500014},
		"400 `invalid_resource`, “The service principal for resource … is disabled”",
		"In the tenant {tenant} the service behind {audience} is disabled: an administrator has switched it off, or a subscription of the tenant has lapsed.",
		"In " + enterprise + ", with the filter Application type set to All applications, open the application of the FHIR service (Azure Healthcare APIs, " + healthcareAPIs + ", for Azure Health Data Services) and set Properties > “Enabled for users to sign-in?” to Yes. If it is Yes, renew the tenant's Azure subscription.",
		Config, "",
	},
	{
		[]int{5000225},
		"400 `invalid_request` or `invalid_grant`, “This tenant has been blocked due to inactivity”",
		"Microsoft has blocked the tenant {tenant}, because it was not used for a long time.",
		"A Global Administrator of the tenant has to ask Microsoft's support for its reactivation, which is possible within 20 days of the block (https://aka.ms/TenantLifecycle). If it is not the FHIR service's tenant, correct the tenant id.",
		Config, "",
	},
	{
		[]int{90009},
		"400 `invalid_request`, “Application … is requesting a token for itself”",
		"The client id {client} is that of the FHIR server's own app registration: the application asks for a token for itself.",
		"Register an application of its own for this in " + registrations + " > New registration, and give its client id. Or give the server's Application (client) ID, a GUID, as audience: only by its GUID can an application ask for itself.",
		Config, "",
	},
	{
		[]int{90124},
		"400 `invalid_resource`, “Resource … is not supported over the /common or /consumers endpoints”",
		"The tenant {tenant} has no tokens for {audience}: it stands for personal accounts, or for many tenants.",
		"Give the Tenant ID of the organization that the FHIR service belongs to, from {admin} > Entra ID > Overview.",
		Config, "",
	},
	{
		[]int{650051},
		"400 or 401, “Consent action for Application … failed”, or a service that the organization has not subscribed to",
		"The tenant {tenant} did not let the application {client}, or the service behind {audience}, be added to it.",
		"If the application was deleted there a short time ago, wait 15 minutes. Otherwise look in " + enterprise + " whether {client} is there, and have an administrator grant consent in App registrations > API permissions. The subscription of the FHIR service must be active, with the resource provider Microsoft.HealthcareApis registered.",
		Config, "",
	},
}

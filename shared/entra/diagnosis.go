package entra

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Diagnosis says in words what went wrong and what to do next. Neither text holds a secret.
type Diagnosis struct {
	Message string
	Fix     string
}

// Diagnose looks the refusal up in the catalogue. audience is what the token was asked for.
// A number that the catalogue does not know keeps Entra's own sentence and the ids that
// Microsoft's support asks for.
func (r *Refusal) Diagnose(c Credentials, audience string) Diagnosis {
	if r.Class() == Transient {
		return throttled
	}
	for _, e := range catalogue {
		if slices.Contains(e.numbers, r.Number) {
			return e.fill(c, audience)
		}
	}
	return r.unknown(c, audience)
}

// Diagnose says what can be done when the authority gave no usable answer.
func (u *Unreachable) Diagnose() Diagnosis {
	return Diagnosis{
		Message: "Microsoft Entra gave no usable answer: " + u.Reason + ".",
		Fix:     "Try again in a minute. If it stays so, look at https://azure.status.microsoft and at the outbound network of this service.",
	}
}

// unknown keeps what Entra said, and adds the hint of the OAuth error if there is one.
func (r *Refusal) unknown(c Credentials, audience string) Diagnosis {
	said := r.Sentence
	if said == "" {
		said = r.OAuthError
	}
	name := r.OAuthError
	if r.Number != 0 {
		name = "AADSTS" + strconv.Itoa(r.Number)
	}
	var fix []string
	if e, ok := hints[r.OAuthError]; ok {
		fix = append(fix, e.fill(c, audience).Fix)
	}
	if r.Number != 0 {
		fix = append(fix, fmt.Sprintf("Microsoft explains the number at https://login.microsoftonline.com/error?code=%d.", r.Number))
	}
	fix = append(fix, fmt.Sprintf("When you ask Microsoft, give them trace id %s and correlation id %s.", known(r.TraceID), known(r.CorrelationID)))
	return Diagnosis{
		Message: fmt.Sprintf("Entra refused: “%s” (%s).", said, name),
		Fix:     strings.Join(fix, " "),
	}
}

func known(id string) string {
	if id == "" {
		return "(none was sent)"
	}
	return id
}

// entry is one row of the catalogue. {client}, {tenant}, {audience} and {authority} in its
// texts stand for the values that were used.
type entry struct {
	numbers      []int
	message, fix string
}

func (e entry) fill(c Credentials, audience string) Diagnosis {
	r := strings.NewReplacer(
		"{client}", printable(c.ClientID, 100), "{tenant}", printable(c.TenantID, 100),
		"{audience}", printable(audience, 300), "{authority}", printable(c.Authority, 100),
	)
	return Diagnosis{Message: r.Replace(e.message), Fix: r.Replace(e.fix)}
}

const (
	registrations = "Entra admin center (https://entra.microsoft.com) > Entra ID > App registrations"
	secrets       = registrations + " > the app {client} > Certificates & secrets"
	enterprise    = "Entra admin center (https://entra.microsoft.com) > Entra ID > Enterprise apps"
	// healthcareAPIs is Microsoft's first-party application that FHIR services belong to
	// (https://learn.microsoft.com/azure/healthcare-apis/azure-api-for-fhir/register-resource-azure-ad-client-app).
	healthcareAPIs = "4f6778d8-5aef-43dc-a1ff-b073724b9495"
	ours           = "This is a mistake of this service, not of yours: report it with the code and the correlation id."
)

var throttled = Diagnosis{
	Message: "Microsoft Entra asks to slow down or has a passing problem.",
	Fix:     "Nothing has to be changed: it is tried again. If it lasts for more than an hour, look at https://azure.status.microsoft.",
}

// hints serve numbers that the catalogue does not know, by OAuth error (RFC 6749 §5.2 and
// Entra's invalid_resource, invalid_tenant).
var hints = map[string]entry{
	"invalid_client":      {fix: "Check the client id and the client secret: " + secrets + "."},
	"unauthorized_client": {fix: "Check that the application {client} exists and is enabled in the tenant {tenant}."},
	"invalid_resource":    {fix: "Check the FHIR server URL and the audience {audience}."},
	"invalid_scope":       {fix: "Check the audience {audience}."},
	"invalid_tenant":      {fix: "Check the tenant id {tenant}."},
	"invalid_grant":       {fix: "Ask the administrator of the tenant {tenant} whether a policy or a missing consent stops the application {client}."},
	"interaction_required": {
		fix: "Ask the administrator of the tenant {tenant} which policy stops the application {client}; nobody can be asked interactively here.",
	},
}

// catalogue maps AADSTS numbers to words
// (https://learn.microsoft.com/entra/identity-platform/reference-error-codes).
var catalogue = []entry{
	{
		[]int{7000215},
		"Entra does not accept this client secret for the application {client}.",
		"In " + secrets + " create a new client secret and copy its Value, not its Secret ID; the Value is shown only until you leave the page. Paste it without spaces. A secret younger than two minutes may need another try.",
	},
	{
		[]int{numberExpired},
		"The client secret of the application {client} has expired.",
		"In " + secrets + " choose New client secret, copy its Value and set it on this link. The old secret can stay there until the new one is confirmed.",
	},
	{
		[]int{700016, 700011, 700005, 700038},
		"There is no application with the client id {client} in the tenant {tenant}.",
		"Copy the Application (client) ID, not the Object ID, from the app's Overview in " + registrations + ", in the tenant of the FHIR service ({tenant}). An application registered in another tenant cannot be used.",
	},
	{
		[]int{7000229},
		"The application {client} has no service principal in the tenant {tenant}.",
		"Run `az ad sp create --id {client}` while signed in to the tenant {tenant}, or have an administrator of that tenant consent to the application.",
	},
	{
		[]int{7000112, 70001},
		"The application {client} is disabled in the tenant {tenant}.",
		"In " + enterprise + " > the app {client} > Properties set “Enabled for users to sign-in?” to Yes; in App registrations, activate the app if it is deactivated.",
	},
	{
		[]int{90002},
		"The tenant {tenant} was not found at {authority}.",
		"Copy the Tenant ID from Entra admin center (https://entra.microsoft.com) > Entra ID > Overview of the tenant that the FHIR service belongs to. A tenant of Azure for US Government or of Azure China is not found at the public authority.",
	},
	{
		[]int{900023},
		"The tenant id {tenant} is malformed.",
		"Copy the Tenant ID, a GUID, from Entra admin center (https://entra.microsoft.com) > Entra ID > Overview.",
	},
	{
		[]int{50059, 50128, 90019},
		"Entra could not tell which tenant is meant.",
		"Give the Tenant ID of the FHIR service, from Entra admin center (https://entra.microsoft.com) > Entra ID > Overview.",
	},
	{
		[]int{90038, 900382, 900432, 1000104},
		"The tenant {tenant} or the application {client} lives in another Azure cloud than {authority}.",
		"Register the application in the cloud of the FHIR service and use an instance of this service that is set up for that cloud. Nothing works across clouds.",
	},
	{
		[]int{500011, 50001, 650052, 650057},
		"Entra does not know the FHIR service {audience} in the tenant {tenant}.",
		"Check the FHIR server URL and the audience: the audience is the server's own URL without a trailing slash. If both are right, register the resource provider Microsoft.HealthcareApis in the subscription, or run `az ad sp create --id " + healthcareAPIs + "` (Azure Healthcare APIs) in the tenant {tenant}.",
	},
	{
		[]int{70011, 1002012, 28002, 700022},
		"Entra cannot make a scope of the audience {audience}.",
		"Correct the audience: the FHIR server's own URL, such as https://workspace-service.fhir.azurehealthcareapis.com, without a path and a trailing slash. If it is that already, report it with the correlation id.",
	},
	{
		[]int{901002},
		"The token was asked for in a form that Entra does not support (parameter resource).",
		ours,
	},
	{
		[]int{501051, 50105},
		"The tenant {tenant} lets assigned applications only use Azure Healthcare APIs, and {client} is not assigned.",
		"In " + enterprise + " > Azure Healthcare APIs (" + healthcareAPIs + ") either assign the application {client} under Users and groups, or set Properties > “Assignment required?” to No.",
	},
	{
		[]int{65001, 90094, 650056},
		"The application {client} has no administrator's consent in the tenant {tenant}.",
		"In " + registrations + " > the app {client} > API permissions choose “Grant admin consent” as Cloud Application Administrator or higher.",
	},
	{
		[]int{53003, 530032, 530035},
		"A Conditional Access policy of the tenant {tenant} blocks the application {client} from here.",
		"In Entra admin center (https://entra.microsoft.com) > Entra ID > Conditional Access > Policies exclude the application {client} from the policy for workload identities, or add the outbound IP addresses of this service to a named location that the policy allows.",
	},
	{
		[]int{7000218},
		"The client secret of the application {client} is empty.",
		"In " + secrets + " create a client secret, copy its Value and enter it.",
	},
	{
		[]int{700025},
		"The application {client} is registered as a public client, which cannot have a secret.",
		"In " + registrations + " > the app {client} > Authentication add the platform Web and set “Allow public client flows” to No, then create a client secret.",
	},
	{
		[]int{50194, 90130, 9001023},
		"The token was asked for at an endpoint that this application cannot use.",
		ours,
	},
	{
		[]int{700027, 700024, 5002723, 5002738, 50012},
		"Entra does not accept the certificate of the application {client}, or the time of its assertion.",
		"Upload the current public certificate in " + secrets + " > Certificates, and check the clock of this service.",
	},
	{
		[]int{70021, 700213, 700211, 90061},
		"The application {client} has no federated credential that matches.",
		"In " + secrets + " > Federated credentials copy issuer, subject and audience exactly; upper and lower case and trailing slashes matter.",
	},
}

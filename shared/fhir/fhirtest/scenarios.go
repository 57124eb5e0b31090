package fhirtest

import (
	"fmt"
	"net/http"
	"strings"
	"time"

	"fhirlink/shared/fhir"
)

// scenario describes what is wrong with a server. A nil reply means the correct behaviour.
type scenario struct {
	everything reply // answers all requests
	metadata   reply
	smart      reply // .well-known/smart-configuration
	anonymous  reply // a read or write without a token
	read       reply // with a good token
	write      reply // with a good token
	audience   string
	kind       fhir.Kind // the zero Kind means Azure Health Data Services
}

var forbidden = answer(http.StatusForbidden, "forbidden", "Authorization failed.")

// scenarios by name: first those of the sandbox's contract, then one for each finding of the
// verification's catalogue, named after its code with hyphens.
var scenarios = map[string]scenario{
	"clinic":      {},
	"readonly":    {write: forbidden},
	"norole":      {read: roleSpreads, write: roleSpread},
	"audience":    {audience: "https://api.{domain}"},
	"anonymous":   {anonymous: (*exchange).withoutToken},
	"throttled":   {read: throttle, write: throttle},
	"down":        {everything: page(http.StatusServiceUnavailable)},
	"html":        {everything: page(http.StatusOK)},
	"metadata404": {everything: noRoute},
	"slow":        {everything: slow},
	"redirect":    {everything: redirect("https://www.example.com/login")},
	"huge":        {metadata: endless},

	"fhir-timeout":             {everything: slow},
	"fhir-429":                 {read: throttle, write: throttle},
	"fhir-5xx":                 {everything: page(http.StatusBadGateway)},
	"metadata-404":             {everything: noRoute},
	"metadata-html":            {everything: page(http.StatusOK)},
	"metadata-redirect":        {everything: redirect("https://www.example.com/login")},
	"metadata-too-large":       {metadata: endless},
	"server-open":              {anonymous: (*exchange).withoutToken},
	"fhir-401-audience":        {anonymous: challenged(`Bearer authorization_uri="{authority}/{tenant}"`), read: refused("The audience '{base}' is invalid")},
	"write-403":                {write: forbidden},
	"product-retired":          {kind: fhir.Kind{Product: fhir.AzureAPIForFHIR}},
	"product-gone":             {everything: page(http.StatusNotFound), kind: fhir.Kind{Product: fhir.AzureAPIForFHIR}},
	"product-nowhere":          {kind: fhir.Kind{Product: fhir.AzureAPIForFHIR}}, // its name does not resolve either, see Dials
	"connection-broken":        {everything: hangUp},
	"fhir-408":                 {read: answer(http.StatusRequestTimeout, "timeout", "The request timed out.")},
	"fhir-503-oidc":            {read: answer(http.StatusServiceUnavailable, "security", "Failed to retrieve the OpenId configuration from the authentication provider.")},
	"fhir-403-edge":            {everything: page(http.StatusForbidden)},
	"fhir-406":                 {metadata: answer(http.StatusNotAcceptable, "not-supported", "The requested format is not supported.")},
	"fhir-415":                 {write: answer(http.StatusUnsupportedMediaType, "not-supported", "The content type is not supported.")},
	"metadata-not-capability":  {metadata: func(e *exchange) { e.statement("Conformance", "1.0.2", e.authority()) }},
	"metadata-auth-required":   {metadata: (*exchange).loginNeeded},
	"metadata-forbidden":       {metadata: forbidden},
	"metadata-unexpected":      {metadata: answer(http.StatusBadRequest, "invalid", "The request is not valid.")},
	"fhir-version-unsupported": {metadata: func(e *exchange) { e.statement("CapabilityStatement", "6.0.0-ballot3", e.authority()) }},
	"no-challenge":             {anonymous: func(e *exchange) { e.challenge("") }},
	"tenant-unknown":           nameless,
	"tenant-smart-only":        smartOnly,
	"tenant-conflict":          {anonymous: challengeOf("{authority}/99999999-9999-4999-8999-999999999999", "{base}")},
	"authority-mismatch":       {metadata: statementAt("https://login.evil.test/x"), smart: smartAt("https://login.evil.test/x"), anonymous: challengeOf("https://login.evil.test/{tenant}", "{base}")},
	"authority-other":          {metadata: statementAt("https://login.evil.test/x")},
	"cloud-unsupported":        {kind: fhir.Kind{Product: fhir.HealthDataServices, Cloud: fhir.USGovernment}},
	"audience-foreign":         {anonymous: challengeOf("{authority}/{tenant}", "https://graph.microsoft.com")},
	"smart-proxy":              {metadata: func(e *exchange) { e.statement("CapabilityStatement", "4.0.1", e.base()+"/AadSmartOnFhirProxy") }},
	"fhir-401-issuer":          {read: refused("IDX10205: Issuer validation failed. Issuer: 'https://sts.windows.net/{tenant}/'. Did not match: ValidIssuer: 'https://sts.windows.net/99999999-9999-4999-8999-999999999999/'")},
	"fhir-401-login":           {read: (*exchange).loginNeeded},
	"fhir-401-backend":         {read: answer(http.StatusUnauthorized, "exception", "Login failed for the database.")},
	"fhir-403":                 {read: forbidden, kind: fhir.Kind{Product: fhir.Generic}},
	"fhir-403-rbac":            {read: forbidden},
	"fhir-403-cmk":             {read: answer(http.StatusForbidden, "invalid", "Error occurred during an operation that is dependent on the customer-managed key. Use https://go.microsoft.com/fwlink/?linkid=2300268 to troubleshoot the issue.")},
	"smart-user-role":          {read: answer(http.StatusBadRequest, "invalid", "The fhirUser claim is missing from the token.")},
	"read-inconclusive":        {read: noRoute},
	"read-odd":                 {read: answer(http.StatusForbidden, "business-rule", "Not today.")},
	"write-400-405":            {write: answer(http.StatusBadRequest, "invalid", "If-Match is not supported.")},
	"write-created":            {write: created},
	"write-undeletable":        {write: createdForGood},
	"write-inconclusive":       {write: answer(http.StatusTeapot, "processing", "Not understood.")},
	"write-throttled":          {write: throttle},
	"sign-in-unsupported":      {metadata: statementAt("urn:none"), smart: noRoute, anonymous: challenged("Negotiate, NTLM")},
	"gateway-key-missing":      {anonymous: subscriptionKey},
	"authority-elsewhere":      {metadata: statementAt("https://login.evil.test/x")},
	"audience-guid":            {anonymous: challengeOf("{authority}/{tenant}", "33333333-3333-4333-8333-333333333333")},
	"fhir-401-lifetime":        {read: refused("The token expired at '11/28/2026 10:00:00'")},
	"fhir-401-signature":       {read: refused("The signature key was not found")},
	"fhir-401-scope":           {read: challenged(`Bearer error="insufficient_scope", error_description="requires system/Patient.read"`)},
	"read-not-fhir":            {read: page(http.StatusOK)},
	"read-redirect":            {read: redirect("https://login.microsoftonline.com/common/oauth2/authorize?client_id=x")},

	// Further cases of a code.
	"fhir-401-audience-contradiction": {read: refused("The audience '{base}' is invalid")},
	"fhir-401-issuer-version":         {read: refused("The issuer 'https://sts.windows.net/{tenant}/' is invalid")},
	"fhir-401-issuer-unclear":         {read: refused("An error occurred while attempting to decode the Jwt: The iss claim is not valid")},
	"fhir-version-unsupported-none":   {metadata: func(e *exchange) { e.statement("CapabilityStatement", "", e.authority()) }},
	"tenant-unknown-domain":           {metadata: statementAt("urn:none"), smart: noRoute, anonymous: challengeOf("{authority}/contoso.onmicrosoft.com", "{base}")},
	"tenant-unknown-any":              {metadata: statementAt("urn:none"), smart: noRoute, anonymous: challengeOf("{authority}/common", "{base}")},

	"generic":      {kind: fhir.Kind{Product: fhir.Generic}},
	"generic-open": {anonymous: (*exchange).withoutToken, kind: fhir.Kind{Product: fhir.Generic}},
	"generic-page": {anonymous: page(http.StatusOK), kind: fhir.Kind{Product: fhir.Generic}},

	// A server whose tenant does not exist.
	"aadsts-90002": {metadata: statementAt("urn:none"), smart: noRoute, anonymous: challengeOf("{authority}/99999999-9999-4999-8999-999999999999", "{base}")},

	// Hostile servers.
	"hostile-bulky":      {metadata: bulky},
	"hostile-nested":     {metadata: nested},
	"hostile-string":     {metadata: oneString},
	"hostile-bomb":       {metadata: bomb},
	"hostile-bomb-read":  {read: bombOnRead},
	"hostile-drip":       {metadata: drip},
	"hostile-loop":       {everything: loop},
	"hostile-media-type": {metadata: disguised},
	"hostile-challenge":  {anonymous: noisy},
}

func noRoute(e *exchange) {
	e.outcome(http.StatusNotFound, "not-found", "The requested route was not found.")
}

// roleSpreads refuses three reads, as a service does until a new role assignment has reached it.
func roleSpreads(e *exchange) {
	if e.refusals(e.name) < 3 {
		e.addRefusal(e.name)
		forbidden(e)
		return
	}
	e.usual((*exchange).readMissing)(e)
}

func roleSpread(e *exchange) {
	if e.refusals(e.name) < 3 {
		forbidden(e)
		return
	}
	e.usual((*exchange).writeMissing)(e)
}

func (e *exchange) withoutToken() {
	if e.r.Method == http.MethodGet {
		e.readMissing()
		return
	}
	e.writeMissing()
}

// throttle answers as Microsoft's rate limiter does: plain JSON, and the wait in two headers.
// Requests without a token are not limited.
func throttle(e *exchange) {
	e.w.Header().Set("X-Ms-Retry-After-Ms", "2000")
	e.w.Header().Set("Retry-After", "2")
	body := outcomeOf("throttled", "The maximum number of concurrent API calls on this instance was reached.")
	delete(body, "id")
	delete(body, "meta")
	e.json(http.StatusTooManyRequests, "application/json", body)
}

func slow(e *exchange) {
	delay := e.Delay
	if delay == 0 {
		delay = 30 * time.Second
	}
	select {
	case <-time.After(delay):
		e.everything = nil
		e.serve()
	case <-e.r.Context().Done():
		panic(http.ErrAbortHandler) // returning would answer
	}
}

func redirect(location string) reply {
	return func(e *exchange) {
		e.w.Header().Set("Location", location)
		e.w.WriteHeader(http.StatusFound)
	}
}

// hangUp closes the connection in the middle of an answer.
func hangUp(e *exchange) {
	e.w.Header().Set("Content-Type", "application/fhir+json")
	e.w.Header().Set("Content-Length", "1000")
	_, _ = fmt.Fprint(e.w, `{"resourceType":"Capab`)
	panic(http.ErrAbortHandler)
}

// fill puts the values of the server into a text.
func (e *exchange) fill(text string) string {
	return strings.NewReplacer("{authority}", strings.TrimSuffix(e.Authority, "/"), "{tenant}", e.TenantID, "{base}", e.base()).Replace(text)
}

// challenged returns a reply that sends a 401 with the given header.
func challenged(header string) reply { return func(e *exchange) { e.challenge(e.fill(header)) } }

// refused returns a reply that refuses a token for a reason.
func refused(description string) reply {
	return func(e *exchange) { e.unauthorized(e.fill(description)) }
}

// subscriptionKey answers as API Management does.
func subscriptionKey(e *exchange) {
	e.w.Header().Set("WWW-Authenticate", `AzureApiManagementKey realm="`+e.base()+`",name="Ocp-Apim-Subscription-Key",type="header"`)
	e.json(http.StatusUnauthorized, "application/json", object{
		"statusCode": 401, "message": "Access denied due to missing subscription key. Make sure to include subscription key when making requests to an API.",
	})
}

// challengeOf returns a reply that sends a 401 with the given authority and audience.
func challengeOf(authority, audience string) reply {
	return challenged(fmt.Sprintf("Bearer authorization_uri=%q, resource_id=%q, realm=%q", authority, audience, audience))
}

func statementAt(authority string) reply {
	return func(e *exchange) { e.statement("CapabilityStatement", "4.0.1", authority) }
}

func smartAt(authority string) reply { return func(e *exchange) { e.smartAt(authority) } }

// nameless is a server that names no tenant anywhere.
var nameless = scenario{
	metadata:  statementAt("urn:none"),
	smart:     noRoute,
	anonymous: func(e *exchange) { e.challenge("Bearer") },
}

// smartOnly names its tenant in smart-configuration only.
var smartOnly = scenario{metadata: statementAt("urn:none"), anonymous: func(e *exchange) { e.challenge("Bearer") }}

// created ignores If-Match, which a FHIR server must not do.
func created(e *exchange) {
	if e.r.Method == http.MethodDelete {
		e.w.WriteHeader(http.StatusNoContent)
		return
	}
	e.json(http.StatusCreated, "application/fhir+json", object{"resourceType": "Basic", "id": e.pathPart(1)})
}

func createdForGood(e *exchange) {
	if e.r.Method == http.MethodDelete {
		forbidden(e)
		return
	}
	created(e)
}

func (e *exchange) pathPart(i int) string {
	parts := strings.Split(strings.TrimPrefix(e.r.URL.Path, "/"), "/")
	if i < len(parts) {
		return parts[i]
	}
	return ""
}

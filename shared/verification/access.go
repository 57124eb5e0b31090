package verification

import (
	"context"
	"net/http"
	"slices"
	"strings"

	"fhirlink/shared/fhir"
)

// read repeats with the token the request that authority made without one.
func (r *run) read(ctx context.Context) Check {
	a, err := r.probeRead(ctx, r.accessToken)
	r.note(a)
	if err != nil {
		return r.found(r.brokenCode(a, err), a)
	}
	if code := r.readCode(a); code != "" {
		return r.found(code, a)
	}
	r.report.Access = Read
	return r.pass(a, "The application may read.")
}

// readCode returns "" if the answer means that the application may read. On Microsoft's server a
// missing resource proves that, because it checks rights first.
func (r *run) readCode(a fhir.Answer) string {
	switch {
	case a.Status >= 200 && a.Status < 300:
		return r.answeredCode(a)
	case a.Status >= 300 && a.Status < 400:
		return "read_redirect"
	case r.kind.Microsoft() && (a.NotFound() || a.Status == http.StatusGone && a.Outcome != nil):
		return ""
	}
	return r.deniedCode(a)
}

// answeredCode judges a 2xx: only the FHIR answer to the probe is a read. Web pages, gateways and
// sign-ins answer 200, too.
func (r *run) answeredCode(a fhir.Answer) string {
	bundle := a.ResourceType == "Bundle" && (a.BundleType == "searchset" || a.BundleType == "")
	if a.Status == http.StatusOK && a.MayBeJSON() && (bundle || r.kind.Microsoft() && a.ResourceType == "Basic") {
		return ""
	}
	if o := a.Outcome; o != nil {
		switch o.Code {
		case "login", "expired", "security":
			return r.unauthorizedCode(a)
		case "forbidden":
			return r.forbiddenCode(a)
		case "throttled":
			return "fhir_429"
		}
	}
	r.facts["{seen}"] = contents(a)
	return "read_not_fhir"
}

// contents says what a 2xx has instead of the FHIR answer.
func contents(a fhir.Answer) string {
	media := fhir.Name(a.MediaType)
	switch {
	case a.Status == http.StatusNoContent:
		return "nothing"
	case a.IsPage():
		return "a web page (" + media + ")"
	case a.ResourceType == "Bundle" && a.MayBeJSON():
		return "a Bundle of the type " + fhir.Name(a.BundleType)
	case a.ResourceType != "" && a.MayBeJSON():
		return "a resource of the type " + fhir.Name(a.ResourceType)
	case media == "":
		return "something without a media type that is no FHIR resource"
	}
	return "something of the media type " + media + " that is no FHIR resource"
}

// deniedCode classifies the refusal of a request with a token: a 401 is not always about the
// token, a 403 not always about the role.
func (r *run) deniedCode(a fhir.Answer) string {
	if code := transientCode(a); code != "" {
		return code
	}
	if r.kind.Microsoft() && a.Status >= 400 && a.Outcome != nil && a.Outcome.Says("fhirUser") {
		return "smart_user_role"
	}
	switch a.Status {
	case http.StatusUnauthorized:
		return r.unauthorizedCode(a)
	case http.StatusForbidden:
		return r.forbiddenCode(a)
	}
	return "read_inconclusive"
}

func (r *run) unauthorizedCode(a fhir.Answer) string {
	if a.Outcome != nil && a.Outcome.Code == "exception" {
		return "fhir_401_backend"
	}
	if a.IsAmazon() {
		r.facts["{seen}"] = r.foreignSignIn(a)
		return "sign_in_unsupported"
	}
	switch a.Reason() {
	case fhir.GatewayKeyMissing, fhir.APIKeyMissing:
		return "gateway_key_missing"
	case fhir.RightMissing:
		return "fhir_401_scope"
	case fhir.OutsideLifetime:
		return "fhir_401_lifetime"
	case fhir.SignatureRefused:
		return "fhir_401_signature"
	case fhir.AudienceRefused:
		if r.wanted == r.Audience || r.namedGUID != "" && guidAudience(r.Audience) == r.namedGUID {
			return "fhir_401_audience/contradiction"
		}
		return "fhir_401_audience"
	case fhir.IssuerRefused:
		return r.issuerCode(a)
	}
	seen := r.foreignSignIn(a)
	r.facts["{asks}"] = ""
	switch {
	case seen == "":
	case a.AboutToken():
		r.facts["{asks}"] = " It answered with " + seen + "."
	default:
		r.facts["{seen}"] = seen
		return "sign_in_unsupported"
	}
	return "fhir_401_login"
}

// issuerCode distinguishes an issuer of another tenant from one of the right tenant in the form of
// the other token version.
func (r *run) issuerCode(a fhir.Answer) string {
	tenants := a.IssuerTenants()
	ours := slices.Contains(tenants, r.TenantID)
	others := slices.ContainsFunc(tenants, func(id string) bool { return id != r.TenantID })
	switch {
	case ours && !others:
		return "fhir_401_issuer/version"
	case others && !ours:
		return "fhir_401_issuer"
	}
	return "fhir_401_issuer/unclear"
}

func (r *run) forbiddenCode(a fhir.Answer) string {
	switch {
	case a.Outcome != nil && a.Outcome.Says("customer-managed key"):
		return "fhir_403_cmk"
	case a.Reason() == fhir.GatewayKeyMissing, a.Reason() == fhir.APIKeyMissing:
		return "gateway_key_missing"
	case a.IsAmazon():
		r.facts["{seen}"] = r.foreignSignIn(a)
		return "sign_in_unsupported"
	case !r.kind.Microsoft():
		return "fhir_403"
	case a.Outcome == nil:
		return "fhir_403_edge"
	case a.Outcome.Code == "forbidden":
		r.facts["{assign}"] = r.assignment()
		return "fhir_403_rbac"
	}
	return "read_inconclusive"
}

// assignment returns the command that gives the application its role.
func (r *run) assignment() string {
	object := `"$(az ad sp show --id ` + r.ClientID + ` --query id -o tsv)"`
	if r.report.ObjectID != "" {
		object = r.report.ObjectID
	}
	return "az role assignment create --assignee-object-id " + object +
		` --assignee-principal-type ServicePrincipal --role "FHIR Data Writer" --scope ` + resourceIDQuery(r.Server.Host())
}

// resourceIDQuery returns a shell expression for the resource id of a FHIR service. The host name
// joins workspace and service with a hyphen. Both names may contain hyphens, so every split is a
// candidate.
func resourceIDQuery(host string) string {
	label, _, _ := strings.Cut(host, ".")
	var names []string
	for i := range label {
		if label[i] == '-' {
			names = append(names, "name=='"+label[:i]+"/"+label[i+1:]+"'")
		}
	}
	if names == nil {
		names = []string{"ends_with(name,'/" + label + "')"}
	}
	return `"$(az resource list --resource-type Microsoft.HealthcareApis/workspaces/fhirservices --query "[?` + strings.Join(names, " || ") + `].id" -o tsv)"`
}

// write sends the conditional update that changes nothing, but only to servers known to handle it
// so.
func (r *run) write(ctx context.Context) Check {
	if r.report.Access == NoAccess {
		return r.skip("skipped", "Not run, because it is not certain that the application may read.")
	}
	if !r.kind.Microsoft() {
		return r.skip("write_not_probed", "Not run: only Microsoft's FHIR service is known to answer this without writing.")
	}
	a, err := r.client.Write(ctx, r.probe, r.accessToken)
	r.note(a)
	if err != nil {
		return r.found(r.brokenCode(a, err), a)
	}
	if (a.Status == http.StatusOK || a.Status == http.StatusCreated) && a.MayBeJSON() {
		return r.created(ctx, a)
	}
	if code := r.writeCode(a); code != "" {
		return r.found(code, a)
	}
	r.report.Access = ReadWrite
	return r.pass(a, "The application may read and write.")
}

func (r *run) writeCode(a fhir.Answer) string {
	switch {
	case a.NotFound(), a.Status == http.StatusPreconditionFailed, a.Status == http.StatusConflict:
		return ""
	case a.Status == http.StatusForbidden:
		r.facts["{assign}"] = r.assignment()
		return "write_403"
	case a.Status == http.StatusBadRequest, a.Status == http.StatusMethodNotAllowed:
		return "write_400_405"
	}
	if code := transientCode(a); code != "" {
		return code
	}
	return unexpectedCode(a, "write_inconclusive")
}

// created removes a resource that should not have been created. The right to write is proven
// either way.
func (r *run) created(ctx context.Context, a fhir.Answer) Check {
	r.report.Access = ReadWrite
	removed, err := r.client.Remove(ctx, r.probe, r.accessToken)
	r.facts["{removed}"] = "It was deleted again."
	if err != nil || removed.Status >= 300 {
		r.facts["{removed}"] = "It could not be deleted: delete Basic/" + r.probe + "."
	}
	return r.found("write_created", a)
}

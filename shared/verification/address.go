package verification

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"regexp"
	"strconv"
	"strings"

	"fhirlink/shared/egress"
	"fhirlink/shared/fhir"
)

// address requests the metadata and judges how far the connection got. The next check judges the
// answer.
func (r *run) address(ctx context.Context) Check {
	r.capability, r.described, r.describeErr = r.client.Metadata(ctx)
	a := r.described
	r.note(a)
	seen := fhir.Answer{Method: a.Method, URL: a.URL, Connected: a.Connected, Elapsed: a.Connect}
	if !a.Connected && r.describeErr != nil {
		seen.Elapsed = a.Elapsed
		return r.found(r.notConnectedCode(r.describeErr), seen)
	}
	if r.kind.Product == fhir.AzureAPIForFHIR && r.describeErr == nil && a.Status == http.StatusOK {
		c := r.found("product_retired", seen)
		c.Status = Warn
		return c
	}
	return r.pass(seen, "{host} answers with a valid certificate.")
}

// note records the facts of an answer for the texts of the catalogue.
func (r *run) note(a fhir.Answer) {
	r.facts["{status}"] = strconv.Itoa(a.Status)
	r.facts["{said}"] = ""
	if said := a.Said(); said != "" {
		end := "."
		if strings.ContainsAny(said[len(said)-1:], ".!?") { // its own
			end = ""
		}
		r.facts["{said}"] = " It says: “" + said + "”" + end
	}
	r.facts["{media}"] = ""
	if a.MediaType != "" {
		r.facts["{media}"] = " (It answered with the media type " + fhir.Name(a.MediaType) + ".)"
	}
	r.noteRedirect(a)
}

// noteRedirect says where a redirect leads: on the same host, the URL matters, elsewhere the host.
func (r *run) noteRedirect(a fhir.Answer) {
	r.facts["{redirect}"] = cmp.Or(a.RedirectHost, "another address")
	r.facts["{signIn}"], r.facts["{newBase}"] = "", ""
	switch {
	case a.SignIn():
		r.facts["{signIn}"] = " That is a sign-in page for people: a sign-in stands in front of the server."
		r.facts["{newBase}"] = "Let the sign-in in front of the server (in Azure App Service: Authentication) answer 401 to requests without a token. "
		if !r.azure() {
			r.facts["{newBase}"] = "Let the sign-in in front of the server answer 401 instead of a redirect to requests without a token. "
		}
	case a.RedirectHost == r.Server.Host():
		r.facts["{redirect}"] = a.Redirect
	}
	base, isMetadata := strings.CutSuffix(strings.TrimSuffix(a.Redirect, "/"), "/metadata")
	switch {
	case !isMetadata || a.SignIn():
	case base == r.Server.String():
		r.facts["{newBase}"] = "Let the server answer " + base + "/metadata itself, without the redirect. "
	default:
		r.facts["{newBase}"] = "That is probably " + base + ". "
	}
}

// notConnectedCode returns the code for a failed connection.
func (r *run) notConnectedCode(err error) string {
	code := string(egress.FailureOf(err))
	if code == "dns_not_found" && r.kind.Product == fhir.AzureAPIForFHIR {
		return "product_retired"
	}
	return code
}

// brokenCode returns the code for a request that got no complete answer.
func (r *run) brokenCode(a fhir.Answer, err error) string {
	switch {
	case !a.Connected:
		return r.notConnectedCode(err)
	case egress.TimedOut(err):
		return "fhir_timeout"
	}
	return "connection_broken"
}

// metadata judges the answer that address received.
func (r *run) metadata(context.Context) Check {
	a := r.described
	a.Elapsed -= a.Connect
	if code := r.metadataCode(a); code != "" {
		return r.found(code, a)
	}
	return r.pass(a, "{url}/metadata is the CapabilityStatement of a FHIR {version} server.")
}

// metadataCode returns "" if the answer is usable.
func (r *run) metadataCode(a fhir.Answer) string {
	if err := r.describeErr; err != nil {
		switch {
		case errors.Is(err, fhir.ErrTooLarge):
			return "metadata_too_large"
		case errors.Is(err, fhir.ErrNotCapability):
			return r.notCapabilityCode(a, err)
		}
		return r.brokenCode(a, err)
	}
	if r.kind.Product == fhir.AzureAPIForFHIR && (a.Status == http.StatusNotFound || a.Status == http.StatusGone || a.Status >= 500) {
		return "product_retired"
	}
	if code := transientCode(a); code != "" {
		return code
	}
	switch a.Status {
	case http.StatusOK:
		return r.capabilityCode(a)
	case http.StatusUnauthorized:
		r.noteNamed(a)
		return "metadata_auth_required"
	case http.StatusForbidden:
		if a.Outcome == nil {
			return "fhir_403_edge"
		}
		return "metadata_auth_required"
	case http.StatusNotFound, http.StatusGone:
		return "metadata_404"
	}
	if a.Status >= 300 && a.Status < 400 {
		return "metadata_redirect"
	}
	return unexpectedCode(a, "metadata_unexpected")
}

// noteNamed records the audience that a challenge names with a GUID.
func (r *run) noteNamed(a fhir.Answer) {
	if a.Challenge == nil || r.Audience != "" {
		return
	}
	if id := guidAudience(namedAudience(*a.Challenge)); id != "" {
		r.facts["{named}"] = " Its answer names the audience " + id + ", which is not believed: give it as audience in the link only if it is the client id of this FHIR server's own app registration."
	}
}

// versions matches the FHIR versions on which linking works: STU3, R4, R4B and R5. The code system
// of fhirVersion has codes without a patch level, and codes with a label for ballots and builds
// (hl7.org/fhir/R5/valueset-FHIR-version.html). R4B's ballot has the number 4.1. Other numbers,
// such as 3.5 or 4.6, are drafts that differ from the release that came of them. Some servers write
// the name of the release.
var versions = regexp.MustCompile(`^[vV]?(3\.0|4\.0|4\.1|4\.3|5\.0)(\.[0-9]{1,4})?([-+][0-9A-Za-z.-]{1,40})?$|^(?i:stu3|r4b?|r5)$`)

// capabilityCode judges a 200.
func (r *run) capabilityCode(a fhir.Answer) string {
	r.facts["{version}"] = fhir.Name(r.capability.FHIRVersion)
	switch {
	case a.IsPage():
		return "metadata_html"
	case !a.MayBeJSON():
		r.facts["{found}"] = "It has the media type " + fhir.Name(a.MediaType) + "."
		return "metadata_not_capability"
	case strings.TrimSpace(r.capability.FHIRVersion) == "":
		return "fhir_version_unsupported/none"
	case !versions.MatchString(strings.TrimSpace(r.capability.FHIRVersion)):
		return "fhir_version_unsupported"
	}
	return ""
}

// notCapabilityCode says what was found instead of a CapabilityStatement.
func (r *run) notCapabilityCode(a fhir.Answer, err error) string {
	var other *fhir.OtherResourceError
	switch {
	case errors.As(err, &other) && other.FHIRVersion != "":
		r.facts["{found}"] = "It is a " + other.Type + " statement of FHIR version " + fhir.Name(other.FHIRVersion) + "."
	case errors.As(err, &other) && other.Type != "":
		r.facts["{found}"] = "It is a resource of the type " + fhir.Name(other.Type) + "."
	case a.MediaType == "":
		r.facts["{found}"] = "It has no media type and is not FHIR in JSON."
	default:
		r.facts["{found}"] = "It has the media type " + fhir.Name(a.MediaType) + " and is not FHIR in JSON."
	}
	return "metadata_not_capability"
}

// transientCode returns the code of an answer that may change by itself, or "".
func transientCode(a fhir.Answer) string {
	switch {
	case a.Status == http.StatusTooManyRequests:
		return "fhir_429"
	case a.Status == http.StatusRequestTimeout:
		return "fhir_408"
	case a.Status == http.StatusServiceUnavailable && a.Outcome != nil && a.Outcome.Code == "security":
		return "fhir_503_oidc"
	case a.Status >= 500:
		return "fhir_5xx"
	}
	return ""
}

// unexpectedCode returns a code for an answer that is our mistake, and other for any other answer.
func unexpectedCode(a fhir.Answer, other string) string {
	switch a.Status {
	case http.StatusNotAcceptable:
		return "fhir_406"
	case http.StatusUnsupportedMediaType:
		return "fhir_415"
	}
	return other
}

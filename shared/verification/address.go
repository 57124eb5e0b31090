package verification

import (
	"context"
	"errors"
	"net/http"
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
	r.facts["{redirect}"] = a.RedirectHost
	if a.RedirectHost == "" {
		r.facts["{redirect}"] = "another address"
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
	r.facts["{version}"] = r.capability.FHIRVersion
	return r.pass(a, "{url}/metadata is the CapabilityStatement of a FHIR {version} server.")
}

// metadataCode returns "" if the answer is usable.
func (r *run) metadataCode(a fhir.Answer) string {
	if err := r.describeErr; err != nil {
		switch {
		case errors.Is(err, fhir.ErrTooLarge):
			return "metadata_too_large"
		case errors.Is(err, fhir.ErrNotCapability):
			return "metadata_not_capability"
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
		return capabilityCode(a, r.capability)
	case http.StatusUnauthorized:
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

// versions holds the FHIR versions on which linking works: STU3, R4, R4B and R5.
var versions = []string{"3.0.", "4.0.", "4.1.", "4.3.", "5.0."}

func capabilityCode(a fhir.Answer, c fhir.Capability) string {
	switch {
	case a.MediaType == "text/html" || a.MediaType == "application/xhtml+xml":
		return "metadata_html"
	case !strings.Contains(a.MediaType, "json"):
		return "metadata_not_capability"
	}
	for _, v := range versions {
		if strings.HasPrefix(c.FHIRVersion, v) && len(c.FHIRVersion) < 12 {
			return ""
		}
	}
	return "fhir_version_unsupported"
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

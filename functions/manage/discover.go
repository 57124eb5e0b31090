package manage

import (
	"context"
	"net/http"
	"strings"

	"fhirlink/functions/manage/view"
	"fhirlink/shared/eventlog"
	"fhirlink/shared/fhir"
	"fhirlink/shared/httpx"
	"fhirlink/shared/link/discovery"
	"fhirlink/shared/problem"
	"fhirlink/shared/verification"
)

// Servers is the part of [discovery.Service] that the pages use.
type Servers interface {
	Discover(ctx context.Context, fhirServerURL string) (discovery.Discovery, error)
}

// discover tells the script of the form what the URL of a FHIR server alone tells, in one line of text.
// A form that asks for it is a form like any other, with the limit that the JSON route has.
func (h *Handler) discover(w http.ResponseWriter, r *http.Request, v Visitor) error {
	if wait := h.Limits.Take(v.Caller.Organization + " discover"); wait > 0 {
		return &problem.Error{Code: problem.TooManyRequests, RetryAfter: wait, Detail: "Your organization asks about more URLs than are allowed in a minute."}
	}
	found, err := h.Servers.Discover(r.Context(), r.PostForm.Get("fhirServerUrl"))
	words := h.view.Words(r)
	text := words.Text("This is not a URL that can be used yet. Save says why.")
	switch {
	case err == nil:
		eventlog.Current(r.Context()).Find(found.Report.Finding())
		text = seen(words, found)
	case problem.CodeOf(err) != problem.InvalidFields:
		return err
	}
	w.Header().Set("Cache-Control", "no-store")
	return httpx.WriteJSON(w, http.StatusOK, map[string]string{"text": text})
}

var products = map[fhir.Product]string{fhir.HealthDataServices: "Azure Health Data Services", fhir.AzureAPIForFHIR: "Azure API for FHIR"}

// seen says what a server tells of itself.
func seen(words view.Words, found discovery.Discovery) string {
	if failed, ok := found.Report.Failed(); ok && failed.ID != verification.CheckAuthority {
		return words.Text("The server does not answer as a FHIR server yet. Save says why.")
	}
	product := products[found.Kind.Product]
	if product == "" {
		product = words.Text("A FHIR server")
	}
	parts := []string{product}
	if found.FHIRVersion != "" {
		parts = append(parts, "FHIR "+found.FHIRVersion)
	}
	if found.Report.TenantID != "" {
		parts = append(parts, words.Text("tenant {id}", "id", found.Report.TenantID))
	}
	return words.Text("Found: {what}.", "what", strings.Join(parts, ", "))
}

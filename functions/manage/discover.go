package manage

import (
	"context"
	"errors"
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

// discover tells the script of the form what the URL of a FHIR server alone tells: one
// line of text in the page's language, and what there is to say in English.
// A form that asks for it is a form like any other, with the limit that the JSON route has.
func (h *Handler) discover(w http.ResponseWriter, r *http.Request, v Visitor) error {
	if wait := h.Limits.Take(v.Caller.Organization + " discover"); wait > 0 {
		return &problem.Error{Code: problem.TooManyRequests, RetryAfter: wait, Detail: "Your organization asks about more URLs than are allowed in a minute."}
	}
	found, err := h.Servers.Discover(r.Context(), r.PostForm.Get("fhirServerUrl"))
	words := h.view.Words(r)
	text, english := words.Text("This is not a URL that can be used yet."), ""
	var p *problem.Error
	switch {
	case err == nil:
		eventlog.Current(r.Context()).Find(found.Report.Finding())
		text, english = seen(words, found)
	case errors.As(err, &p) && p.Code == problem.InvalidFields:
		english = p.Fields[0].Message + " " + p.Fields[0].Fix
	default:
		return err
	}
	w.Header().Set("Cache-Control", "no-store")
	return httpx.WriteJSON(w, http.StatusOK, map[string]string{"text": text, "english": words.Plain(english)})
}

var products = map[fhir.Product]string{fhir.HealthDataServices: "Azure Health Data Services", fhir.AzureAPIForFHIR: "Azure API for FHIR"}

// seen says what a server tells of itself, and in English what it lacks or what was wrong with its URL.
func seen(words view.Words, found discovery.Discovery) (text, english string) {
	failed, ok := found.Report.Failed()
	if ok && failed.ID != verification.CheckAuthority {
		return words.Text("The server does not answer as a FHIR server yet."), failed.Message + " " + failed.Fix
	}
	english = strings.TrimSpace(failed.Message + " " + failed.Fix)
	if found.Notes != nil {
		english = strings.TrimSpace(english + " Done to the URL: " + strings.Join(found.Notes, "; ") + ".")
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
	return words.Text("Found: {what}.", "what", strings.Join(parts, ", ")), english
}

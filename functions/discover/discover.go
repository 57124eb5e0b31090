package discover

import (
	"net/http"

	"fhirlink/shared/eventlog"
	"fhirlink/shared/fhir"
	"fhirlink/shared/httpx"
	"fhirlink/shared/link/discovery"
	"fhirlink/shared/verification"
)

// Handler serves the endpoint.
type Handler struct{ Servers discovery.Service }

// answer is the body of a 200. What is not known is null.
type answer struct {
	FHIRServerURL string              `json:"fhirServerUrl"`
	Notes         []string            `json:"notes"`
	Kind          string              `json:"kind"`
	FHIRVersion   *string             `json:"fhirVersion"`
	TenantID      *string             `json:"tenantId"`
	Audience      *string             `json:"audience"`
	Report        verification.Report `json:"report"`
}

// kinds are the names of products on the wire; every other one is other.
var kinds = map[fhir.Product]string{fhir.HealthDataServices: "ahds", fhir.AzureAPIForFHIR: "azure_api_for_fhir"}

// Discover answers POST /api/discover.
func (h Handler) Discover(w http.ResponseWriter, r *http.Request) error {
	var body struct {
		FHIRServerURL string `json:"fhirServerUrl"`
	}
	if err := httpx.DecodeJSON(r, &body); err != nil {
		return err
	}
	found, err := h.Servers.Discover(r.Context(), body.FHIRServerURL)
	if err != nil {
		return err
	}
	eventlog.Current(r.Context()).Find(found.Report.Finding())
	kind, ok := kinds[found.Kind.Product]
	if !ok {
		kind = "other"
	}
	return httpx.WriteJSON(w, http.StatusOK, answer{
		FHIRServerURL: found.Server.String(), Notes: append([]string{}, found.Notes...), Kind: kind,
		FHIRVersion: httpx.OrNull(found.FHIRVersion), TenantID: httpx.OrNull(found.Report.TenantID), Audience: httpx.OrNull(found.Report.Audience), Report: found.Report,
	})
}

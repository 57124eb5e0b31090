package health

import (
	"net/http"

	"fhirlink/shared/httpx"
)

// Handler serves the endpoint.
type Handler struct {
	Program string // local, azure or lambda
	Version string
	// Reach reports which services answered when they were last called, by kind and not by name:
	// identity, entra, vault, table. nil: nothing is known.
	Reach func() map[string]bool
}

type answer struct {
	Status    string          `json:"status"`
	Version   string          `json:"version"`
	Program   string          `json:"program"`
	Reachable map[string]bool `json:"reachable,omitempty"`
}

// Get answers GET /api/health.
func (h Handler) Get(w http.ResponseWriter, _ *http.Request) error {
	a := answer{Status: "ok", Version: h.Version, Program: h.Program}
	if h.Reach != nil {
		a.Reachable = h.Reach()
	}
	return httpx.WriteJSON(w, http.StatusOK, a)
}

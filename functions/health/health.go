package health

import (
	"net/http"

	"fhirlink/shared/httpx"
)

// Handler serves the endpoint.
type Handler struct {
	Program string // local, azure or lambda
	Version string
}

// Get answers GET /api/health.
func (h Handler) Get(w http.ResponseWriter, _ *http.Request) error {
	return httpx.WriteJSON(w, http.StatusOK, struct {
		Status  string `json:"status"`
		Version string `json:"version"`
		Program string `json:"program"`
	}{"ok", h.Version, h.Program})
}

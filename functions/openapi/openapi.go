package openapi

import (
	"net/http"

	"fhirlink/shared/httpx"
)

// ContentType is YAML's media type (RFC 9512).
const ContentType = "application/yaml"

// Handler serves the endpoint.
type Handler struct{ Document []byte }

// Get answers GET /api/openapi.yaml.
func (h Handler) Get(w http.ResponseWriter, _ *http.Request) error {
	httpx.WriteBytes(w, http.StatusOK, ContentType, h.Document)
	return nil
}

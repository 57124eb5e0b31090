package discovery

import (
	"context"
	"net/http"

	"github.com/go-jose/go-jose/v4"

	"fhirlink/shared/httpx"
	"fhirlink/shared/smartauth"
)

// Handler serves the documents.
type Handler struct {
	// Servers is the part of [smartauth.Service] that describes authorization servers.
	Servers interface {
		Metadata(ctx context.Context, slug string) (smartauth.Metadata, error)
		KeySet(ctx context.Context, slug string) (jose.JSONWebKeySet, error)
	}
}

// Metadata answers with the document about the authorization server.
func (h Handler) Metadata(w http.ResponseWriter, r *http.Request) error {
	document, err := h.Servers.Metadata(r.Context(), r.PathValue("slug"))
	return write(w, document, err)
}

// Keys answers with the public keys.
func (h Handler) Keys(w http.ResponseWriter, r *http.Request) error {
	keys, err := h.Servers.KeySet(r.Context(), r.PathValue("slug"))
	return write(w, keys, err)
}

func write(w http.ResponseWriter, document any, err error) error {
	if err != nil {
		return err
	}
	w.Header().Set("Cache-Control", "public, max-age=300")
	return httpx.WriteJSON(w, http.StatusOK, document)
}

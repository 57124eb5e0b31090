package openapi_test

import (
	"net/http/httptest"
	"testing"

	"fhirlink/functions/openapi"
)

func TestGet(t *testing.T) {
	w := httptest.NewRecorder()
	if err := (openapi.Handler{Document: []byte("openapi: 3.1.0\n")}).Get(w, nil); err != nil {
		t.Fatal(err)
	}
	if w.Code != 200 || w.Body.String() != "openapi: 3.1.0\n" || w.Header().Get("Content-Type") != "application/yaml" {
		t.Errorf("%d %v %s", w.Code, w.Header(), w.Body)
	}
}

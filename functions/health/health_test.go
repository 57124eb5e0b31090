package health_test

import (
	"net/http/httptest"
	"testing"

	"fhirlink/functions/health"
)

func TestGet(t *testing.T) {
	w := httptest.NewRecorder()
	if err := (health.Handler{Program: "azure", Version: "1.2.3"}).Get(w, nil); err != nil {
		t.Fatal(err)
	}
	want := `{"status":"ok","version":"1.2.3","program":"azure"}` + "\n"
	if w.Code != 200 || w.Body.String() != want || w.Header().Get("Content-Type") != "application/json" {
		t.Errorf("%d %v %s, want %s", w.Code, w.Header(), w.Body, want)
	}
}

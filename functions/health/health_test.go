package health_test

import (
	"net/http/httptest"
	"strings"
	"testing"

	"fhirlink/functions/health"
)

func TestGetTellsWhatIsKnown(t *testing.T) {
	for _, tt := range []struct {
		reach map[string]bool
		want  string
	}{
		{map[string]bool{"entra": true, "vault": false}, `,"reachable":{"entra":true,"vault":false}}`},
		{map[string]bool{}, `"program":"azure"}`},
	} {
		w := httptest.NewRecorder()
		if err := (health.Handler{Program: "azure", Reach: func() map[string]bool { return tt.reach }}).Get(w, nil); err != nil {
			t.Fatal(err)
		}
		if body := w.Body.String(); w.Code != 200 || !strings.HasSuffix(body, tt.want+"\n") || !strings.HasPrefix(body, `{"status":"ok",`) {
			t.Errorf("%d %s, want %s", w.Code, body, tt.want)
		}
	}
}

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

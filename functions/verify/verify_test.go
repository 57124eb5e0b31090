package verify_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"fhirlink/functions/verify"
	"fhirlink/shared/caller"
	"fhirlink/shared/link/intake"
	"fhirlink/shared/problem"
	"fhirlink/shared/verification"
)

const organization = "11111111-1111-4111-8111-111111111111"

// verifier puts the called method and its arguments into the report's audience.
type verifier struct{ err error }

func (v verifier) Verify(_ context.Context, organization, slug string) (verification.Report, error) {
	return verification.Report{Audience: "stored " + slug + " of " + organization, Checks: []verification.Check{}}, v.err
}

func (v verifier) Rehearse(_ context.Context, organization string, r intake.Registration) (verification.Report, error) {
	return verification.Report{Audience: "rehearsed " + r.Slug + " of " + organization, Checks: []verification.Check{}}, v.err
}

func post(t *testing.T, h verify.Handler, body string) (*httptest.ResponseRecorder, error) {
	t.Helper()
	ctx := caller.With(t.Context(), caller.Caller{Organization: organization})
	r := httptest.NewRequestWithContext(ctx, http.MethodPost, "/api/verify", strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	w := httptest.NewRecorder()
	err := h.Verify(w, r)
	return w, err
}

func TestVerify(t *testing.T) {
	tests := []struct{ body, want string }{
		{`{"slug":"a-b"}`, "stored a-b of " + organization},
		{`{"slug":"a-b","fhirServerUrl":null,"clientSecret":null}`, "stored a-b of " + organization}, // as generated clients write it
		{`{"slug":null}`, "rehearsed  of " + organization},
		{`{}`, "rehearsed  of " + organization},
		{`{"slug":"a-b","description":""}`, "stored a-b of " + organization},
		{`{"slug":"a-b","fhirServerUrl":""}`, "rehearsed a-b of " + organization},
		{`{"slug":"a-b","description":"d","fhirServerUrl":"u","clientId":"c","clientSecret":"s"}`, "rehearsed a-b of " + organization},
	}
	for _, tt := range tests {
		w, err := post(t, verify.Handler{Links: verifier{}}, tt.body)
		want := `{"status":"","access":"","tenantId":"","audience":"` + tt.want + `","objectId":"","checks":[]}` + "\n"
		if err != nil || w.Code != http.StatusOK || w.Body.String() != want {
			t.Errorf("%s: %v, %d %s, want %s", tt.body, err, w.Code, w.Body, want)
		}
	}
}

func TestVerifyErrors(t *testing.T) {
	for _, body := range []string{``, `null`, `{"slug":["a"]}`, `{"Slug":"a"}`, `{"slug":"a","force":true}`} {
		if _, err := post(t, verify.Handler{Links: verifier{}}, body); problem.CodeOf(err) != problem.MalformedBody {
			t.Errorf("%s: %v", body, err)
		}
	}
	absent := problem.New(problem.LinkNotFound, "absent")
	for _, body := range []string{`{"slug":"a"}`, `{}`} {
		if w, err := post(t, verify.Handler{Links: verifier{err: absent}}, body); problem.CodeOf(err) != problem.LinkNotFound || w.Body.Len() > 0 {
			t.Errorf("%s: %v", body, err)
		}
	}
}

package directory_test

import (
	"context"
	"net/http/httptest"
	"testing"

	"fhirlink/functions/directory"
	"fhirlink/shared/link"
	"fhirlink/shared/problem"
)

type listed map[string]link.Link

func (d listed) Directory(_ context.Context, slug string) (link.Link, error) {
	l, ok := d[slug]
	if !ok {
		return link.Link{}, problem.New(problem.LinkNotFound, "absent")
	}
	return l, nil
}

func TestGet(t *testing.T) {
	h := directory.Handler{Links: listed{"clinic": {Slug: "clinic", Description: "Clinic", ClientID: "canary", Organization: "canary"}}}
	r := httptest.NewRequest("GET", "/api/directory/clinic", nil)
	r.SetPathValue("slug", "clinic")
	w := httptest.NewRecorder()
	if err := h.Get(w, r); err != nil {
		t.Fatal(err)
	}
	if want := `{"slug":"clinic","description":"Clinic"}` + "\n"; w.Code != 200 || w.Body.String() != want {
		t.Errorf("%d %s, want %s", w.Code, w.Body, want)
	}
	r.SetPathValue("slug", "other")
	if err := h.Get(httptest.NewRecorder(), r); problem.CodeOf(err) != problem.LinkNotFound {
		t.Errorf("err = %v", err)
	}
}

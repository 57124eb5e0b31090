package main

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
)

// Every operation of openapi.yaml describes the answers that only this program gives.
func TestLocalAnswersAreDescribed(t *testing.T) {
	doc, err := openapi3.NewLoader().LoadFromFile("../../openapi.yaml")
	if err != nil {
		t.Fatal(err)
	}
	i := start(t, t.TempDir(), nil)
	refused := 0
	for path, item := range doc.Paths.Map() {
		for method, operation := range item.Operations() {
			for _, tt := range []struct {
				name   string
				change func(r *http.Request)
				status int // 422 is 400 at token
			}{
				{"another host", func(r *http.Request) { r.Host = "evil.example" }, http.StatusMisdirectedRequest},
				{"a page of another site", func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "cross-site") }, http.StatusForbidden},
				{"no organization", func(r *http.Request) { r.Header.Set(organizationHeader, "contoso") }, http.StatusUnprocessableEntity},
				{"a token", func(r *http.Request) { r.Header.Set("Authorization", "Bearer x") }, http.StatusUnauthorized},
			} {
				r := httptest.NewRequestWithContext(t.Context(), method, strings.NewReplacer("{slug}", "a", "{id}", "a").Replace(path), nil)
				r.Host = "localhost"
				tt.change(r)
				if isSMART(r) && r.Host == "localhost" { // pages of other sites may ask there, and there is no organization and no Entra bearer
					continue
				}
				w := httptest.NewRecorder()
				i.handler.ServeHTTP(w, r)
				if want := tt.status; w.Code != want && !(path == "/api/token" && want == http.StatusUnprocessableEntity && w.Code == http.StatusBadRequest) {
					t.Errorf("%s: %s %s gave %d, want %d", tt.name, method, path, w.Code, want)
				}
				options := &openapi3filter.Options{IncludeResponseStatus: true}
				answer := &openapi3filter.ResponseValidationInput{
					RequestValidationInput: &openapi3filter.RequestValidationInput{
						Request: r, Options: options,
						Route: &routers.Route{Spec: doc, Server: doc.Servers[0], Path: path, PathItem: item, Method: method, Operation: operation},
					},
					Status: w.Code, Header: w.Header(), Options: options,
				}
				answer.SetBodyBytes(w.Body.Bytes())
				if err := openapi3filter.ValidateResponse(t.Context(), answer); err != nil {
					t.Errorf("%s: %s %s: %d %s\nis not an answer of openapi.yaml: %v", tt.name, method, path, w.Code, w.Body, err)
				}
				refused++
			}
		}
	}
	if refused < 80 {
		t.Errorf("only %d requests were sent", refused)
	}
}

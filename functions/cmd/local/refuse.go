package main

import (
	"log/slog"
	"net/http"

	"fhirlink/functions/token"
	"fhirlink/shared/eventlog"
	"fhirlink/shared/httpx"
	"fhirlink/shared/oauth"
	"fhirlink/shared/problem"
)

// refuser answers in the place of the functions, with the line in the log that they would have.
type refuser struct{ log *slog.Logger }

// refuse answers in the words that the route has for all its errors.
func (f refuser) refuse(w http.ResponseWriter, r *http.Request, p *problem.Error) {
	answer := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Add("Vary", "Origin")
		eventlog.Current(r.Context()).End(string(p.Code))
		problem.Write(w, r, p)
	})
	if r.URL.Path == "/api/token" {
		answer = inOAuth(p)
	}
	httpx.Correlate(httpx.AccessLog(f.log, answer)).ServeHTTP(w, r)
}

// inOAuth is p as the token endpoint says it. What it has no word for is an invalid request.
func inOAuth(p *problem.Error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if p.Code == problem.Unauthenticated {
			eventlog.Current(r.Context()).End(token.CodeOf(p))
			token.WriteError(w, r, p)
			return
		}
		e := &oauth.Error{Code: oauth.InvalidRequest, Description: p.Detail, Status: p.Code.Status()}
		if p.Code == problem.InvalidFields {
			e.Status = http.StatusBadRequest
		}
		eventlog.Current(r.Context()).End(e.Code)
		e.Write(w)
	}
}

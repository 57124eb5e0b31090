package main

import (
	"log/slog"
	"net/http"
	"path"
	"strings"
	"sync"
	"time"

	"fhirlink/functions/manage"
	"fhirlink/functions/manage/view"
	"fhirlink/functions/token"
	"fhirlink/shared/eventlog"
	"fhirlink/shared/httpx"
	"fhirlink/shared/oauth"
	"fhirlink/shared/problem"
	"fhirlink/shared/smartauth"
)

// refuser answers in place of the functions, and logs the request as they would.
type refuser struct{ log *slog.Logger }

// refuse answers with p in the form that the route uses for all its errors.
func (f refuser) refuse(w http.ResponseWriter, r *http.Request, p *problem.Error) {
	answer := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Add("Vary", "Origin")
		eventlog.Current(r.Context()).End(string(p.Code))
		problem.Write(w, r, p)
	})
	switch {
	case isBelow(r, "/api/token/"), isSMART(r):
		answer = inOAuth(p)
	case isPage(r):
		answer = asPage(p)
	}
	httpx.Correlate(httpx.Safe(f.log, httpx.Drain(httpx.AccessLog(f.log, answer)))).ServeHTTP(w, r)
}

// isPage reports whether a request is for a page for people.
func isPage(r *http.Request) bool { return isBelow(r, "/api/manage/") }

// isSMART reports whether a request is for the authorization server of a link.
func isSMART(r *http.Request) bool { return isBelow(r, smartauth.Base) }

func isBelow(r *http.Request, folder string) bool {
	return strings.HasPrefix(path.Clean("/"+r.URL.Path)+"/", folder)
}

// asPage answers with p as a page.
func asPage(p *problem.Error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		eventlog.Current(r.Context()).End(string(p.Code))
		pages, err := emptyPages()
		if err != nil {
			problem.Write(w, r, p)
			return
		}
		pages.WriteError(w, r, p)
	}
}

// emptyPages are pages that can show errors and nothing else.
var emptyPages = sync.OnceValues(func() (*manage.Handler, error) {
	return manage.New(manage.Deps{Service: view.Service{Name: "fhirlink", Version: version}, Program: "local", Now: time.Now}, "")
})

// inOAuth answers with p in the token endpoint's form. A problem without an OAuth code becomes
// invalid_request.
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

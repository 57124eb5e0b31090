package functions

import (
	"net/http"

	"fhirlink/functions/smart/page"
	"fhirlink/functions/token"
	"fhirlink/shared/caller"
	"fhirlink/shared/httpx"
	"fhirlink/shared/problem"
)

// Route is one method at one path, with its whole policy. The zero value of each part of the
// policy is the strict one, so a route opens only what it names.
type Route struct {
	Function string // the folder with its function.json
	Method   string
	Path     string // a pattern of http.ServeMux

	Right  caller.Right // zero: no caller has it
	Errors Errors       // zero: Problems
	CORS   CORS         // zero: no web page may call it
	Body   int64        // the largest body, in bytes; zero: httpx.MaxBody, which httpx.ReadBody never exceeds
	Rate   Rate         // zero: counts against the organization's limit
	Query  []string     // the keys that its query may have; zero: none

	NoHead bool // HEAD is not answered as GET is: what GET does cannot be done twice

	// Progress lets clients follow the verification: see withProgress.
	Progress bool

	// Ahead, if set, begins what Handle will need while the caller is being checked. It answers
	// nothing, and returns the request to go on with.
	Ahead  func(*http.Request) *http.Request
	Handle httpx.HandlerFunc
}

// pathPolicy is the part of the policy that all routes of a path have in common, because it also
// governs the methods that the path does not have.
type pathPolicy struct {
	errors   Errors
	cors     CORS
	hostOnly bool
}

func (r Route) pathPolicy() pathPolicy {
	return pathPolicy{r.Errors, r.CORS, r.Right == caller.FunctionsHost}
}

// AnyQuery is the Query of a route that ignores unknown keys, or checks the keys itself.
var AnyQuery = []string{"*"}

// Errors is the form of a route's errors.
type Errors int

// The forms of errors.
const (
	Problems Errors = iota // application/problem+json (RFC 9457)
	OAuth                  // RFC 6749 §5.2
	Pages                  // pages for people
	AppPages               // pages for users of apps, or redirects to the app
)

// CORS says which web pages may call a route. All routes of a path must have the same.
type CORS int

// The choices for web pages.
const (
	NoOrigin          CORS = iota // none
	FrontEnds                     // those of Deps.Origins
	FrontEndsCreating             // the same, which may send If-None-Match too
	AnyOrigin                     // every page: what the route answers is open to everybody, or proved by the request itself
)

// cors is how a choice is told to browsers; none for NoOrigin.
func (d Deps) cors(c CORS) (cors httpx.CORS, some bool) {
	switch c {
	case FrontEnds:
		return httpx.CORS{Origins: d.Origins}, true
	case FrontEndsCreating:
		return httpx.CORS{Origins: d.Origins, Headers: "Authorization, Content-Type, If-Match, If-None-Match"}, true
	case AnyOrigin:
		return httpx.CORS{Any: true, Headers: "Authorization, Content-Type"}, true
	}
	return httpx.CORS{}, false
}

// Rate says whether a route counts against its organization's rate limit.
type Rate int

// The choices for the rate limit.
const (
	Limited Rate = iota
	Unlimited
	Apart // counts against a limit of the route's own, as large as the common one
)

// errorForm writes errors in one form.
type errorForm struct {
	write   httpx.ErrorWriter
	code    func(error) string        // the code in the answer
	headers func(http.ResponseWriter) // sets those of every answer at a path with such errors; nil: there are none
}

func (d Deps) form(e Errors) errorForm {
	code := func(err error) string { return string(problem.From(err).Code) }
	switch e {
	case OAuth:
		return errorForm{token.WriteError, token.CodeOf, nil}
	case AppPages:
		return errorForm{page.WriteError, page.CodeOf, page.Headers}
	case Pages:
		return errorForm{func(w http.ResponseWriter, r *http.Request, err error) { d.pages().WriteError(w, r, err) }, code, nil}
	}
	return errorForm{problem.Write, code, nil}
}

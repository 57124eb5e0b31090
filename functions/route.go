package functions

import (
	"fhirlink/functions/token"
	"fhirlink/shared/caller"
	"fhirlink/shared/httpx"
	"fhirlink/shared/problem"
)

// Route is one method at one path, with its whole policy. The zero value of each part of the
// policy is the strict one, so that a route opens only what it names.
type Route struct {
	Function string // the folder with its function.json
	Method   string
	Path     string // as http.ServeMux has it

	Right  caller.Right // zero: nobody has it
	Errors Errors       // zero: Problems
	CORS   CORS         // zero: no web page may call it
	Body   int64        // the largest body, in bytes; zero: httpx.MaxBody
	Rate   Rate         // zero: counts against the organization's limit

	Handle httpx.HandlerFunc
}

// Errors is the form in which a route answers with an error.
type Errors int

// The forms of errors.
const (
	Problems Errors = iota // application/problem+json (RFC 9457)
	OAuth                  // RFC 6749 §5.2
)

// CORS says which web pages may call a route. All routes of a path must agree.
type CORS int

// The choices for web pages.
const (
	NoOrigin  CORS = iota // none
	FrontEnds             // those of Deps.Origins
)

// Rate says whether a route counts against its organization's limit.
type Rate int

// The choices for the limit.
const (
	Limited Rate = iota
	Unlimited
)

// words are the vocabulary of a form of errors.
type words struct {
	write httpx.ErrorWriter
	code  func(error) string // that is answered with
}

var vocabulary = map[Errors]words{
	Problems: {problem.Write, func(err error) string { return string(problem.From(err).Code) }},
	OAuth:    {token.WriteError, token.CodeOf},
}

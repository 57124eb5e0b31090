package httpx

import (
	"net/url"

	"fhirlink/shared/problem"
)

// ParseQuery decodes a query once, both percent triples and plus signs. [url.URL.Query] drops
// what it cannot read, so a caller would believe that a dropped parameter took effect.
//
// The error is InvalidFields with the field "query" and the code "malformed_query".
func ParseQuery(raw string) (url.Values, error) {
	values, err := url.ParseQuery(raw)
	if err != nil {
		return nil, problem.Invalid(problem.Field{
			Field: "query", Code: "malformed_query",
			Message: "The query has a percent sign without two hexadecimal digits, or a bare semicolon.",
			Fix:     "Percent-encode each value: % is %25, ; is %3B.",
		})
	}
	return values, nil
}

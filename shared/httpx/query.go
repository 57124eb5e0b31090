package httpx

import (
	"net/url"

	"fhirlink/shared/problem"
)

// ParseQuery decodes a query, percent and plus once. [url.URL.Query] leaves out what it cannot
// read, and a parameter that is silently left out is one that the caller believes to have set.
//
// Its error is InvalidFields with the field "query" and the code "malformed_query".
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

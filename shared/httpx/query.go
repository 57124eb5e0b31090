package httpx

import (
	"net/url"
	"strings"

	"fhirlink/shared/problem"
)

// ParseQuery decodes a query once, both percent triples and plus signs. [url.URL.Query] drops
// what it cannot read, so a caller would believe that a dropped parameter took effect.
//
// The error is InvalidFields with the field "query" and the code "malformed_query".
func ParseQuery(raw string) (url.Values, error) {
	values, err := url.ParseQuery(strings.ReplaceAll(raw, ";", "%3B")) // a character, as browsers have it
	if err != nil {
		return nil, problem.Invalid(problem.Field{
			Field: "query", Code: "malformed_query",
			Message: "The query has a percent sign without two hexadecimal digits.",
			Fix:     "Percent-encode each value: % is %25.",
		})
	}
	return values, nil
}

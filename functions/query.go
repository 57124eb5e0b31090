package functions

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"

	"fhirlink/shared/httpx"
	"fhirlink/shared/oauth"
	"fhirlink/shared/problem"
)

// checkingQuery returns the route's handler, which refuses query keys that the route does not
// have. A key that is ignored looks as if it took effect.
func checkingQuery(route Route) httpx.HandlerFunc {
	if slices.Equal(route.Query, AnyQuery) {
		return route.Handle
	}
	return func(w http.ResponseWriter, r *http.Request) error {
		if r.URL.RawQuery != "" {
			if err := checkQuery(route, r.URL.RawQuery); err != nil {
				return err
			}
		}
		return route.Handle(w, r)
	}
}

func checkQuery(route Route, raw string) error {
	values, err := httpx.ParseQuery(raw)
	var mistakes []problem.Field
	for _, key := range slices.Sorted(maps.Keys(values)) {
		if !slices.Contains(route.Query, key) {
			mistakes = append(mistakes, unknownKey(route, key))
		}
	}
	switch {
	case err == nil && mistakes == nil:
		return nil
	case route.Errors == OAuth:
		return &oauth.Error{Code: oauth.InvalidRequest, Description: "Send all parameters in the body: this endpoint reads no query, and a query ends up in logs."}
	case err != nil:
		return err
	}
	return problem.Invalid(mistakes...)
}

func unknownKey(route Route, key string) problem.Field {
	fix := "Leave it out: this path reads no query."
	if len(route.Query) > 0 {
		fix = "Leave it out. The keys are " + strings.Join(route.Query, ", ") + "."
	}
	return problem.Field{Field: fmt.Sprintf("%.64s", key), Code: "unknown_field", Message: "There is no such key in the query.", Fix: fix}
}

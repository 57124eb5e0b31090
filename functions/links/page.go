package links

import (
	"fmt"
	"net/url"
	"strconv"

	"fhirlink/shared/problem"
)

// Sizes of a page of links.
const (
	defaultLimit = 50
	maxLimit     = 200
)

type page struct {
	limit int
	after string // as the page before said under "continue"
}

// pageOf reads the query. Keys that it does not know are left alone: function keys and
// proxies add theirs.
func pageOf(query url.Values) (page, error) {
	p := page{limit: defaultLimit, after: query.Get("continue")}
	var mistakes []problem.Field
	for _, key := range []string{"limit", "continue"} {
		if len(query[key]) > 1 {
			mistakes = append(mistakes, problem.Field{
				Field: key, Code: "duplicate_field", Message: "The parameter stands more than once in the query.", Fix: "Send it once.",
			})
		}
	}
	if query.Has("limit") && len(query["limit"]) == 1 {
		limit, err := strconv.Atoi(query.Get("limit"))
		if err != nil || limit < 1 || limit > maxLimit {
			mistakes = append(mistakes, problem.Field{
				Field: "limit", Code: "out_of_range", Message: "The limit is not a whole number from 1 to " + strconv.Itoa(maxLimit) + ".",
				Fix: fmt.Sprintf("Send a number from 1 to %d, or leave it out for %d.", maxLimit, defaultLimit),
			})
		}
		p.limit = limit
	}
	if mistakes != nil {
		return page{}, problem.Invalid(mistakes...)
	}
	return p, nil
}

package links

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"fhirlink/shared/httpx"
	"fhirlink/shared/link"
	"fhirlink/shared/link/condition"
)

type page struct {
	limit int
	after string // "continue" of the previous page

	filter link.Filter
}

// pageOf reads the query, whose keys the route list has checked.
func pageOf(raw string) (page, error) {
	read, err := httpx.ReadQuery(raw)
	if err != nil {
		return page{}, err
	}
	q, p := query{read}, page{}
	p.limit, p.after = q.Page()
	p.filter = link.Filter{
		Status:         condition.Status(q.choice("status", statuses)),
		SecretState:    link.SecretState(q.choice("secretState", secretStates)),
		ExpiringWithin: q.days("expiringWithin"),
	}
	return p, q.Err()
}

// query reads the parameters that only this list has.
type query struct{ *httpx.Query }

// maxDays is the longest expiringWithin: Entra's secrets last 24 months at most.
const maxDays = 731

// What links can be listed by.
var (
	statuses     = []string{string(condition.Active), string(condition.PendingAccess), string(condition.Degraded), string(condition.Broken), string(condition.Expired)}
	secretStates = []string{string(link.SecretOK), string(link.SecretExpiring), string(link.SecretExpired), string(link.SecretUnknown)}
)

// choice returns the parameter's value, one of the choices; empty when the parameter is missing.
func (q query) choice(key string, choices []string) string {
	text := q.Text(key)
	if len(q.Values[key]) == 1 && !slices.Contains(choices, text) {
		q.Mistake(key, "unknown_value", "It is none of the values that this key can have.", "Send one of "+strings.Join(choices, ", ")+", or leave it out.")
	}
	return text
}

// days returns the parameter's value, a number of days followed by the letter d; nil when the
// parameter is missing.
func (q query) days(key string) *int {
	text := q.Text(key)
	if len(q.Values[key]) != 1 {
		return nil
	}
	number, isDays := strings.CutSuffix(text, "d")
	n, err := strconv.Atoi(number)
	if err != nil || !isDays || strconv.Itoa(n) != number || n < 0 || n > maxDays {
		q.Mistake(key, "out_of_range", fmt.Sprintf("It is not a number of days from 0d to %dd.", maxDays), "Send a number of days with the letter d, e.g. 30d, or leave it out.")
	}
	return &n
}

package links

import (
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"fhirlink/shared/httpx"
	"fhirlink/shared/link"
	"fhirlink/shared/link/condition"
	"fhirlink/shared/problem"
)

// Sizes of a page of links.
const (
	defaultLimit = 50
	maxLimit     = 200
)

type page struct {
	limit int
	after string // "continue" of the previous page

	filter link.Filter
}

// pageOf reads the query, whose keys the route list has checked.
func pageOf(raw string) (page, error) {
	values, err := httpx.ParseQuery(raw)
	if err != nil {
		return page{}, err
	}
	q := query{values: values}
	p := page{after: q.text("continue"), limit: q.number("limit", 1, maxLimit, defaultLimit)}
	p.filter = link.Filter{
		Status:         condition.Status(q.choice("status", statuses)),
		SecretState:    link.SecretState(q.choice("secretState", secretStates)),
		ExpiringWithin: q.days("expiringWithin"),
	}
	return p, q.err()
}

// query reads parameters and collects the mistakes in them.
type query struct {
	values   url.Values
	mistakes []problem.Field
}

func (q *query) mistake(key, code, message, fix string) {
	q.mistakes = append(q.mistakes, problem.Field{Field: key, Code: code, Message: message, Fix: fix})
}

// text returns the parameter's value, or "" when it is missing.
func (q *query) text(key string) string {
	if len(q.values[key]) > 1 {
		q.mistake(key, "duplicate_field", "The parameter stands more than once in the query.", "Send it once.")
	}
	return q.values.Get(key)
}

// number returns the parameter's value, a number between least and most in the form that
// [strconv.Itoa] writes. It returns absent when the parameter is missing.
func (q *query) number(key string, least, most, absent int) int {
	text := q.text(key)
	if len(q.values[key]) != 1 {
		return absent
	}
	n, err := strconv.Atoi(text)
	if err != nil || strconv.Itoa(n) != text || n < least || n > most {
		q.mistake(key, "out_of_range", fmt.Sprintf("It is not a whole number from %d to %d, without a sign or leading zeros.", least, most),
			fmt.Sprintf("Send a number from %d to %d, or leave it out.", least, most))
	}
	return n
}

// maxDays is the longest expiringWithin: Entra's secrets last 24 months at most.
const maxDays = 731

// What links can be listed by.
var (
	statuses     = []string{string(condition.Active), string(condition.PendingAccess), string(condition.Degraded), string(condition.Broken), string(condition.Expired)}
	secretStates = []string{string(link.SecretOK), string(link.SecretExpiring), string(link.SecretExpired), string(link.SecretUnknown)}
)

// choice returns the parameter's value, one of the choices; empty when the parameter is missing.
func (q *query) choice(key string, choices []string) string {
	text := q.text(key)
	if len(q.values[key]) == 1 && !slices.Contains(choices, text) {
		q.mistake(key, "unknown_value", "It is none of the values that this key can have.", "Send one of "+strings.Join(choices, ", ")+", or leave it out.")
	}
	return text
}

// days returns the parameter's value, a number of days followed by the letter d; nil when the
// parameter is missing.
func (q *query) days(key string) *int {
	text := q.text(key)
	if len(q.values[key]) != 1 {
		return nil
	}
	number, isDays := strings.CutSuffix(text, "d")
	n, err := strconv.Atoi(number)
	if err != nil || !isDays || strconv.Itoa(n) != number || n < 0 || n > maxDays {
		q.mistake(key, "out_of_range", fmt.Sprintf("It is not a number of days from 0d to %dd.", maxDays), "Send a number of days with the letter d, e.g. 30d, or leave it out.")
	}
	return &n
}

func (q *query) err() error {
	if q.mistakes == nil {
		return nil
	}
	return problem.Invalid(q.mistakes...)
}

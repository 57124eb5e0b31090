package links

import (
	"fmt"
	"net/url"
	"strconv"
	"strings"

	"fhirlink/shared/httpx"
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

	expiring bool // only links whose secrets end within this many days
	within   int
}

// pageOf reads the query. It ignores unknown keys, because function keys and proxies add some.
func pageOf(raw string) (page, error) {
	values, err := httpx.ParseQuery(raw)
	if err != nil {
		return page{}, err
	}
	q := query{values: values}
	p := page{after: q.text("continue"), limit: q.number("limit", 1, maxLimit, defaultLimit)}
	p.within, p.expiring = q.days("expiringWithin")
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

// days returns the parameter's value, a number of days followed by the letter d. ok is false
// when the parameter is missing.
func (q *query) days(key string) (n int, ok bool) {
	text := q.text(key)
	if len(q.values[key]) != 1 {
		return 0, false
	}
	number, isDays := strings.CutSuffix(text, "d")
	n, err := strconv.Atoi(number)
	if err != nil || !isDays || strconv.Itoa(n) != number || n < 0 || n > maxDays {
		q.mistake(key, "out_of_range", fmt.Sprintf("It is not a number of days from 0d to %dd.", maxDays), "Send a number of days with the letter d, e.g. 30d, or leave it out.")
	}
	return n, true
}

func (q *query) err() error {
	if q.mistakes == nil {
		return nil
	}
	return problem.Invalid(q.mistakes...)
}

package httpx

import (
	"fmt"
	"net/url"
	"strconv"
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

// Query reads the parameters of a query and collects the mistakes in them.
type Query struct {
	Values   url.Values
	mistakes []problem.Field
}

// ReadQuery is [ParseQuery] for a Query.
func ReadQuery(raw string) (*Query, error) {
	values, err := ParseQuery(raw)
	return &Query{Values: values}, err
}

// Mistake adds a mistake.
func (q *Query) Mistake(key, code, message, fix string) {
	q.mistakes = append(q.mistakes, problem.Field{Field: key, Code: code, Message: message, Fix: fix})
}

// Err is InvalidFields if there are mistakes.
func (q *Query) Err() error {
	if q.mistakes == nil {
		return nil
	}
	return problem.Invalid(q.mistakes...)
}

// Text returns the parameter's value, or "" when it is missing.
func (q *Query) Text(key string) string {
	if len(q.Values[key]) > 1 {
		q.Mistake(key, "duplicate_field", "The parameter stands more than once in the query.", "Send it once.")
	}
	return q.Values.Get(key)
}

// Number returns the parameter's value, a number between least and most in the form that
// [strconv.Itoa] writes. It returns absent when the parameter is missing.
func (q *Query) Number(key string, least, most, absent int) int {
	text := q.Text(key)
	if len(q.Values[key]) != 1 {
		return absent
	}
	n, err := strconv.Atoi(text)
	if err != nil || strconv.Itoa(n) != text || n < least || n > most {
		q.Mistake(key, "out_of_range", fmt.Sprintf("It is not a whole number from %d to %d, without a sign or leading zeros.", least, most),
			fmt.Sprintf("Send a number from %d to %d, or leave it out.", least, most))
	}
	return n
}

// Sizes of a page of a list.
const (
	defaultLimit = 50
	maxLimit     = 200
)

// Page returns how many items the page of a list shall have, and the continuation that it begins at.
func (q *Query) Page() (limit int, after string) {
	after = q.Text("continue")
	return q.Number("limit", 1, maxLimit, defaultLimit), after
}

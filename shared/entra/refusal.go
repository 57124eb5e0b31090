package entra

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"fhirlink/shared/problem"
	"fhirlink/shared/secret"
)

// Refusal is an error answer of Entra's token endpoint (RFC 6749 §5.2 and Entra's additions),
// reduced to known fields.
type Refusal struct {
	HTTPStatus    int
	OAuthError    string // "error", e.g. invalid_client
	Number        int    // the most telling AADSTS number of "error_codes" and "error_description"; 0 when there is none
	Sentence      string // first sentence of "error_description" behind that number; printable, bounded
	TraceID       string
	CorrelationID string
	RetryAfter    time.Duration // 0: not given
}

// Class says what a refusal means for a link.
type Class string

// The classes of refusals.
const (
	Config    Class = "config"    // a setting is wrong; a retry does not help
	Expired   Class = "expired"   // the client secret has expired: also a wrong setting, but with its own state
	Transient Class = "transient" // Entra throttles or is failing; a later retry may help
)

const (
	numberExpired   = 7000222 // the provided client secret keys are expired
	numberInvalid   = 7000215 // invalid client secret
	numberAssertion = 50012   // invalid client secret, or an assertion with an invalid signature
	maxBody         = 64 << 10
	maxSentence     = 300 // runes
)

// transient lists the numbers of failures that end without any change: throttling, loops, outages
// (https://learn.microsoft.com/entra/identity-platform/reference-error-codes).
var transient = []int{90055, 50196, 90024, 90033, 90006, 50033}

// ParseRefusal reads an error answer of the token endpoint or of openid-configuration. It ignores
// members that are missing or of the wrong type, and reads at most 64 KiB. ok is false for a body
// that is not an OAuth error, such as a web page. A 429 is always a Refusal, so that its
// Retry-After is kept. sent are the secrets of the request, which are hidden in case Entra repeats
// them; zero ones count as none.
func ParseRefusal(status int, header http.Header, body []byte, sent ...secret.Value) (r *Refusal, ok bool) {
	var wire struct {
		Error       text     `json:"error"`
		Description text     `json:"error_description"`
		Codes       []number `json:"error_codes"`
		TraceID     text     `json:"trace_id"`
		Correlation text     `json:"correlation_id"`
	}
	if len(body) <= maxBody {
		// A body that is not JSON leaves Error empty, which is checked below.
		_ = json.Unmarshal(bytes.TrimPrefix(body, []byte("\ufeff")), &wire)
	}
	if !oauthError.MatchString(string(wire.Error)) {
		if status != http.StatusTooManyRequests {
			return nil, false
		}
		wire.Error = "temporarily_unavailable"
	}
	r = describe(string(wire.Error), hide(string(wire.Description), sent), numbers(wire.Codes)) // hidden before it is cut: half a secret is not found again
	r.HTTPStatus, r.RetryAfter = status, problem.RetryAfter(header)
	r.TraceID = identifier(string(wire.TraceID), header.Get("X-Ms-Request-Id"), r.TraceID)
	r.CorrelationID = identifier(string(wire.Correlation), header.Get("Client-Request-Id"), r.CorrelationID)
	return r, true
}

// ParseRedirectRefusal reads the error with which the authorization endpoint sends a browser back
// (RFC 6749 §4.1.2.1). ok is false without one.
func ParseRedirectRefusal(oauth, description string) (r *Refusal, ok bool) {
	if !oauthError.MatchString(oauth) || len(description) > maxBody {
		return nil, false
	}
	return describe(oauth, description, nil), true
}

// describe reads what the description says.
func describe(oauth, description string, codes []int) *Refusal {
	number := telling(append(codes, numbersIn(description)...))
	said := idsIn(description)
	return &Refusal{
		OAuthError: oauth, Number: number, Sentence: sentenceOf(description, number),
		TraceID: said["trace"], CorrelationID: said["correlation"],
	}
}

// Error returns one line for logs.
func (r *Refusal) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "Entra answered %d %s", r.HTTPStatus, r.OAuthError)
	if r.Number != 0 {
		fmt.Fprintf(&b, " (AADSTS%d)", r.Number)
	}
	if r.Sentence != "" {
		fmt.Fprintf(&b, ": %s", r.Sentence)
	}
	return b.String()
}

// Code returns aadsts_<number>, or entra_<error> for an answer without a number.
func (r *Refusal) Code() string {
	if r.Number != 0 {
		return "aadsts_" + strconv.Itoa(r.Number)
	}
	return "entra_" + r.OAuthError
}

// Class considers the status and the OAuth error first and the number last, because Microsoft
// changes numbers (https://learn.microsoft.com/entra/identity-platform/reference-error-codes).
func (r *Refusal) Class() Class {
	switch {
	case r.HTTPStatus == http.StatusTooManyRequests, r.HTTPStatus == http.StatusRequestTimeout, r.HTTPStatus >= 500,
		r.OAuthError == "temporarily_unavailable", r.OAuthError == "server_error", slices.Contains(transient, r.Number):
		return Transient
	case r.Number == numberExpired:
		return Expired
	}
	return Config
}

// hide removes secrets from a text, as they are and as they stand in a form. The longest goes first,
// so that a secret that begins another leaves no rest of it.
func hide(text string, secrets []secret.Value) string {
	secrets = slices.SortedFunc(slices.Values(secrets), func(a, b secret.Value) int { return len(b.Reveal()) - len(a.Reveal()) })
	var pairs []string
	for _, v := range secrets {
		if !v.IsZero() {
			pairs = append(pairs, v.Reveal(), v.String(), url.QueryEscape(v.Reveal()), v.String())
		}
	}
	return strings.NewReplacer(pairs...).Replace(text)
}

var (
	oauthError    = regexp.MustCompile(`^[a-z][a-z0-9_.-]{0,63}$`)
	correlationID = regexp.MustCompile(`^[0-9A-Za-z-]{1,64}$`)
	sentenceEnd   = regexp.MustCompile(`\.\s|[\r\n]`)

	// prefix is the number in front of a sentence of Entra or of Azure AD B2C. A number within a
	// word, as in a URL that Entra repeats, is none.
	prefix = regexp.MustCompile(`(?:^|[\s\[("':])(AADSTS|AADB2C)([0-9]{1,9})(?:\]?:\s*|\.\s+)`)
	idLine = regexp.MustCompile(`(?m)^\s*(Trace|Correlation) ID: ([0-9A-Za-z-]{1,64})\s*$`)
)

// text is a JSON string; any other value reads as "".
type text string

// UnmarshalJSON never fails: see text.
func (t *text) UnmarshalJSON(data []byte) error {
	var s string
	if json.Unmarshal(data, &s) == nil {
		*t = text(s)
	}
	return nil
}

// number is a JSON number or a string of digits; any other value reads as 0.
type number int

// UnmarshalJSON never fails: see number.
func (n *number) UnmarshalJSON(data []byte) error {
	if i, err := strconv.ParseUint(strings.Trim(string(data), `"`), 10, 31); err == nil {
		*n = number(i)
	}
	return nil
}

func numbers(codes []number) []int {
	var all []int
	for _, n := range codes {
		all = append(all, int(n))
	}
	return all
}

// numbersIn returns the AADSTS numbers of a description in their order.
func numbersIn(description string) []int {
	var all []int
	for _, m := range prefix.FindAllStringSubmatch(description, -1) {
		if m[1] == "AADSTS" {
			n, _ := strconv.Atoi(m[2]) // the pattern allows at most nine digits
			all = append(all, n)
		}
	}
	return all
}

// general lists numbers that only repeat the OAuth error, beside which another number tells more.
var general = []int{50000, 70000, 70002}

// telling returns the number that says most about what is wrong: an expired secret, then a number of
// the catalogue, the longer the more special, then any other. Among equals the first counts.
func telling(numbers []int) (best int) {
	for _, n := range numbers {
		if weight(n) > weight(best) {
			best = n
		}
	}
	return best
}

func weight(n int) int {
	_, listed := rowOf(n)
	switch {
	case n == 0:
		return 0
	case n == numberExpired:
		return 100
	case listed || slices.Contains(transient, n):
		return 10 + len(strconv.Itoa(n))
	case slices.Contains(general, n):
		return 1
	}
	return 2
}

// sentenceOf returns the first sentence behind a number, or behind the first number if the
// description does not have that one.
func sentenceOf(description string, number int) string {
	from := 0
	for i, at := range prefix.FindAllStringSubmatchIndex(description, -1) {
		of, _ := strconv.Atoi(description[at[4]:at[5]])
		if i == 0 || of == number {
			from = at[1]
		}
		if of == number {
			break
		}
	}
	description = description[from:]
	if end := sentenceEnd.FindStringIndex(description); end != nil {
		description = description[:end[0]] + "."
	}
	return printable(description, maxSentence)
}

// idsIn returns the ids at the end of a description, for answers that have them nowhere else.
func idsIn(description string) map[string]string {
	ids := map[string]string{}
	for _, m := range idLine.FindAllStringSubmatch(description, -1) {
		ids[strings.ToLower(m[1])] = m[2]
	}
	return ids
}

// printable replaces characters that could forge a log line or change the text direction, and
// limits the length in runes.
func printable(s string, runes int) string {
	clean := []rune(strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) || r == unicode.ReplacementChar {
			return ' '
		}
		return r
	}, s))
	if len(clean) > runes {
		clean = append(clean[:runes-1], '…')
	}
	return strings.TrimSpace(string(clean))
}

func identifier(candidates ...string) string {
	for _, c := range candidates {
		if correlationID.MatchString(c) {
			return c
		}
	}
	return ""
}

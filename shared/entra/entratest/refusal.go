package entratest

import (
	"crypto/rand"
	"fmt"
	"maps"
	"net/http"
)

// refusal is an error of Entra before its ids and its timestamp are added.
type refusal struct {
	status int
	oauth  string
	number int // 0: none
	text   string
}

// refuse writes the error in Entra's format
// (https://learn.microsoft.com/entra/identity-platform/v2-oauth2-client-creds-grant-flow#error-response-1).
func (a *Authority) refuse(w http.ResponseWriter, e refusal) { a.refuseWith(w, e, nil) }

// refuseWith is refuse with more members.
func (a *Authority) refuseWith(w http.ResponseWriter, e refusal, more map[string]any) {
	trace, correlation, at := guid(), guid(), a.now().UTC().Format("2006-01-02 15:04:05Z")
	w.Header().Set("X-Ms-Request-Id", trace)
	body := map[string]any{
		"error":             e.oauth,
		"error_description": description(e, trace, correlation, at),
		"timestamp":         at,
		"trace_id":          trace,
		"correlation_id":    correlation,
	}
	if e.number != 0 {
		body["error_codes"] = []int{e.number}
		body["error_uri"] = fmt.Sprintf("https://login.microsoftonline.com/error?code=%d", e.number)
	}
	maps.Copy(body, more)
	writeJSON(w, e.status, body)
}

// Description returns an error_description of Entra, for errors that are not answers of the token
// endpoint.
func (a *Authority) Description(number int, text string) string {
	return description(refusal{number: number, text: text}, guid(), guid(), a.now().UTC().Format("2006-01-02 15:04:05Z"))
}

func description(e refusal, trace, correlation, at string) string {
	text := fmt.Sprintf("%s\r\nTrace ID: %s\r\nCorrelation ID: %s\r\nTimestamp: %s", e.text, trace, correlation, at)
	if e.number != 0 {
		text = fmt.Sprintf("AADSTS%d: %s", e.number, text)
	}
	return text
}

// Refuse answers every token request with an error of Entra. The text follows the AADSTS number.
func (a *Authority) Refuse(status int, oauth string, number int, text string) func(http.ResponseWriter, *http.Request) bool {
	return onToken(func(w http.ResponseWriter, _ *http.Request) { a.refuse(w, refusal{status, oauth, number, text}) })
}

// Throttle answers every token request with 429 and Retry-After in seconds.
func (a *Authority) Throttle(seconds int) func(http.ResponseWriter, *http.Request) bool {
	return onToken(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", fmt.Sprint(seconds))
		a.refuse(w, refusal{http.StatusTooManyRequests, "temporarily_unavailable", 90055, "There are too many incoming requests."})
	})
}

// WebPage answers every token request with HTML.
func WebPage(status int) func(http.ResponseWriter, *http.Request) bool {
	return Answer(status, "text/html; charset=utf-8", "<!DOCTYPE html><title>Service unavailable</title>")
}

// Answer answers every token request with a fixed body.
func Answer(status int, contentType, body string) func(http.ResponseWriter, *http.Request) bool {
	return onToken(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", contentType)
		w.WriteHeader(status)
		_, _ = w.Write([]byte(body)) // an error means that the caller has gone
	})
}

// Redirect answers every token request with a redirect.
func Redirect(status int, location string) func(http.ResponseWriter, *http.Request) bool {
	return onToken(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Location", location)
		w.WriteHeader(status)
	})
}

// Hang answers no token request before the caller gives up.
func Hang() func(http.ResponseWriter, *http.Request) bool {
	return onToken(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
}

// onToken applies h to the token endpoint and leaves the other endpoints alone.
func onToken(h http.HandlerFunc) func(http.ResponseWriter, *http.Request) bool {
	return func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method != http.MethodPost {
			return false
		}
		_ = r.ParseForm() // only so that the server notices when the caller has gone
		h(w, r)
		return true
	}
}

func guid() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

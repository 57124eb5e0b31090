package fhirtest

import (
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

const capabilityStart = `{"resourceType":"CapabilityStatement","fhirVersion":"4.0.1","rest":[{"mode":"server","resource":[`

// endless sends a CapabilityStatement that never ends.
func endless(e *exchange) {
	e.repeat(capabilityStart, `{"type":"Patient","interaction":[{"code":"read"}]},`, -1)
}

// bulky sends a CapabilityStatement of 200 MB.
func bulky(e *exchange) {
	e.repeat(capabilityStart, `{"type":"Patient","documentation":"`+strings.Repeat("x", 4000)+`"},`, 200<<20)
	_, _ = io.WriteString(e.w, `{"type":"Patient"}]}]}`)
}

// nested sends a million opening brackets.
func nested(e *exchange) { e.repeat(capabilityStart, strings.Repeat("[", 1000), 1_000_000) }

// oneString sends a single string that never ends.
func oneString(e *exchange) {
	e.repeat(`{"resourceType":"CapabilityStatement","fhirVersion":"`, strings.Repeat("4", 4096), -1)
}

// repeat writes piece until limit bytes are written or the caller is gone.
func (e *exchange) repeat(start, piece string, limit int) {
	e.w.Header().Set("Content-Type", "application/fhir+json; charset=utf-8")
	fill(e.w, e.r, start, piece, limit)
}

func fill(w io.Writer, r *http.Request, start, piece string, limit int) {
	_, err := io.WriteString(w, start)
	block := strings.Repeat(piece, max(1, 16<<10/len(piece)))
	for n := 0; err == nil && r.Context().Err() == nil && (limit < 0 || n < limit); n += len(block) {
		_, err = io.WriteString(w, block)
	}
}

// bomb sends 10 GB of blanks, compressed.
func bomb(e *exchange) {
	e.w.Header().Set("Content-Type", "application/fhir+json")
	e.w.Header().Set("Content-Encoding", "gzip")
	z := gzip.NewWriter(e.w)
	fill(z, e.r, capabilityStart, strings.Repeat(" ", 4096), 10<<30)
	_ = z.Close() // the caller went away
}

// bombOnRead answers the probe with the bomb.
func bombOnRead(e *exchange) {
	e.w.Header().Set("Content-Type", "application/fhir+json")
	e.w.Header().Set("Content-Encoding", "gzip")
	e.w.WriteHeader(http.StatusForbidden)
	z := gzip.NewWriter(e.w)
	fill(z, e.r, `{"resourceType":"OperationOutcome","issue":[{"diagnostics":"`, strings.Repeat("a", 4096), 10<<30)
	_ = z.Close() // the caller went away
}

// drip sends one byte a second.
func drip(e *exchange) {
	body, _ := json.Marshal(statementOf(e.base(), "CapabilityStatement", "4.0.1", e.authority())) // of strings only
	e.w.Header().Set("Content-Type", "application/fhir+json")
	for i := range body {
		if _, err := e.w.Write(body[i : i+1]); err != nil {
			return
		}
		_ = http.NewResponseController(e.w).Flush() // the next write reports the error
		select {
		case <-e.r.Context().Done():
			panic(http.ErrAbortHandler) // returning would end the body
		case <-time.After(time.Second):
		}
	}
}

// loop redirects to itself.
func loop(e *exchange) { redirect(e.base() + e.r.URL.RequestURI())(e) }

// disguised sends a CapabilityStatement with a media type that no FHIR server sends.
func disguised(e *exchange) {
	e.w.Header().Set("Content-Type", "image/png")
	_ = json.NewEncoder(e.w).Encode(statementOf(e.base(), "CapabilityStatement", "4.0.1", e.authority())) // the caller went away
}

// noisy sends as many challenges as a header can hold.
func noisy(e *exchange) {
	for i := range 40 {
		e.w.Header().Add("WWW-Authenticate", fmt.Sprintf(`Digest realm="%d", nonce="%s`, i, strings.Repeat("n", 1000)))
	}
	e.outcome(http.StatusUnauthorized, "login", strings.Repeat("<script>", 5000))
}

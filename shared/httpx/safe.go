package httpx

import (
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"unicode/utf8"

	"fhirlink/shared/problem"
)

// Safe stands around everything that answers requests, and keeps two promises to the hosts. Every
// request gets an answer, also if something outside Handle panics: a host delivers a request
// without an answer up to 40 times. And headers are ASCII: a host answers others with an empty 500.
func Safe(log *slog.Logger, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		answer := &recorder{ResponseWriter: &asciiWriter{ResponseWriter: w}}
		defer recovered(log, answer, r, problem.Write)
		next.ServeHTTP(answer, r)
		if !answered(answer) {
			answer.WriteHeader(http.StatusOK) // as net/http would
		}
	})
}

// asciiWriter makes the headers of an answer ASCII.
type asciiWriter struct{ http.ResponseWriter }

func (w *asciiWriter) WriteHeader(status int) {
	for _, values := range w.Header() {
		for i, value := range values {
			if strings.ContainsFunc(value, notASCII) {
				values[i] = escapeNonASCII(value)
			}
		}
	}
	w.ResponseWriter.WriteHeader(status)
}

// Unwrap is for [http.ResponseController].
func (w *asciiWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func notASCII(r rune) bool { return r >= utf8.RuneSelf }

// escapeNonASCII percent-encodes the bytes that are not ASCII, as addresses do.
func escapeNonASCII(value string) string {
	var b strings.Builder
	for i := range len(value) {
		if value[i] < utf8.RuneSelf {
			b.WriteByte(value[i])
		} else {
			fmt.Fprintf(&b, "%%%02X", value[i])
		}
	}
	return b.String()
}

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
		answer := record(w)
		defer recovered(log, answer, r, problem.Write)
		next.ServeHTTP(answer, r)
		if !answered(answer) {
			answer.WriteHeader(http.StatusOK) // as net/http would
		}
	})
}

// recorder records the status of an answer, and makes its headers ASCII.
type recorder struct {
	http.ResponseWriter
	status int
	told   int // in the last event of a stream, whose own status says nothing; 0: no stream
}

// record returns w if it is a recorder already.
func record(w http.ResponseWriter) *recorder {
	if r, ok := w.(*recorder); ok {
		return r
	}
	return &recorder{ResponseWriter: w}
}

func (w *recorder) WriteHeader(status int) {
	if w.status == 0 {
		w.status = status
		for _, values := range w.Header() {
			for i, value := range values {
				if escaped := escapeNonASCII(value); escaped != value { // the values may be shared
					values[i] = escaped
				}
			}
		}
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *recorder) Write(p []byte) (int, error) {
	if w.status == 0 {
		w.WriteHeader(http.StatusOK)
	}
	return w.ResponseWriter.Write(p)
}

// Status returns the status of the answer; net/http sends 200 if the handler sends none.
func (w *recorder) Status() int {
	if w.told != 0 {
		return w.told
	}
	if w.status == 0 {
		return http.StatusOK
	}
	return w.status
}

// Unwrap is for [http.ResponseController].
func (w *recorder) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func (w *recorder) answered() bool { return w.status != 0 }

// answered reports whether a handler has begun to answer.
func answered(w http.ResponseWriter) bool {
	r, ok := w.(interface{ answered() bool })
	return ok && r.answered()
}

// escapeNonASCII percent-encodes the bytes that are not ASCII, as addresses do.
func escapeNonASCII(value string) string {
	first := 0
	for first < len(value) && value[first] < utf8.RuneSelf {
		first++
	}
	if first == len(value) {
		return value
	}
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

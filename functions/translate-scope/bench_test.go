package translatescope_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	translatescope "fhirlink/functions/translate-scope"
	"fhirlink/shared/problem"
)

func hundredScopes(format string) string {
	var b strings.Builder
	for i := range 100 {
		fmt.Fprintf(&b, format+" ", i)
	}
	return b.String()
}

// BenchmarkHundredScopes compares the endpoint, over HTTP, with a handler that only reads the
// same request and writes the same answer.
func BenchmarkHundredScopes(b *testing.B) {
	for _, c := range []struct{ name, settings, format string }{
		{"short", `{}`, "patient/Observation.rs?code=%d"},
		{"granular", `{"separator":"~"}`, "patient/Observation.rs?category=http://terminology.hl7.org/CodeSystem/observation-category|%d"},
		{"warned", `{}`, "patient/Observation.rs?category=http://terminology.hl7.org/CodeSystem/observation-category|%d"},
	} {
		b.Run(c.name, func(b *testing.B) {
			body := strings.Replace(c.settings, "{", `{"scope":"`+hundredScopes(c.format)+`",`, 1)
			againstBare(b, strings.Replace(body, ",}", "}", 1))
		})
	}
}

func againstBare(b *testing.B, body string) {
	w, err := post(translatescope.Handler{}, body)
	if err != nil {
		b.Fatal(err)
	}
	answer := w.Body.Bytes()
	endpoint := serve(b, func(w http.ResponseWriter, r *http.Request) {
		if err := (translatescope.Handler{}).Translate(w, r); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
		}
	})
	bare := serve(b, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // the server closes the body
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(answer)
	})
	// In turns, so that a busy machine slows both equally.
	var ours, theirs time.Duration
	for b.Loop() {
		ours += exchange(b, endpoint, body)
		theirs += exchange(b, bare, body)
	}
	b.ReportMetric(float64(b.N)/ours.Seconds(), "req/s")
	b.ReportMetric(float64(b.N)/theirs.Seconds(), "bare-req/s")
	b.ReportMetric(theirs.Seconds()/ours.Seconds(), "of-bare")
}

func serve(b *testing.B, h http.HandlerFunc) *httptest.Server {
	s := httptest.NewServer(h)
	b.Cleanup(s.Close)
	return s
}

func exchange(b *testing.B, s *httptest.Server, body string) time.Duration {
	start := time.Now()
	res, err := s.Client().Post(s.URL, "application/json", strings.NewReader(body))
	if err != nil {
		b.Fatal(err)
	}
	defer res.Body.Close()
	if _, err := io.Copy(io.Discard, res.Body); err != nil || res.StatusCode != http.StatusOK {
		b.Fatal(res.Status, err)
	}
	return time.Since(start)
}

// BenchmarkHostileBody compares the endpoint's own time for 64 KiB of expensive input with that of
// encoding/json for reading the same request and writing the same answer, without the network.
func BenchmarkHostileBody(b *testing.B) {
	fill := func(unit string) string { return strings.Repeat(unit, (65_000-60)/len(unit)) }
	var warnings strings.Builder
	for i := 0; warnings.Len() < 64_000; i++ {
		fmt.Fprintf(&warnings, "patient/Obs.ssrr?a:in=1=2&_has:x=%%2F&_include=-%d ", i)
	}
	for name, scope := range map[string]string{
		"backslashes": fill(`\\`), "parameters": "patient/Observation.rs?" + fill("&"), "many": fill("a "), "warnings": warnings.String(),
	} {
		b.Run(name, func(b *testing.B) {
			body := `{"scope":"` + scope + `"}`
			var shape jsonAnswer
			if err := json.Unmarshal(translate(body), &shape); err != nil {
				b.Fatal(err)
			}
			var ours, theirs time.Duration
			for b.Loop() {
				start := time.Now()
				translate(body)
				ours += time.Since(start)
				start = time.Now()
				readAndWrite(b, body, shape)
				theirs += time.Since(start)
			}
			b.ReportMetric(ours.Seconds()/theirs.Seconds(), "of-json")
		})
	}
}

// translate returns the whole answer to a body, an error's included.
func translate(body string) []byte {
	r := httptest.NewRequest("POST", "/api/translate-scope", strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	w := httptest.NewRecorder()
	if err := (translatescope.Handler{}).Translate(w, r); err != nil {
		problem.Write(w, r, err)
	}
	return w.Body.Bytes()
}

// jsonAnswer has the shape of an answer with results.
type jsonAnswer struct {
	Direction, Dialect, Separator, Scope, Type, Title, Detail, Code, Instance string `json:",omitempty"`

	Status      int `json:",omitempty"`
	Registrable bool
	Results     []struct {
		Input, Output, Kind string
		Entra               struct {
			Registrable bool
			Reasons     []string
			Length      int
		}
		Warnings []struct{ Code, Message, Fix string }
		Error    *struct{ Code, Message, Fix string } `json:",omitempty"`
	} `json:",omitempty"`
}

func readAndWrite(b *testing.B, body string, shape jsonAnswer) {
	var in struct{ Scope string }
	if err := json.Unmarshal([]byte(body), &in); err != nil {
		b.Fatal(err)
	}
	if err := json.NewEncoder(io.Discard).Encode(shape); err != nil {
		b.Fatal(err)
	}
}

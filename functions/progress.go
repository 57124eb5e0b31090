package functions

import (
	"net/http"

	"fhirlink/shared/httpx"
	"fhirlink/shared/verification"
)

// withProgress sends the checks of a verification as they come to a client that accepts NDJSON. What is
// known before the first check is answered as without.
func withProgress(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !httpx.WantsEvents(r) {
			next.ServeHTTP(w, r)
			return
		}
		httpx.Stream(w, func(s *httpx.EventStream) {
			r.Header.Del("Accept-Encoding") // a page becomes text in the last event
			next.ServeHTTP(s, r.WithContext(verification.WithProgress(r.Context(), progress{s})))
		})
	})
}

// progress tells a client how a verification goes.
type progress struct{ to *httpx.EventStream }

// Running implements [verification.Progress].
func (p progress) Running(id string) {
	p.start()
	p.to.Send(struct {
		Event string `json:"event"`
		ID    string `json:"id"`
	}{"running", id})
}

// Done implements [verification.Progress].
func (p progress) Done(c verification.Check) {
	p.start()
	p.to.Send(struct {
		Event string             `json:"event"`
		Check verification.Check `json:"check"`
	}{"check", c})
}

func (p progress) start() {
	if !p.to.Started() {
		p.to.Send(struct {
			Event  string   `json:"event"`
			Checks []string `json:"checks"`
		}{"start", verification.CheckIDs()})
	}
}

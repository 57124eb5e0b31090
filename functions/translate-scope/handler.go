package translatescope

import (
	"net/http"

	"fhirlink/shared/httpx"
	"fhirlink/shared/problem"
	"fhirlink/shared/smart"
)

// Handler translates scopes. The zero value knows no aliases except those in each request.
type Handler struct {
	Aliases smart.Aliases // the setting FHIRLINK_SCOPE_ALIASES
}

// answer is the body of a 200.
type answer struct {
	Direction     string           `json:"direction"`
	Dialect       smart.Dialect    `json:"dialect"`
	Separator     string           `json:"separator,omitempty"`
	From          smart.Dialect    `json:"from,omitempty"`
	FromSeparator string           `json:"fromSeparator,omitempty"`
	To            smart.Dialect    `json:"to,omitempty"`
	Scope         string           `json:"scope"`
	Registrable   bool             `json:"registrable"` // by Entra: all of them
	Results       smart.Results    `json:"results"`
	Artefacts     *smart.Artefacts `json:"artefacts,omitempty"`
}

// Translate answers GET and POST. Its errors are InvalidFields, UntranslatableScope with
// results, and those of [httpx.DecodeJSON].
func (h Handler) Translate(w http.ResponseWriter, r *http.Request) error {
	in, err := read(r)
	if err != nil {
		return err
	}
	job, err := in.job(h.Aliases)
	if err != nil {
		return err
	}
	results := job.run(in.scopes)
	if results.Refused() {
		return untranslatable(results)
	}
	return httpx.WriteJSON(w, http.StatusOK, job.answer(results, in.Artefacts))
}

func read(r *http.Request) (request, error) {
	switch r.Method {
	case http.MethodGet, http.MethodHead:
		return fromQuery(r.URL.RawQuery)
	case http.MethodPost:
		return fromBody(r)
	}
	return request{}, &problem.Error{
		Code: problem.MethodNotAllowed, Detail: "Send GET with a query, or POST with JSON.",
		Allow: []string{http.MethodGet, http.MethodPost, http.MethodOptions},
	}
}

func untranslatable(results smart.Results) error {
	refused := 0
	for _, r := range results {
		if r.Error != nil {
			refused++
		}
	}
	e := problem.New(problem.UntranslatableScope, "%d of %d scopes cannot be carried without loss: results says which, why, and what to do. Nothing was translated in part.",
		refused, len(results))
	e.Results = results
	return e
}

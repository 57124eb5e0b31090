package manage

import (
	"net/http"
	"net/url"
	"strings"
	"unicode/utf8"

	"fhirlink/functions/manage/view"
	"fhirlink/shared/fhir"
	"fhirlink/shared/httpx"
	"fhirlink/shared/problem"
)

const formType = "application/x-www-form-urlencoded"

// readForm reads the body of a form into r.PostForm. Of a key that stands twice, the first counts.
func readForm(r *http.Request) error {
	if httpx.MediaType(r.Header) != formType {
		return problem.New(problem.UnsupportedMediaType, "Send the form of the page as it is, in UTF-8.")
	}
	data, err := httpx.ReadBody(r)
	if err != nil {
		return err
	}
	if r.PostForm, err = url.ParseQuery(string(data)); err != nil {
		return problem.New(problem.MalformedBody, "The form is not readable. Open the page again.")
	}
	for name, values := range r.PostForm {
		if !utf8.ValidString(name) || !utf8.ValidString(strings.Join(values, "")) {
			return problem.New(problem.MalformedBody, "The form is not in UTF-8. Open the page again.")
		}
	}
	return nil
}

// valueOf is what a field of one line means: the URL of a FHIR server without what is often copied along.
func valueOf(form url.Values, name string) string {
	value := strings.TrimSpace(form.Get(name))
	if name != view.URLField.Name {
		return value
	}
	if base, _, mistake := fhir.ParseBaseURL(value, true); mistake == nil {
		return base.String()
	}
	return value
}

// lines splits the text of a field that takes one value a line.
func lines(text string) (all []string) {
	for line := range strings.Lines(strings.ReplaceAll(text, "\r", "\n")) {
		if line = strings.TrimSpace(line); line != "" {
			all = append(all, line)
		}
	}
	return all
}

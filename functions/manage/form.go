package manage

import (
	"net/http"
	"net/url"
	"strings"
	"unicode/utf8"

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

// field is one field of a form, as the template "field" shows it.
type field struct {
	Name, Label, Hint, Optional string
	Type, Autocomplete          string
	Value                       string
	Lines                       int  // of a text area; 0: one line
	Secret                      bool // it is never shown again
	Short                       bool
	Again                       bool // the secret that was typed is gone
	Mistakes                    []problem.Field
}

// with returns the field with what was typed and what is wrong with it. A secret is not shown again.
func (f field) with(typed url.Values, mistakes []problem.Field) field {
	f.Value = typed.Get(f.Name)
	for _, m := range mistakes {
		if m.Field == f.Name {
			f.Mistakes = append(f.Mistakes, m)
		}
	}
	if f.Secret {
		f.Again = f.Value != ""
		f.Value = ""
	}
	return f
}

func fill(fields []field, typed url.Values, mistakes []problem.Field) []field {
	filled := make([]field, len(fields))
	for i, f := range fields {
		filled[i] = f.with(typed, mistakes)
	}
	return filled
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

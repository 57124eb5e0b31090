package manage

import (
	"encoding/json"
	"errors"
	"html/template"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"fhirlink/functions/manage/view"
	"fhirlink/shared/problem"
	"fhirlink/shared/smart"
)

// scopeForm is what the page about scopes asks; the names are the keys of the API.
type scopeForm struct{ Scope, Direction, Dialect, Separator, Resource string }

type scopesBody struct {
	Form        scopeForm
	Mistakes    []view.Mistake
	Dialects    []choice
	Rows        []scopeRow
	Joined      string // all outputs
	Refused     bool   // some cannot be carried
	Link        string // a GET that fills the form in; empty when it would be too long
	Firely      string // a setting of Firely Server
	Compared    []comparison
	Comparing   bool
	Placeholder string
}

// Wrong is what is wrong with a field.
func (b scopesBody) Wrong(name string) []view.Mistake {
	return slices.DeleteFunc(slices.Clone(b.Mistakes), func(m view.Mistake) bool { return m.Field.Field != name })
}

type scopeRow struct {
	Smart, Entra string
	Marked       template.HTML // Entra's spelling with what Entra refuses marked
	Length       int
	Kind, Icon   string
	Verdict      view.English
	ReadsBack    bool
	Advice       []smart.Advice
}

type comparison struct {
	Dialect view.English
	Outputs []string
	Problem string // in English
}

var dialects = []struct {
	value string
	word  view.English
}{
	{"firely", "Firely Server"}, {"ahds", "Azure Health Data Services"}, {"fhir-server-proxy", "Microsoft FHIR server behind a proxy"}, {"aad-proxy", "the retired AAD proxy"},
}

func (h *Handler) scopes(w http.ResponseWriter, r *http.Request, v Visitor) error {
	values := r.URL.Query()
	if r.Method == http.MethodPost {
		if err := h.checkSite(r); err != nil {
			return err
		}
		if err := readForm(r); err != nil {
			return err
		}
		values = r.PostForm
	}
	form := scopeForm{values.Get("scope"), values.Get("direction"), values.Get("dialect"), values.Get("separator"), strings.TrimSpace(values.Get("resource"))}
	body := scopesBody{Form: form, Placeholder: "patient/Observation.rs openid fhirUser"}
	for _, d := range dialects {
		body.Dialects = append(body.Dialects, choice{Value: d.value, Word: d.word, Chosen: d.value == form.Dialect})
	}
	if r.Method == http.MethodPost {
		body.Comparing = values.Get("do") == "compare"
		words := h.view.Words(r)
		translator, refused := form.translator(h.Aliases, form.Dialect)
		mistakes := words.Mistakes(refused)
		scopes := smart.Split(form.Scope)
		if len(scopes) == 0 {
			mistakes = append(mistakes, words.Mistake("scope", words.Text("There is no scope."), words.Text("Type at least one, such as patient/Observation.rs."))...)
		}
		switch {
		case mistakes != nil:
			body.Mistakes = mistakes
			return showing(problem.Invalid(mistakes[0].Field), h.scopesPage(r, v, body))
		case values.Get("do") == "download":
			return h.permissions(w, r, translator, form.run(translator, scopes))
		default:
			h.translated(&body, translator, scopes)
		}
	}
	return h.view.Write(w, r, h.scopesPage(r, v, body))
}

func (h *Handler) scopesPage(r *http.Request, v Visitor, body scopesBody) view.Page {
	return view.Page{Template: "scopes", Heading: h.view.Words(r).Text("SMART scopes on Entra"), Nav: "Scopes", Account: account(v), Body: body, Public: true}
}

func (f scopeForm) translator(aliases smart.Aliases, dialect string) (*smart.Translator, []problem.Field) {
	o := smart.Options{Resource: f.Resource, Aliases: aliases}
	var found smart.Mistakes
	note := func(field string, err error) {
		if refused, ok := errors.AsType[*smart.Refusal](err); ok {
			found = append(found, smart.Mistake{Field: field, Advice: smart.Advice(*refused)})
		}
		if several, ok := errors.AsType[smart.Mistakes](err); ok {
			found = append(found, several...)
		}
	}
	var err error
	if dialect != "" {
		o.Dialect, err = smart.ParseDialect(dialect)
		note("dialect", err)
	}
	if f.Separator != "" {
		o.Separator, err = smart.ParseSeparator(f.Separator)
		note("separator", err)
	}
	t, err := smart.New(o)
	note("", err)
	var mistakes []problem.Field
	for _, m := range found {
		mistakes = append(mistakes, problem.Field{Field: m.Field, Code: m.Code, Message: m.Message, Fix: m.Fix})
	}
	return t, mistakes
}

func (f scopeForm) run(t *smart.Translator, scopes []string) smart.Results {
	if f.Direction == "decode" {
		return t.DecodeAll(scopes)
	}
	return t.EncodeAll(scopes)
}

func (h *Handler) translated(body *scopesBody, t *smart.Translator, scopes []string) {
	f := body.Form
	results := f.run(t, scopes)
	for _, r := range results {
		body.Rows = append(body.Rows, scopeRowOf(f, t, r))
		body.Refused = body.Refused || r.Error != nil
	}
	body.Joined = results.Scope()
	if address := "/api/manage/scopes?" + (url.Values{"scope": {f.Scope}, "direction": {f.Direction}, "dialect": {f.Dialect}, "separator": {f.Separator}, "resource": {f.Resource}}).Encode(); len(address) < 2000 {
		body.Link = address
	}
	if made := t.Artefacts(results); made.FirelyServer != nil {
		if text, err := json.MarshalIndent(made.FirelyServer, "", "  "); err == nil { // strings always encode
			body.Firely = string(text)
		}
	}
	if !body.Comparing {
		return
	}
	for _, d := range dialects {
		other := f
		if d.value != "firely" {
			other.Separator = ""
		}
		one := comparison{Dialect: d.word}
		translator, mistakes := other.translator(h.Aliases, d.value)
		if mistakes != nil {
			one.Problem = mistakes[0].Message
		} else {
			for _, r := range other.run(translator, scopes) {
				if r.Error != nil {
					one.Outputs = append(one.Outputs, "–")
					one.Problem = r.Error.Message
					continue
				}
				one.Outputs = append(one.Outputs, r.Output)
			}
		}
		body.Compared = append(body.Compared, one)
	}
}

func scopeRowOf(f scopeForm, t *smart.Translator, r smart.Result) scopeRow {
	row := scopeRow{Smart: r.Input, Entra: r.Output, Length: r.Entra.Length, Kind: "good", Icon: "tick", Verdict: "Entra takes it"}
	if f.Direction == "decode" {
		row.Smart, row.Entra = r.Output, r.Input
	}
	row.Advice = append(row.Advice, r.Warnings...)
	switch {
	case r.Error != nil:
		row.Kind, row.Icon, row.Verdict = "bad", "octagon", "cannot be carried without loss"
		row.Advice = append([]smart.Advice{smart.Advice(*r.Error)}, row.Advice...)
		return row
	case !r.Entra.Registrable:
		row.Kind, row.Icon, row.Verdict = "warning", "triangle", "Entra does not register it"
	}
	row.Marked = marked(row.Entra)
	reverse := t.DecodeAll
	if f.Direction == "decode" {
		reverse = t.EncodeAll
	}
	back := reverse([]string{r.Output})
	row.ReadsBack = len(back) == 1 && back[0].Error == nil && back[0].Output == r.Input
	return row
}

// marked shows a scope with the characters marked that Entra refuses in a permission.
func marked(scope string) template.HTML {
	var b strings.Builder
	for _, c := range scope {
		text := template.HTMLEscapeString(string(c))
		if smart.EntraTakes(c) {
			b.WriteString(text)
		} else {
			b.WriteString("<mark>" + text + "</mark>")
		}
	}
	return template.HTML(b.String()) //nolint:gosec // escaped above
}

// permissions answers with the body of the Graph request that registers the scopes.
func (h *Handler) permissions(w http.ResponseWriter, r *http.Request, t *smart.Translator, results smart.Results) error {
	text, err := json.MarshalIndent(t.Artefacts(results).Graph.Body, "", "  ")
	if err != nil {
		return err
	}
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Content-Disposition", `attachment; filename="permissions.json"`)
	view.Send(w, r, http.StatusOK, "application/json", append(text, '\n'))
	return nil
}

package manage

import (
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"fhirlink/functions/manage/view"
	"fhirlink/shared/link/intake"
	"fhirlink/shared/problem"
	"fhirlink/shared/secret"
	"fhirlink/shared/verification"
)

// formBody is what the pages with the fields of a link show.
type formBody struct {
	Heading  string
	Mistakes []view.Mistake
	Fields   []view.Field
	More     []view.Field
	Open     bool // More is
	Listed   bool
	For      string
	NoMail   bool
	Dropped  bool // the address held a client secret
	Verdict  *view.Notice
	Checks   []view.Check
	Mine     *view.Action // a link that the visitor's organization has under this slug
}

func (h *Handler) formOf(r *http.Request, v Visitor, typed url.Values, mistakes []view.Mistake) formBody {
	fields := []view.Field{view.SlugField, view.DescriptionField, view.URLField, view.ClientIDField, view.SecretField, view.EndsField}
	if h.Mail {
		fields = append(fields, view.ContactsField)
	}
	b := formBody{
		Heading: h.view.Words(r).Text("Manage FHIR Server"), Mistakes: mistakes, Fields: view.Fill(fields, typed, mistakes),
		More: view.Fill([]view.Field{view.TenantField, view.AudienceField}, typed, mistakes), Listed: typed.Get("listed") != "", For: v.For, NoMail: !h.Mail,
	}
	b.Open = b.Listed || slices.ContainsFunc(b.More, func(f view.Field) bool { return f.Value != "" || f.Mistakes != nil })
	return b
}

// withoutSecret leads from an address with a secret to the same page without it, before anything else:
// the page that asks people to sign in repeats the address.
func (h *Handler) withoutSecret(g guarded) page {
	return func(w http.ResponseWriter, r *http.Request, _ Visitor) error {
		given := r.URL.Query()
		if !given.Has("clientSecret") {
			return h.admitted(w, r, g)
		}
		to := url.Values{"dropped": {"1"}}
		for _, name := range []string{"slug", "description", "lang"} {
			if given.Get(name) != "" {
				to.Set(name, given.Get(name))
			}
		}
		return seeOther(w, r, "/api/manage/add?"+to.Encode())
	}
}

// add shows the form. An invitation may fill in slug and description, and nothing else: not where the
// secret would be sent to, and never a secret.
func (h *Handler) add(w http.ResponseWriter, r *http.Request, v Visitor) error {
	given := r.URL.Query()
	typed := url.Values{"slug": given["slug"], "description": given["description"]}
	if !strings.Contains(v.Username, "#") { // a guest's, which is no address
		typed.Set("contacts", v.Username)
	}
	body := h.formOf(r, v, typed, nil)
	body.Dropped = given.Get("dropped") != ""
	return h.view.Write(w, r, formPage(v, body))
}

// addAgain shows the form again with what was typed.
func (h *Handler) addAgain(r *http.Request, v Visitor, n *view.Notice) view.Page {
	body := h.formOf(r, v, r.PostForm, nil)
	body.Verdict = n
	return formPage(v, body)
}

func formPage(v Visitor, body formBody) view.Page {
	return view.Page{Template: "add", Heading: body.Heading, Nav: "FHIR servers", Account: account(v), Body: body}
}

func registrationOf(form url.Values) intake.Registration {
	return intake.Registration{
		Slug: form.Get("slug"), Description: form.Get("description"), FHIRServerURL: form.Get("fhirServerUrl"), ClientID: form.Get("clientId"),
		ClientSecret: secretOf(form, view.SecretField), SecretExpiresOn: form.Get("secretExpiresOn"), TenantID: form.Get("tenantId"), Audience: form.Get("audience"),
		Listed: form.Get("listed") != "", Contacts: lines(form.Get("contacts")),
	}
}

func secretOf(form url.Values, f view.Field) secret.Value {
	if form.Get(f.Name) == "" {
		return secret.Value{}
	}
	return secret.New(form.Get(f.Name))
}

// save links a server, or only tries to.
func (h *Handler) save(w http.ResponseWriter, r *http.Request, v Visitor) error {
	if err := h.spend(v); err != nil {
		return h.notSaved(r, v, err)
	}
	registration := registrationOf(r.PostForm)
	if r.PostForm.Get("do") == "try" {
		return h.try(w, r, v, registration)
	}
	result, err := h.Links.Register(r.Context(), v.Caller.Organization, registration)
	if err != nil {
		return h.notSaved(r, v, err)
	}
	return seeOther(w, r, "/api/manage/servers/"+string(result.Link.Slug)+"?done=linked")
}

// try runs all checks and stores nothing.
func (h *Handler) try(w http.ResponseWriter, r *http.Request, v Visitor, registration intake.Registration) error {
	report, err := h.Links.Rehearse(r.Context(), v.Caller.Organization, registration)
	if err != nil {
		return h.notSaved(r, v, err)
	}
	failed, found := report.Failed()
	switch {
	case found && failed.Code == string(problem.SlugTaken):
		taken := problem.Field{Field: "slug", Code: failed.Code, Message: failed.Message, Fix: failed.Fix}
		return h.notSaved(r, v, &problem.Error{Code: problem.SlugTaken, Detail: failed.Message, Fields: []problem.Field{taken}})
	case found && len(failed.Errors) > 0:
		return h.notSaved(r, v, problem.Invalid(failed.Errors...))
	}
	words := h.view.Words(r)
	body := h.formOf(r, v, r.PostForm, nil)
	body.Checks = view.Checks(report)
	body.Open = body.Open || found && slices.ContainsFunc(body.More, func(f view.Field) bool { return f.Name == intake.FieldOf(failed) })
	body.Verdict = &view.Notice{
		Kind: "good", Heading: words.Text("Nothing was saved."), Text: words.Text("Every check passed. Enter the secret again and press Save."),
		Actions: []view.Action{{Name: words.Text("Save now"), Href: "#clientSecret"}}, Focus: true,
	}
	if found {
		body.Verdict = verdictOf(words, "Nothing was saved.", failed, []problem.Field{{Field: intake.FieldOf(failed)}})
		body.Verdict.Text = words.Text("This check failed: {check}", "check", words.Title(failed))
		if report.Outcome() == verification.OutcomePendingAccess {
			body.Verdict.Kind, body.Verdict.Text = "waiting", words.Text("Only the role is missing, and no field has to be changed. Enter the secret again and press Save: the server is then checked again by itself until it has the role.")
			body.Verdict.Actions = []view.Action{{Name: words.Text("Save now"), Href: "#clientSecret"}}
		}
	}
	return h.view.Write(w, r, formPage(v, body))
}

// notSaved shows the form again, with what was typed and what is wrong with it.
func (h *Handler) notSaved(r *http.Request, v Visitor, err error) error {
	var p *problem.Error
	if !errors.As(err, &p) {
		return err
	}
	words := h.view.Words(r)
	body := h.formOf(r, v, r.PostForm, words.Mistakes(p.Fields))
	report, reported := p.Report.(verification.Report)
	switch {
	case reported:
		body.Checks = view.Checks(report)
		failed, _ := report.Failed()
		body.Verdict = verdictOf(words, "Not linked yet: {check}", failed, p.Fields)
		if p.Code == problem.UpstreamUnavailable {
			body.Verdict.Kind, body.Verdict.Heading = "warning", words.Text("Your server could not be checked just now")
			body.Verdict.Text, body.Verdict.Actions = waiting(words, p.RetryAfter), nil
		}
	case p.Code == problem.SlugTaken:
		if l, err := h.Links.Get(r.Context(), v.Caller.Organization, strings.TrimSpace(r.PostForm.Get("slug"))); err == nil {
			body = h.formOf(r, v, r.PostForm, words.Mistake("slug", words.Text("You have linked this already."), words.Text("Open it, or type another name.")))
			body.Mine = &view.Action{Name: l.Description, Href: "/api/manage/servers/" + string(l.Slug)}
		}
	case p.Fields == nil:
		var ok bool
		if body.Verdict, ok = h.refusal(words, p); !ok {
			return err
		}
	}
	return showing(err, formPage(v, body))
}

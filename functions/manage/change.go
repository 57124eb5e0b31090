package manage

import (
	"cmp"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"fhirlink/functions/manage/view"
	"fhirlink/shared/credential"
	"fhirlink/shared/link"
	"fhirlink/shared/link/intake"
	"fhirlink/shared/problem"
	"fhirlink/shared/verification"
)

// changeBody is what the pages that change a link show.
type changeBody struct {
	Heading     string
	Slug        string
	Description string // as it is stored
	Typed       string // to delete it
	Mistakes    []view.Mistake
	Fields      []view.Field
	Listed      bool
	ETag        string
	For         string
	Verdict     *view.Notice
	Checks      []view.Check
	Stale       bool        // somebody else has changed the link meanwhile
	Theirs      []differing // in what
	Wrong       bool        // the slug that was typed to delete is another one
	Certificate bool        // the link has one instead of a client secret
}

// differing is a field that has another value now than the form.
type differing struct {
	Label        view.English
	Theirs, Mine string
}

// stored are the values of a link as the form has them.
func stored(l link.Link) url.Values {
	values := url.Values{
		"description": {l.Description}, "fhirServerUrl": {l.FHIRServerURL}, "clientId": {l.ClientID}, "tenantId": {l.TenantID}, "audience": {l.Audience},
		"contacts": {strings.Join(l.Contacts, "\n")},
	}
	if !l.Secret.ExpiresOn.IsZero() {
		values.Set("secretExpiresOn", l.Secret.ExpiresOn.String())
	}
	if l.Listed {
		values.Set("listed", "1")
	}
	return values
}

func (h *Handler) editFields(l link.Link) []view.Field {
	kept := credentialField(l)
	kept.Optional = "leave it empty to keep the current one"
	kept.Hint = "Needed again if the FHIR Server URL, Client ID, Tenant ID or Audience changes."
	fields := []view.Field{view.DescriptionField, view.URLField, view.ClientIDField, view.TenantField, view.AudienceField, kept, view.EndsField}
	if h.Mail {
		fields = append(fields, view.ContactsField)
	}
	return fields
}

func (h *Handler) editBody(r *http.Request, v Visitor, l link.Link, typed url.Values, mistakes []view.Mistake) changeBody {
	return changeBody{
		Heading: h.view.Words(r).Text("Change {description}", "description", l.Description), Slug: string(l.Slug), Description: l.Description, Mistakes: mistakes,
		Fields: view.Fill(h.editFields(l), typed, mistakes), Listed: typed.Get("listed") != "", ETag: l.ETag(), For: v.For, Certificate: hasCertificate(l),
	}
}

func (h *Handler) edit(w http.ResponseWriter, r *http.Request, v Visitor) error {
	l, err := h.Links.Get(r.Context(), v.Caller.Organization, r.PathValue("slug"))
	if err != nil {
		return err
	}
	return h.view.Write(w, r, changePage(v, "edit", h.editBody(r, v, l, stored(l), nil)))
}

func changePage(v Visitor, template string, body changeBody) view.Page {
	return view.Page{Template: template, Heading: body.Heading, Nav: "FHIR servers", Account: account(v), Body: body}
}

// etagOf is the entity tag that a form carries. No form overwrites whatever is there.
func etagOf(form url.Values) string {
	if tag := strings.TrimSpace(form.Get("etag")); tag != "" && tag != "*" {
		return tag
	}
	return `"none"`
}

// change saves what differs from the stored link.
func (h *Handler) change(w http.ResponseWriter, r *http.Request, v Visitor) error {
	l, err := h.Links.Get(r.Context(), v.Caller.Organization, r.PathValue("slug"))
	if err != nil {
		return err
	}
	if err = h.spend(v); err == nil {
		_, err = h.Links.Patch(r.Context(), v.Caller.Organization, string(l.Slug), etagOf(r.PostForm), patchOf(r.PostForm, stored(l)))
	}
	if err == nil {
		return seeOther(w, r, "/api/manage/servers/"+string(l.Slug)+"?done=saved")
	}
	return h.notChanged(r, v, "edit", l, h.editBody(r, v, l, r.PostForm, nil), err)
}

// patchOf holds the fields of a form that differ from the stored ones. A field that the form does not
// have stays as it is.
func patchOf(form, before url.Values) (p intake.Patch) {
	text := func(name string) *string {
		if value := valueOf(form, name); form.Has(name) && value != before.Get(name) {
			return &value
		}
		return nil
	}
	p.Description, p.FHIRServerURL, p.ClientID = text("description"), text("fhirServerUrl"), text("clientId")
	p.TenantID, p.Audience = text("tenantId"), text("audience")
	if ends := text("secretExpiresOn"); ends != nil {
		p.SecretExpiresOn = intake.Nullable[string]{Present: true, Value: ends}
		if *ends == "" {
			p.SecretExpiresOn.Value = nil
		}
	}
	if listed := form.Get("listed") != ""; listed != (before.Get("listed") != "") {
		p.Listed = &listed
	}
	if contacts := lines(form.Get("contacts")); form.Has("contacts") && strings.Join(contacts, "\n") != before.Get("contacts") {
		p.Contacts = intake.Nullable[[]string]{Present: true, Value: &contacts}
	}
	p.ClientSecret, p.ClientCertificate = secretOf(form, view.SecretField), secretOf(form, view.CertificateField)
	return p
}

// notChanged shows the form again, with what is wrong, or with what somebody else has changed.
func (h *Handler) notChanged(r *http.Request, v Visitor, template string, l link.Link, body changeBody, err error) error {
	var p *problem.Error
	if !errors.As(err, &p) {
		return err
	}
	words := h.view.Words(r)
	report, reported := p.Report.(verification.Report)
	switch {
	case p.Code == problem.ChangedMeanwhile:
		body.Stale, body.Theirs = true, differences(words, template, body.Fields, stored(l), r.PostForm)
		body.Verdict = changedMeanwhile(words)
	case reported:
		failed, _ := report.Failed()
		body.Checks = view.Checks(report)
		body.Verdict = verdictOf(words, "Nothing was changed: {check}", failed, p.Fields)
		if href := body.Verdict.Actions[0].Href; !slices.ContainsFunc(body.Fields, func(f view.Field) bool { return "#"+f.Name == href }) {
			body.Verdict.Actions = nil // the field is on another page
		}
		if p.Code == problem.UpstreamUnavailable {
			body.Verdict.Kind, body.Verdict.Text, body.Verdict.Actions = "warning", waiting(words, p.RetryAfter), nil
		}
		body.Fields = view.Fill(h.fieldsOf(template, l), r.PostForm, words.Mistakes(p.Fields))
	case p.Code == problem.SecretRequired:
		field := credentialField(l)
		changed := words.Text("You changed {fields}, which needs this again: {credential}.", "fields", boundTo(words, body.Fields, stored(l), r.PostForm), "credential", words.Text(field.Label))
		body.Mistakes = words.Mistake(field.Name, changed, words.Text("Type it again, or take the change back."))
		body.Fields = view.Fill(h.fieldsOf(template, l), r.PostForm, body.Mistakes)
	case p.Fields != nil:
		body.Mistakes = words.Mistakes(p.Fields)
		body.Fields = view.Fill(h.fieldsOf(template, l), r.PostForm, body.Mistakes)
	default:
		var ok bool
		if body.Verdict, ok = h.refusal(words, p); !ok {
			return err
		}
	}
	return showing(err, changePage(v, template, body))
}

// changeAgain shows the form of a page again, with what was typed and nothing that is stored.
func (h *Handler) changeAgain(template string) func(*http.Request, Visitor, *view.Notice) view.Page {
	return func(r *http.Request, v Visitor, n *view.Notice) view.Page {
		l := link.Link{Slug: link.Slug(r.PathValue("slug")), Description: cmp.Or(r.PostForm.Get("description"), r.PathValue("slug"))}
		if r.PostForm.Has(view.CertificateField.Name) {
			l.Secret.Kind = credential.KindCertificate
		}
		var body changeBody
		switch template {
		case "edit":
			body = h.editBody(r, v, l, r.PostForm, nil)
		case "secret":
			body = h.secretBody(r, v, l, r.PostForm)
		default:
			body = h.deleteBody(r, v, l)
			body.Typed = r.PostForm.Get("slug")
		}
		body.ETag, body.Verdict = r.PostForm.Get("etag"), n
		return changePage(v, template, body)
	}
}

func changedMeanwhile(words view.Words) *view.Notice {
	return &view.Notice{Kind: "warning", Heading: words.Text("Somebody changed this server meanwhile"), Focus: true}
}

// boundTo names the fields that a form changes and the credential is used with.
func boundTo(words view.Words, fields []view.Field, before, form url.Values) string {
	var names []string
	for _, f := range fields {
		switch f.Name {
		case "fhirServerUrl", "clientId", "tenantId", "audience":
			if form.Has(f.Name) && valueOf(form, f.Name) != before.Get(f.Name) {
				names = append(names, words.Text(f.Label))
			}
		}
	}
	return strings.Join(names, ", ")
}

// credentialField asks for what the link's application proves itself with.
func credentialField(l link.Link) view.Field {
	if hasCertificate(l) {
		return view.CertificateField
	}
	return view.SecretField
}

func (h *Handler) fieldsOf(template string, l link.Link) []view.Field {
	switch {
	case template == "edit":
		return h.editFields(l)
	case hasCertificate(l): // which says itself when it ends
		return []view.Field{view.CertificateField}
	}
	fresh := view.SecretField
	fresh.Hint = "Microsoft Entra admin center > App registrations > your app > Certificates & secrets > the column Value, which is shown only once. Not the column Secret ID."
	return []view.Field{fresh, view.EndsField}
}

// differences are the fields in which a form differs from what is stored now.
func differences(words view.Words, template string, fields []view.Field, theirs, mine url.Values) (all []differing) {
	for _, f := range fields {
		a, b := theirs.Get(f.Name), valueOf(mine, f.Name)
		if f.Lines > 0 {
			b = strings.Join(lines(mine.Get(f.Name)), "\n")
		}
		if !f.Secret && mine.Has(f.Name) && a != b {
			all = append(all, differing{f.Label, a, b})
		}
	}
	yesOrNo := map[bool]string{true: words.Text("Yes"), false: words.Text("No")}
	if a, b := theirs.Get("listed") != "", mine.Get("listed") != ""; template == "edit" && a != b {
		all = append(all, differing{"Show in the directory", yesOrNo[a], yesOrNo[b]})
	}
	return all
}

func (h *Handler) secretBody(r *http.Request, v Visitor, l link.Link, typed url.Values) changeBody {
	var heading view.English = "Replace client secret"
	if hasCertificate(l) {
		heading = "Replace certificate"
	}
	return changeBody{
		Heading: h.view.Words(r).Text(heading), Slug: string(l.Slug), Description: l.Description, Fields: view.Fill(h.fieldsOf("secret", l), typed, nil), ETag: l.ETag(), For: v.For, Certificate: hasCertificate(l),
	}
}

func (h *Handler) secret(w http.ResponseWriter, r *http.Request, v Visitor) error {
	l, err := h.Links.Get(r.Context(), v.Caller.Organization, r.PathValue("slug"))
	if err != nil {
		return err
	}
	return h.view.Write(w, r, changePage(v, "secret", h.secretBody(r, v, l, url.Values{})))
}

// replace verifies a new secret and cuts over to it.
func (h *Handler) replace(w http.ResponseWriter, r *http.Request, v Visitor) error {
	l, err := h.Links.Get(r.Context(), v.Caller.Organization, r.PathValue("slug"))
	if err != nil {
		return err
	}
	if err = h.spend(v); err == nil {
		_, err = h.Links.SetSecret(r.Context(), v.Caller.Organization, string(l.Slug), etagOf(r.PostForm), intake.NewSecret{
			ClientSecret: secretOf(r.PostForm, view.SecretField), ClientCertificate: secretOf(r.PostForm, view.CertificateField),
			SecretExpiresOn: r.PostForm.Get("secretExpiresOn"),
		})
	}
	if err == nil {
		return seeOther(w, r, "/api/manage/servers/"+string(l.Slug)+"?done=replaced")
	}
	return h.notChanged(r, v, "secret", l, h.secretBody(r, v, l, r.PostForm), err)
}

func (h *Handler) deleteBody(r *http.Request, v Visitor, l link.Link) changeBody {
	return changeBody{Heading: h.view.Words(r).Text("Delete {description}?", "description", l.Description), Slug: string(l.Slug), Description: l.Description, ETag: l.ETag(), For: v.For, Certificate: hasCertificate(l)}
}

func (h *Handler) delete(w http.ResponseWriter, r *http.Request, v Visitor) error {
	l, err := h.Links.Get(r.Context(), v.Caller.Organization, r.PathValue("slug"))
	if err != nil {
		return err
	}
	return h.view.Write(w, r, changePage(v, "delete", h.deleteBody(r, v, l)))
}

// remove deletes a link whose slug was typed.
func (h *Handler) remove(w http.ResponseWriter, r *http.Request, v Visitor) error {
	l, err := h.Links.Get(r.Context(), v.Caller.Organization, r.PathValue("slug"))
	if err != nil {
		return err
	}
	body := h.deleteBody(r, v, l)
	if strings.TrimSpace(r.PostForm.Get("slug")) != string(l.Slug) {
		body.Wrong, body.Typed = true, r.PostForm.Get("slug")
		words := h.view.Words(r)
		body.Mistakes = words.Mistake("slug", words.Text("What you typed is not the customized URL of this server."), words.Text("Type {slug}.", "slug", string(l.Slug)))
		return showing(problem.Invalid(body.Mistakes[0].Field), changePage(v, "delete", body))
	}
	if err := h.Links.Delete(r.Context(), v.Caller.Organization, string(l.Slug), etagOf(r.PostForm)); err != nil {
		var p *problem.Error
		if !errors.As(err, &p) {
			return err
		}
		words, ok := h.view.Words(r), false
		if body.Verdict, ok = h.refusal(words, p); !ok {
			return err
		}
		if p.Code == problem.ChangedMeanwhile {
			body.Stale, body.Typed, body.Verdict = true, r.PostForm.Get("slug"), changedMeanwhile(words)
			body.Verdict.Text = words.Text("Look at it again before you delete it.")
		}
		return showing(err, changePage(v, "delete", body))
	}
	return seeOther(w, r, "/api/manage/?done=deleted")
}

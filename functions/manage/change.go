package manage

import (
	"errors"
	"net/http"
	"net/url"
	"strings"

	"fhirlink/functions/manage/view"
	"fhirlink/shared/link"
	"fhirlink/shared/link/intake"
	"fhirlink/shared/problem"
	"fhirlink/shared/verification"
)

// changeBody is what the pages that change a link show.
type changeBody struct {
	Heading  string
	Slug     string
	Mistakes []problem.Field
	Fields   []field
	Listed   bool
	ETag     string
	For      string
	Verdict  *notice
	Checks   []shownCheck
	Theirs   []differing // what somebody else has changed meanwhile
	Wrong    bool        // the slug that was typed to delete is another one
}

// differing is a field that has another value now than the form.
type differing struct{ Label, Theirs, Mine string }

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

func (h *Handler) editFields() []field {
	kept := secretField
	kept.Optional = "leave it empty to keep the current one"
	kept.Hint = "Needed again if the FHIR Server URL, Client ID, Tenant ID or Audience changes."
	fields := []field{descriptionField, urlField, clientIDField, tenantField, audienceField, kept, endsField}
	if h.Mail {
		fields = append(fields, contactsField)
	}
	return fields
}

func (h *Handler) editBody(r *http.Request, v Visitor, l link.Link, typed url.Values, mistakes []problem.Field) changeBody {
	return changeBody{
		Heading: h.view.Words(r).Text("Change {description}", "description", l.Description), Slug: string(l.Slug), Mistakes: mistakes,
		Fields: fill(h.editFields(), typed, mistakes), Listed: typed.Get("listed") != "", ETag: l.ETag(), For: h.SignIn.Bind(v),
	}
}

func (h *Handler) edit(w http.ResponseWriter, r *http.Request, v Visitor) error {
	l, err := h.Links.Get(r.Context(), v.Caller.Organization, r.PathValue("slug"))
	if err != nil {
		return err
	}
	return h.writeChange(w, r, v, "edit", h.editBody(r, v, l, stored(l), nil), http.StatusOK)
}

func (h *Handler) writeChange(w http.ResponseWriter, r *http.Request, v Visitor, template string, body changeBody, status int) error {
	return h.view.Write(w, r, view.Page{
		Template: template, Heading: body.Heading, Nav: "FHIR servers", Account: account(v), Body: body, Status: status, Mistakes: status >= http.StatusBadRequest,
	})
}

// change saves what differs from the stored link.
func (h *Handler) change(w http.ResponseWriter, r *http.Request, v Visitor) error {
	l, err := h.Links.Get(r.Context(), v.Caller.Organization, r.PathValue("slug"))
	if err != nil {
		return err
	}
	_, err = h.Links.Patch(r.Context(), v.Caller.Organization, string(l.Slug), r.PostForm.Get("etag"), h.patchOf(r.PostForm, stored(l)))
	if err == nil {
		return seeOther(w, r, "/api/manage/servers/"+string(l.Slug)+"?done=saved")
	}
	body := h.editBody(r, v, l, r.PostForm, nil)
	return h.notChanged(w, r, v, "edit", l, body, err)
}

// patchOf holds the fields of a form that differ from the stored ones. A field that the form does not
// have stays as it is.
func (h *Handler) patchOf(form, before url.Values) (p intake.Patch) {
	text := func(name string) *string {
		if value := strings.TrimSpace(form.Get(name)); form.Has(name) && value != before.Get(name) {
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
	p.ClientSecret = secretOf(form)
	return p
}

// notChanged shows the form again, with what is wrong, or with what somebody else has changed.
func (h *Handler) notChanged(w http.ResponseWriter, r *http.Request, v Visitor, template string, l link.Link, body changeBody, err error) error {
	var p *problem.Error
	if !errors.As(err, &p) {
		return err
	}
	words := h.view.Words(r)
	report, reported := p.Report.(verification.Report)
	status := p.Code.Status()
	switch {
	case p.Code == problem.ChangedMeanwhile:
		status = http.StatusConflict
		body.Theirs = differences(body.Fields, stored(l), r.PostForm)
		body.Verdict = &notice{Kind: "warning", Heading: words.Text("Somebody changed this server meanwhile")}
	case reported:
		failed, _ := report.Failed()
		body.Checks = h.checks(report)
		body.Verdict = verdictOf(words, failed)
		body.Verdict.Heading = words.Text("Nothing was changed: {check}", "check", failed.Title)
		body.Fields = fill(h.fieldsOf(template), r.PostForm, p.Fields)
	case p.Fields != nil:
		body.Mistakes, body.Fields = p.Fields, fill(h.fieldsOf(template), r.PostForm, p.Fields)
	default:
		return err
	}
	if p.RetryAfter > 0 {
		w.Header().Set("Retry-After", retryAfter(p))
	}
	return h.writeChange(w, r, v, template, body, status)
}

func (h *Handler) fieldsOf(template string) []field {
	if template == "secret" {
		return []field{secretField, endsField}
	}
	return h.editFields()
}

func differences(fields []field, theirs, mine url.Values) (all []differing) {
	for _, f := range fields {
		if a, b := theirs.Get(f.Name), strings.TrimSpace(mine.Get(f.Name)); f.Type != "password" && a != b {
			all = append(all, differing{f.Label, a, b})
		}
	}
	return all
}

func (h *Handler) secretBody(r *http.Request, v Visitor, l link.Link, typed url.Values) changeBody {
	return changeBody{
		Heading: h.view.Words(r).Text("Replace client secret"), Slug: string(l.Slug), Fields: fill(h.fieldsOf("secret"), typed, nil), ETag: l.ETag(), For: h.SignIn.Bind(v),
	}
}

func (h *Handler) secret(w http.ResponseWriter, r *http.Request, v Visitor) error {
	l, err := h.Links.Get(r.Context(), v.Caller.Organization, r.PathValue("slug"))
	if err != nil {
		return err
	}
	return h.writeChange(w, r, v, "secret", h.secretBody(r, v, l, url.Values{}), http.StatusOK)
}

// replace verifies a new secret and cuts over to it.
func (h *Handler) replace(w http.ResponseWriter, r *http.Request, v Visitor) error {
	l, err := h.Links.Get(r.Context(), v.Caller.Organization, r.PathValue("slug"))
	if err != nil {
		return err
	}
	_, err = h.Links.SetSecret(r.Context(), v.Caller.Organization, string(l.Slug), r.PostForm.Get("etag"), intake.NewSecret{
		ClientSecret: secretOf(r.PostForm), SecretExpiresOn: r.PostForm.Get("secretExpiresOn"),
	})
	if err == nil {
		return seeOther(w, r, "/api/manage/servers/"+string(l.Slug)+"?done=replaced")
	}
	return h.notChanged(w, r, v, "secret", l, h.secretBody(r, v, l, r.PostForm), err)
}

func (h *Handler) deleteBody(r *http.Request, v Visitor, l link.Link) changeBody {
	return changeBody{Heading: h.view.Words(r).Text("Delete {description}?", "description", l.Description), Slug: string(l.Slug), ETag: l.ETag(), For: h.SignIn.Bind(v)}
}

func (h *Handler) delete(w http.ResponseWriter, r *http.Request, v Visitor) error {
	l, err := h.Links.Get(r.Context(), v.Caller.Organization, r.PathValue("slug"))
	if err != nil {
		return err
	}
	return h.writeChange(w, r, v, "delete", h.deleteBody(r, v, l), http.StatusOK)
}

// remove deletes a link whose slug was typed.
func (h *Handler) remove(w http.ResponseWriter, r *http.Request, v Visitor) error {
	l, err := h.Links.Get(r.Context(), v.Caller.Organization, r.PathValue("slug"))
	if err != nil {
		return err
	}
	body := h.deleteBody(r, v, l)
	if strings.TrimSpace(r.PostForm.Get("slug")) != string(l.Slug) {
		body.Wrong = true
		body.Mistakes = []problem.Field{{Field: "slug", Code: "slug_differs", Message: "What you typed is not the customized URL of this server.", Fix: "Type " + string(l.Slug) + "."}}
		return h.writeChange(w, r, v, "delete", body, http.StatusUnprocessableEntity)
	}
	if err := h.Links.Delete(r.Context(), v.Caller.Organization, string(l.Slug), r.PostForm.Get("etag")); err != nil {
		if problem.CodeOf(err) != problem.ChangedMeanwhile {
			return err
		}
		body.Verdict = &notice{Kind: "warning", Heading: h.view.Words(r).Text("Somebody changed this server meanwhile"), Text: h.view.Words(r).Text("Look at it again before you delete it.")}
		return h.writeChange(w, r, v, "delete", body, http.StatusConflict)
	}
	return seeOther(w, r, "/api/manage/?done=deleted")
}

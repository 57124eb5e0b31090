package manage

import (
	"context"
	"errors"
	"net/http"
	"net/url"

	"fhirlink/functions/manage/view"
	"fhirlink/shared/notify"
	"fhirlink/shared/notify/webhook"
	"fhirlink/shared/problem"
	"fhirlink/shared/secret"
)

// Webhooks is the part of [webhook.Service] that the pages use.
type Webhooks interface {
	List(ctx context.Context, organization string) ([]webhook.Endpoint, error)
	Change(ctx context.Context, organization, id string, p webhook.Patch) (webhook.Endpoint, error)
	Remove(ctx context.Context, organization, id string) error
	Create(ctx context.Context, organization string, n webhook.NewEndpoint) (webhook.Endpoint, secret.Value, error)
	Rotate(ctx context.Context, organization, id string) (webhook.Endpoint, secret.Value, error)
	Test(ctx context.Context, organization, id string) (notify.Event, notify.Result, error)
}

var (
	hookURLField         = view.Field{Name: "url", Label: "Address", Hint: "It begins with https://. Events about your servers are sent there, signed as Standard Webhooks specifies.", Autocomplete: "off"}
	hookDescriptionField = view.Field{Name: "description", Label: "Description", Optional: "optional"}
)

type notificationsBody struct {
	Mistakes []view.Mistake
	Fields   []view.Field
	Hooks    []webhook.Endpoint
	Notice   *view.Notice
	Key      string // of a webhook that was just made, or got a new one: shown once
	For      string
	Unseen   bool // the webhooks are not shown
}

func (h *Handler) notifications(w http.ResponseWriter, r *http.Request, v Visitor) error {
	p, err := h.notificationsPage(r, v, notificationsBody{Notice: h.said(r, r.URL.Query().Get("done"))}, url.Values{})
	if err != nil {
		return err
	}
	return h.view.Write(w, r, p)
}

func (h *Handler) notificationsPage(r *http.Request, v Visitor, body notificationsBody, typed url.Values) (view.Page, error) {
	hooks, err := h.Webhooks.List(r.Context(), v.Caller.Organization)
	body.Hooks = hooks
	return h.pageOfWebhooks(r, v, body, typed), err
}

func (h *Handler) pageOfWebhooks(r *http.Request, v Visitor, body notificationsBody, typed url.Values) view.Page {
	body.For, body.Fields = v.For, view.Fill([]view.Field{hookURLField, hookDescriptionField}, typed, body.Mistakes)
	return view.Page{Template: "notifications", Heading: h.view.Words(r).Text("Notifications"), Nav: "Notifications", Account: account(v), Body: body}
}

// addWebhookAgain shows the form again with what was typed, and no webhook.
func (h *Handler) addWebhookAgain(r *http.Request, v Visitor, n *view.Notice) view.Page {
	return h.pageOfWebhooks(r, v, notificationsBody{Notice: n, Unseen: true}, r.PostForm)
}

// notDone shows the form again, with what was typed and why nothing was done.
func (h *Handler) notDone(r *http.Request, v Visitor, err error) error {
	var p *problem.Error
	if errors.As(err, &p) && p.Fields != nil {
		page, failed := h.notificationsPage(r, v, notificationsBody{Mistakes: h.view.Words(r).Mistakes(p.Fields)}, r.PostForm)
		if failed != nil {
			return err
		}
		return showing(err, page)
	}
	return h.withReason(r, err, func(n *view.Notice) (view.Page, error) {
		return h.notificationsPage(r, v, notificationsBody{Notice: n}, r.PostForm)
	})
}

// changeNotifications does what the button says. A key is in the answer to the form that made it, and
// nowhere else: to redirect first, it would have to be kept or sent once more.
func (h *Handler) changeNotifications(w http.ResponseWriter, r *http.Request, v Visitor) error {
	if r.PostForm.Get("do") != "delete" { // as the JSON route
		if err := h.spend(v); err != nil {
			return h.notDone(r, v, err)
		}
	}
	done, key, err := h.changeWebhook(r, v)
	switch {
	case err != nil:
		return h.notDone(r, v, err)
	case key.IsZero():
		return seeOther(w, r, "/api/manage/notifications?done="+done)
	}
	body := notificationsBody{Notice: h.said(r, done), Key: key.Reveal()}
	p, err := h.notificationsPage(r, v, body, url.Values{})
	if err != nil { // the key is shown all the same: nobody can ask for it again
		body.Unseen = true
		p = h.pageOfWebhooks(r, v, body, url.Values{})
	}
	return h.view.Write(w, r, p)
}

// changeWebhook returns what was done, and the key of a webhook that has a new one.
func (h *Handler) changeWebhook(r *http.Request, v Visitor) (done string, key secret.Value, err error) {
	form, organization, id := r.PostForm, v.Caller.Organization, r.PostForm.Get("id")
	switch form.Get("do") {
	case "add":
		_, key, err = h.Webhooks.Create(r.Context(), organization, webhook.NewEndpoint{URL: form.Get("url"), Description: form.Get("description")})
		return "added", key, err
	case "rotate":
		_, key, err = h.Webhooks.Rotate(r.Context(), organization, id)
		return "rotated", key, err
	case "test":
		_, result, err := h.Webhooks.Test(r.Context(), organization, id)
		if result.Outcome != notify.Delivered {
			return "missed", key, err
		}
		return "arrived", key, err
	case "switch":
		enabled := form.Get("enabled") == "1"
		_, err = h.Webhooks.Change(r.Context(), organization, id, webhook.Patch{Enabled: &enabled})
		return "saved", key, err
	case "delete":
		return "removed", key, h.Webhooks.Remove(r.Context(), organization, id)
	}
	return "", key, problem.New(problem.MalformedBody, "The form does not say what to do. Open the page again.")
}

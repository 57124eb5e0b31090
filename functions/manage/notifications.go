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
	hookURLField         = view.Field{Name: "url", Label: "Address", Hint: "https. Events about your servers are sent there, signed as Standard Webhooks says.", Autocomplete: "off"}
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
	return h.writeNotifications(w, r, v, notificationsBody{Notice: h.said(r, r.URL.Query().Get("done"))})
}

func (h *Handler) writeNotifications(w http.ResponseWriter, r *http.Request, v Visitor, body notificationsBody) error {
	p, err := h.notificationsPage(r, v, body, url.Values{})
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

// notAdded shows the form again, with what was typed and why no webhook was added.
func (h *Handler) notAdded(r *http.Request, v Visitor, err error) error {
	var p *problem.Error
	if !errors.As(err, &p) {
		return err
	}
	body := notificationsBody{Mistakes: view.Mistakes(p.Fields)}
	if p.Fields == nil {
		var ok bool
		if body.Notice, ok = h.refusal(h.view.Words(r), p); !ok {
			return err
		}
	}
	page, failed := h.notificationsPage(r, v, body, r.PostForm)
	if failed != nil {
		return err
	}
	return showing(err, page)
}

// changeNotifications does what the button says.
func (h *Handler) changeNotifications(w http.ResponseWriter, r *http.Request, v Visitor) error {
	form, words := r.PostForm, h.view.Words(r)
	organization, id := v.Caller.Organization, form.Get("id")
	if err := h.spend(v); err != nil {
		return h.notAdded(r, v, err)
	}
	var body notificationsBody
	switch form.Get("do") {
	case "add":
		_, key, err := h.Webhooks.Create(r.Context(), organization, webhook.NewEndpoint{URL: form.Get("url"), Description: form.Get("description")})
		if err != nil {
			return h.notAdded(r, v, err)
		}
		body.Notice, body.Key = h.said(r, "added"), key.Reveal()
	case "rotate":
		_, key, err := h.Webhooks.Rotate(r.Context(), organization, id)
		if err != nil {
			return err
		}
		body.Notice, body.Key = &view.Notice{Kind: "good", Heading: words.Text("The webhook has a new key. The old one signs too for 24 hours."), Focus: true}, key.Reveal()
	case "test":
		_, result, err := h.Webhooks.Test(r.Context(), organization, id)
		if err != nil {
			return err
		}
		body.Notice = &view.Notice{Kind: "warning", Heading: words.Text("The test did not arrive"), Fix: result.Reason, Focus: true}
		if result.Outcome == notify.Delivered {
			body.Notice = &view.Notice{Kind: "good", Heading: words.Text("The test has arrived"), Fix: result.Reason, Focus: true}
		}
	case "switch":
		enabled := form.Get("enabled") == "1"
		if _, err := h.Webhooks.Change(r.Context(), organization, id, webhook.Patch{Enabled: &enabled}); err != nil {
			return err
		}
		return seeOther(w, r, "/api/manage/notifications?done=saved")
	case "delete":
		if err := h.Webhooks.Remove(r.Context(), organization, id); err != nil {
			return err
		}
		return seeOther(w, r, "/api/manage/notifications?done=removed")
	default:
		return problem.New(problem.MalformedBody, "The form does not say what to do. Open the page again.")
	}
	return h.writeNotifications(w, r, v, body)
}

package manage

import (
	"net/http"
	"net/url"
	"slices"
	"strings"

	"fhirlink/functions/manage/view"
	"fhirlink/shared/link"
	"fhirlink/shared/problem"
)

type aboutBody struct {
	Version, Program  string
	SignIn            bool
	Slug, Description string // of an invitation
	Wrong             []view.Mistake
	Languages         []view.LanguageChoice
	Invitation        string // its address; empty: none was made
}

func (h *Handler) about(w http.ResponseWriter, r *http.Request, v Visitor) error {
	asked := r.URL.Query()
	body := aboutBody{
		Version: h.Service.Version, Program: h.Program, SignIn: h.SignIn != nil, Slug: asked.Get("slug"), Description: asked.Get("description"),
		Languages: view.LanguageChoices(asked.Get("language")),
	}
	if slug := body.Slug; slug != "" {
		if _, mistake := link.ParseSlug(slug); mistake != nil {
			body.Wrong = h.view.Words(r).Mistakes([]problem.Field{*mistake})
		}
	}
	if body.SignIn && asked.Has("slug") && body.Wrong == nil {
		language := ""
		if slices.Contains(view.Languages, asked.Get("language")) {
			language = asked.Get("language")
		}
		to := url.Values{}
		for name, value := range map[string]string{"slug": body.Slug, "description": body.Description, "lang": language} {
			if value != "" {
				to.Set(name, value)
			}
		}
		body.Invitation = strings.TrimSuffix(h.origin+"/api/manage/add?"+to.Encode(), "?")
	}
	return h.view.Write(w, r, view.Page{Template: "about", Heading: h.view.Words(r).Text("About"), Nav: "About", Account: account(v), Body: body, Public: true})
}

// guide answers with the guide to the API, as the text that it is written in.
func (h *Handler) guide(w http.ResponseWriter, r *http.Request, _ Visitor) error {
	w.Header().Set("Cache-Control", "no-cache")
	view.Send(w, r, http.StatusOK, "text/plain; charset=utf-8", []byte(h.Guide))
	return nil
}

package smartapp

import (
	"context"
	"embed"
	"encoding/json"
	"errors"
	"net/http"
	"time"

	"fhirlink/shared/entra/entratest"
	"fhirlink/shared/link"
	"fhirlink/shared/problem"
	"fhirlink/shared/smartauth"
	"fhirlink/shared/smartauth/ehr"
)

// App is the site of the app. All fields are required.
type App struct {
	Links        *link.Service
	SMART        *smartauth.Service
	EHR          *ehr.Service                   // makes launches for the pretend EHR
	Organization string                         // whose links it uses
	Base         func(link.Link) (string, bool) // the FHIR base of a link for browsers; false: there is none
	PublicURL    string                         // of the deployment
	Origin       string                         // of this site
	Now          func() time.Time
}

//go:embed index.html app.js compare.js style.css
var files embed.FS

// Handler serves the site. The process registers things for whoever may ask, so that only the site's own
// page may: not those of other sites, and not one whose name resolves to this machine.
func (a *App) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /", http.FileServerFS(files))
	mux.HandleFunc("GET /links.json", a.list)
	mux.HandleFunc("POST /prepare", a.prepare)
	mux.HandleFunc("POST /open", a.open)
	own := http.NewCrossOriginProtection().Handler(mux)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Cache-Control", "no-store")
		h.Set("Content-Security-Policy", "default-src 'none'; script-src 'self'; style-src 'self'; img-src data:; connect-src 'self' "+a.PublicURL+"; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
		h.Set("Referrer-Policy", "no-referrer") // the address has the code in it for a moment
		h.Set("X-Content-Type-Options", "nosniff")
		if "http://"+r.Host != a.Origin {
			http.Error(w, "this site is "+a.Origin, http.StatusMisdirectedRequest)
			return
		}
		own.ServeHTTP(w, r)
	})
}

// usable is a link that the app can use.
type usable struct {
	Slug        string               `json:"slug"`
	Description string               `json:"description"`
	Server      smartauth.ServerKind `json:"server"`
	Tokens      smartauth.Tokens     `json:"tokens"`
	FHIR        string               `json:"fhir"` // base
	Apps        []usableApp          `json:"apps"` // one at least
}

// usableApp is what this site is registered as with a link.
type usableApp struct {
	ClientID string   `json:"clientId"`
	Scopes   []string `json:"scopes"` // that it may be granted
}

// pageSize is how many links are read at a time.
const pageSize = 100

func (a *App) list(w http.ResponseWriter, r *http.Request) { a.answer(w, r, nil) }

// answer tells the page which links it can use, or why its request failed.
func (a *App) answer(w http.ResponseWriter, r *http.Request, err error) {
	var all []usable
	if err == nil {
		all, err = a.usable(r.Context())
	}
	if err != nil {
		fail(w, err)
		return
	}
	prepares := map[smartauth.Tokens]string{}
	for _, c := range clinics {
		prepares[c.tokens] = c.slug
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(map[string]any{ // fails when the client is gone
		"links": all, "prepares": prepares, "registered": entratest.RegisteredScopes(),
	})
}

// fail tells the page why its request failed.
func fail(w http.ResponseWriter, err error) {
	status, text := http.StatusInternalServerError, "This did not work."
	if p := (*problem.Error)(nil); errors.As(err, &p) {
		status, text = p.Code.Status(), p.Detail
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]string{"error": text}) // fails when the client is gone
}

// usable are the links with SMART on where apps are registered that this site may be answered for.
func (a *App) usable(ctx context.Context) ([]usable, error) {
	links, err := a.links(ctx)
	if err != nil {
		return nil, err
	}
	all := []usable{}
	for _, l := range links {
		base, ok := a.Base(l)
		if !ok {
			continue
		}
		server, err := a.SMART.Settings(ctx, a.Organization, string(l.Slug))
		if problem.CodeOf(err) == problem.SMARTNotEnabled || problem.CodeOf(err) == problem.LinkNotFound {
			continue
		}
		if err != nil {
			return nil, err
		}
		var apps []usableApp
		for _, app := range server.Apps {
			if app.Type == smartauth.Public && !app.Disabled && app.Redirects(a.Origin+"/") {
				apps = append(apps, usableApp{app.ClientID, app.Scopes})
			}
		}
		if apps != nil {
			all = append(all, usable{string(l.Slug), l.Description, server.Settings.Server, server.Settings.Tokens, base, apps})
		}
	}
	return all, nil
}

func (a *App) links(ctx context.Context) (all []link.Link, err error) {
	for from := ""; ; {
		var page []link.Link
		if page, from, err = a.Links.List(ctx, a.Organization, link.Filter{}, pageSize, from); err != nil {
			return nil, err
		}
		if all = append(all, page...); from == "" {
			return all, nil
		}
	}
}

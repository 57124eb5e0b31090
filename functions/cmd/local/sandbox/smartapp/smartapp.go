package smartapp

import (
	"context"
	"embed"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"fhirlink/functions/cmd/local/sandbox"
	"fhirlink/shared/date"
	"fhirlink/shared/link"
	"fhirlink/shared/link/intake"
	"fhirlink/shared/problem"
	"fhirlink/shared/secret"
	"fhirlink/shared/smartauth"
	"fhirlink/shared/smartauth/ehr"
)

// What is registered when somebody asks for it.
const (
	Slug     = "good-health-clinic"
	ClientID = "sandbox-app"
)

// scopes are the most that the app may be granted.
var scopes = []string{"openid", "profile", "fhirUser", "launch", "launch/patient", "launch/encounter", "offline_access", "online_access", "patient/*.cruds", "user/*.cruds"}

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

//go:embed index.html app.js style.css
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
	FHIR        string               `json:"fhir"` // base
	ClientID    string               `json:"clientId"`
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
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(map[string]any{"links": all, "prepares": Slug}) // fails when the client is gone
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

// usable are the links with SMART on where an app is registered that this site may be answered for.
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
		i := slices.IndexFunc(server.Apps, func(app smartauth.App) bool {
			return app.Type == smartauth.Public && !app.Disabled && app.Redirects(a.Origin+"/")
		})
		if i >= 0 {
			all = append(all, usable{string(l.Slug), l.Description, server.Settings.Server, base, server.Apps[i].ClientID})
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

// prepare makes a link of the sandbox's clinic if there is none, switches its SMART authorization on for a
// kind of server, and registers the app: each by the services that the API uses.
func (a *App) prepare(w http.ResponseWriter, r *http.Request) {
	kind := r.URL.Query().Get("server")
	err := a.register(r.Context())
	if err == nil {
		err = a.switchOn(r.Context(), kind)
	}
	if err == nil {
		err = a.registerApp(r.Context())
	}
	a.answer(w, r, err)
}

func (a *App) register(ctx context.Context) error {
	l, err := a.Links.Get(ctx, a.Organization, Slug)
	if err == nil {
		if _, ok := a.Base(l); !ok {
			return problem.New(problem.SlugTaken, "The link %s has a FHIR server that is not the sandbox's. Remove the link, or start with another data folder.", Slug)
		}
		return nil
	}
	if problem.CodeOf(err) != problem.LinkNotFound {
		return err
	}
	_, err = a.Links.Register(ctx, a.Organization, intake.Registration{
		Slug: Slug, Description: "Good Health Clinic", FHIRServerURL: "https://clinic.fhir.sandbox.test",
		ClientID: sandbox.ClientID, ClientSecret: secret.New(sandbox.Secret), SecretExpiresOn: date.Of(a.Now()).AddDays(365).String(),
	})
	return err
}

// switchOn leaves the settings alone that are for this kind of server already.
func (a *App) switchOn(ctx context.Context, kind string) error {
	found, err := a.SMART.Settings(ctx, a.Organization, Slug)
	p := smartauth.Precondition{IfMatch: found.Settings.ETag()}
	switch {
	case err == nil && string(found.Settings.Server) == kind:
		return nil
	case problem.CodeOf(err) == problem.SMARTNotEnabled:
		p = smartauth.Precondition{IfNoneMatch: "*"}
	case err != nil:
		return err
	}
	_, _, err = a.SMART.PutSettings(ctx, a.Organization, Slug, p, smartauth.NewSettings{Tokens: string(smartauth.Own), Server: kind})
	return err
}

// registerApp registers the app, or tells EHRs where it is now: this site has another port at each start.
func (a *App) registerApp(ctx context.Context) error {
	at := a.Origin + launchPath
	app, _, err := a.SMART.App(ctx, a.Organization, Slug, ClientID)
	switch {
	case err == nil && app.LaunchURI == at:
		return nil
	case err == nil:
		change := smartauth.NewApp{LaunchURI: &at}
		if app.LaunchURI == "" { // it was registered when EHRs could not open apps
			may := slices.Clone(scopes)
			change.Scopes = &may
		}
		_, _, err = a.SMART.ChangeApp(ctx, a.Organization, Slug, ClientID, smartauth.Precondition{IfMatch: "*"}, change)
		return err
	case problem.CodeOf(err) != problem.AppNotFound:
		return err
	}
	// Of a loopback address any port is good (RFC 8252 §7.3).
	host, _, _ := strings.Cut(strings.TrimPrefix(a.Origin, "http://"), ":")
	name, redirects, may := "Sandbox app", []string{"http://" + host + "/"}, slices.Clone(scopes)
	_, _, _, err = a.SMART.CreateApp(ctx, a.Organization, Slug, smartauth.NewApp{
		ClientID: ClientID, Name: &name, Type: string(smartauth.Public), RedirectURIs: &redirects, LaunchURI: &at, Scopes: &may,
	})
	return err
}

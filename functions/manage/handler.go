package manage

import (
	"cmp"
	"context"
	"net/http"
	"slices"
	"strings"
	"time"

	"fhirlink/functions/manage/assets"
	"fhirlink/functions/manage/view"
	"fhirlink/shared/caller"
	"fhirlink/shared/httpx"
	"fhirlink/shared/link"
	"fhirlink/shared/link/intake"
	"fhirlink/shared/link/lastreport"
	"fhirlink/shared/link/trail"
	"fhirlink/shared/problem"
	"fhirlink/shared/smart"
	"fhirlink/shared/verification"
)

// Reader is the part of [link.Service] that shows links.
type Reader interface {
	List(ctx context.Context, organization string, f link.Filter, limit int, from string) ([]link.Link, string, error)
	Get(ctx context.Context, organization, slug string) (link.Link, error)
	Report(ctx context.Context, organization, slug string) (lastreport.Report, error)
	Events(ctx context.Context, organization, slug string, limit int, from string) ([]trail.Event, string, error)
}

// Changer is the part of [link.Service] that changes links.
type Changer interface {
	Register(ctx context.Context, organization string, r intake.Registration) (link.Result, error)
	Rehearse(ctx context.Context, organization string, r intake.Registration) (verification.Report, error)
	Verify(ctx context.Context, organization, slug string) (verification.Report, error)
	Patch(ctx context.Context, organization, slug, ifMatch string, p intake.Patch) (link.Result, error)
	SetSecret(ctx context.Context, organization, slug, ifMatch string, n intake.NewSecret) (link.Result, error)
	Delete(ctx context.Context, organization, slug, ifMatch string) error
}

// Links is the part of [link.Service] that the pages use.
type Links interface {
	Reader
	Changer
}

// Visitor is who looks at the pages.
type Visitor struct {
	Caller   caller.Caller
	Username string // for people; empty when nobody signed in
}

// SignIn knows who looks at the pages.
type SignIn interface {
	// Visitor returns who sent a request. ok is false when nobody is signed in.
	Visitor(r *http.Request) (v Visitor, ok bool)
	// Bind returns the value by which a form belongs to its visitor. Bound reports whether it does.
	Bind(v Visitor) string
	Bound(v Visitor, value string) bool
}

// Deps is what the pages need. SignIn may be nil: then the pages that need it say that the deployment
// has none.
type Deps struct {
	Links    Links
	Webhooks Webhooks
	SignIn   SignIn
	Limits   *httpx.RateLimit // that of the JSON routes; nil: none
	Aliases  smart.Aliases
	Service  view.Service
	Program  string // local, azure or lambda
	Mail     bool   // a mail server is set, so that contacts are asked for
	Now      func() time.Time
}

// Handler serves the pages.
type Handler struct {
	Deps
	view   *view.Renderer
	mux    *http.ServeMux
	sites  *http.CrossOriginProtection
	secure bool // browsers reach this deployment by https
}

// New returns a Handler. origin is the one trusted origin besides that of each request; empty: none.
func New(d Deps, origin string) (*Handler, error) {
	renderer, err := view.New(d.Service, d.Now)
	if err != nil {
		return nil, err
	}
	h := &Handler{Deps: d, view: renderer, mux: http.NewServeMux(), sites: http.NewCrossOriginProtection(), secure: strings.HasPrefix(origin, "https://")}
	if origin != "" {
		if err := h.sites.AddTrustedOrigin(origin); err != nil {
			return nil, err
		}
	}
	h.routes()
	return h, nil
}

// page answers a request, or returns an error that becomes a page.
type page func(http.ResponseWriter, *http.Request, Visitor) error

func (h *Handler) routes() {
	h.open("GET /api/manage", func(w http.ResponseWriter, r *http.Request, _ Visitor) error {
		return seeOther(w, r, "/api/manage/")
	})
	h.open("GET "+assets.Prefix+"{file...}", h.asset)
	h.open("GET /api/manage/about", h.about)
	h.open("GET /api/manage/scopes", h.scopes)
	h.open("POST /api/manage/scopes", h.scopes)

	h.guarded("GET /api/manage/{$}", h.list)
	h.guarded("GET /api/manage/servers.csv", h.csv)
	h.guarded("GET /api/manage/add", h.add)
	h.guarded("POST /api/manage/add", h.save)
	h.guarded("GET /api/manage/servers/{slug}", h.server)
	h.guarded("POST /api/manage/servers/{slug}", h.check)
	h.guarded("GET /api/manage/servers/{slug}/report.json", h.report)
	h.guarded("GET /api/manage/servers/{slug}/edit", h.edit)
	h.guarded("POST /api/manage/servers/{slug}/edit", h.change)
	h.guarded("GET /api/manage/servers/{slug}/secret", h.secret)
	h.guarded("POST /api/manage/servers/{slug}/secret", h.replace)
	h.guarded("GET /api/manage/servers/{slug}/delete", h.delete)
	h.guarded("POST /api/manage/servers/{slug}/delete", h.remove)
	h.guarded("GET /api/manage/notifications", h.notifications)
	h.guarded("POST /api/manage/notifications", h.changeNotifications)
}

// Handle answers a request below /api/manage.
func (h *Handler) Handle(w http.ResponseWriter, r *http.Request) error {
	view.Headers(w.Header(), h.secure)
	if _, pattern := h.mux.Handler(r); pattern == "" {
		return h.missing(r)
	}
	var err error
	h.mux.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), errorKey{}, &err)))
	return err
}

// errorKey is the key under which a page leaves its error for Handle.
type errorKey struct{}

// missing tells a path that does not exist from a method that the path does not have.
func (h *Handler) missing(r *http.Request) error {
	allow := []string{http.MethodOptions}
	for _, method := range []string{http.MethodGet, http.MethodHead, http.MethodPost} {
		other := r.WithContext(r.Context()) // a shallow copy
		other.Method = method
		if _, pattern := h.mux.Handler(other); pattern != "" {
			allow = append(allow, method)
		}
	}
	if len(allow) == 1 {
		return problem.New(problem.NotFound, "There is no such page.")
	}
	slices.Sort(allow)
	e := problem.New(problem.MethodNotAllowed, "This page can be read, but takes no form.")
	e.Allow = allow
	return e
}

// open registers a page that needs no sign-in.
func (h *Handler) open(pattern string, p page) {
	h.mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
		v := Visitor{}
		if h.SignIn != nil {
			v, _ = h.SignIn.Visitor(r)
		}
		if err := p(w, r, v); err != nil {
			leave(r, err)
		}
	})
}

// guarded registers a page for people who may manage links.
func (h *Handler) guarded(pattern string, p page) {
	h.mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
		if err := h.admitted(w, r, p); err != nil {
			leave(r, err)
		}
	})
}

func leave(r *http.Request, err error) {
	if at, ok := r.Context().Value(errorKey{}).(*error); ok {
		*at = err
	}
}

// admitted checks who asks, and that a form is the visitor's own, before a page does anything.
func (h *Handler) admitted(w http.ResponseWriter, r *http.Request, p page) error {
	if h.SignIn == nil {
		return problem.New(problem.NotFound, "This version of fhirlink cannot sign people in here yet. Its sign-in will need FHIRLINK_PUBLIC_URL. Use the API until then.")
	}
	v, ok := h.SignIn.Visitor(r)
	switch {
	case !ok:
		return &problem.Error{Code: problem.Unauthenticated, Detail: "Sign in first."}
	case !caller.Manage.HeldBy(v.Caller):
		return &problem.Error{Code: problem.Forbidden, Detail: "Your account may not manage FHIR servers yet."}
	}
	r = r.WithContext(caller.With(r.Context(), v.Caller))
	if r.Method == http.MethodPost {
		if err := h.checkForm(r, v); err != nil {
			return err
		}
	}
	return p(w, r, v)
}

// checkForm refuses a form of another site, and one that another person's page has sent.
func (h *Handler) checkForm(r *http.Request, v Visitor) error {
	if err := h.sites.Check(r); err != nil {
		return problem.New(problem.Forbidden, "This form was sent by another web site. Nothing was done.")
	}
	if err := readForm(r); err != nil {
		return err
	}
	if !h.SignIn.Bound(v, r.PostForm.Get("for")) {
		err := problem.New(problem.ChangedMeanwhile, "The form was made for another sign-in. Nothing was done: open the page again, and send it from there.")
		heading := h.view.Words(r).Text("You are now signed in as {name}", "name", cmp.Or(v.Caller.Name, v.Username))
		return showing(err, h.messagePage(r, v, heading, err.Detail))
	}
	return nil
}

// spend counts a form against the organization's limit.
func (h *Handler) spend(v Visitor) error {
	if wait := h.Limits.Take(v.Caller.Organization); wait > 0 {
		return &problem.Error{Code: problem.TooManyRequests, RetryAfter: wait, Detail: "Your organization has sent more forms than are allowed in a minute. Nothing was done."}
	}
	return nil
}

func seeOther(w http.ResponseWriter, r *http.Request, to string) error {
	w.Header().Set("Cache-Control", "no-store")
	http.Redirect(w, r, to, http.StatusSeeOther)
	return nil
}

func (h *Handler) asset(w http.ResponseWriter, r *http.Request, _ Visitor) error {
	body, contentType, fresh, found := assets.Find(r.PathValue("file"))
	if !found {
		return problem.New(problem.NotFound, "There is no such file.")
	}
	w.Header().Set("Cache-Control", assets.Cache(fresh))
	w.Header().Set("Vary", "Accept-Encoding")
	view.Send(w, r, http.StatusOK, contentType, []byte(body))
	return nil
}

// account is what the layout shows of a visitor; nil when nobody is signed in.
func account(v Visitor) *view.Account {
	if v.Caller.Organization == "" {
		return nil
	}
	return &view.Account{Name: v.Caller.Name, Username: v.Username, Organization: v.Caller.Organization, Local: v.Caller.Local}
}

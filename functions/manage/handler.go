package manage

import (
	"cmp"
	"context"
	"errors"
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
	"fhirlink/shared/signin"
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

// Deps is what the pages need. SignIn may be nil: then the pages that need it say that the deployment
// has none.
type Deps struct {
	Links    Links
	Webhooks Webhooks
	Servers  Servers
	SignIn   SignIn
	Limits   *httpx.RateLimit // that of the JSON routes; nil: none
	Aliases  smart.Aliases
	Service  view.Service
	Program  string // local, azure or lambda
	Guide    string // to the API, in Markdown
	Mail     bool   // a mail server is set, so that contacts are asked for
	Now      func() time.Time
}

// Handler serves the pages.
type Handler struct {
	Deps
	people *signin.Service // nil: nobody signs in here
	view   *view.Renderer
	mux    *http.ServeMux
	sites  *http.CrossOriginProtection
	origin string // under which browsers reach this deployment; empty: not known
	secure bool   // that is https
}

// New returns a Handler. origin is the one trusted origin besides that of each request; empty: none.
func New(d Deps, origin string) (*Handler, error) {
	renderer, err := view.New(d.Service, d.Now)
	if err != nil {
		return nil, err
	}
	h := &Handler{Deps: d, view: renderer, mux: http.NewServeMux(), sites: http.NewCrossOriginProtection(), origin: origin, secure: strings.HasPrefix(origin, "https://")}
	if p, ok := d.SignIn.(People); ok {
		h.people = p.Service
	}
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
	h.plain("GET /api/manage", func(w http.ResponseWriter, r *http.Request, _ Visitor) error {
		return seeOther(w, r, "/api/manage/")
	})
	h.plain("GET "+assets.Prefix+"{file...}", h.asset)
	h.open("GET /api/manage/about", h.about)
	h.plain("GET /api/manage/guide", h.guide)
	h.open("GET /api/manage/scopes", h.scopes)
	h.open("POST /api/manage/scopes", h.scopes)

	h.guarded("GET /api/manage/{$}", guarded{page: h.list, renews: true})
	h.guarded("GET /api/manage/servers.csv", guarded{page: h.csv})
	h.plain("GET /api/manage/add", h.withoutSecret(guarded{page: h.add, renews: true}))
	h.guarded("POST /api/manage/add", guarded{page: h.save, again: h.addAgain})
	h.guarded("POST /api/manage/discover", guarded{page: h.discover})
	h.guarded("GET /api/manage/servers/{slug}", guarded{page: h.server, renews: true})
	h.guarded("POST /api/manage/servers/{slug}", guarded{page: h.check})
	h.guarded("GET /api/manage/servers/{slug}/report.json", guarded{page: h.report})
	h.guarded("GET /api/manage/servers/{slug}/edit", guarded{page: h.edit, renews: true})
	h.guarded("POST /api/manage/servers/{slug}/edit", guarded{page: h.change, again: h.changeAgain("edit")})
	h.guarded("GET /api/manage/servers/{slug}/secret", guarded{page: h.secret, renews: true})
	h.guarded("POST /api/manage/servers/{slug}/secret", guarded{page: h.replace, again: h.changeAgain("secret")})
	h.guarded("GET /api/manage/servers/{slug}/delete", guarded{page: h.delete, renews: true})
	h.guarded("POST /api/manage/servers/{slug}/delete", guarded{page: h.remove, again: h.changeAgain("delete")})
	h.guarded("GET /api/manage/notifications", guarded{page: h.notifications, renews: true})
	h.guarded("POST /api/manage/notifications", guarded{page: h.changeNotifications, again: h.addWebhookAgain})

	h.signIn("GET "+signin.SignIn, h.startSignIn)
	h.signIn("GET "+signin.SignedIn, h.notSignedIn)
	h.signIn("POST "+signin.SignedIn, h.signedIn)
	h.signIn("POST "+signin.SignOut, h.signOut)
	h.signIn("GET "+signin.SignedOut, h.signedOut)
	h.signIn("GET "+signin.Consented, h.consented)
	h.signIn("GET "+organizationPage, h.organization)
	h.signIn("GET "+closePage, h.close)
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
	if !slices.Contains(allow, http.MethodGet) {
		e.Detail = "This address takes a form of another page, and shows nothing by itself."
	}
	e.Allow = allow
	return e
}

// plain registers a page that does not depend on who looks at it.
func (h *Handler) plain(pattern string, p page) {
	h.mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
		if err := p(w, r, Visitor{}); err != nil {
			leave(r, err)
		}
	})
}

// open registers a page that needs no sign-in.
func (h *Handler) open(pattern string, p page) {
	h.plain(pattern, func(w http.ResponseWriter, r *http.Request, _ Visitor) error {
		v := h.anybody(r)
		if begun, ok := h.renewal(r, v); ok {
			return h.moment(w, r, begun)
		}
		return p(w, r, v)
	})
}

// guarded is a page for people who may manage links.
type guarded struct {
	page page
	// renews lets a session that ends soon be renewed before the page is shown. A download does not: it
	// would leave the browser at the page of the renewal.
	renews bool
	// again is the form of a POST again, with what was typed. It shows nothing that is stored, as
	// nobody may be signed in. nil: nothing was typed.
	again func(r *http.Request, v Visitor, n *view.Notice) view.Page
}

func (h *Handler) guarded(pattern string, g guarded) {
	h.plain(pattern, func(w http.ResponseWriter, r *http.Request, _ Visitor) error { return h.admitted(w, r, g) })
}

func leave(r *http.Request, err error) {
	if at, ok := r.Context().Value(errorKey{}).(*error); ok {
		*at = err
	}
}

// admitted checks who asks, and that a form is the visitor's own, before a page does anything.
func (h *Handler) admitted(w http.ResponseWriter, r *http.Request, g guarded) error {
	if h.SignIn == nil {
		return errNoPublicURL
	}
	var unreadable error
	if r.Method == http.MethodPost {
		if err := h.checkSite(r); err != nil {
			return err
		}
		unreadable = readForm(r)
	}
	v, err := h.visitor(r)
	switch {
	case errors.Is(err, signin.ErrNoSession), errors.Is(err, signin.ErrSessionEnded):
		return h.signInFirst(r, g, errors.Is(err, signin.ErrSessionEnded))
	case err != nil:
		return err
	}
	r = r.WithContext(caller.With(r.Context(), v.Caller))
	var made error
	if r.Method == http.MethodPost && unreadable == nil {
		made = h.SignIn.CheckFor(r.Context(), v.Caller, r.PostForm.Get("for"))
	}
	switch {
	case errors.Is(made, signin.ErrOtherPerson): // who may have the role that the visitor lacks
		return h.otherPerson(r, v)
	case !caller.Manage.HeldBy(v.Caller):
		return h.noRole(r, v)
	case unreadable != nil:
		return unreadable
	case errors.Is(made, signin.ErrStaleForm):
		return h.staleForm(r, v, g)
	case made != nil:
		return unsealed(made)
	}
	if g.renews {
		if begun, ok := h.renewal(r, v); ok {
			return h.moment(w, r, begun)
		}
	}
	return g.page(w, r, v)
}

// checkSite refuses a form that another web site has sent.
func (h *Handler) checkSite(r *http.Request) error {
	if h.sites.Check(r) != nil {
		return problem.New(problem.Forbidden, "This form was sent by another web site. Nothing was done.")
	}
	return nil
}

// staleForm shows a form again that is too old to say for whom it was made.
func (h *Handler) staleForm(r *http.Request, v Visitor, g guarded) error {
	words := h.view.Words(r)
	p := problem.New(problem.ChangedMeanwhile, "The form is too old to be taken. Nothing was done: open the page again, and send it from there.")
	if g.again == nil {
		return p
	}
	n := &view.Notice{Kind: "warning", Heading: words.Text("This form is too old"), Text: words.Text("Nothing was done. Look at it and send it again."), Focus: true}
	return showing(p, g.again(r, v, n))
}

// otherPerson answers a form that the page of another person has sent.
func (h *Handler) otherPerson(r *http.Request, v Visitor) error {
	err := problem.New(problem.ChangedMeanwhile, "The form was made for another sign-in. Nothing was done: open the page again, and send it from there.")
	heading := h.view.Words(r).Text("You are now signed in as {name}", "name", cmp.Or(v.Caller.Name, v.Username))
	return showing(err, h.messagePage(r, v, view.Message{Heading: heading, Detail: err.Detail}))
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
	a := &view.Account{Name: v.Caller.Name, Username: v.Username, Organization: v.Caller.Organization, Local: v.Caller.Local, For: v.For}
	if v.session != nil {
		a.Stay, a.Ends = v.stay, v.session.Ends
	}
	return a
}

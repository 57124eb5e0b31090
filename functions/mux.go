package functions

import (
	"cmp"
	"net/http"
	"net/url"
	"path"
	"regexp"
	"slices"
	"strings"

	"fhirlink/shared/azfunc"
	"fhirlink/shared/httpx"
	"fhirlink/shared/problem"
)

// serve returns one handler for all routes, with what surrounds every route.
func (d Deps) serve(routes []Route) http.Handler {
	mux := http.NewServeMux()
	resources := d.resources(routes)
	for _, resource := range resources {
		mux.Handle(resource.path, resource)
	}
	missing := d.missing(resources)
	mux.Handle("/", missing)
	return httpx.Correlate(httpx.Safe(d.Log, httpx.Drain(httpx.AccessLog(d.Log, clean(mux, missing)))))
}

// clean keeps the mux from answering an unclean path with a redirect: behind a host that
// rewrites paths it would point nowhere, and a POST does not survive it.
func clean(mux, missing http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !isClean(r.URL.EscapedPath()) {
			missing.ServeHTTP(w, r)
			return
		}
		mux.ServeHTTP(w, r)
	})
}

func isClean(p string) bool {
	cleaned := path.Clean(p)
	if cleaned != "/" && strings.HasSuffix(p, "/") {
		cleaned += "/"
	}
	return strings.HasPrefix(p, "/") && p == cleaned
}

// missing answers paths that do not exist. Those at or below a path with errors of another form are
// answered in that form: an OAuth client with a mistyped address reads OAuth's words only, and a person
// wants a page.
func (d Deps) missing(resources []*resource) http.Handler {
	answer := func(in Errors) http.Handler {
		return httpx.Handle(d.Log, func(http.ResponseWriter, *http.Request) error {
			return problem.New(problem.NotFound, "There is nothing at this path (API: /api/openapi.yaml lists what there is). Paths have no trailing slash.")
		}, d.fail(d.form(in)))
	}
	answers := map[Errors]http.Handler{}
	for _, in := range []Errors{Problems, OAuth, Pages, AppPages} {
		answers[in] = answer(in)
	}
	cors := httpx.CORS{Origins: d.Origins}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		below := path.Clean("/"+r.URL.Path) + "/"
		for _, res := range resources {
			if in := res.policy.errors; in != Problems && strings.HasPrefix(below, res.fixed) {
				answers[in].ServeHTTP(w, r)
				return
			}
		}
		cors.SetHeaders(w, r, "")
		answers[Problems].ServeHTTP(w, r)
	})
}

// resource is a path with its methods.
type resource struct {
	path    string
	fixed   string   // the path up to its first wildcard, with a slash at the end
	names   []string // of the path's wildcards
	methods map[string]http.Handler
	allow   []string
	header  string // the value of the header Allow
	policy  pathPolicy
	cors    func(http.ResponseWriter, *http.Request, string) // nil: no web page may read the answers
	headers func(http.ResponseWriter)                        // sets those of every answer; nil: there are none
	host    http.Handler                                     // answers other callers on a path for the Functions host only; else nil
	other   http.Handler                                     // answers methods that the path does not have
}

func (d Deps) resources(routes []Route) []*resource {
	var all []*resource
	for _, route := range routes {
		i := slices.IndexFunc(all, func(r *resource) bool { return r.path == route.Path })
		if i < 0 {
			i, all = len(all), append(all, d.resource(route))
		}
		if all[i].policy != route.pathPolicy() {
			panic(route.Path + ": its routes differ in a part of the policy that they must have in common")
		}
		all[i].add(route.Method, d.guarded(route), !route.NoHead)
	}
	for _, r := range all {
		r.header = strings.Join(r.allow, ", ")
	}
	return all
}

// resource makes the resource of a path from the first of its routes.
func (d Deps) resource(first Route) *resource {
	r := &resource{
		path: first.Path, policy: first.pathPolicy(), methods: map[string]http.Handler{}, allow: []string{http.MethodOptions},
	}
	if cors, some := d.cors(first.CORS); some {
		r.cors = cors.SetHeaders
	}
	r.fixed, _, _ = strings.Cut(first.Path, "{")
	r.fixed = strings.TrimSuffix(r.fixed, "/") + "/"
	for _, wildcard := range wildcards.FindAllStringSubmatch(first.Path, -1) {
		r.names = append(r.names, wildcard[1])
	}
	if r.policy.hostOnly {
		r.host = d.missing(nil)
	}
	form := d.form(first.Errors)
	r.headers, r.other = form.headers, r.methodNotAllowed(d, form)
	return r
}

func (res *resource) add(method string, h http.Handler, head bool) {
	res.methods[method] = h
	res.allow = append(res.allow, method)
	if method == http.MethodGet && head {
		res.methods[http.MethodHead] = h
		res.allow = append(res.allow, http.MethodHead)
	}
	slices.Sort(res.allow)
}

var wildcards = regexp.MustCompile(`\{(\w+)\}`)

// plain unescapes a path's value until nothing in it is escaped. Functions hosts unescape a path
// once more than others when they forward, and escape a %2F again when they proxy. No slug and no
// id has a percent sign.
func plain(value string) string {
	for {
		once, err := url.PathUnescape(value)
		if err != nil || once == value {
			return value
		}
		value = once
	}
}

// ServeHTTP implements [http.Handler].
func (res *resource) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if res.host != nil && !azfunc.CalledByHost(r) {
		res.host.ServeHTTP(w, r)
		return
	}
	if res.headers != nil {
		res.headers(w)
	}
	if res.cors != nil {
		res.cors(w, r, res.header)
	}
	if r.Method == http.MethodOptions {
		w.Header().Set("Allow", res.header)
		w.WriteHeader(http.StatusNoContent)
		return
	}
	for _, name := range res.names {
		r.SetPathValue(name, plain(r.PathValue(name)))
	}
	h, ok := res.methods[r.Method]
	if !ok {
		h = res.other
	}
	h.ServeHTTP(w, r)
}

func (res *resource) methodNotAllowed(d Deps, in errorForm) http.Handler {
	return httpx.Handle(d.Log, func(http.ResponseWriter, *http.Request) error {
		e := problem.New(problem.MethodNotAllowed, "This path does not have that method. It has %s.", res.header)
		e.Allow = res.allow
		return e
	}, d.fail(in))
}

// guarded returns the route's handler with its policy in front.
func (d Deps) guarded(route Route) http.Handler {
	limit := cmp.Or(route.Body, httpx.MaxBody)
	handler := httpx.Handle(d.Log, d.authorized(route), d.fail(d.form(route.Errors)))
	if route.Progress {
		handler = withProgress(handler)
	}
	return httpx.LimitBody(limit, handler)
}

package functions

import (
	"net/http"
	"path"
	"slices"
	"strings"

	"fhirlink/functions/token"
	"fhirlink/shared/httpx"
	"fhirlink/shared/problem"
)

// serve makes one handler of routes, with what is around every route.
func (d Deps) serve(routes []Route) http.Handler {
	mux := http.NewServeMux()
	for _, resource := range d.resources(routes) {
		mux.Handle(resource.path, resource)
	}
	missing := d.missing()
	mux.Handle("/", missing)
	return httpx.Drain(httpx.Correlate(httpx.AccessLog(d.Log, clean(mux, missing))))
}

// clean keeps the mux from answering an unclean path with a redirect: behind a host that
// rewrites paths it would point nowhere, and a POST does not survive it.
func clean(mux, missing http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodConnect || !isClean(r.URL.EscapedPath()) {
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

func (d Deps) missing() http.Handler {
	return httpx.Handle(d.Log, func(w http.ResponseWriter, r *http.Request) error {
		httpx.CORS{Origins: d.Origins}.SetHeaders(w, r, "")
		return problem.New(problem.NotFound, "There is nothing at this path. /api/openapi.yaml lists what there is; paths have no trailing slash.")
	}, d.fail(problems))
}

// resource is a path with its methods.
type resource struct {
	path    string
	methods map[string]http.Handler
	allow   []string
	header  string      // allow, as the header Allow has it
	cors    *httpx.CORS // nil: not for web pages
	other   http.Handler
}

func (d Deps) resources(routes []Route) []*resource {
	var all []*resource
	for _, route := range routes {
		i := slices.IndexFunc(all, func(r *resource) bool { return r.path == route.Path })
		if i < 0 {
			i, all = len(all), append(all, d.resource(route.Path))
		}
		all[i].add(route.Method, httpx.LimitBody(httpx.Handle(d.Log, d.authorized(route), d.fail(wordsOf(route.Path)))))
	}
	for _, r := range all {
		r.header, r.other = strings.Join(r.allow, ", "), r.methodNotAllowed(d)
	}
	return all
}

func (d Deps) resource(path string) *resource {
	r := &resource{path: path, methods: map[string]http.Handler{}, allow: []string{http.MethodOptions}}
	if path != tokenPath {
		r.cors = &httpx.CORS{Origins: d.Origins}
	}
	return r
}

func (res *resource) add(method string, h http.Handler) {
	res.methods[method] = h
	res.allow = append(res.allow, method)
	if method == http.MethodGet {
		res.methods[http.MethodHead] = h
		res.allow = append(res.allow, http.MethodHead)
	}
	slices.Sort(res.allow)
}

func (res *resource) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if res.cors != nil {
		res.cors.SetHeaders(w, r, res.header)
	}
	if r.Method == http.MethodOptions {
		w.Header().Set("Allow", res.header)
		w.WriteHeader(http.StatusNoContent)
		return
	}
	h, ok := res.methods[r.Method]
	if !ok {
		h = res.other
	}
	h.ServeHTTP(w, r)
}

func (res *resource) methodNotAllowed(d Deps) http.Handler {
	return httpx.Handle(d.Log, func(http.ResponseWriter, *http.Request) error {
		e := problem.New(problem.MethodNotAllowed, "This path does not have that method. It has %s.", res.header)
		e.Allow = res.allow
		return e
	}, d.fail(wordsOf(res.path)))
}

// words are the vocabulary of a route's errors.
type words struct {
	write httpx.ErrorWriter
	code  func(error) string // that is answered with
}

var (
	problems    = words{problem.Write, func(err error) string { return string(problem.From(err).Code) }}
	oauthErrors = words{token.WriteError, token.CodeOf}
)

func wordsOf(path string) words {
	if path == tokenPath {
		return oauthErrors
	}
	return problems
}

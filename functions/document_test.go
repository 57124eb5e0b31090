package functions_test

import (
	"fmt"
	"maps"
	"net/http"
	"os"
	"path"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"

	"fhirlink/functions"
	"fhirlink/shared/httpx"
	"fhirlink/shared/problem"
)

// document returns the parsed openapi.yaml, which is read once.
var document = sync.OnceValues(func() (*openapi3.T, error) {
	data, err := os.ReadFile("openapi.yaml")
	if err != nil {
		return nil, err
	}
	return openapi3.NewLoader().LoadFromData(data)
})

// hostDocument returns the description of the paths that openapi.yaml leaves out, because only the
// Azure Functions host asks for them. It is no part of what callers get.
var hostDocument = sync.OnceValues(func() (*openapi3.T, error) {
	loader := openapi3.NewLoader()
	loader.IsExternalRefsAllowed = true // to openapi.yaml
	return loader.LoadFromFile("testdata/host.yaml")
})

func loaded(t *testing.T) *openapi3.T {
	t.Helper()
	doc, err := document()
	if err != nil {
		t.Fatal(err)
	}
	return doc
}

func loadedHost(t *testing.T) *openapi3.T {
	t.Helper()
	doc, err := hostDocument()
	if err != nil {
		t.Fatal(err)
	}
	return doc
}

func init() {
	openapi3filter.RegisterBodyDecoder("text/html", openapi3filter.FileBodyDecoder)
}

// checked remembers the errors that were valid, because compiling schemas is slow.
var checked sync.Map

var (
	aTime   = regexp.MustCompile(`"\d{4}-\d\d-\d\d[T ][^"]*"`)
	oneForm = regexp.MustCompile(`^"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"$`)
)

// checkTimes holds every time in every answer to one form.
func checkTimes(t *testing.T, r *http.Request, body string) {
	t.Helper()
	for _, text := range aTime.FindAllString(body, -1) {
		if !oneForm.MatchString(text) {
			t.Errorf("%s %s: the time %s is not written as all others", r.Method, r.URL, text)
		}
	}
}

// checkDocumented checks an answer against openapi.yaml, or the host's document if it has the path,
// and the request too if the answer is a success.
func checkDocumented(t *testing.T, r *http.Request, a answer) {
	t.Helper()
	if r.Method == http.MethodHead || r.Method == http.MethodOptions || a.header.Get("Content-Type") == httpx.NDJSON { // TestProgress reads the latter
		return
	}
	checkTimes(t, r, a.body)
	doc := loaded(t)
	template, params := find(doc, r.URL.EscapedPath())
	if template == "" {
		doc = loadedHost(t)
		template, params = find(doc, r.URL.EscapedPath())
	}
	if same := fmt.Sprintln(r.Method, template, a.status, a.header["Content-Type"], instance.ReplaceAllString(a.body, "")); a.status >= 400 {
		if _, seen := checked.LoadOrStore(same, true); seen {
			return
		}
	}
	for _, operation := range operations(doc, template, r.Method, r.URL.Path) {
		input := &openapi3filter.RequestValidationInput{
			Request: r, PathParams: params, Options: &openapi3filter.Options{
				IncludeResponseStatus: true, AuthenticationFunc: openapi3filter.NoopAuthenticationFunc,
			},
			Route: &routers.Route{
				Spec: doc, Server: doc.Servers[0], Path: template, PathItem: doc.Paths.Value(template), Method: r.Method, Operation: operation,
			},
		}
		if a.status < 300 {
			if err := openapi3filter.ValidateRequest(t.Context(), input); err != nil {
				t.Errorf("%s %s was answered %d, but is not a request of openapi.yaml: %v", r.Method, r.URL, a.status, err)
			}
		}
		response := &openapi3filter.ResponseValidationInput{RequestValidationInput: input, Status: a.status, Header: a.header, Options: input.Options}
		response.SetBodyBytes([]byte(a.body))
		if err := openapi3filter.ValidateResponse(t.Context(), response); err != nil {
			t.Errorf("%s %s: %d %s\nis not an answer of openapi.yaml: %v", r.Method, r.URL, a.status, a.body, err)
		}
	}
}

// operations returns the operations whose answers a path and a method may have. Every operation
// of a path documents the answer to methods that the path does not have. Unknown paths have one
// answer, which the host's document describes; below the token endpoint it has the form of its errors.
func operations(doc *openapi3.T, template, method, asked string) []*openapi3.Operation {
	if template == "" {
		missing := doc.Components.Responses["NotFound"]
		if below := path.Clean(asked) + "/"; strings.HasPrefix(below, "/api/token/") || strings.HasPrefix(below, "/api/smart/") {
			missing = doc.Components.Responses["TokenNotFound"]
		}
		return []*openapi3.Operation{{Responses: openapi3.NewResponses(openapi3.WithStatus(http.StatusNotFound, missing))}}
	}
	item := doc.Paths.Value(template)
	if operation := item.GetOperation(method); operation != nil {
		return []*openapi3.Operation{operation}
	}
	return slices.Collect(maps.Values(item.Operations()))
}

// find returns the path in the document that an escaped path matches.
func find(doc *openapi3.T, escaped string) (template string, params map[string]string) {
	got := strings.Split(escaped, "/")
	for _, path := range doc.Paths.InMatchingOrder() {
		want := strings.Split(path, "/")
		params := map[string]string{}
		matches := slices.EqualFunc(got, want, func(g, w string) bool {
			if name, ok := strings.CutPrefix(w, "{"); ok && g != "" {
				params[strings.TrimSuffix(name, "}")] = g
				return true
			}
			return g == w
		})
		if matches {
			return path, params
		}
	}
	return "", nil
}

func TestDocumentIsValid(t *testing.T) {
	for _, doc := range []*openapi3.T{loaded(t), loadedHost(t)} {
		if err := doc.Validate(t.Context(), openapi3.IsOpenAPI31OrLater()); err != nil {
			t.Errorf("%s: %v", doc.Info.Title, err)
		}
		if !strings.HasPrefix(doc.OpenAPI, "3.1") {
			t.Errorf("%s: openapi: %s", doc.Info.Title, doc.OpenAPI)
		}
	}
}

// Callers get a document with every public route, and without the trigger and GET /, which are for
// the Functions host.
func TestDocumentHasTheRoutes(t *testing.T) {
	public, forHost := []string{}, []string{"GET /"} // added by New
	for _, route := range (functions.Deps{}).Routes() {
		public = append(public, route.Method+" "+route.Path)
	}
	for _, route := range (functions.Deps{}).Triggers() {
		forHost = append(forHost, route.Method+" "+route.Path)
	}
	for _, tt := range []struct {
		doc    *openapi3.T
		routes []string
	}{{loaded(t), public}, {loadedHost(t), forHost}} {
		var documented []string
		for path, item := range tt.doc.Paths.Map() {
			for method := range item.Operations() {
				documented = append(documented, method+" "+path)
			}
		}
		slices.Sort(documented)
		slices.Sort(tt.routes)
		if !slices.Equal(documented, tt.routes) {
			t.Errorf("%s: described are\n%q, the routes are\n%q", tt.doc.Info.Title, documented, tt.routes)
		}
	}
}

func TestDocumentHasTheCodes(t *testing.T) {
	for _, code := range loaded(t).Components.Schemas["Problem"].Value.Properties["code"].Value.Enum {
		if name, _ := code.(string); problem.Code(name).Title() == "" {
			t.Errorf("%v is no code of a problem", code)
		}
	}
}

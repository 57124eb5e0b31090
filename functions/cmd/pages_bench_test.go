package cmd_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/data/aztables"

	"fhirlink/functions"
	"fhirlink/functions/manage"
	"fhirlink/shared/caller"
	"fhirlink/shared/link"
	"fhirlink/shared/link/lastreport"
	"fhirlink/shared/link/linktest"
	"fhirlink/shared/link/trail"
	"fhirlink/shared/notify/webhook"
	"fhirlink/shared/notify/webhook/webhooktest"
	"fhirlink/shared/secret/secrettest"
	"fhirlink/shared/store/aztable"
	"fhirlink/shared/store/aztable/tabletest"
	"fhirlink/shared/verification"
)

// administrator stands in for both sign-ins: whoever asks, a page or the API, is an administrator of the
// tenant.
type administrator struct{}

var admin = caller.Caller{Organization: tenant, ObjectID: "a1a1a1a1-1111-4111-8111-111111111111", Name: "Ada", Scopes: []string{"Links.Manage"}, Roles: []string{"Links.Administrator"}}

func (administrator) Authenticate(*http.Request) (caller.Caller, error) { return admin, nil }
func (administrator) Visitor(*http.Request) (manage.Visitor, error) {
	return manage.Visitor{Caller: admin}, nil
}

func (administrator) For(context.Context, caller.Caller) (string, error)          { return "for", nil }
func (administrator) CheckFor(context.Context, caller.Caller, string) (err error) { return nil }

// clinicsOf stores so many links of the tenant, each with a report and three events.
func clinicsOf(b *testing.B, stores link.Stores, count int) {
	b.Helper()
	checks := make([]verification.Check, 8)
	for i := range checks {
		checks[i] = verification.Check{ID: fmt.Sprint(i), Title: "Contents of the access token", Status: verification.Pass, Message: "The token has the audience that the server expects."}
	}
	must := func(err error) {
		if err != nil {
			b.Fatal(err)
		}
	}
	for i := range count {
		l := row(fmt.Sprintf("clinic-%03d", i), fmt.Sprintf("link-%03d", i), "1")
		l.Secret.ExpiresOn = l.Secret.ExpiresOn.AddDays(i)
		must(stores.Insert(b.Context(), l))
		_, err := stores.Enroll(b.Context(), tenant, l.Slug)
		must(err)
		must(stores.PutReport(b.Context(), string(l.Slug), lastreport.Report{LinkID: l.ID, At: l.VerifiedAt, By: lastreport.Service, Report: verification.Report{Checks: checks}}))
		for n := range 3 {
			at := l.CreatedAt.Add(time.Duration(n) * time.Second)
			must(stores.Append(b.Context(), trail.Event{ID: trail.ID(at, "x"), At: at, Organization: tenant, Slug: string(l.Slug), LinkID: l.ID, Action: trail.Verified, Outcome: trail.OK}))
		}
	}
}

// pagesOver serves pages and API over the stores.
func pagesOver(stores link.Stores, endpoints webhook.Store) http.Handler {
	quiet := slog.New(slog.DiscardHandler)
	return functions.New(functions.Deps{
		Links:    link.New(link.Deps{Stores: stores, Secrets: secrettest.New(), Log: quiet}),
		Webhooks: webhook.New(webhook.Deps{Endpoints: endpoints, Secrets: secrettest.New(), Log: quiet}),
		Callers:  administrator{}, SignIn: administrator{}, PublicURL: "https://links.example.org", Log: quiet, Program: "azure", Version: "bench",
	})
}

// visit asks for a page or a resource as browsers do, and returns the length of the answer in bytes.
func visit(b *testing.B, handler http.Handler, path string) int64 {
	b.Helper()
	w := httptest.NewRecorder()
	r := httptest.NewRequestWithContext(b.Context(), http.MethodGet, path, nil)
	r.Header.Set("Accept-Encoding", "gzip")
	handler.ServeHTTP(w, r)
	if w.Code != http.StatusOK {
		b.Fatalf("%s: %d %s", path, w.Code, w.Body)
	}
	length, err := io.Copy(io.Discard, w.Body)
	if err != nil {
		b.Fatal(err)
	}
	return length
}

// listOf returns the addresses of the API's list of all links, page by page.
func listOf(b *testing.B, handler http.Handler) (pages []string) {
	b.Helper()
	path := "/api/links?limit=200"
	for {
		pages = append(pages, path)
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, httptest.NewRequestWithContext(b.Context(), http.MethodGet, path, nil))
		var page struct {
			Continue string `json:"continue"`
		}
		if err := json.Unmarshal(w.Body.Bytes(), &page); err != nil {
			b.Fatalf("%s: %d %v", path, w.Code, err)
		}
		if page.Continue == "" {
			return pages
		}
		path = "/api/links?limit=200&continue=" + url.QueryEscape(page.Continue)
	}
}

// BenchmarkPages compares the pages with the JSON routes that have the same contents: the time of the
// list, and the requests of each page to the table.
func BenchmarkPages(b *testing.B) {
	const links = 500
	stores := linktest.New()
	clinicsOf(b, stores, links)
	handler := pagesOver(stores, webhooktest.New())
	list := listOf(b, handler)
	var ratios []float64
	var length int64
	for range 41 {
		start := time.Now()
		for _, path := range list {
			visit(b, handler, path)
		}
		theirs := time.Since(start)
		start = time.Now()
		length = visit(b, handler, "/api/manage/")
		ratios = append(ratios, float64(time.Since(start))/float64(theirs))
	}
	ratio := median(ratios)
	table.report(ratio <= 3, "pages: the list of 500 links, against the API's list of them", "≤ 3 ×", "%.2f × (median of %d)", ratio, len(ratios))
	table.report(length <= 20_000, "pages: the list with 100 links, compressed", "≤ 20 kB", "%.1f kB", float64(length)/1000)

	counted := &tableRequests{}
	service, err := aztables.NewServiceClientFromConnectionString(tabletest.Start(b), func() *aztables.ClientOptions {
		options := aztable.ClientOptions()
		options.Transport = counted
		return options
	}())
	if err != nil {
		b.Fatal(err)
	}
	rows := aztable.New(service.NewClient("links"))
	clinicsOf(b, rows, links)
	handler = pagesOver(rows, rows.Endpoints())
	same := map[string][]string{
		"/api/manage/":                          list,
		"/api/manage/servers.csv":               list,
		"/api/manage/servers/clinic-007":        {"/api/links/clinic-007", "/api/links/clinic-007/report", "/api/links/clinic-007/events"},
		"/api/manage/servers/clinic-007/edit":   {"/api/links/clinic-007"},
		"/api/manage/servers/clinic-007/secret": {"/api/links/clinic-007"},
		"/api/manage/servers/clinic-007/delete": {"/api/links/clinic-007"},
		"/api/manage/notifications":             {"/api/webhooks"},
	}
	for _, page := range slices.Sorted(maps.Keys(same)) {
		ours := counted.during(func() { visit(b, handler, page) })
		theirs := counted.during(func() {
			for _, path := range same[page] {
				visit(b, handler, path)
			}
		})
		table.report(float64(ours) <= 1.5*float64(theirs), "pages: requests of "+page+" to the table, against the API's", "≤ 1.5 ×", "%d against %d", ours, theirs)
	}
}

// tableRequests counts requests.
type tableRequests struct{ atomic.Int64 }

func (c *tableRequests) Do(r *http.Request) (*http.Response, error) {
	c.Add(1)
	return http.DefaultClient.Do(r)
}

func (c *tableRequests) during(do func()) int64 {
	before := c.Load()
	do()
	return c.Load() - before
}

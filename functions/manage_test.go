package functions_test

import (
	"compress/gzip"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"fhirlink/functions"
	"fhirlink/functions/manage/view"
	"fhirlink/shared/credential"
	"fhirlink/shared/date"
	"fhirlink/shared/httpx"
	"fhirlink/shared/link"
	"fhirlink/shared/link/condition"
	"fhirlink/shared/store"
)

// guardedPages are the pages that need a sign-in, for a link called clinic.
var guardedPages = []string{
	"/api/manage/", "/api/manage/servers.csv", "/api/manage/add", "/api/manage/servers/clinic", "/api/manage/servers/clinic/report.json",
	"/api/manage/servers/clinic/edit", "/api/manage/servers/clinic/secret", "/api/manage/servers/clinic/delete", "/api/manage/notifications",
}

var openPages = []string{"/api/manage/scopes", "/api/manage/about"}

var formPages = []string{
	"/api/manage/add", "/api/manage/servers/clinic", "/api/manage/servers/clinic/edit", "/api/manage/servers/clinic/secret", "/api/manage/servers/clinic/delete", "/api/manage/notifications",
}

// TestPages: each page answers its reader, and others with a page that says why not.
func TestPages(t *testing.T) {
	r := pagesRig(t)
	r.register(t, orgA, "clinic")
	for _, target := range guardedPages {
		if p := r.get(t, ada, target); p.status != 200 || p.header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: %d %v", target, p.status, p.header)
		}
		r.get(t, nobody, target).wantPage(t, 401, "Sign in")
		r.get(t, guest, target).wantPage(t, 403, "You may not do this")
		head := r.visit(t, ada, http.MethodHead, target, "")
		if head.status != 200 {
			t.Errorf("HEAD %s: %d", target, head.status)
		}
	}
	for _, target := range openPages {
		for _, visitor := range []string{ada, nobody, guest} {
			if p := r.get(t, visitor, target+"?unknown=1&q=%ff&lang=xx"); p.status != 200 {
				t.Errorf("%s as %q: %d", target, visitor, p.status)
			}
		}
	}
	for _, target := range formPages {
		signedOut := r.visit(t, nobody, http.MethodPost, target, "do=save", "Content-Type", formType)
		if signedOut.status != 401 || signedOut.has("h2", "You are not signed in any more") != (target != "/api/manage/servers/clinic") || strings.Contains(signedOut.body, "Clinic clinic") {
			t.Errorf("%s without a session: %d %s", target, signedOut.status, signedOut.body)
		}
		r.visit(t, guest, http.MethodPost, target, "do=save", "Content-Type", formType).wantPage(t, 403, "You may not do this")
		r.visit(t, ada, http.MethodPost, target, "do=save", "Content-Type", jsonType).wantPage(t, 415, "The form cannot be read")
		r.visit(t, ada, http.MethodPost, target, "", "Content-Type", formType).wantPage(t, 400, "The form cannot be read")
		r.visit(t, ada, http.MethodPost, target, "do=%zz", "Content-Type", formType).wantPage(t, 400, "The form cannot be read")
		r.visit(t, ada, http.MethodPost, target, "do=%ff", "Content-Type", formType).wantPage(t, 400, "The form cannot be read")
		r.visit(t, ada, http.MethodPost, target, "do="+strings.Repeat("x", httpx.MaxBody), "Content-Type", formType).wantPage(t, 413, "The form is too large")
		r.post(t, ada, target, url.Values{"for": {"bound-to-somebody-else"}}).wantPage(t, 409, "You are now signed in as "+adaName)
		for _, from := range [][]string{{"Sec-Fetch-Site", "cross-site"}, {"Sec-Fetch-Site", "same-site"}, {"Origin", "https://evil.example"}, {"Origin", "null"}} {
			r.visit(t, ada, http.MethodPost, target, "do=save", append([]string{"Content-Type", formType}, from...)...).wantPage(t, 403, "You may not do this")
		}
	}
	r.visit(t, nobody, http.MethodPost, "/api/manage/scopes", "scope=openid", "Content-Type", formType, "Sec-Fetch-Site", "cross-site").wantPage(t, 403, "You may not do this")
	if got := len(r.get(t, ada, "/api/manage/").all("tr", "data-status", "active")); got != 1 {
		t.Errorf("%d links after forms that must do nothing", got)
	}
	for _, target := range []string{"/api/manage/add", "/api/manage/servers/clinic"} { // the public URL is the one trusted origin
		if p := r.visit(t, ada, http.MethodPost, target, "do=save&for=x", "Content-Type", formType, "Origin", "https://links.example.org"); p.status != 409 {
			t.Errorf("%s from the public URL: %d", target, p.status)
		}
	}
}

func TestPagesThatDoNotExist(t *testing.T) {
	r := pagesRig(t)
	r.register(t, orgA, "clinic")
	for _, visitor := range []string{ada, nobody} {
		for _, target := range []string{
			"/api/manage/x", "/api/manage/add/", "/api/manage/about/", "/api/manage/scopes/", "/api/manage/servers", "/api/manage/servers/", "/api/manage/servers/clinic/",
			"/api/manage/servers/clinic/edit/", "/api/manage/servers/clinic/x", "/api/manage//", "/api/manage/../manage/", "/api/manage/./about", "/api/manage/assets/", "/api/manage/assets/x/none.css",
		} {
			r.get(t, visitor, target).wantPage(t, 404, "Page not found")
		}
	}
	r.get(t, ada, "/api/manage").wantSent(t, "/api/manage/")
	for _, c := range []struct{ method, target, allow string }{
		{"POST", "/api/manage/", "GET, HEAD, OPTIONS"},
		{"POST", "/api/manage/about", "GET, HEAD, OPTIONS"},
		{"POST", "/api/manage/servers.csv", "GET, HEAD, OPTIONS"},
		{"GET", "/api/manage/discover", "OPTIONS, POST"},
		{"PUT", "/api/manage/about", "GET, HEAD, OPTIONS"},
		{"PUT", "/api/manage/add", "GET, HEAD, OPTIONS, POST"},
		{"DELETE", "/api/manage/servers/clinic", "GET, HEAD, OPTIONS, POST"},
	} {
		p := r.visit(t, ada, c.method, c.target, "").wantPage(t, 405, "This page does not take that")
		if explains := "takes a form of another page"; strings.Contains(p.body, explains) != (c.method == "GET") {
			t.Errorf("%s %s: %s", c.method, c.target, p.body)
		}
		if got := p.header.Get("Allow"); got != c.allow {
			t.Errorf("%s %s: Allow %q, want %q", c.method, c.target, got, c.allow)
		}
	}
	r.visit(t, ada, "PUT", "/api/manage/none", "").wantPage(t, 404, "Page not found")
	if p := r.get(t, ada, "/api/manage//x").wantPage(t, 404, "Page not found"); strings.Contains(p.body, "openapi") {
		t.Errorf("a page speaks of the API: %s", p.body)
	}
	// Another organization's link looks like none.
	for _, below := range []string{"", "/edit", "/secret", "/delete", "/report.json"} {
		theirs, none := r.get(t, grace, "/api/manage/servers/clinic"+below), r.get(t, grace, "/api/manage/servers/nothing"+below)
		theirs.wantPage(t, 404, "There is no such FHIR server")
		if theirs.body != none.body {
			t.Errorf("%s: %s\n%s", below, theirs.body, none.body)
		}
		if below != "/report.json" {
			theirs, none = r.post(t, grace, "/api/manage/servers/clinic"+below, url.Values{"slug": {"clinic"}, "etag": {"*"}}), r.post(t, grace, "/api/manage/servers/nothing"+below, url.Values{"slug": {"nothing"}, "etag": {"*"}})
			if theirs.status != 404 || theirs.body != none.body {
				t.Errorf("POST %s: %d %s\n%s", below, theirs.status, theirs.body, none.body)
			}
		}
	}
	if p := r.get(t, grace, "/api/manage/"); strings.Contains(p.body, "clinic") {
		t.Error("another organization's link is in the list")
	}
}

// TestPagesWithoutSignIn: a deployment without a sign-in shows the open pages, and says of the others
// what is missing.
func TestPagesWithoutSignIn(t *testing.T) {
	r := pagesRig(t, func(d *functions.Deps) { d.SignIn = nil })
	for _, target := range guardedPages {
		if p := r.get(t, nobody, target).wantPage(t, 404, "Page not found"); !strings.Contains(p.body, "FHIRLINK_PUBLIC_URL") {
			t.Errorf("%s: %s", target, p.body)
		}
	}
	for _, target := range openPages {
		p := r.get(t, nobody, target)
		tag := p.header.Get("ETag")
		if p.status != 200 || p.header.Get("Cache-Control") != "no-cache" || !strings.HasPrefix(tag, `W/"`) {
			t.Errorf("%s: %d %v", target, p.status, p.header)
		}
		again := r.get(t, nobody, target, "If-None-Match", tag)
		if again.status != http.StatusNotModified || again.body != "" || again.header.Get("ETag") != tag {
			t.Errorf("%s again: %d %v", target, again.status, again.header)
		}
		if other := r.get(t, nobody, target, "If-None-Match", `W/"other"`); other.status != 200 {
			t.Errorf("%s with another tag: %d", target, other.status)
		}
	}
	if p := r.visit(t, nobody, http.MethodPost, "/api/manage/scopes", "scope=openid", "Content-Type", formType); p.status != 200 || p.header.Get("Cache-Control") != "no-store" {
		t.Errorf("a translation: %d %v", p.status, p.header)
	}
	if p := pagesRig(t).get(t, ada, "/api/manage/about"); p.header.Get("Cache-Control") != "no-store" || p.header.Get("ETag") != "" {
		t.Errorf("about with a session: %v", p.header)
	}
}

// TestService: whose pages these are stands on every page, with the ways to help and to the privacy
// statement.
func TestService(t *testing.T) {
	plain := pagesRig(t).get(t, nobody, "/api/manage/about")
	if plain.has("a", "Help") || plain.has("a", "Privacy") {
		t.Error("there are links to nowhere")
	}
	r := newRig(t, func(d *functions.Deps) {
		d.SignIn, d.Service = visitors{}, view.Service{Name: "Data <Hub>", Support: "mailto:help@example.org", Privacy: "https://example.org/privacy"}
	})
	for _, target := range []string{"/api/manage/about", "/api/manage/scopes", "/api/manage/none", "/api/manage/"} {
		sent := httptest.NewRequestWithContext(t.Context(), "GET", target, nil)
		a := ask(r.public, sent)
		for _, want := range []string{" – Data &lt;Hub&gt;</title>", `href="mailto:help@example.org">Help`, `href="https://example.org/privacy">Privacy`} {
			if !strings.Contains(a.body, want) {
				t.Errorf("%s: no %s in %s", target, want, a.body)
			}
		}
		if a.header.Get("Strict-Transport-Security") != "" {
			t.Errorf("%s: HSTS without https", target)
		}
	}
}

func TestAssets(t *testing.T) {
	r := pagesRig(t)
	home := r.get(t, ada, "/api/manage/")
	for _, rel := range []string{"stylesheet", "icon"} {
		href := attribute(home.one(t, "link", "rel", rel), "href")
		p := r.get(t, nobody, href)
		if p.status != 200 || p.header.Get("Cache-Control") != "public, max-age=31536000, immutable" || p.header.Get("Vary") != "Accept-Encoding" {
			t.Errorf("%s: %d %v", href, p.status, p.header)
		}
		name := href[strings.LastIndex(href, "/"):]
		if old := r.get(t, nobody, "/api/manage/assets/0123456789abcdef"+name); old.status != 200 || old.header.Get("Cache-Control") != "no-cache" || old.body != p.body {
			t.Errorf("%s of another version: %d %v", name, old.status, old.header)
		}
	}
	script := home.one(t, "script")
	p := r.get(t, nobody, attribute(script, "src"))
	if p.header.Get("Content-Type") != "text/javascript; charset=utf-8" || p.header.Get("Cache-Control") != "public, max-age=31536000, immutable" {
		t.Errorf("the script: %v", p.header)
	}
}

// unzipped returns the body of a compressed answer.
func unzipped(t *testing.T, a answer) string {
	t.Helper()
	if a.header.Get("Content-Encoding") != "gzip" {
		t.Fatalf("not compressed: %v", a.header)
	}
	z, err := gzip.NewReader(strings.NewReader(a.body))
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

func TestPagesAreCompressed(t *testing.T) {
	r := pagesRig(t)
	r.register(t, orgA, "clinic")
	for _, target := range []string{"/api/manage/about", "/api/manage/add"} {
		plain := r.get(t, ada, target)
		for _, accept := range []string{"gzip", "br, gzip;q=0.5", "GZIP"} {
			packed := r.get(t, ada, target, "Accept-Encoding", accept)
			if unzipped(t, packed.answer) != plain.body || packed.header.Get("Content-Length") != fmt.Sprint(len(packed.body)) {
				t.Errorf("%s with %s differs", target, accept)
			}
		}
		for _, accept := range []string{"", "br", "gzip;q=0", "gzip; q=0.000"} {
			if p := r.get(t, ada, target, "Accept-Encoding", accept); p.header.Get("Content-Encoding") != "" {
				t.Errorf("%s is compressed for %q", target, accept)
			}
		}
	}
	if p := r.get(t, ada, "/api/manage/none", "Accept-Encoding", "gzip"); p.status != 404 || !strings.Contains(unzipped(t, p.answer), "Page not found") {
		t.Errorf("a compressed error: %d", p.status)
	}
}

// TestPageBudgets: what a page may weigh, compressed.
func TestPageBudgets(t *testing.T) {
	r := pagesRig(t)
	r.register(t, orgA, "clinic")
	for i := range 100 {
		r.copyLink(t, "clinic", fmt.Sprintf("clinic-of-town-%03d", i), func(l *link.Link) {
			l.Description = fmt.Sprintf("Clinic of town %d", i)
			l.FHIRServerURL = fmt.Sprintf("https://ws%d-clinic%d.fhir.azurehealthcareapis.com", i, i)
			l.Secret.ExpiresOn = date.Of(time.Now()).AddDays(i*7 - 30)
			if i%5 == 0 {
				l.Health, l.Problem = condition.Broken, &condition.Problem{Check: "read", Code: "read_not_fhir", Message: fmt.Sprintf("The server %d answered with a web page.", i), Fix: "Look."}
			}
		})
	}
	list := r.get(t, ada, "/api/manage/")
	if rows := len(list.all("tr")) - 1; rows != 100 {
		t.Fatalf("%d rows", rows)
	}
	style, script := attribute(list.one(t, "link", "rel", "stylesheet"), "href"), attribute(list.one(t, "script"), "src")
	for target, most := range map[string]int{"/api/manage/": 20_000, "/api/manage/add": 15_000, style: 6_000, script: 6_000} {
		p := r.get(t, ada, target, "Accept-Encoding", "gzip")
		t.Logf("%s: %d bytes compressed", target, len(p.body))
		if p.header.Get("Content-Encoding") != "gzip" || len(p.body) > most {
			t.Errorf("%s: %d bytes, at most %d are allowed", target, len(p.body), most)
		}
	}
}

// copyLink stores another link that is like one of orgA.
func (r *rig) copyLink(t testing.TB, from, slug string, how func(*link.Link)) {
	t.Helper()
	l, err := r.stores.Get(t.Context(), linkSlug(from))
	if err != nil {
		t.Fatal(err)
	}
	l.Slug, l.ID = linkSlug(slug), "id-of-"+slug
	how(&l)
	if err := r.stores.Insert(t.Context(), l); err != nil {
		t.Fatal(err)
	}
	if _, err := r.stores.Enroll(t.Context(), orgA, l.Slug); err != nil {
		t.Fatal(err)
	}
}

// TestList: what the list counts, finds and asks for.
func TestList(t *testing.T) {
	r := pagesRig(t)
	if p := r.get(t, ada, "/api/manage/"); !p.has("h2", "No FHIR server is linked yet") || strings.Contains(p.body, "linked.") {
		t.Errorf("empty: %s", p.body)
	}
	r.register(t, orgA, "clinic")
	p := r.get(t, ada, "/api/manage/")
	if !strings.Contains(p.body, "1 server is linked. Nothing needs you today.") {
		t.Errorf("one: %s", p.body)
	}
	today := date.Of(time.Now())
	for _, c := range []struct {
		slug, step, state string
		status            condition.Status
		how               func(*link.Link)
	}{
		{"a-ended", "Replace secret", "expired", condition.Expired, func(l *link.Link) { l.Secret.ExpiresOn = today.AddDays(-1) }},
		{"b-refused", "Replace secret", "expired", condition.Expired, func(l *link.Link) { l.Secret.Expired = true }},
		{"c-today", "Replace secret", "expiring", condition.Active, func(l *link.Link) { l.Secret.ExpiresOn = today }},
		{"d-soon", "Replace secret", "expiring", condition.Active, func(l *link.Link) { l.Secret.ExpiresOn = today.AddDays(30) }},
		{"e-later", "", "expiring", condition.Active, func(l *link.Link) { l.Secret.ExpiresOn = today.AddDays(31) }},
		{"f-pending-and-soon", "Replace secret", "expiring", condition.PendingAccess, func(l *link.Link) { l.Health, l.Secret.ExpiresOn = condition.PendingAccess, today.AddDays(3) }},
		{"g-pending", "Give the role", "ok", condition.PendingAccess, func(l *link.Link) { l.Health = condition.PendingAccess }},
		{"h-broken", "See what to fix", "ok", condition.Broken, func(l *link.Link) { l.Health = condition.Broken }},
		{"i-trouble", "See what to fix", "unknown", condition.Degraded, func(l *link.Link) { l.Health, l.Secret.ExpiresOn = condition.Degraded, date.Date{} }},
		{"j-undated", "Add the date", "unknown", condition.Active, func(l *link.Link) { l.Secret.ExpiresOn = date.Date{} }},
		{"k-certificate", "Replace certificate", "expiring", condition.Active, func(l *link.Link) {
			l.Secret.Kind, l.Secret.ExpiresOn = credential.KindCertificate, today.AddDays(2)
		}},
		{"l-stand-in", "Replace secret", "ok", condition.Active, func(l *link.Link) { l.Secret.FellBackAt = time.Now() }},
	} {
		r.copyLink(t, "clinic", c.slug, c.how)
		p := r.get(t, ada, "/api/manage/?q="+c.slug)
		rows := p.all("tr", "data-status", string(c.status), "data-secret-state", c.state)
		if len(rows) != 1 {
			t.Errorf("%s: %d rows with %s and %s", c.slug, len(rows), c.status, c.state)
			continue
		}
		step := text(rows[0])
		if c.step == "" {
			c.step = "Nothing to do"
		}
		if !strings.Contains(step, c.step) {
			t.Errorf("%s: %q, want %q", c.slug, step, c.step)
		}
	}
	all := r.get(t, ada, "/api/manage/?unknown=1&page=7&sort=none&status=")
	if !strings.Contains(all.body, "13 servers are linked. 10 need you today.") {
		t.Error("the counts are wrong")
	}
	var order []string
	for _, c := range all.all("code") {
		order = append(order, text(c))
	}
	if i, j := slices.Index(order, "a-ended"), slices.Index(order, "c-today"); i < 0 || i > j {
		t.Errorf("the first end is not first: %q", order)
	}
	for query, want := range map[string]int{
		"status=expired": 2, "status=pending_access": 2, "status=active&q=CLINIC": 7, "q=c-today": 1, "q=fhir.sandbox.test": 13, "q=nothing-like-it": 0, "status=none": 0, "q=%20e-later%20": 1,
	} {
		if got := len(r.get(t, ada, "/api/manage/?"+query).all("tr")) - 1; got != want {
			t.Errorf("%s: %d rows, want %d", query, got, want)
		}
	}
	for sort, first := range map[string]string{"slug": "a-ended", "ends": "a-ended", "name": "a-ended", "status": "c-today"} {
		codes := r.get(t, ada, "/api/manage/?sort="+sort).all("code", "class", "soft")
		if len(codes) == 0 || text(codes[0]) != first {
			t.Errorf("sorted by %s: %s", sort, text(codes[0]))
		}
	}
}

// TestListHasPages: 100 links a page, sorted over all.
func TestListHasPages(t *testing.T) {
	r := pagesRig(t)
	r.register(t, orgA, "clinic")
	for i := range 204 {
		r.copyLink(t, "clinic", fmt.Sprintf("town-%03d", i), func(l *link.Link) { l.Secret.ExpiresOn = date.Of(time.Now()).AddDays(400 - i) })
	}
	for number, want := range map[string]struct {
		rows  int
		first string
	}{"": {100, "town-203"}, "1": {100, "town-203"}, "2": {100, ""}, "3": {5, ""}, "4": {100, "town-203"}, "-1": {100, "town-203"}, "x": {100, "town-203"}} {
		p := r.get(t, ada, "/api/manage/?page="+number)
		codes := p.all("code", "class", "soft")
		if len(codes) != want.rows || want.first != "" && text(codes[0]) != want.first {
			t.Errorf("page %q: %d rows, first %s", number, len(codes), text(codes[0]))
		}
		if len(p.all("nav", "aria-label", "Pages")) != 1 || len(p.all("a", "aria-current", "page")) != 2 { // of the navigation, too
			t.Errorf("page %q does not say which it is", number)
		}
	}
	searched := r.get(t, ada, "/api/manage/?q=town&status=active&sort=slug&page=2")
	if href := attribute(searched.all("nav", "aria-label", "Pages")[0].FirstChild, "href"); href != "/api/manage/?page=1&q=town&sort=slug&status=active" {
		t.Errorf("the link to another page is %s", href)
	}
	again := r.get(t, ada, "/api/manage/?q=town&status=active&sort=slug&page=2")
	if again.body != searched.body {
		t.Error("the same list is drawn differently twice")
	}
}

func TestCSV(t *testing.T) {
	r := pagesRig(t)
	r.register(t, orgA, "clinic")
	for i, start := range []string{"=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1"} {
		r.copyLink(t, "clinic", fmt.Sprintf("formula-%d", i), func(l *link.Link) { l.Description = start })
	}
	p := r.get(t, ada, "/api/manage/servers.csv")
	if p.header.Get("Content-Type") != "text/csv; charset=utf-8" || p.header.Get("Content-Disposition") != `attachment; filename="servers.csv"` {
		t.Errorf("%v", p.header)
	}
	for _, row := range rowsOf(t, p.body) {
		for _, cell := range row {
			if cell != "" && strings.ContainsRune("=+-@\t\r\n", rune(cell[0])) {
				t.Errorf("a formula: %q", cell)
			}
		}
	}
	if n := strings.Count(p.body, "'"); n != 7 {
		t.Errorf("%d cells are marked: %s", n, p.body)
	}
}

func rowsOf(t *testing.T, text string) [][]string {
	t.Helper()
	rows, err := csv.NewReader(strings.NewReader(text)).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	return rows
}

// TestLimitAndOutageKeepTheForm: a refusal that is not about a field shows the form again, and says
// when to try again.
func TestLimitAndOutageKeepTheForm(t *testing.T) {
	t.Run("limit", func(t *testing.T) {
		r := pagesRig(t, func(d *functions.Deps) { d.Limits = httpx.NewRateLimit(1, 1, nil) })
		r.post(t, ada, "/api/manage/add", linkForm("clinic", "clinic", clientSecret)).wantSent(t, "/api/manage/servers/clinic?done=linked")
		p := r.post(t, ada, "/api/manage/add", linkForm("clinic-b", "clinic", clientSecret)).wantPage(t, 429, "Manage FHIR Server")
		if p.value(t, "slug") != "clinic-b" || p.header.Get("Retry-After") == "" || !p.has("h2", "Too many forms at once") || !strings.Contains(p.body, "Try again in") {
			t.Errorf("%v %s", p.header, p.body)
		}
		p = r.post(t, ada, "/api/manage/servers/clinic", url.Values{"do": {"check"}}).wantPage(t, 429, "Clinic clinic")
		if p.header.Get("Retry-After") == "" || !p.has("h2", "Too many forms at once") || !strings.Contains(p.body, "Last check") || !strings.Contains(p.body, "Try again in") {
			t.Errorf("%v %s", p.header, p.body)
		}
		p = r.post(t, ada, "/api/manage/notifications", url.Values{"do": {"add"}, "url": {"https://hooks.example.org/typed"}}).wantPage(t, 429, "Notifications")
		if p.value(t, "url") != "https://hooks.example.org/typed" {
			t.Error("the address is lost")
		}
		p = r.post(t, ada, "/api/manage/notifications", url.Values{"do": {"test"}, "id": {"we_1"}}).wantPage(t, 429, "Notifications")
		if p.header.Get("Retry-After") == "" || !p.has("h2", "Too many forms at once") {
			t.Errorf("%v %s", p.header, p.body)
		}
		r.post(t, ada, "/api/manage/notifications", url.Values{"do": {"delete"}, "id": {"we_1"}}).wantPage(t, 404, "Notifications") // it does not count, as by the API
		for _, below := range []string{"edit", "secret"} {
			form := url.Values{"etag": {`"x"`}, "description": {"typed"}, "secretExpiresOn": {inDays(99)}, "clientSecret": {clientSecret}}
			if p := r.post(t, ada, "/api/manage/servers/clinic/"+below, form); p.status != 429 || p.value(t, "secretExpiresOn") != inDays(99) {
				t.Errorf("%s: %d %s", below, p.status, p.body)
			}
		}
	})
	t.Run("the store is down", func(t *testing.T) {
		r := pagesRig(t)
		r.register(t, orgA, "clinic")
		down := func(string, link.Slug, bool) error { return fmt.Errorf("%w: canary-code", store.ErrUnavailable) }
		r.stores.Fault = down
		for _, target := range []string{"/api/manage/", "/api/manage/servers/clinic", "/api/manage/servers/clinic/edit", "/api/manage/servers.csv"} {
			p := r.get(t, ada, target).wantPage(t, 503, "Something is not available just now")
			if p.header.Get("Retry-After") == "" || strings.Contains(p.body, "canary") {
				t.Errorf("%s: %v %s", target, p.header, p.body)
			}
		}
		p := r.post(t, ada, "/api/manage/add", linkForm("clinic-b", "clinic", clientSecret)).wantPage(t, 503, "Manage FHIR Server")
		if p.value(t, "slug") != "clinic-b" || p.value(t, "clientSecret") != "" || p.header.Get("Retry-After") == "" || !strings.Contains(p.body, "Enter the secret again") {
			t.Errorf("%v %s", p.header, p.body)
		}
	})
	t.Run("a fault of ours", func(t *testing.T) {
		r := pagesRig(t)
		r.stores.Fault = func(string, link.Slug, bool) error { return errors.New("canary-code") }
		p := r.get(t, ada, "/api/manage/").wantPage(t, 500, "Something went wrong on our side")
		if strings.Contains(p.body, "canary") || !strings.Contains(p.body, p.header.Get("X-Correlation-Id")) {
			t.Error(p.body)
		}
		if !strings.Contains(r.log.String(), "canary-code") {
			t.Error("the cause is not in the log")
		}
	})
	t.Run("too many links", func(t *testing.T) {
		r := pagesRig(t, func(d *functions.Deps) {})
		r.register(t, orgA, "clinic")
		for i := range 500 {
			r.copyLink(t, "clinic", fmt.Sprintf("c-%d", i), func(*link.Link) {})
		}
		p := r.post(t, ada, "/api/manage/add", linkForm("clinic-b", "clinic", clientSecret)).wantPage(t, 409, "Manage FHIR Server")
		if p.value(t, "slug") != "clinic-b" || !p.has("h2", "Your organization has as many servers as it may have") {
			t.Error(p.body)
		}
	})
}

// TestPageOutcomesAreLogged: the log counts a page's refusal under the code of the JSON route.
func TestPageOutcomesAreLogged(t *testing.T) {
	r := pagesRig(t)
	r.post(t, ada, "/api/manage/add", url.Values{"do": {"save"}})
	r.post(t, ada, "/api/manage/add", linkForm("clinic", "html", clientSecret))
	for _, code := range []string{`"outcome":"invalid_fields"`, `"outcome":"verification_failed"`, `"status":422`} {
		if !strings.Contains(r.log.String(), code) {
			t.Errorf("%s is not in the log: %s", code, r.log)
		}
	}
	if found := leaks(r.log.String(), clientSecret); found != nil {
		t.Errorf("the log holds a secret: %q", found)
	}
}

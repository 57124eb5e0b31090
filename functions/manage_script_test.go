package functions_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"

	"fhirlink/shared/verification"
)

// stream sends a form as the script does, and returns the events of the answer.
func (r *rig) stream(t *testing.T, target string, form url.Values) (events []map[string]any, answer *http.Response) {
	t.Helper()
	form.Set("for", "bound-to-"+known[ada].ObjectID)
	sent := httptest.NewRequestWithContext(t.Context(), http.MethodPost, target, strings.NewReader(form.Encode()))
	for name, value := range map[string]string{
		visitorHeader: ada, "Content-Type": formType, "Accept": "application/x-ndjson", "Accept-Encoding": "gzip", "Sec-Fetch-Site": "same-origin",
	} {
		sent.Header.Set(name, value)
	}
	w := httptest.NewRecorder()
	r.public.ServeHTTP(w, sent)
	if strings.Contains(w.Body.String(), clientSecret) || w.Header().Get("Content-Encoding") != "" {
		t.Errorf("%s: %v %s", target, w.Header(), w.Body)
	}
	if w.Header().Get("Content-Type") != "application/x-ndjson" {
		return nil, w.Result()
	}
	for line := range strings.Lines(w.Body.String()) {
		var event map[string]any
		if err := json.Unmarshal([]byte(line), &event); err != nil {
			t.Fatal(err)
		}
		events = append(events, event)
	}
	return events, w.Result()
}

// TestChecksAsTheyCome: to the script, a form answers with its checks, and at the end with where to go or
// with the page.
func TestChecksAsTheyCome(t *testing.T) {
	r := pagesRig(t)
	for _, c := range []struct {
		slug, scenario string
		status         float64
		body           string
		holds          string
	}{
		{"good-clinic", "clinic", 303, "location", "/api/manage/servers/good-clinic?done=linked"},
		{"bad-clinic", "html", 422, "html", "Not linked yet: "},
	} {
		events, _ := r.stream(t, "/api/manage/add", linkForm(c.slug, c.scenario, clientSecret))
		if len(events) < 2 || events[0]["event"] != "start" {
			t.Fatalf("%s: %v", c.slug, events)
		}
		var ids []string
		for _, e := range events {
			if check, ok := e["check"].(map[string]any); ok {
				ids = append(ids, check["id"].(string))
			}
		}
		end := events[len(events)-1]
		body, _ := end["body"].(map[string]any)
		text, _ := body[c.body].(string)
		all := verification.CheckIDs() // in another order: that of the fields is known last
		slices.Sort(ids)
		slices.Sort(all)
		if !slices.Equal(ids, all) || end["event"] != "end" || end["status"] != c.status || !strings.Contains(text, c.holds) || len(body) != 1 {
			t.Errorf("%s: checks %q, end %v", c.slug, ids, end)
		}
	}
	// What is known before the first check is a page.
	if events, answer := r.stream(t, "/api/manage/add", url.Values{"do": {"save"}}); events != nil || answer.StatusCode != 422 || !strings.HasPrefix(answer.Header.Get("Content-Type"), "text/html") {
		t.Errorf("an empty form: %d %v", answer.StatusCode, events)
	}
}

func TestDiscoverForTheForm(t *testing.T) {
	r := pagesRig(t)
	for _, c := range []struct{ asked, text, english string }{
		{"https://clinic.fhir.sandbox.test", "Found: Azure Health Data Services, FHIR 4.0.1, tenant " + orgA + ".", ""},
		{"https://clinic.fhir.sandbox.test/metadata", "Found: Azure Health Data Services, FHIR 4.0.1, tenant " + orgA + ".", "Done to the URL: removed /metadata from the FHIR server URL."},
		{"http://clinic.fhir.sandbox.test", "This is not a URL that can be used yet.", "The FHIR server URL begins with http://, which is not encrypted."},
		{"https://html.fhir.sandbox.test", "The server does not answer as a FHIR server yet.", "https://html.fhir.sandbox.test is a web page, not a FHIR server."},
		{"https://tenant-unknown.fhir.sandbox.test", "Found: Azure Health Data Services, FHIR 4.0.1.", "tenant-unknown.fhir.sandbox.test does not say which Entra tenant it belongs to."},
	} {
		p := r.post(t, ada, "/api/manage/discover", url.Values{"fhirServerUrl": {c.asked}})
		if p.status != 200 || p.field(t, "text") != c.text || !strings.Contains(p.body, `"english":"`+c.english) || c.english == "" && p.field(t, "english") != "" {
			t.Errorf("%s: %d %s", c.asked, p.status, p.body)
		}
	}
	r.visit(t, nobody, http.MethodPost, "/api/manage/discover", "fhirServerUrl=x", "Content-Type", formType).wantPage(t, 401, "Sign in")
}

// TestColours: a choice is kept in a cookie, and nobody can put words of their own into a page by it.
func TestColours(t *testing.T) {
	r := pagesRig(t)
	p := r.get(t, ada, "/api/manage/add?slug=a-clinic&theme=dark&clientId=x")
	if attribute(p.one(t, "html"), "data-theme") != "dark" || p.header.Get("Set-Cookie") != "__Host-theme=dark; Path=/; Max-Age=31536000; HttpOnly; Secure; SameSite=Lax" {
		t.Errorf("%v", p.header)
	}
	if href := attribute(p.one(t, "a", "data-theme-choice", "light"), "href"); href != "/api/manage/add?slug=a-clinic&theme=light" {
		t.Errorf("the link %s", href)
	}
	if p := r.get(t, ada, "/api/manage/", "Cookie", "__Host-theme=light"); attribute(p.one(t, "html"), "data-theme") != "light" || p.header.Get("Set-Cookie") != "" {
		t.Errorf("%v", p.header)
	}
	for _, header := range [][]string{{"Cookie", "__Host-theme=x; __Host-lang=xx"}, {"Accept-Language", "xx;q=oops, *"}} {
		if p := r.get(t, ada, "/api/manage/?theme=%22%3E&lang=..", header...); attribute(p.one(t, "html"), "data-theme") != "" || p.header.Get("Set-Cookie") != "" {
			t.Errorf("%v: %v", header, p.header)
		}
	}
}

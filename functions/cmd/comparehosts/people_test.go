package comparehosts_test

import (
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"fhirlink/functions/cmd/internal/cloudtest"
	"fhirlink/shared/entra/entratest/browser"
)

// TestPeople: on each host a person signs in, links a server by the form, and signs out, and sees the
// same as on every other host. The corpus of scripts has what needs no session.
func TestPeople(t *testing.T) {
	cloudtest.LinuxOnly(t)
	seen := make([][]string, len(hosts))
	t.Run("hosts", func(t *testing.T) {
		for i, h := range hosts {
			t.Run(h.name, func(t *testing.T) {
				t.Parallel()
				seen[i] = visit(t, h)
			})
		}
	})
	if t.Failed() {
		return
	}
	for i, steps := range seen {
		for n, text := range steps {
			if text != seen[0][n] {
				t.Errorf("%s answers:\n%s\n%s answers:\n%s", hosts[i].name, text, hosts[0].name, seen[0][n])
			}
		}
	}
}

var forField = regexp.MustCompile(`name="for" value="([^"]+)"`)

// visit is one person's visit. It returns what they saw, step by step.
func visit(t *testing.T, h host) (steps []string) {
	cloud := cloudtest.Start(t)
	_, table := breakable(t, table(t))
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	p := browser.NewPerson(client.Do, h.start(t, cloud, table).url, cloud.Site)
	see := func(a browser.Answer, err error) func(status int, holds string) browser.Answer {
		return func(status int, holds string) browser.Answer {
			t.Helper()
			to := a.Header.Get("Location")
			if err != nil || a.Status != status || !strings.Contains(a.Body+to, holds) {
				t.Fatalf("%d %s (%v), want %d and %q: %s", a.Status, to, err, status, holds, a.Body)
			}
			steps = append(steps, masked(a))
			return a
		}
	}
	started := see(p.Open("/api/manage/sign-in?to=/api/manage/add"))(200, "One moment")
	to, form, err := p.SignIn(strings.TrimPrefix(started.Header.Get("Refresh"), "0; url="), "ada", "")
	if err != nil || to != cloudtest.PublicURL+"/api/manage/signed-in" {
		t.Fatalf("Entra sends the browser to %q: %v", to, err)
	}
	see(p.Bring("/api/manage/signed-in", form))(303, "/api/manage/add")
	if c := p.Cookies["__Host-session"]; len(p.Cookies) != 1 || !c.Secure || !c.HttpOnly || c.SameSite != http.SameSiteLaxMode || c.Path != "/" || c.Domain != "" {
		t.Errorf("cookies %v", p.Cookies)
	}
	add := see(p.Open("/api/manage/add"))(200, "Ada Lovelace")
	mine := forField.FindStringSubmatch(add.Body)
	if mine == nil {
		t.Fatalf("a form without its person: %s", add.Body)
	}
	server, audience := cloud.Server("clinic")
	typed := url.Values{
		"for": mine[1:], "slug": {"people-clinic"}, "description": {"Klinik <Süd> & Söhne"}, "fhirServerUrl": {server}, "clientId": {cloudtest.ClientID},
		"clientSecret": {cloudtest.Secret}, "tenantId": {cloudtest.Tenant}, "audience": {audience}, "secretExpiresOn": {time.Now().AddDate(0, 0, 300).Format(time.DateOnly)}, "do": {"save"},
	}
	wrong := url.Values{"slug": {"Not A Slug"}}
	for name, values := range typed {
		if !wrong.Has(name) {
			wrong[name] = values
		}
	}
	see(p.Send("/api/manage/servers/people-clinic/secret", url.Values{"for": mine[1:]}))(404, "There is no such FHIR server")
	see(p.Send("/api/manage/add", wrong))(422, "There is a problem")
	see(p.Send("/api/manage/add", typed))(303, "/api/manage/servers/people-clinic?done=linked")
	see(p.Open("/api/manage/servers/people-clinic"))(200, "Klinik &lt;Süd&gt; &amp; Söhne")
	see(p.Open("/api/manage/?q=s%C3%BCd&sort=name"))(200, "1 server is linked.")
	see(p.Open("/api/manage/servers.csv"))(200, "Klinik <Süd> & Söhne")
	see(p.Open("/api/manage/servers/people-clinic/report.json"))(200, `"slug": "people-clinic"`)
	see(p.Send("/api/manage/servers/people-clinic", url.Values{"for": mine[1:], "do": {"check"}}))(303, "/api/manage/servers/people-clinic?done=checked")
	see(p.Open("/api/manage/about"))(200, "Ada Lovelace")
	see(p.Open("/api/links"))(map[bool]int{true: 200, false: 401}[slices.Contains(h.is, "local")], "")
	steps = steps[:len(steps)-1] // cmd/local lets programs in
	see(p.Send("/api/manage/sign-out", url.Values{"for": mine[1:], "do": {"sign-out"}}))(303, "/api/manage/signed-out")
	see(p.Open("/api/manage/signed-out"))(200, "/"+cloudtest.Tenant+"/oauth2/v2.0/logout")
	see(p.Open("/api/manage/"))(401, "Sign in with Microsoft")
	return steps
}

// aside is what differs from program to program besides what the scripts' mask hides.
var aside = regexp.MustCompile(`<span class="soft small">(\d+ ms)?</span>|\d\d:\d\d UTC|T\d\d:\d\d:\d\d(\.\d+)?Z|"durationMs": \d+|data-left="\d+"|"(correlationId|traceId)": "[^"]*"|<code>[0-9a-f]{32}</code>`)

func masked(a browser.Answer) string {
	text := fmt.Sprintf("%d %s %s\n%s", a.Status, a.Header.Get("Location"), a.Header.Get("Content-Type"), aside.ReplaceAllString(a.Body, "•"))
	for _, pattern := range mask.Patterns {
		text = pattern.ReplaceAllString(text, "•")
	}
	return text
}

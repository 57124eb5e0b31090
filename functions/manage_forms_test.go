package functions_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/html"

	"fhirlink/functions"
	"fhirlink/shared/credential"
	"fhirlink/shared/date"
	"fhirlink/shared/link"
	"fhirlink/shared/link/condition"
	"fhirlink/shared/notify/webhook"
)

// fieldNames are the accessible names of the form's fields and their keys, in their order.
var fieldNames = []string{
	"slug=Customized URL", "description=Description", "fhirServerUrl=FHIR Server URL", "clientId=Client ID", "clientSecret=Client Secret",
	"secretExpiresOn=Secret ends on", "contacts=E-mail contacts", "tenantId=Tenant ID", "audience=Audience", "listed=Show in the directory",
}

func TestAddForm(t *testing.T) {
	r := pagesRig(t)
	p := r.get(t, ada, "/api/manage/add").wantPage(t, 200, "Manage FHIR Server")
	var got []string
	for n := range p.one(t, "form", "class", "card").Descendants() {
		if n.Data != "input" && n.Data != "textarea" || attribute(n, "type") == "hidden" {
			continue
		}
		name := attribute(n, "name")
		if attribute(n, "id") != name {
			t.Errorf("%s has the id %s", name, attribute(n, "id"))
		}
		label := ""
		if labels := p.all("label", "for", name); len(labels) == 1 {
			label = text(labels[0])
			hint := p.all("p", "id", name+"-hint")
			if len(hint) != 1 || !strings.Contains(attribute(n, "aria-describedby"), name+"-hint") {
				t.Errorf("%s has no hint", name)
			}
		} else if n.Parent.Data == "label" {
			label = strings.TrimSpace(text(n.Parent))
		}
		got = append(got, name+"="+label)
	}
	if !slices.Equal(got, fieldNames) {
		t.Errorf("fields %q", got)
	}
	secret := p.one(t, "input", "name", "clientSecret")
	if attribute(secret, "type") != "password" || attribute(secret, "autocomplete") != "new-password" || attribute(p.one(t, "input", "name", "secretExpiresOn"), "type") != "date" {
		t.Error("the types of the fields are wrong")
	}
	form := p.one(t, "form", "class", "card")
	if attribute(form, "method") != "post" || attribute(form, "action") != "/api/manage/add" || !p.has("button", "Save") || !p.has("button", "Try without saving") || !p.has("summary", "I have no app registration yet") || !p.has("summary", "More") {
		t.Error("the form is another one")
	}
	if p.value(t, "contacts") != "ada@example.org" || r.get(t, joan, "/api/manage/add").value(t, "contacts") != "" {
		t.Error("the suggested contact is another one")
	}
	noMail := pagesRig(t, func(d *functions.Deps) { d.Mail = false }).get(t, ada, "/api/manage/add")
	if len(noMail.all("textarea", "name", "contacts")) != 0 || !strings.Contains(noMail.body, "has no mail server") {
		t.Error("contacts are asked for although there is no mail server")
	}
}

// TestInvitation: an invitation fills in the name and the description, never where the secret would be
// sent to.
func TestInvitation(t *testing.T) {
	r := pagesRig(t)
	p := r.get(t, ada, "/api/manage/add?slug=good-health-clinic&description=Good+%3CHealth%3E&fhirServerUrl=https://evil.example&tenantId="+orgB+"&audience=https://evil.example&clientId="+clientID+"&listed=1&contacts=evil@example.org&utm=1")
	p.wantPage(t, 200, "Manage FHIR Server")
	for name, want := range map[string]string{"slug": "good-health-clinic", "description": "Good <Health>", "fhirServerUrl": "", "tenantId": "", "audience": "", "clientId": "", "contacts": "ada@example.org", "clientSecret": ""} {
		if got := p.value(t, name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	if strings.Contains(p.body, "evil") || strings.Contains(p.body, `value="1" checked`) {
		t.Error("the page holds what an invitation must not set")
	}
	p = r.get(t, ada, "/api/manage/add?slug=a-clinic&description=A&clientSecret="+url.QueryEscape(clientSecret)+"&fhirServerUrl=x")
	p.wantSent(t, "/api/manage/add?description=A&dropped=1&slug=a-clinic")
	if p = r.get(t, ada, p.header.Get("Location")); !p.has("h2", "The address held a client secret") || !strings.Contains(p.body, "Make a new client secret") || p.value(t, "slug") != "a-clinic" {
		t.Error(p.body)
	}
}

// TestMakeAnInvitation: the page makes the address that the form takes.
func TestMakeAnInvitation(t *testing.T) {
	r := pagesRig(t)
	p := r.get(t, nobody, "/api/manage/about?slug=good-health-clinic&description=Good+%3CHealth%3E&language=de&lang=en")
	address := text(p.one(t, "pre"))
	if want := public + "/api/manage/add?description=Good+%3CHealth%3E&lang=de&slug=good-health-clinic"; address != want {
		t.Errorf("the address is %s, want %s", address, want)
	}
	add := r.get(t, ada, strings.TrimPrefix(address, public)).wantPage(t, 200, "FHIR-Server verwalten")
	if add.value(t, "slug") != "good-health-clinic" || add.value(t, "description") != "Good <Health>" || !strings.Contains(add.body, `<html lang="de">`) {
		t.Error(add.body)
	}
	if p = r.get(t, nobody, "/api/manage/about?slug=St.+Mary&description=St.+Mary"); len(p.all("pre")) != 0 || !strings.Contains(text(p.one(t, "div", "id", "slug-mistake")), "st-mary") || p.value(t, "slug") != "St. Mary" {
		t.Errorf("an invitation that the form refuses: %s", p.body)
	}
	if p = r.get(t, nobody, "/api/manage/about?slug=&description="); text(p.one(t, "pre")) != public+"/api/manage/add" {
		t.Error(p.body)
	}
	if p = r.get(t, nobody, "/api/manage/about"); len(p.all("pre")) != 0 {
		t.Error("an address without an invitation")
	}
	if guide := r.get(t, nobody, "/api/manage/guide"); guide.status != 200 || guide.header.Get("Content-Type") != "text/plain; charset=utf-8" || !strings.HasPrefix(guide.body, "# API guide") {
		t.Errorf("%d %v", guide.status, guide.header)
	}
}

// TestMistakesInTheForm: nothing that was typed is lost, except the secret, and each mistake can be
// reached from the summary.
func TestMistakesInTheForm(t *testing.T) {
	r := pagesRig(t)
	p := r.post(t, ada, "/api/manage/add", url.Values{"do": {"save"}}).wantPage(t, 422, "Manage FHIR Server")
	if !p.has("h2", "There are 5 problems") || !p.has("a", "Customized URL is empty.") || !p.has("a", "Client Secret is empty.") || strings.Contains(p.body, "is required") {
		t.Error(p.body)
	}
	typed := url.Values{
		"slug": {"Good Health!"}, "description": {"Ä <b>clinic</b>"}, "fhirServerUrl": {"http://192.0.2.1"}, "clientId": {"no guid"}, "clientSecret": {wrongSecret}, "secretExpiresOn": {"soon"},
		"contacts": {"nobody\nsomebody"}, "tenantId": {"no tenant"}, "audience": {"not an audience"}, "listed": {"1"},
	}
	for _, do := range []string{"save", "try"} {
		typed.Set("do", do)
		p = r.post(t, ada, "/api/manage/add", typed).wantPage(t, 422, "Manage FHIR Server")
		for name := range typed {
			if name == "do" || name == "listed" {
				continue
			}
			want := typed.Get(name)
			if name == "clientSecret" {
				want = ""
			}
			if got := p.value(t, name); got != want {
				t.Errorf("%s is %q, want %q", name, got, want)
			}
		}
		if attribute(p.one(t, "input", "name", "listed"), "checked") != "" || !strings.Contains(p.body, `value="1" checked`) {
			t.Error("the box is not checked any more")
		}
		summary := p.one(t, "div", "class", "errors")
		if attribute(summary, "tabindex") != "-1" || !strings.Contains(p.body, `tabindex="-1" autofocus`) || len(p.all("div", "role", "alert")) != 1 || !strings.HasPrefix(text(p.one(t, "h2")), "There are ") {
			t.Errorf("the summary is another one: %s", p.body)
		}
		links := 0
		for n := range summary.Descendants() {
			if n.Data != "a" {
				continue
			}
			links++
			id := strings.TrimPrefix(attribute(n, "href"), "#")
			var field *html.Node
			for _, name := range []string{"input", "textarea"} {
				for _, f := range p.all(name, "id", id) {
					field = f
				}
			}
			if field == nil {
				t.Errorf("the summary links to %s, which is no field", id)
				continue
			}
			if attribute(field, "aria-invalid") != "true" || !strings.Contains(attribute(field, "aria-describedby"), id+"-mistake") || len(p.all("div", "id", id+"-mistake")) != 1 {
				t.Errorf("%s does not say what is wrong with it", id)
			}
		}
		if links < 6 {
			t.Errorf("%d mistakes", links)
		}
		if !strings.Contains(p.body, "Enter the secret again") || !strings.Contains(p.body, "<details open>") {
			t.Error("the secret is not asked for again, or a mistake is hidden")
		}
	}
	if len(r.get(t, ada, "/api/manage/").all("tr")) != 0 {
		t.Error("something was saved")
	}
}

// TestVerdicts: what the page says after Save.
func TestVerdicts(t *testing.T) {
	r := pagesRig(t)
	r.post(t, ada, "/api/manage/add", linkForm("clinic", "clinic", clientSecret)).wantSent(t, "/api/manage/servers/clinic?done=linked")
	if p := r.get(t, ada, "/api/manage/servers/clinic?done=linked").wantPage(t, 200, "Clinic clinic"); !p.has("h2", "Clinic clinic is linked") {
		t.Error(p.body)
	}
	p := r.get(t, ada, "/api/manage/servers/clinic?done=%3Cb%3Ewords")
	if p.has("h2", "Clinic clinic is linked") || strings.Contains(p.body, "words") {
		t.Error("an address can say things")
	}
	for _, name := range []string{"Check now"} {
		if !p.has("button", name) {
			t.Errorf("no button %s", name)
		}
	}
	for _, name := range []string{"Replace secret", "Change", "Delete", "Download"} {
		if !p.has("a", name) {
			t.Errorf("no link %s", name)
		}
	}
	for _, heading := range []string{"Client secret", "Settings", "History"} {
		if !p.has("h2", heading) {
			t.Errorf("no section %s", heading)
		}
	}
	if !strings.Contains(p.body, "Holds no secret: safe to send to your vendor.") || !strings.Contains(p.body, "· linked · You") {
		t.Error(p.body)
	}

	r.post(t, ada, "/api/manage/add", linkForm("ward", "norole", clientSecret)).wantSent(t, "/api/manage/servers/ward?done=linked")
	p = r.get(t, ada, "/api/manage/servers/ward?done=linked").wantPage(t, 200, "Clinic ward")
	l, err := r.stores.Get(t.Context(), "ward")
	if err != nil {
		t.Fatal(err)
	}
	if !p.has("h2", "One step is left") || !p.has("a", "Refresh") || !strings.Contains(p.body, "az role assignment create") || !strings.Contains(p.body, "Object ID of the application:") ||
		!strings.Contains(p.body, `<time datetime="`+l.RecheckAt().UTC().Format(time.RFC3339)+`">`) || !strings.Contains(p.body, " UTC</time>") {
		t.Error(p.body)
	}
	if len(p.all("tr")) != 0 || !p.has("span", "Waiting for access") {
		t.Error("the badge is another one")
	}

	p = r.post(t, ada, "/api/manage/add", linkForm("broken", "html", clientSecret)).wantPage(t, 422, "Manage FHIR Server")
	if heading := text(p.one(t, "h2")); !strings.HasPrefix(heading, "Not linked yet: ") || !p.has("a", "Change the fields") || p.value(t, "slug") != "broken" {
		t.Errorf("%s %s", heading, p.body)
	}
	p = r.post(t, ada, "/api/manage/add", linkForm("broken", "clinic", wrongSecret)).wantPage(t, 422, "Manage FHIR Server")
	for _, a := range p.all("a", "class", "button") {
		if text(a) == "Change the fields" && attribute(a, "href") != "#clientSecret" {
			t.Errorf("the verdict on a wrong secret leads to %s", attribute(a, "href"))
		}
	}
	p = r.post(t, ada, "/api/manage/add", linkForm("down", "down", clientSecret)).wantPage(t, 503, "Manage FHIR Server")
	if !p.has("h2", "Your server could not be checked just now") || p.header.Get("Retry-After") == "" || !strings.Contains(p.body, "Try again in ") {
		t.Error(p.body)
	}

	if p.has("a", "Change the fields") {
		t.Error("what passes by itself asks for a change")
	}

	for scenario, verdict := range map[string]string{"clinic": "Every check passed.", "html": "This check failed: ", "fhir-403-rbac": "Only the role is missing"} {
		form := linkForm("rehearsed", scenario, clientSecret)
		form.Set("do", "try")
		p = r.post(t, ada, "/api/manage/add", form).wantPage(t, 200, "Manage FHIR Server")
		if !p.has("h2", "Nothing was saved.") || !strings.Contains(p.body, verdict) || p.value(t, "slug") != "rehearsed" || len(p.all("li", "class", "check good")) == 0 || p.has("a", "Save now") != (scenario != "html") || p.has("a", "Change the fields") != (scenario == "html") {
			t.Errorf("%s: %s", scenario, p.body)
		}
	}
	for _, do := range []string{"save", "try"} {
		form := linkForm("rehearsed", "clinic", wrongSecret)
		form.Set("do", do)
		if p = r.post(t, ada, "/api/manage/add", form); !p.has("a", "Change the fields") || len(p.all("a", "href", "#clientSecret")) != 1 {
			t.Errorf("%s does not lead to the field: %s", do, p.body)
		}
	}
	if _, err := r.stores.Get(t.Context(), "rehearsed"); err == nil {
		t.Error("a rehearsal was saved")
	}

	hidden := linkForm("rehearsed", "tenant-unknown", clientSecret)
	hidden.Set("do", "try")
	if p = r.post(t, ada, "/api/manage/add", hidden).wantPage(t, 200, "Manage FHIR Server"); len(p.all("a", "href", "#tenantId")) != 1 || !strings.Contains(p.body, "<details open>") {
		t.Errorf("the verdict leads to a field that is hidden: %s", p.body)
	}
	german := r.post(t, ada, "/api/manage/add?lang=de", linkForm("broken", "clinic", wrongSecret))
	if german.status != 422 || !german.has("h2", "Noch nicht verknüpft: Zugriffstoken von Microsoft Entra") || !german.has("strong", "Leserecht") {
		t.Error(german.body)
	}
	waited := r.get(t, ada, "/api/manage/servers/clinic?done=waited")
	if !waited.has("h2", "Clinic clinic is linked") || strings.Contains(waited.body, "autofocus") {
		t.Errorf("a server that has become active: %s", waited.body)
	}
	if waited = r.get(t, ada, "/api/manage/servers/ward?done=waited"); waited.has("h2", "Clinic ward is linked") {
		t.Errorf("a server that still waits: %s", waited.body)
	}

	// A double click, and somebody else's slug.
	for _, do := range []string{"save", "try"} {
		form := linkForm("clinic", "clinic", clientSecret)
		form.Set("do", do)
		p = r.post(t, ada, "/api/manage/add", form).wantPage(t, 409, "Manage FHIR Server")
		if !p.has("h2", "You have linked this already") || len(p.all("a", "href", "/api/manage/servers/clinic")) != 1 {
			t.Errorf("%s: %s", do, p.body)
		}
		p = r.post(t, grace, "/api/manage/add", form).wantPage(t, 409, "Manage FHIR Server")
		if p.has("h2", "You have linked this already") || len(p.all("a", "href", "/api/manage/servers/clinic")) != 0 || !strings.Contains(p.body, "#slug") {
			t.Errorf("%s of another: %s", do, p.body)
		}
	}

	r.post(t, ada, "/api/manage/servers/ward", url.Values{"do": {"check"}}).wantSent(t, "/api/manage/servers/ward?done=checked")
	if p = r.get(t, ada, "/api/manage/servers/ward?done=checked"); !p.has("h2", "The server was checked.") {
		t.Error(p.body)
	}
	report := r.get(t, ada, "/api/manage/servers/ward/report.json")
	if report.header.Get("Content-Type") != jsonType || report.header.Get("Content-Disposition") != `attachment; filename="report.json"` || report.field(t, "slug") != "ward" {
		t.Errorf("%v %s", report.header, report.body)
	}
}

// TestChange: edit, secret and delete, their mistakes, and what somebody else has changed meanwhile.
func TestChange(t *testing.T) {
	r := pagesRig(t)
	r.register(t, orgA, "clinic")
	const server = "/api/manage/servers/clinic"
	form := func(below string) url.Values {
		p := r.get(t, ada, server+"/"+below)
		values := url.Values{"do": {"save"}}
		for _, n := range append(p.all("input"), p.all("textarea")...) {
			if name := attribute(n, "name"); name != "" && (attribute(n, "type") != "checkbox" || strings.Contains(p.body, `value="1" checked `)) {
				values.Set(name, p.value(t, name))
			}
		}
		return values
	}
	edit := form("edit")
	if edit.Get("listed") != "1" || edit.Get("fhirServerUrl") != "https://clinic.fhir.sandbox.test" || edit.Get("clientSecret") != "" {
		t.Fatalf("%v", edit)
	}
	r.post(t, ada, server+"/edit", edit).wantSent(t, server+"?done=saved") // nothing differs
	edit.Set("description", "Another name")
	edit.Del("listed")
	edit.Set("contacts", "ada@example.org\r\ngrace@example.org")
	r.post(t, ada, server+"/edit", edit).wantSent(t, server+"?done=saved")
	l, err := r.stores.Get(t.Context(), "clinic")
	if err != nil || l.Description != "Another name" || l.Listed || !slices.Equal(l.Contacts, []string{"ada@example.org", "grace@example.org"}) {
		t.Errorf("%+v, %v", l, err)
	}

	for _, tag := range []string{edit.Get("etag"), "*", "", `"x", *`} { // stale, or none
		edit.Set("etag", tag)
		edit.Set("description", "Mine")
		p := r.post(t, ada, server+"/edit", edit).wantPage(t, 409, "Change Another name")
		cells := p.all("td")
		if !p.has("h2", "Somebody changed this server meanwhile") || !p.has("a", "Keep theirs") || !p.has("button", "Save mine") || len(cells) != 2 || text(cells[0]) != "Another name" || text(cells[1]) != "Mine" {
			t.Errorf("etag %q: %s", tag, p.body)
		}
		if p.value(t, "description") != "Mine" || p.value(t, "etag") != l.ETag() {
			t.Errorf("etag %q: the form does not save mine", tag)
		}
	}
	edit.Set("fhirServerUrl", "https://CLINIC.fhir.sandbox.test/metadata")
	if p := r.post(t, ada, server+"/edit", edit).wantPage(t, 409, "Change Another name"); len(p.all("td")) != 2 {
		t.Errorf("the URL as it was pasted counts as another one: %s", p.body)
	}
	mine := form("edit")
	mine.Set("fhirServerUrl", "https://CLINIC.fhir.sandbox.test/metadata")
	mine.Set("description", "Mine")
	r.post(t, ada, server+"/edit", mine).wantSent(t, server+"?done=saved")

	part := url.Values{"clientId": {"33333333-3333-4333-8333-333333333333"}, "etag": form("edit")["etag"]}
	if p := r.post(t, ada, server+"/edit", part).wantPage(t, 422, "Change Mine"); strings.Contains(text(p.one(t, "div", "id", "clientSecret-mistake")), "Audience") {
		t.Errorf("a field that was not sent counts as changed: %s", p.body)
	}
	other := form("edit")
	other.Set("fhirServerUrl", "https://readonly.fhir.sandbox.test")
	p := r.post(t, ada, server+"/edit", other).wantPage(t, 422, "Change Mine")
	if len(p.all("a", "href", "#clientSecret")) != 1 || !strings.Contains(text(p.one(t, "div", "id", "clientSecret-mistake")), "FHIR Server URL") || p.value(t, "fhirServerUrl") != "https://readonly.fhir.sandbox.test" {
		t.Error(p.body)
	}
	other.Set("clientSecret", wrongSecret)
	p = r.post(t, ada, server+"/edit", other).wantPage(t, 422, "Change Mine")
	if !strings.HasPrefix(text(p.one(t, "h2")), "Nothing was changed: ") || p.value(t, "clientSecret") != "" || !strings.Contains(p.body, "Enter the secret again") {
		t.Error(p.body)
	}
	other.Set("clientSecret", clientSecret)
	r.post(t, ada, server+"/edit", other).wantSent(t, server+"?done=saved")

	if p = r.get(t, ada, server+"/secret").wantPage(t, 200, "Replace client secret"); !strings.Contains(p.body, "The old secret goes on working until the new one has passed.") {
		t.Error(p.body)
	}
	secret := form("secret")
	p = r.post(t, ada, server+"/secret", secret).wantPage(t, 422, "Replace client secret")
	if len(p.all("a", "href", "#clientSecret")) != 1 {
		t.Error(p.body)
	}
	secret.Set("clientSecret", clientSecret)
	secret.Set("secretExpiresOn", inDays(500))
	r.entra.Before = func(w http.ResponseWriter, _ *http.Request) bool { w.WriteHeader(http.StatusBadGateway); return true }
	p = r.post(t, ada, server+"/secret", secret).wantPage(t, 503, "Replace client secret")
	if p.has("a", "Change the fields") || !p.has("p", "Try again in 30 seconds.") || !strings.Contains(p.body, `<div class="note warning" role="status"><h2 tabindex="-1" autofocus>Nothing was changed`) { // none of this page is wrong
		t.Error(p.body)
	}
	r.entra.Before = nil
	r.post(t, ada, server+"/secret", secret).wantSent(t, server+"?done=replaced")
	secret.Set("secretExpiresOn", inDays(600))
	p = r.post(t, ada, server+"/secret", secret).wantPage(t, 409, "Replace client secret")
	cells := p.all("td")
	if !p.has("h2", "Somebody changed this server meanwhile") || !p.has("a", "Keep theirs") || !p.has("button", "Save mine") || len(cells) != 2 || text(cells[0]) != inDays(500) || text(cells[1]) != inDays(600) {
		t.Error(p.body)
	}

	p = r.get(t, ada, server+"/delete").wantPage(t, 200, "Delete Mine?")
	if !strings.Contains(text(p.one(t, "label", "for", "slug")), "clinic") {
		t.Error(p.body)
	}
	gone := form("delete")
	for _, typed := range []string{"", "clinics", "Clinic", "Mine"} {
		gone.Set("slug", typed)
		p = r.post(t, ada, server+"/delete", gone).wantPage(t, 422, "Delete Mine?")
		if len(p.all("a", "href", "#slug")) != 1 || p.value(t, "slug") != typed {
			t.Errorf("%q: %s", typed, p.body)
		}
	}
	gone.Set("slug", " clinic ")
	for _, tag := range []string{`"stale"`, "*", ""} {
		tagged := url.Values{"slug": {"clinic"}, "etag": {tag}}
		p = r.post(t, ada, server+"/delete", tagged).wantPage(t, 409, "Delete Mine?")
		if !p.has("h2", "Somebody changed this server meanwhile") || !p.has("a", "Keep theirs") || p.value(t, "slug") != "clinic" {
			t.Error(p.body)
		}
	}
	r.post(t, ada, server+"/delete", gone).wantSent(t, "/api/manage/?done=deleted")
	if p = r.get(t, ada, "/api/manage/?done=deleted"); !p.has("h2", "The server was deleted.") {
		t.Error(p.body)
	}
	r.get(t, ada, server).wantPage(t, 404, "There is no such FHIR server")
}

func TestCertificatePages(t *testing.T) {
	r := pagesRig(t)
	r.register(t, orgA, "clinic")
	r.change(t, "clinic", func(l *link.Link) { l.Secret.Kind = credential.KindCertificate })
	if p := r.get(t, ada, "/api/manage/servers/clinic"); !p.has("a", "Replace certificate") || p.has("a", "Replace secret") {
		t.Error(p.body)
	}
	if p := r.get(t, ada, "/api/manage/servers/clinic"); !p.has("h2", "Certificate") || p.has("h2", "Client secret") {
		t.Error(p.body)
	}
	for below, want := range map[string]string{"secret": "The old certificate goes on working", "delete": "The certificate is deleted here."} {
		if p := r.get(t, ada, "/api/manage/servers/clinic/"+below); !strings.Contains(p.body, want) {
			t.Errorf("%s: %s", below, p.body)
		}
	}
	p := r.get(t, ada, "/api/manage/servers/clinic/secret").wantPage(t, 200, "Replace certificate")
	if len(p.all("textarea", "name", "clientCertificate")) != 1 || len(p.all("input", "name", "clientSecret")) != 0 {
		t.Error(p.body)
	}
	typed := url.Values{"clientCertificate": {wrongSecret}, "etag": {p.value(t, "etag")}}
	p = r.post(t, ada, "/api/manage/servers/clinic/secret", typed).wantPage(t, 422, "Replace certificate")
	if p.value(t, "clientCertificate") != "" || !strings.Contains(p.body, "Paste certificate and key again") || len(p.all("a", "href", "#clientCertificate")) != 1 {
		t.Error(p.body)
	}
}

// TestDateAddedLater: once the date is there, nothing says any more that it is not known.
func TestDateAddedLater(t *testing.T) {
	r := pagesRig(t)
	form := linkForm("clinic", "clinic", clientSecret)
	form.Del("secretExpiresOn")
	const server = "/api/manage/servers/clinic"
	r.post(t, ada, "/api/manage/add", form).wantSent(t, server+"?done=linked")
	const unknown = "It is not known when the client secret expires"
	if p := r.get(t, ada, server); !strings.Contains(p.body, unknown) || !p.has("a", "Add the date") {
		t.Error(p.body)
	}
	dated := url.Values{"etag": {r.get(t, ada, server+"/edit").value(t, "etag")}, "secretExpiresOn": {inDays(200)}}
	r.post(t, ada, server+"/edit", dated).wantSent(t, server+"?done=saved")
	for _, target := range []string{server, server + "/report.json", "/api/manage/"} {
		if p := r.get(t, ada, target); p.status != 200 || strings.Contains(p.body, unknown) {
			t.Errorf("%s: %s", target, p.body)
		}
	}
}

// TestHistory: who did what, and the older events behind "Show more".
func TestHistory(t *testing.T) {
	r := pagesRig(t)
	r.register(t, orgA, "clinic") // by an application
	for range 21 {
		r.post(t, ada, "/api/manage/servers/clinic", url.Values{"do": {"check"}}).wantSent(t, "/api/manage/servers/clinic?done=checked")
	}
	p := r.get(t, ada, "/api/manage/servers/clinic")
	if n := len(historyOf(p)); n != 20 {
		t.Errorf("%d events", n)
	}
	var more string
	for _, a := range p.all("a") {
		if text(a) == "Show more" {
			more = attribute(a, "href")
		}
	}
	p = r.get(t, ada, strings.TrimSuffix(more, "#history"))
	older := historyOf(p)
	if len(older) == 0 || !strings.Contains(older[len(older)-1], "linked · an application (") || strings.Contains(p.body, "Show more") {
		t.Errorf("%q behind %s", older, more)
	}
	if older = historyOf(r.get(t, joan, strings.TrimSuffix(more, "#history"))); !strings.Contains(older[len(older)-1], "linked · these pages") {
		t.Errorf("by the pages' own client id: %q", older)
	}
	if by := historyOf(r.get(t, joan, "/api/manage/servers/clinic")); !strings.Contains(by[0], "checked · a user (object id "+known[ada].ObjectID+")") {
		t.Errorf("for another person: %q", by[0])
	}
	r.post(t, ada, "/api/manage/servers/clinic/secret", url.Values{"clientSecret": {wrongSecret}, "etag": {r.get(t, ada, "/api/manage/servers/clinic/secret").value(t, "etag")}}).wantPage(t, 422, "Replace client secret")
	if last := historyOf(r.get(t, ada, "/api/manage/servers/clinic"))[0]; !strings.HasSuffix(last, "secret replaced · You · did not succeed (verification_failed)") {
		t.Errorf("a change that failed: %q", last)
	}
	if p = r.get(t, ada, "/api/manage/servers/clinic?from=nonsense"); p.status >= 500 {
		t.Errorf("an address that nobody made: %d", p.status)
	}
}

// TestSecretThatEnds: the page of a server says what to do about its secret.
func TestSecretThatEnds(t *testing.T) {
	r := pagesRig(t)
	r.register(t, orgA, "clinic")
	today := date.Of(time.Now())
	for days, heading := range map[int]string{-1: "The client secret has ended", 0: "Replace the client secret soon", 30: "Replace the client secret soon", 31: ""} {
		r.change(t, "clinic", func(l *link.Link) { l.Secret.ExpiresOn = today.AddDays(days) })
		p := r.get(t, ada, "/api/manage/servers/clinic")
		if heading == "" {
			if strings.TrimSpace(text(p.one(t, "div", "id", "status"))) != "" {
				t.Errorf("%d days: %s", days, p.body)
			}
			continue
		}
		if len(p.all("div", "role", "status")) != 0 { // the region around the notices is live as a whole
			t.Errorf("%d days: a notice is told twice: %s", days, p.body)
		}
		if !p.has("h2", heading) || len(p.all("a", "href", "/api/manage/servers/clinic/secret")) != 2 {
			t.Errorf("%d days: %s", days, p.body)
		}
	}
	r.change(t, "clinic", func(l *link.Link) {
		l.Secret.ExpiresOn, l.Secret.FellBackAt, l.Secret.PreviousUntil = today.AddDays(300), time.Now(), time.Now().Add(time.Hour)
	})
	if p := r.get(t, ada, "/api/manage/servers/clinic"); !p.has("h2", "Replace the client secret soon") || !strings.Contains(p.body, "The previous one stands in until") {
		t.Error(p.body)
	}
	r.change(t, "clinic", func(l *link.Link) { l.Secret.ExpiresOn, l.Secret.FellBackAt = date.Date{}, time.Time{} })
	if p := r.get(t, ada, "/api/manage/servers/clinic"); !p.has("a", "Add the date") {
		t.Error(p.body)
	}
}

func historyOf(p page) (all []string) {
	for _, list := range p.all("ul", "class", "history") {
		for n := range list.ChildNodes() {
			if n.Data == "li" {
				all = append(all, text(n))
			}
		}
	}
	return all
}

// hostile are texts that must be shown as they are. The tests of mail use them too.
var hostile = readHostile()

func readHostile() (texts []string) {
	data, err := os.ReadFile("testdata/hostile.json")
	if err == nil {
		err = json.Unmarshal(data, &texts)
	}
	if err != nil {
		panic(err)
	}
	return texts
}

// TestHostileTexts: HTML in a stored text is shown as text, on every page and in the CSV.
func TestHostileTexts(t *testing.T) {
	if len(hostile) < 50 {
		t.Fatalf("%d texts", len(hostile))
	}
	r := pagesRig(t)
	r.register(t, orgA, "clinic")
	hook, _, err := r.deps.Webhooks.Create(t.Context(), orgA, webhook.NewEndpoint{URL: "https://hooks.example.org/", Description: "x"})
	if err != nil {
		t.Fatal(err)
	}
	pages := []string{
		"/api/manage/", "/api/manage/servers/clinic", "/api/manage/servers/clinic/edit", "/api/manage/servers/clinic/secret", "/api/manage/servers/clinic/delete", "/api/manage/notifications",
	}
	shapes := map[string]string{}
	for i, evil := range append([]string{"harmless"}, hostile...) {
		r.change(t, "clinic", func(l *link.Link) {
			l.Description, l.FHIRServerURL, l.ClientID, l.TenantID, l.Audience, l.Contacts = evil, evil, evil, evil, evil, []string{evil}
			l.Health, l.Problem = condition.Broken, &condition.Problem{Check: evil, Code: evil, Message: evil, Fix: evil, Command: evil}
		})
		if _, err := r.deps.Webhooks.Change(t.Context(), orgA, hook.ID, webhook.Patch{Description: &evil}); err != nil {
			t.Logf("a webhook refuses the description %q: %v", evil, err)
		}
		for _, target := range pages {
			p := r.get(t, ada, target)
			if p.status != 200 {
				t.Fatalf("%s with %q: %d %s", target, evil, p.status, p.body)
			}
			if i == 0 {
				shapes[target] = skeleton(p.doc)
				continue
			}
			if got := skeleton(p.doc); got != shapes[target] && !strings.Contains(evil, "\n") {
				t.Errorf("%s with %q has other elements:\n%s\n%s", target, evil, got, shapes[target])
			}
			if target != "/api/manage/notifications" && !strings.Contains(everyText(p.doc), evil) {
				t.Errorf("%s does not show %q", target, evil)
			}
		}
		want := evil
		if strings.ContainsRune("=+-@", rune(evil[0])) {
			want = "'" + evil
		}
		if rows := rowsOf(t, r.get(t, ada, "/api/manage/servers.csv").body); rows[1][1] != want || rows[1][6] != want {
			t.Errorf("the CSV holds %q for %q", rows[1], evil)
		}
	}
	for _, evil := range hostile { // typed, which the history remembers
		for _, target := range []string{"/api/manage/add", "/api/manage/scopes", "/api/manage/notifications", "/api/manage/servers/clinic/edit", "/api/manage/servers/clinic/secret", "/api/manage/servers/clinic/delete"} {
			form := url.Values{"do": {"add"}, "etag": {evil}, "listed": {evil}}
			for _, name := range []string{"slug", "description", "fhirServerUrl", "clientId", "secretExpiresOn", "contacts", "tenantId", "audience", "scope", "direction", "dialect", "separator", "resource", "url", "id"} {
				form.Set(name, evil)
			}
			if p := r.post(t, ada, target, form); p.status >= 500 || p.status == 200 && target != "/api/manage/scopes" && target != "/api/manage/notifications" {
				t.Errorf("%s with %q: %d %s", target, evil, p.status, p.body)
			}
		}
		for _, query := range []string{"/api/manage/?q=", "/api/manage/?status=", "/api/manage/?sort=", "/api/manage/?done=", "/api/manage/add?slug=", "/api/manage/add?description=", "/api/manage/scopes?scope=", "/api/manage/servers/clinic?from="} {
			if p := r.get(t, ada, query+url.QueryEscape(evil)); p.status >= 500 {
				t.Errorf("%s%q: %d", query, evil, p.status)
			}
		}
	}
}

// skeleton is a page's elements and their attributes' names.
func skeleton(doc *html.Node) string {
	var b strings.Builder
	for n := range doc.Descendants() {
		if n.Type == html.ElementNode {
			b.WriteString("<" + n.Data)
			for _, a := range n.Attr {
				b.WriteString(" " + a.Key)
			}
		} else if n.Type == html.CommentNode {
			b.WriteString("<!--")
		}
	}
	return b.String()
}

// everyText is all text of a page, that of fields too.
func everyText(doc *html.Node) string {
	var b strings.Builder
	for n := range doc.Descendants() {
		if n.Type == html.TextNode {
			b.WriteString(n.Data + "\x00")
		}
		b.WriteString(attribute(n, "value") + "\x00")
	}
	return b.String()
}

// TestWebhookPage: add, test, switch, new key, delete.
func TestWebhookPage(t *testing.T) {
	const target = "/api/manage/notifications"
	r := pagesRig(t)
	p := r.post(t, ada, target, url.Values{"do": {"add"}, "url": {"http://plain.example"}, "description": {"typed"}}).wantPage(t, 422, "Notifications")
	if p.value(t, "url") != "http://plain.example" || p.value(t, "description") != "typed" || len(p.all("a", "href", "#url")) != 1 {
		t.Error(p.body)
	}
	p = r.post(t, ada, target, url.Values{"do": {"add"}, "url": {"https://hooks.example.org/"}, "description": {"Our ITSM"}}).wantPage(t, 200, "Notifications")
	key := text(p.one(t, "pre"))
	if !strings.HasPrefix(key, "whsec_") || !p.has("h2", "The signing key, shown once") || !p.has("h2", "Our ITSM") {
		t.Fatal(p.body)
	}
	id := p.value(t, "id")
	if again := r.get(t, ada, target); strings.Contains(again.body, "whsec_") || !strings.Contains(again.body, "Nothing was delivered yet.") {
		t.Error("the key is shown twice")
	}
	r.post(t, ada, target, url.Values{"do": {"test"}, "id": {id}}).wantSent(t, target+"?done=missed")
	if p = r.get(t, ada, target+"?done=missed"); !p.has("h2", "The test did not arrive") || strings.Contains(p.body, "Nothing was delivered yet.") || !strings.Contains(p.body, "hooks.example.org") {
		t.Error(p.body)
	}
	r.post(t, ada, target, url.Values{"do": {"switch"}, "id": {id}, "enabled": {"0"}}).wantSent(t, target+"?done=saved")
	if p = r.get(t, ada, target); !p.has("button", "Switch on") {
		t.Error(p.body)
	}
	if p = r.post(t, ada, target, url.Values{"do": {"rotate"}, "id": {id}}); p.status != 200 || text(p.one(t, "pre")) == key {
		t.Error(p.body)
	}
	for _, do := range []string{"test", "switch", "rotate", "delete"} {
		p = r.post(t, grace, target, url.Values{"do": {do}, "id": {id}}).wantPage(t, 404, "Notifications")
		if !p.has("h2", "There is no such webhook") || strings.Contains(p.body, "GET /api") {
			t.Errorf("another's webhook: %s gave %s", do, p.body)
		}
	}
	r.post(t, ada, target, url.Values{"do": {"dance"}, "id": {id}}).wantPage(t, 400, "The form cannot be read")
	r.post(t, ada, target, url.Values{"do": {"delete"}, "id": {id}}).wantSent(t, target+"?done=removed")
}

// FuzzPageForms: no form makes a 500, whoever sends whatever, and no answer holds what html must not.
func FuzzPageForms(f *testing.F) {
	for i := range append(slices.Clone(formPages), "/api/manage/scopes") {
		f.Add(uint8(i), "slug", hostile[i], "description", hostile[i+10], "do=save")
	}
	f.Add(uint8(1), "etag", "*", "for", "x", "%%%;&&=")
	f.Add(uint8(6), "scope", "patient/Observation.rs?a=\x00", "separator", "\\", "direction=decode&dialect=ahds")
	r := pagesRig(f)
	if _, err := r.deps.Links.Register(f.Context(), orgA, registrationFor("clinic")); err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, where uint8, name, value, name2, value2, raw string) {
		targets := append(slices.Clone(formPages), "/api/manage/scopes")
		form := url.Values{name: {value}, name2: {value2}}
		if p := r.post(t, ada, targets[int(where)%len(targets)], form); p.status >= 500 && p.status != http.StatusServiceUnavailable {
			t.Errorf("%v: %d", form, p.status)
		}
		if p := r.visit(t, ada, http.MethodPost, targets[int(where)%len(targets)], raw, "Content-Type", formType); p.status >= 500 {
			t.Errorf("%q: %d", raw, p.status)
		}
		query := fmt.Sprintf("?%s=%s", url.QueryEscape(name), url.QueryEscape(value))
		for _, page := range []string{"/api/manage/", "/api/manage/add", "/api/manage/scopes", "/api/manage/servers/clinic"} {
			if p := r.get(t, ada, page+query); p.status >= 500 {
				t.Errorf("%s%s: %d", page, query, p.status)
			}
		}
	})
}

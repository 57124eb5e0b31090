package functions_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"os"
	"strings"
	"testing"

	"golang.org/x/net/html"
)

func vectors[T any](t *testing.T, name string) (all []T) {
	t.Helper()
	data, err := os.ReadFile("../shared/smart/testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(data, &all); err != nil || len(all) == 0 {
		t.Fatalf("%s: %d vectors, %v", name, len(all), err)
	}
	return all
}

func (r *rig) translated(t *testing.T, form url.Values) page {
	t.Helper()
	return r.visit(t, nobody, http.MethodPost, "/api/manage/scopes", form.Encode(), "Content-Type", formType)
}

// cellsOf are the cells of the table's rows.
func cellsOf(p page) (rows [][]*html.Node) {
	for _, body := range p.all("tbody")[:1] {
		for tr := range body.ChildNodes() {
			if tr.Data != "tr" {
				continue
			}
			var cells []*html.Node
			for td := range tr.ChildNodes() {
				if td.Data == "td" {
					cells = append(cells, td)
				}
			}
			rows = append(rows, cells)
		}
	}
	return rows
}

// TestScopesPageTranslatesTheVectors: each vector there and back. The text of a cell is the scope, no
// more and no less.
func TestScopesPageTranslatesTheVectors(t *testing.T) {
	type scope struct {
		Scope, Firely, Tilde, AHDS, FHIRServerProxy string
		Reasons                                     []string
	}
	r := pagesRig(t)
	checked := 0
	for _, v := range vectors[scope](t, "scopes.json") {
		for dialect, there := range map[string]string{"firely": v.Firely, "": v.Firely, "ahds": v.AHDS, "fhir-server-proxy": v.FHIRServerProxy, "~": v.Tilde} {
			if there == "" {
				continue
			}
			form := url.Values{"dialect": {dialect}, "direction": {"encode"}, "scope": {v.Scope}}
			if dialect == "~" {
				form.Set("dialect", "firely")
				form.Set("separator", "~")
			}
			for _, direction := range []string{"encode", "decode"} {
				if direction == "decode" {
					form.Set("direction", "decode")
					form.Set("scope", there)
				}
				p := r.translated(t, form)
				rows := cellsOf(p)
				if p.status != 200 || len(rows) != 1 {
					t.Fatalf("%v: %d %s", form, p.status, p.body)
				}
				smart, entra := text(rows[0][0]), text(rows[0][1])
				if smart != v.Scope || entra != there {
					t.Errorf("%v: %q and %q, want %q and %q", form, smart, entra, v.Scope, there)
				}
				if !strings.Contains(text(rows[0][3]), "Reads back unchanged") {
					t.Errorf("%v does not read back unchanged: %s", form, text(rows[0][3]))
				}
				if p.value(t, "scope") != form.Get("scope") {
					t.Errorf("the form lost %q", form.Get("scope"))
				}
				checked++
			}
		}
	}
	t.Logf("%d translations", checked)

	type value struct{ Value, Scope, Resource, Error string }
	for _, v := range vectors[value](t, "values.json") {
		form := url.Values{"direction": {"decode"}, "scope": {v.Value}, "resource": {v.Resource}}
		p := r.translated(t, form)
		rows := cellsOf(p)
		switch {
		case v.Error == "" && (text(rows[0][0]) != v.Scope || text(rows[0][1]) != v.Value):
			t.Errorf("%+v: %q and %q", v, text(rows[0][0]), text(rows[0][1]))
		case v.Error != "" && !strings.Contains(text(rows[0][3]), "cannot be carried without loss"):
			t.Errorf("%+v: %s", v, text(rows[0][3]))
		}
	}
}

func TestScopesPage(t *testing.T) {
	r := pagesRig(t)
	p := r.get(t, nobody, "/api/manage/scopes").wantPage(t, 200, "SMART scopes on Entra")
	for name, label := range map[string]string{"scope": "Scopes", "direction": "Direction", "dialect": "For", "separator": "Separator", "resource": "Resource"} {
		if text(p.one(t, "label", "for", name)) != label {
			t.Errorf("%s is called %q", name, text(p.one(t, "label", "for", name)))
		}
	}
	if p.has("th", "In Entra") || p.has("button", "Download for Entra") {
		t.Error("there is a result already")
	}
	long := "patient/Observation.rs?category=" + strings.Repeat("x", 120)
	p = r.translated(t, url.Values{"scope": {"patient/Observation.rs?_id=A-B openid\n" + long}, "do": {"compare"}})
	for _, heading := range []string{"SMART scope", "In Entra", "Length", "Verdict"} {
		if !p.has("th", heading) {
			t.Errorf("no column %s", heading)
		}
	}
	rows := cellsOf(p)
	if len(rows) != 3 || text(rows[0][1]) != `patient-Observation.rs?_id=A\-B` || !strings.Contains(text(rows[2][2]), "152 / 120") || len(p.all("meter")) != 3 {
		t.Error(p.body)
	}
	marks := ""
	for n := range rows[0][1].Descendants() {
		if n.Data == "mark" {
			marks += text(n)
		}
	}
	if marks != `\` {
		t.Errorf("marked are %q", marks)
	}
	if !p.has("h2", "The dialects") || !p.has("h3", "Setting of Firely Server") || !p.has("button", "Download for Entra") {
		t.Error(p.body)
	}
	var href string
	for _, a := range p.all("a") {
		if text(a) == "Link to this form" {
			href = attribute(a, "href")
		}
	}
	if again := r.get(t, nobody, href); again.value(t, "scope") != p.value(t, "scope") || len(again.all("table")) != 0 {
		t.Errorf("the link %s does not fill in the form", href)
	}
	p = r.translated(t, url.Values{"scope": {strings.Repeat("patient/Observation.rs?x=1 user/*.r?y=2 ", 60)}})
	if strings.Contains(p.body, "/api/manage/scopes?dialect") || p.has("a", "Link to this form") {
		t.Error("a link of 2,000 bytes or more")
	}
	file := r.translated(t, url.Values{"scope": {"patient/Observation.rs"}, "do": {"download"}})
	if file.header.Get("Content-Type") != jsonType || file.header.Get("Content-Disposition") != `attachment; filename="permissions.json"` || !strings.Contains(file.body, `"patient-Observation.rs"`) || !strings.Contains(file.body, "oauth2PermissionScopes") {
		t.Errorf("%v %s", file.header, file.body)
	}
	for _, c := range []struct {
		form  url.Values
		field string
	}{
		{url.Values{"scope": {" \n"}}, "scope"},
		{url.Values{"scope": {"openid"}, "dialect": {"none"}}, "dialect"},
		{url.Values{"scope": {"openid"}, "separator": {"ab"}}, "separator"},
		{url.Values{"scope": {"openid"}, "separator": {"~"}, "dialect": {"ahds"}}, "separator"},
		{url.Values{"scope": {"openid"}, "resource": {"a b"}}, "resource"},
	} {
		p := r.translated(t, c.form).wantPage(t, 422, "SMART scopes on Entra")
		if len(p.all("a", "href", "#"+c.field)) != 1 {
			t.Errorf("%v: %s", c.form, p.body)
		}
	}
	p = r.translated(t, url.Values{"scope": {"patient/Observation.rs\x00 openid"}})
	if p.status != 200 || !strings.Contains(p.body, "cannot be carried without loss") {
		t.Errorf("%d %s", p.status, p.body)
	}
}

package browser_test

import (
	"html"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"fhirlink/shared/entra/entratest"
	"fhirlink/shared/entra/entratest/browser"
)

const (
	address  = "http://127.0.0.1:7072"
	public   = "http://localhost:7071"
	clientID = "99999999-9999-4999-8999-999999999999"
)

// visitor is a browser at the site.
type visitor struct {
	t       *testing.T
	site    *browser.Site
	cookies map[string]*http.Cookie
}

func newVisitor(t *testing.T) *visitor {
	authority := entratest.New(entratest.Tenant{ID: browser.Clinic})
	authority.URL = "https://login.sandbox.test/"
	return &visitor{t, browser.New(authority, address, public, clientID), map[string]*http.Cookie{}}
}

func (v *visitor) visit(method, target, body string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, address+target, strings.NewReader(body))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	for _, c := range v.cookies {
		r.AddCookie(c)
	}
	w := httptest.NewRecorder()
	v.site.ServeHTTP(w, r)
	for _, c := range w.Result().Cookies() {
		if c.MaxAge < 0 {
			delete(v.cookies, c.Name)
		} else {
			v.cookies[c.Name] = c
		}
	}
	return w
}

// authorize returns the path of a request of ours, with changes; "" leaves a parameter out.
func authorize(tenant string, changes map[string]string) string {
	query := url.Values{
		"client_id": {clientID}, "redirect_uri": {public + "/api/manage/signed-in"}, "response_type": {"id_token"}, "response_mode": {"form_post"},
		"scope": {"openid profile"}, "nonce": {"n-1"}, "state": {"s-1"},
	}
	for name, value := range changes {
		query.Set(name, value)
		if value == "" {
			query.Del(name)
		}
	}
	return "/" + tenant + "/oauth2/v2.0/authorize?" + query.Encode()
}

var (
	hidden = regexp.MustCompile(`<input type="hidden" name="([^"]*)" value="([^"]*)">`)
	action = regexp.MustCompile(`<form method="post" action="([^"]*)"`)
)

// sent returns where a page sends the browser back to, and with what.
func sent(page string) (to string, form url.Values) {
	if m := action.FindStringSubmatch(page); m != nil {
		to = html.UnescapeString(m[1])
	}
	form = url.Values{}
	for _, m := range hidden.FindAllStringSubmatch(page, -1) {
		form.Set(html.UnescapeString(m[1]), html.UnescapeString(m[2]))
	}
	return to, form
}

// What may not be sent to the application is shown here.
func TestShownHere(t *testing.T) {
	v := newVisitor(t)
	v.visit(http.MethodPost, authorize("organizations", nil), "user=ada")
	for name, c := range map[string]struct {
		target string
		status int
		text   string
	}{
		"unknown application":           {authorize("organizations", map[string]string{"client_id": browser.Clinic}), 400, "AADSTS700016"},
		"no application":                {authorize("organizations", map[string]string{"client_id": ""}), 400, "AADSTS700016"},
		"unknown redirect":              {authorize("organizations", map[string]string{"redirect_uri": "https://evil.example/"}), 400, "AADSTS50011"},
		"redirect with a slash":         {authorize("organizations", map[string]string{"redirect_uri": public + "/api/manage/signed-in/"}), 400, "AADSTS50011"},
		"redirect with a query":         {authorize("organizations", map[string]string{"redirect_uri": public + "/api/manage/signed-in?x"}), 400, "AADSTS50011"},
		"redirect in other case":        {authorize("organizations", map[string]string{"redirect_uri": public + "/api/manage/Signed-In"}), 400, "AADSTS50011"},
		"redirect to another port":      {authorize("organizations", map[string]string{"redirect_uri": "http://localhost:7072/api/manage/signed-in"}), 400, "AADSTS50011"},
		"no redirect":                   {authorize("organizations", map[string]string{"redirect_uri": ""}), 400, "AADSTS50011"},
		"SMART callback without a slug": {authorize("organizations", map[string]string{"redirect_uri": public + "/api/smart//callback"}), 400, "AADSTS50011"},
		"SMART callback, two segments":  {authorize("organizations", map[string]string{"redirect_uri": public + "/api/smart/a/b/callback"}), 400, "AADSTS50011"},
		"SMART callback, dots":          {authorize("organizations", map[string]string{"redirect_uri": public + "/api/smart/../callback"}), 400, "AADSTS50011"},
		"SMART callback, escaped":       {authorize("organizations", map[string]string{"redirect_uri": public + "/api/smart/a%2fb/callback"}), 400, "AADSTS50011"},
		"SMART callback, query":         {authorize("organizations", map[string]string{"redirect_uri": public + "/api/smart/a?/callback"}), 400, "AADSTS50011"},
		"unknown tenant":                {authorize("66666666-6666-4666-8666-666666666666", nil), 400, "AADSTS90002"},
		"unknown domain":                {authorize("contoso.com", nil), 400, "AADSTS90002"},
		"not a guest":                   {authorize(browser.Partner, nil), 400, "AADSTS50020"},
		"no such page":                  {"/organizations/oauth2/v2.0/token", 404, "no such page"},
		"root":                          {"/", 404, "no such page"},
		"consent, unknown application":  {"/organizations/adminconsent?client_id=x", 400, "AADSTS700016"},
		"consent, unknown redirect":     {"/organizations/adminconsent?client_id=" + clientID + "&redirect_uri=https://evil.example", 400, "AADSTS50011"},
	} {
		w := v.visit(http.MethodGet, c.target, "")
		to, _ := sent(w.Body.String())
		if w.Code != c.status || !strings.Contains(w.Body.String(), c.text) || to != "" || w.Header().Get("Location") != "" {
			t.Errorf("%s: %d %s", name, w.Code, w.Body)
		}
		if c.text == "AADSTS50020" { // who is no guest is signed out
			v.visit(http.MethodPost, authorize("organizations", nil), "user=ada")
		}
	}
	r := httptest.NewRequest(http.MethodGet, "http://evil.example:7072"+authorize("organizations", nil), nil)
	w := httptest.NewRecorder()
	v.site.ServeHTTP(w, r)
	if w.Code != http.StatusMisdirectedRequest {
		t.Errorf("another host: %d", w.Code)
	}
}

func TestSentBack(t *testing.T) {
	v := newVisitor(t)
	for name, c := range map[string]struct {
		changes map[string]string
		oauth   string
		text    string
	}{
		"no nonce":                 {map[string]string{"nonce": ""}, "invalid_request", "AADSTS900144"},
		"no openid":                {map[string]string{"scope": "profile"}, "invalid_request", "AADSTS900144"},
		"no response type":         {map[string]string{"response_type": ""}, "invalid_request", "AADSTS900144"},
		"token":                    {map[string]string{"response_type": "token"}, "unsupported_response_type", "AADSTS700054"},
		"fragment":                 {map[string]string{"response_mode": "fragment"}, "invalid_request", "AADSTS70007"},
		"no response mode":         {map[string]string{"response_mode": ""}, "invalid_request", "AADSTS70007"},
		"unknown prompt":           {map[string]string{"prompt": "maybe"}, "invalid_request", "AADSTS90023"},
		"silent, nobody signed in": {map[string]string{"prompt": "none"}, "login_required", "AADSTS50058"},
	} {
		w := v.visit(http.MethodGet, authorize("organizations", c.changes), "")
		to, form := sent(w.Body.String())
		description := form.Get("error_description")
		if to != public+"/api/manage/signed-in" || form.Get("error") != c.oauth || form.Get("state") != "s-1" || !strings.HasPrefix(description, c.text+": ") || !strings.Contains(description, "\nTrace ID: ") {
			t.Errorf("%s: %s", name, w.Body)
		}
	}
}

// TestWhoSignsIn: who is signed in at Entra is not asked again, unless the application wants to know.
func TestWhoSignsIn(t *testing.T) {
	v := newVisitor(t)
	asked := func(changes map[string]string) bool {
		t.Helper()
		w := v.visit(http.MethodGet, authorize("organizations", changes), "")
		_, form := sent(w.Body.String())
		if w.Code != http.StatusOK {
			t.Fatalf("%d %s", w.Code, w.Body)
		}
		return !form.Has("id_token") && !form.Has("error")
	}
	if !asked(nil) {
		t.Error("nobody is asked at first")
	}
	w := v.visit(http.MethodPost, authorize("organizations", nil), "user=guest")
	_, form := sent(w.Body.String())
	claims, err := v.site.Authority.Check(form.Get("id_token"))
	if err != nil || claims.TenantID != browser.Partner || claims.Issuer != "https://login.sandbox.test/"+browser.Partner+"/v2.0" || len(claims.Roles) != 0 {
		t.Errorf("%+v, %v", claims, err)
	}
	for name, c := range map[string]struct {
		changes map[string]string
		want    bool
	}{
		"again":                {nil, false},
		"silently":             {map[string]string{"prompt": "none"}, false},
		"select_account":       {map[string]string{"prompt": "select_account"}, true},
		"login":                {map[string]string{"prompt": "login"}, true},
		"hint":                 {map[string]string{"login_hint": "Guest@Partner.sandbox.test"}, false},
		"opaque hint":          {map[string]string{"login_hint": "O.GUEST@PARTNER.SANDBOX.TEST"}, false},
		"hint of another user": {map[string]string{"login_hint": "ada@clinic.sandbox.test"}, true},
	} {
		if got := asked(c.changes); got != c.want {
			t.Errorf("%s: asked %v", name, got)
		}
	}
	w = v.visit(http.MethodGet, authorize("organizations", map[string]string{"prompt": "none", "login_hint": "ada@clinic.sandbox.test"}), "")
	if _, form := sent(w.Body.String()); form.Get("error") != "login_required" {
		t.Errorf("silently for another: %s", w.Body)
	}
	w = v.visit(http.MethodGet, authorize(browser.ClinicDomain, nil), "")
	_, form = sent(w.Body.String())
	if claims, err = v.site.Authority.Check(form.Get("id_token")); err != nil || claims.TenantID != browser.Clinic || len(claims.Roles) != 1 {
		t.Errorf("as a guest: %+v, %v", claims, err)
	}
}

func TestRegisteredCallbacks(t *testing.T) {
	v := newVisitor(t)
	for _, redirect := range []string{"/api/manage/signed-in", "/api/smart/good-health-clinic/callback"} {
		w := v.visit(http.MethodPost, authorize("organizations", map[string]string{"redirect_uri": public + redirect}), "user=ada")
		if to, form := sent(w.Body.String()); to != public+redirect || !form.Has("id_token") || form.Get("state") != "s-1" {
			t.Errorf("%s: %s", redirect, w.Body)
		}
	}
}

func TestIDTokensOffBeforeAnybodyIsAsked(t *testing.T) {
	v := newVisitor(t)
	v.site.Set(browser.IDTokensOff)
	w := v.visit(http.MethodGet, authorize("organizations", nil), "")
	if _, form := sent(w.Body.String()); form.Get("error") != "unsupported_response_type" || !strings.HasPrefix(form.Get("error_description"), "AADSTS700054: response_type 'id_token' is not enabled for the application.") {
		t.Errorf("%s", w.Body)
	}
}

// What a request holds is text on our pages.
func TestPagesEscape(t *testing.T) {
	v := newVisitor(t)
	canary := `"><img src=x onerror=alert(1)>`
	for _, w := range []*httptest.ResponseRecorder{
		v.visit(http.MethodPost, authorize("organizations", map[string]string{"state": canary}), "user=ada"),
		v.visit(http.MethodGet, authorize("organizations", map[string]string{"login_hint": canary}), ""),
		v.visit(http.MethodGet, authorize("organizations", map[string]string{"redirect_uri": canary}), ""),
		v.visit(http.MethodGet, authorize(url.PathEscape(canary), nil), ""),
	} {
		if strings.Contains(w.Body.String(), "<img") || !strings.Contains(w.Body.String(), "alert(1)") {
			t.Errorf("%s", w.Body)
		}
	}
}

func TestConsent(t *testing.T) {
	v := newVisitor(t)
	target := "/" + browser.Clinic + "/adminconsent?client_id=" + clientID + "&redirect_uri=" + url.QueryEscape(public+"/api/manage/consented") + "&state=s"
	v.site.Set(browser.AdminConsent)
	if w := v.visit(http.MethodGet, target, ""); w.Code != http.StatusOK || !strings.Contains(w.Body.String(), "Accept") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	if got := v.visit(http.MethodPost, target, "cancel=1").Header().Get("Location"); !strings.HasPrefix(got, public+"/api/manage/consented?error=access_denied&") || !strings.Contains(got, "AADSTS65004") {
		t.Errorf("cancelled: %s", got)
	}
	w := v.visit(http.MethodPost, authorize("organizations", nil), "user=ada")
	if _, form := sent(w.Body.String()); !strings.HasPrefix(form.Get("error_description"), "AADSTS90094") {
		t.Errorf("before: %s", w.Body)
	}
	if got, want := v.visit(http.MethodPost, target, "accept=1").Header().Get("Location"), public+"/api/manage/consented?admin_consent=True&state=s&tenant="+browser.Clinic; got != want {
		t.Errorf("accepted: %s", got)
	}
	w = v.visit(http.MethodPost, authorize("organizations", nil), "user=ada")
	if _, form := sent(w.Body.String()); !form.Has("id_token") {
		t.Errorf("after: %s", w.Body)
	}
}

func TestLogout(t *testing.T) {
	back := "post_logout_redirect_uri=" + url.QueryEscape(public+"/api/manage/signed-out")
	for name, c := range map[string]struct {
		method, query string
		status        int
		location      string
		out           bool
	}{
		"with the hint":          {"GET", back + "&logout_hint=O.ADA@CLINIC.SANDBOX.TEST", 302, public + "/api/manage/signed-out", true},
		"without a hint":         {"GET", back, 200, "", false},
		"chosen":                 {"POST", back, 302, public + "/api/manage/signed-out", true},
		"hint of another":        {"GET", back + "&logout_hint=O.X", 200, "", false},
		"an address of nobody's": {"POST", "post_logout_redirect_uri=https://evil.example", 200, "", true},
		"no address":             {"POST", "", 200, "", true},
	} {
		v := newVisitor(t)
		v.visit(http.MethodPost, authorize("organizations", nil), "user=ada")
		w := v.visit(c.method, "/organizations/oauth2/v2.0/logout?"+c.query, "user=ada")
		if w.Code != c.status || w.Header().Get("Location") != c.location || (len(v.cookies) == 0) != c.out {
			t.Errorf("%s: %d %s, cookies %v", name, w.Code, w.Header().Get("Location"), v.cookies)
		}
	}
}

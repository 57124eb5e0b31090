package browser_test

import (
	"net/http"
	"net/url"
	"reflect"
	"strings"
	"testing"

	"fhirlink/shared/entra"
	"fhirlink/shared/entra/entratest/browser"
	"fhirlink/shared/secret"
)

// deployment sends browsers to Entra and keeps how they come back.
type deployment struct {
	*http.ServeMux
	hint, mode string
	back       url.Values
	cookies    map[string]bool
	header     http.Header
}

func newDeployment() *deployment {
	d := &deployment{ServeMux: http.NewServeMux()}
	d.HandleFunc("GET /api/smart/clinic/authorize", func(w http.ResponseWriter, _ *http.Request) {
		for name, policy := range map[string]http.SameSite{"lax": http.SameSiteLaxMode, "strict": http.SameSiteStrictMode, "none": http.SameSiteNoneMode, "unsaid": http.SameSiteDefaultMode} {
			http.SetCookie(w, &http.Cookie{Name: name, Value: "1", SameSite: policy, Secure: true})
		}
		w.Header().Set("Location", address+ask(map[string]string{"login_hint": d.hint, "response_mode": d.mode}))
		w.WriteHeader(http.StatusSeeOther)
	})
	d.HandleFunc("/api/smart/clinic/callback", func(w http.ResponseWriter, r *http.Request) {
		if err := r.ParseForm(); err != nil {
			http.Error(w, "malformed", http.StatusBadRequest)
			return
		}
		d.back, d.cookies, d.header = r.Form, map[string]bool{}, r.Header
		for _, c := range r.Cookies() {
			d.cookies[c.Name] = true
		}
		http.Redirect(w, r, "https://app.example/?code=ours", http.StatusSeeOther)
	})
	return d
}

// TestPerson walks from the deployment to Entra and back, with the cookies that a browser would send.
func TestPerson(t *testing.T) {
	c, d := newCoder(t), newDeployment()
	p := browser.NewPerson(browser.Serve(d), public, c.site)
	walk := func(user string, scenario browser.Scenario) browser.Answer {
		t.Helper()
		begun, err := p.Open("/api/smart/clinic/authorize")
		if err != nil || begun.Status != http.StatusSeeOther {
			t.Fatalf("%+v, %v", begun, err)
		}
		end, err := p.Authorize(begun, user, scenario)
		if err != nil {
			t.Fatal(err)
		}
		return end
	}
	end := walk("pat", "")
	if end.Status != http.StatusSeeOther || end.Header.Get("Location") != "https://app.example/?code=ours" || d.back.Get("state") != "s-1 &ü" {
		t.Errorf("%+v, %v", end, d.back)
	}
	if !reflect.DeepEqual(d.cookies, map[string]bool{"lax": true, "none": true, "unsaid": true}) || d.header.Get("Sec-Fetch-Site") != "cross-site" || d.header.Get("Sec-Fetch-Mode") != "navigate" || d.header.Get("Origin") != "" {
		t.Errorf("cookies %v, %v", d.cookies, d.header)
	}
	tokens, err := c.signIns.Redeem(t.Context(), c.credentials(), secret.New(d.back.Get("code")), secret.New(verifier), callback)
	if err != nil || c.claims(tokens.ID)["oid"] != patID {
		t.Errorf("%v", err)
	}
	if walk("", ""); !d.back.Has("code") {
		t.Errorf("signed in already: %v", d.back)
	}
	walk("pat", browser.Declined)
	if r, ok := entra.ParseRedirectRefusal(d.back.Get("error"), d.back.Get("error_description")); !ok || r.Number != 65004 {
		t.Errorf("declined: %v", d.back)
	}
	d.mode = "form_post"
	if walk("pat", ""); !d.back.Has("code") || !reflect.DeepEqual(d.cookies, map[string]bool{"none": true}) || d.header.Get("Origin") != address {
		t.Errorf("form: %v, cookies %v", d.back, d.cookies)
	}
	d.mode, d.hint = "", "auto:nobody"
	if walk("", ""); !d.back.Has("code") {
		t.Errorf("automatically: %v", d.back)
	}
	begun, err := p.Open("/api/smart/clinic/authorize")
	if err != nil {
		t.Fatal(err)
	}
	if at, err := p.Follow(begun); err != nil || !strings.HasPrefix(at.Header.Get("Location"), callback+"?code=") {
		t.Errorf("%+v, %v", at, err)
	}
	if _, err := p.Follow(end); err == nil || !strings.Contains(err.Error(), "https://app.example/") {
		t.Errorf("to the app: %v", err)
	}
	begun.Header.Set("Location", address+ask(map[string]string{"redirect_uri": "https://evil.example"}))
	if _, err := p.Authorize(begun, "pat", ""); err == nil || !strings.Contains(err.Error(), "AADSTS50011") {
		t.Errorf("an error that Entra shows: %v", err)
	}
}

package functions_test

import (
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"fhirlink/functions"
	"fhirlink/shared/entra/entratest/browser"
	"fhirlink/shared/httpx"
)

const (
	appVerifier  = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk" // RFC 7636, appendix B
	appChallenge = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
	issuer       = "/api/smart/clinic"
)

// appRequest is an authorization request of the public app.
func appRequest() url.Values {
	return url.Values{
		"response_type": {"code"}, "client_id": {"growth-chart"}, "redirect_uri": {"https://app.example/cb"}, "state": {"a b&c=d"}, "aud": {"https://clinic.fhir.sandbox.test"},
		"scope": {"openid fhirUser launch/patient offline_access patient/Observation.rs?category=x patient/*.rs"}, "code_challenge": {appChallenge}, "code_challenge_method": {"S256"},
	}
}

// launching is a rig whose link "clinic" has two apps, and a person with a browser.
func launching(t *testing.T, change ...func(*functions.Deps)) (*rig, *browser.Person) {
	t.Helper()
	r := newRig(t, change...)
	r.register(t, orgA, "clinic")
	r.switchOn(t, orgA, "clinic")
	for _, app := range []string{publicApp, symmetricApp} {
		r.send(t, request{caller: manager(orgA), method: "POST", target: "/api/links/clinic/apps", body: app}).want(t, http.StatusCreated, "")
	}
	return r, browser.NewPerson(browser.Serve(r.public), publicURL, browser.New(r.entra, browserEntra, publicURL, audience))
}

// standalone signs a user in for an app. It returns where the browser is sent at the end.
func standalone(t *testing.T, person *browser.Person, user string, request url.Values) browser.Answer {
	t.Helper()
	to, err := person.Open(issuer+"/authorize?"+request.Encode(), "Sec-Fetch-Site", "cross-site")
	if err != nil || to.Status != http.StatusSeeOther || !strings.HasPrefix(to.Header.Get("Location"), browserEntra+"/") {
		t.Fatalf("%d %s %v", to.Status, to.Header.Get("Location"), err)
	}
	back, err := person.Authorize(to, user, "")
	if err != nil {
		t.Fatal(err)
	}
	return back
}

func (r *rig) appToken(t *testing.T, form url.Values, header http.Header) answer {
	t.Helper()
	return r.send(t, request{method: "POST", target: issuer + "/token", contentType: formType, body: form.Encode(), header: header})
}

// TestLaunch is a standalone launch through the API, as a browser and an app go.
func TestLaunch(t *testing.T) {
	r, person := launching(t)
	back := standalone(t, person, "pat", appRequest())
	location, err := url.Parse(back.Header.Get("Location"))
	if err != nil || back.Status != http.StatusSeeOther || !strings.HasPrefix(location.String(), "https://app.example/cb?code=flc_") || location.Query().Get("state") != "a b&c=d" {
		t.Fatalf("%d %s %v", back.Status, location, err)
	}
	if back.Header.Get("Cache-Control") != "no-store" || back.Header.Get("Referrer-Policy") != "same-origin" || !strings.Contains(back.Header.Get("Set-Cookie"), "Max-Age=0") || len(person.Cookies) != 0 {
		t.Errorf("%v", back.Header)
	}
	form := url.Values{"grant_type": {"authorization_code"}, "code": {location.Query().Get("code")}, "redirect_uri": {"https://app.example/cb"}, "client_id": {"growth-chart"}, "code_verifier": {appVerifier}}
	a := r.appToken(t, form, http.Header{"Origin": {"https://app.example"}})
	a.want(t, http.StatusOK, "")
	if a.header.Get("Access-Control-Allow-Origin") != "*" || a.header.Get("Cache-Control") != "no-store" || a.header.Get("Pragma") != "no-cache" || a.field(t, "patient") != "p-1" || a.field(t, "scope") != appRequest().Get("scope") {
		t.Errorf("%v %s", a.header, a.body)
	}
	refresh := url.Values{"grant_type": {"refresh_token"}, "refresh_token": {a.field(t, "refresh_token").(string)}}
	again := r.send(t, request{method: "POST", target: issuer + "/oauth2/v2.0/token", contentType: formType, body: refresh.Encode()})
	again.want(t, http.StatusOK, "")
	revoked := r.send(t, request{method: "POST", target: issuer + "/revoke", contentType: formType, body: url.Values{"token": {again.field(t, "refresh_token").(string)}, "client_id": {"growth-chart"}}.Encode()})
	if revoked.status != http.StatusOK || revoked.body != "" || revoked.header.Get("Cache-Control") != "no-store" {
		t.Errorf("%d %v %s", revoked.status, revoked.header, revoked.body)
	}
	r.appToken(t, url.Values{"grant_type": {"refresh_token"}, "refresh_token": {again.field(t, "refresh_token").(string)}}, nil).want(t, http.StatusBadRequest, "invalid_grant")

	// By POST, and a confidential app that authenticates by Basic.
	secretOfApp := r.send(t, request{caller: manager(orgA), method: "GET", target: "/api/links/clinic/apps/portal"})
	secretOfApp.want(t, http.StatusOK, "")
	made := r.send(t, request{caller: manager(orgA), method: "POST", target: "/api/links/clinic/apps/portal/secret", body: `{}`})
	sum := sha256.Sum256([]byte(strings.Repeat("v", 43)))
	portal := url.Values{"response_type": {"code"}, "client_id": {"portal"}, "redirect_uri": {"https://portal.example/cb"}, "state": {"x"}, "aud": {"https://clinic.fhir.sandbox.test/"}, "scope": {"openid user/Patient.r"}, "code_challenge": {base64.RawURLEncoding.EncodeToString(sum[:])}, "code_challenge_method": {"S256"}}
	to, err := person.Send(issuer+"/authorize", portal, "Sec-Fetch-Site", "cross-site")
	if err != nil || to.Status != http.StatusSeeOther {
		t.Fatalf("%d %v %s", to.Status, err, to.Body)
	}
	if back, err = person.Authorize(to, "ada", ""); err != nil {
		t.Fatal(err)
	}
	if location, err = url.Parse(back.Header.Get("Location")); err != nil || !strings.HasPrefix(location.String(), "https://portal.example/cb?code=") {
		t.Fatalf("%s %v", back.Header.Get("Location"), err)
	}
	form = url.Values{"grant_type": {"authorization_code"}, "code": {location.Query().Get("code")}, "redirect_uri": {"https://portal.example/cb"}, "code_verifier": {strings.Repeat("v", 43)}}
	basic := func(secret string) http.Header {
		return http.Header{"Authorization": {"Basic " + base64.StdEncoding.EncodeToString([]byte("portal:"+secret))}}
	}
	wrong := r.appToken(t, form, basic("fls_wrong"))
	wrong.want(t, http.StatusUnauthorized, "invalid_client")
	if wrong.header.Get("WWW-Authenticate") != `Basic realm="fhirlink"` {
		t.Error(wrong.header)
	}
	a = r.appToken(t, form, basic(made.field(t, "clientSecret").(string)))
	a.want(t, http.StatusOK, "")
	if a.field(t, "patient") != nil || a.field(t, "scope") != "openid user/Patient.r" || a.field(t, "refresh_token") != nil {
		t.Error(a.body)
	}
}

// TestAppErrors: an app is told at its own address; where that is not known, a page tells the user, and
// repeats nothing.
func TestAppErrors(t *testing.T) {
	r, _ := launching(t)
	ask := func(change ...string) answer {
		q := appRequest()
		for _, c := range change {
			name, value, _ := strings.Cut(c, "=")
			q.Set(name, value)
		}
		return r.send(t, request{method: "GET", target: issuer + "/authorize?" + q.Encode()})
	}
	sent := ask("scope=canary/x.y")
	if location := sent.header.Get("Location"); sent.status != http.StatusSeeOther || !strings.HasPrefix(location, "https://app.example/cb?error=invalid_scope&error_description=") || !strings.HasSuffix(location, "&state=a%20b%26c%3Dd") || strings.Contains(location, "canary") {
		t.Errorf("%d %s", sent.status, sent.header.Get("Location"))
	}
	pages := map[string]answer{
		"unknown app":            ask("client_id=canary"),
		"unknown address":        ask("redirect_uri=https://canary.example/"),
		"unknown link":           r.send(t, request{method: "GET", target: "/api/smart/canary/authorize?" + appRequest().Encode()}),
		"malformed":              r.send(t, request{method: "GET", target: issuer + "/authorize?client_id=%zz"}),
		"too large":              r.send(t, request{method: "POST", target: issuer + "/authorize", contentType: formType, body: "client_id=" + strings.Repeat("canary", 3000)}),
		"no browser":             r.send(t, request{method: "GET", target: issuer + "/callback?state=canary&code=canary"}),
		"POST of callback":       r.send(t, request{method: "POST", target: issuer + "/callback"}),
		"unknown link, callback": r.send(t, request{method: "GET", target: "/api/smart/canary/callback?state=x"}),
	}
	for name, a := range pages {
		if a.status < 400 || a.header.Get("Content-Type") != "text/html; charset=utf-8" || strings.Contains(a.body, "canary") || !strings.Contains(a.body, a.header.Get("X-Correlation-Id")) || a.header.Get("Location") != "" || a.header.Get("Set-Cookie") != "" ||
			!strings.HasPrefix(a.header.Get("Content-Security-Policy"), "default-src 'none'; style-src 'sha256-") || a.header.Get("X-Frame-Options") != "DENY" || a.header.Get("Cache-Control") != "no-store" || strings.Contains(a.body, "<script") {
			t.Errorf("%s: %d %v %s", name, a.status, a.header, a.body)
		}
	}
	if a := r.send(t, request{method: "HEAD", target: issuer + "/authorize?" + appRequest().Encode()}); a.status != http.StatusMethodNotAllowed {
		t.Errorf("HEAD: %d", a.status)
	}
	for name, body := range map[string]string{"empty": "", "no form": "%zz"} {
		if a := r.send(t, request{method: "POST", target: issuer + "/token", contentType: formType, body: body}); a.status != http.StatusBadRequest {
			t.Errorf("%s: %d %s", name, a.status, a.body)
		}
	}
	r.send(t, request{method: "POST", target: issuer + "/token", contentType: formType, body: "grant_type=authorization_code&x=" + strings.Repeat("a", httpx.MaxBody)}).want(t, http.StatusRequestEntityTooLarge, "invalid_request")
	r.send(t, request{method: "POST", target: issuer + "/token", contentType: jsonType, body: "{}"}).want(t, http.StatusUnsupportedMediaType, "invalid_request")
	r.send(t, request{method: "POST", target: "/api/smart/none/token", contentType: formType, body: "grant_type=x"}).want(t, http.StatusNotFound, "invalid_request")
	if strings.Contains(r.log.String(), "canary") {
		t.Error("the log repeats the request")
	}
}

// TestAppLimits: a right credential is never refused because of wrong ones.
func TestAppLimits(t *testing.T) {
	r, _ := launching(t, func(d *functions.Deps) { d.Limits = httpx.NewRateLimit(functions.PerMinute, functions.Burst, nil) })
	wrong := url.Values{"grant_type": {"authorization_code"}, "code": {"flc_x"}, "redirect_uri": {"x"}, "client_id": {"portal"}, "client_secret": {"wrong"}}
	for i := range 12 {
		a := r.appToken(t, wrong, nil)
		if want := map[bool]int{false: http.StatusUnauthorized, true: http.StatusTooManyRequests}[i >= 10]; a.status != want {
			t.Fatalf("%d: %d %s", i, a.status, a.body)
		}
		if a.status == http.StatusTooManyRequests {
			a.want(t, http.StatusTooManyRequests, "temporarily_unavailable")
			if a.header.Get("Retry-After") == "" {
				t.Error(a.header)
			}
		}
	}
	made := r.send(t, request{caller: manager(orgA), method: "POST", target: "/api/links/clinic/apps/portal/secret", body: `{}`})
	wrong.Set("client_secret", made.field(t, "clientSecret").(string))
	r.appToken(t, wrong, nil).want(t, http.StatusBadRequest, "invalid_grant")
	taken := 0
	for range 2000 { // each second of them allows ten more
		a := r.send(t, request{method: "GET", target: issuer + "/authorize?client_id=growth-chart"})
		if a.status == http.StatusTooManyRequests {
			break
		}
		taken++
	}
	if taken < 600 || taken == 2000 {
		t.Errorf("%d requests to sign in were taken", taken)
	}
}

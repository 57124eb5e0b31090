package functions_test

import (
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"fhirlink/functions"
	"fhirlink/shared/entra/entratest"
	"fhirlink/shared/entra/entratest/browser"
	"fhirlink/shared/httpx"
	"fhirlink/shared/store"
)

const (
	launchOfAda = `{"user":"a0a0a0a0-0000-4000-8000-000000000001","patient":"canary-p1"}`
	openedApp   = `{"clientId":"chart","name":"Chart","type":"public","redirectUris":["https://app.example/cb"],"launchUri":"https://app.example/launch","scopes":["launch","openid","launch/patient","launch/encounter","patient/*.rs"]}`
)

// opens makes a launch, as the back end of an EHR.
func (r *rig) opens(t *testing.T, body string) answer {
	t.Helper()
	return r.send(t, request{caller: opener(orgA), method: "POST", target: "/api/links/clinic/launches", body: body})
}

// TestLaunchFromEHR is a launch through the API: an EHR opens an app, and the user goes on with a browser.
func TestLaunchFromEHR(t *testing.T) {
	r, person := launching(t)
	r.send(t, request{caller: manager(orgA), method: "POST", target: "/api/links/clinic/apps", body: openedApp}).want(t, http.StatusCreated, "")
	made := r.opens(t, `{"clientId":"chart","user":"a0a0a0a0-0000-4000-8000-000000000001","patient":"canary-p1","encounter":"canary-e1","fhirContext":[{"reference":"ImagingStudy/canary-i1","b":1,"a":"<&"}],"intent":"canary-intent","expiresInSeconds":600}`)
	made.want(t, http.StatusCreated, "")
	if !slices.Equal(keysOf(t, made), []string{"launch", "expiresAt", "launchUrl", "notes"}) || made.header.Get("Cache-Control") != "no-store" || made.header.Get("Access-Control-Allow-Origin") != "" {
		t.Errorf("%v %s", made.header, made.body)
	}
	opened, err := url.Parse(made.field(t, "launchUrl").(string))
	if err != nil || opened.Query().Get("iss") != "https://clinic.fhir.sandbox.test" || opened.Query().Get("launch") != made.field(t, "launch") || opened.Host != "app.example" {
		t.Fatalf("%s %v", opened, err)
	}
	ask := appRequest()
	ask.Set("client_id", "chart")
	ask.Set("launch", opened.Query().Get("launch"))
	ask.Set("aud", opened.Query().Get("iss"))
	ask.Set("scope", "launch openid launch/patient launch/encounter patient/Observation.rs")

	// Another user learns nothing of it, and leaves it as it was.
	wrong, err := url.Parse(standalone(t, person, "pat", ask).Header.Get("Location"))
	if err != nil || wrong.Query().Get("error") != "access_denied" || strings.Contains(wrong.String(), "canary") || strings.Contains(wrong.String(), "a0a0a0a0") {
		t.Errorf("%s %v", wrong, err)
	}
	back, err := url.Parse(standalone(t, person, "ada", ask).Header.Get("Location"))
	if err != nil {
		t.Fatal(err)
	}
	a := r.appToken(t, url.Values{"grant_type": {"authorization_code"}, "code": {back.Query().Get("code")}, "redirect_uri": {"https://app.example/cb"}, "client_id": {"chart"}, "code_verifier": {appVerifier}}, nil)
	a.want(t, http.StatusOK, "")
	if !strings.Contains(a.body, `"patient":"canary-p1","encounter":"canary-e1","fhirContext":[{"reference":"ImagingStudy/canary-i1","b":1,"a":"<&"}],"intent":"canary-intent"}`) || a.field(t, "scope") != ask.Get("scope") {
		t.Error(a.body)
	}
	if again := r.send(t, request{method: "GET", target: issuer + "/authorize?" + ask.Encode()}); !strings.HasPrefix(again.header.Get("Location"), "https://app.example/cb?error=invalid_request&error_description=The%20launch%20was%20used") {
		t.Errorf("%d %s", again.status, again.header.Get("Location"))
	}
	for _, one := range []string{"canary", made.field(t, "launch").(string), strings.TrimPrefix(made.field(t, "launch").(string), "fll_")} {
		if strings.Contains(r.log.String(), one) {
			t.Errorf("the log has %.12s…", one)
		}
	}
}

// TestWhoseFault: what a user or an app has done wrong is an answer. Only what is wrong with us, or with what we need, is
// in the log as a failure: people are woken by that, and nobody outside shall be able to.
func TestWhoseFault(t *testing.T) {
	r, person := launching(t)
	opens := func() (launch string) {
		made := r.opens(t, launchOfAda)
		made.want(t, http.StatusCreated, "")
		return made.field(t, "launch").(string)
	}
	with := func(launch string) url.Values {
		ask := appRequest()
		ask.Set("launch", launch)
		return ask
	}
	begin := func(request url.Values) browser.Answer {
		t.Helper()
		to, err := person.Open(issuer + "/authorize?" + request.Encode())
		if err != nil {
			t.Fatal(err)
		}
		return to
	}
	answers := func(changes ...string) func() string {
		return func() string {
			to, err := url.Parse(begin(appRequest()).Header.Get("Location"))
			if err != nil {
				t.Fatal(err)
			}
			q := url.Values{"state": {to.Query().Get("state")}}
			for _, one := range changes {
				name, value, _ := strings.Cut(one, "=")
				q.Set(name, value)
			}
			back, err := person.Open(issuer + "/callback?" + q.Encode())
			if err != nil {
				t.Fatal(err)
			}
			return back.Header.Get("Location")
		}
	}
	for name, tt := range map[string]struct {
		do     func() (location string)
		told   string
		failed string // level of the line; empty: there is none
	}{
		"a callback without a code":   {answers(), "server_error", ""},
		"a callback with a code of x": {answers("code=x"), "server_error", ""},
		"a callback with an error":    {answers("error=x"), "server_error", ""},
		"the nonce of another sign-in": {func() string {
			first := begin(appRequest())
			to, err := url.Parse(first.Header.Get("Location"))
			if err != nil {
				t.Fatal(err)
			}
			q := to.Query()
			q.Set("nonce", "of-another-sign-in")
			to.RawQuery = q.Encode()
			first.Header.Set("Location", to.String())
			back, err := person.Authorize(first, "pat", "")
			if err != nil {
				t.Fatal(err)
			}
			return back.Header.Get("Location")
		}, "server_error", ""},
		"a launch of nobody": {func() string { return begin(with("fll_x")).Header.Get("Location") }, "invalid_request", ""},
		"a launch that is spent": {func() string {
			launch := opens()
			standalone(t, person, "ada", with(launch))
			return begin(with(launch)).Header.Get("Location")
		}, "invalid_request", ""},
		"a launch that is spent meanwhile": {func() string {
			launch := opens()
			first := begin(with(launch))
			standalone(t, person, "ada", with(launch))
			back, err := person.Authorize(first, "ada", "")
			if err != nil {
				t.Fatal(err)
			}
			return back.Header.Get("Location")
		}, "invalid_request", ""},
		"a launch of somebody else": {func() string { return standalone(t, person, "pat", with(opens())).Header.Get("Location") }, "access_denied", ""},

		"Entra is down": {func() string {
			r.entra.Before = entratest.WebPage(http.StatusBadGateway)
			defer func() { r.entra.Before = nil }()
			return answers("code=x")()
		}, "temporarily_unavailable", "WARN"},
		"the database is down": {func() string {
			r.rows.Fault = func(op string, _ store.Key, _ bool) error {
				if op == "Swap" {
					return store.ErrUnavailable
				}
				return nil
			}
			defer func() { r.rows.Fault = nil }()
			return begin(appRequest()).Header.Get("Location")
		}, "temporarily_unavailable", "WARN"},
		"the database is broken": {func() string {
			r.rows.Fault = func(op string, _ store.Key, _ bool) error {
				if op == "Swap" {
					return errors.New("canary of the database")
				}
				return nil
			}
			defer func() { r.rows.Fault = nil }()
			return begin(appRequest()).Header.Get("Location")
		}, "server_error", "ERROR"},
	} {
		before := len(r.log.String())
		location := tt.do()
		log := r.log.String()[before:]
		failed := ""
		for line := range strings.Lines(log) {
			if strings.Contains(line, `"msg":"request.failed"`) {
				failed += line
			}
		}
		if !strings.HasPrefix(location, "https://app.example/cb?error="+tt.told+"&") {
			t.Errorf("%s: sent to %.60s", name, location)
		}
		if (failed == "") != (tt.failed == "") || tt.failed != "" && !strings.Contains(failed, `"level":"`+tt.failed+`"`) {
			t.Errorf("%s: %q is in the log, want %q", name, failed, tt.failed)
		}
	}
}

// TestLaunchesRefused: what is wrong is named, and neither the answer nor the log repeats whom it is about.
func TestLaunchesRefused(t *testing.T) {
	r := newRig(t)
	r.register(t, orgA, "clinic")
	r.opens(t, launchOfAda).want(t, http.StatusNotFound, "smart_not_enabled")
	r.switchOn(t, orgA, "clinic")
	for body, want := range map[string]struct {
		status int
		code   string
	}{
		launchOfAda:               {http.StatusCreated, ""},
		`{"patient":"canary-p1"}`: {http.StatusUnprocessableEntity, "user_required"},
		`{"user":"canary@example.org","patient":"Patient/canary-p1","fhirContext":[{"reference":"Patient/canary-p1"}]}`: {http.StatusUnprocessableEntity, "invalid_fields"},
		strings.Replace(launchOfAda, "{", `{"clientId":"none",`, 1):                                                     {http.StatusNotFound, "app_not_found"},
		`{"fhirContext":{"canary":1}}`:            {http.StatusBadRequest, "malformed_body"},
		`{"Patient":"canary"}`:                    {http.StatusBadRequest, "malformed_body"},
		`{"patient":"canary","subject":"canary"}`: {http.StatusBadRequest, "malformed_body"},
		`{"fhirContext":[{"reference":"ImagingStudy/canary","reference":"Patient/canary"}]}`:                                                                                     {http.StatusBadRequest, "malformed_body"},
		strings.TrimSuffix(launchOfAda, "}") + `,"encounter":null,"fhirContext":null,"intent":null,"expiresInSeconds":null,"needPatientBanner":null,"clientId":null,"iss":null}`: {http.StatusCreated, ""},
	} {
		a := r.opens(t, body)
		a.want(t, want.status, want.code)
		if strings.Contains(a.body, "canary") {
			t.Errorf("%s: %s", body, a.body)
		}
	}
	r.rows.Fault = func(op string, _ store.Key, before bool) error {
		if op == "Swap" && before {
			return store.ErrUnavailable
		}
		return nil
	}
	r.opens(t, launchOfAda).want(t, http.StatusServiceUnavailable, "upstream_unavailable")
	if strings.Contains(r.log.String(), "canary") {
		t.Error("the log names a patient")
	}
}

// TestLaunchLimit: an organization makes 600 launches a minute, whatever else it does.
func TestLaunchLimit(t *testing.T) {
	r := newRig(t, func(d *functions.Deps) { d.Limits = httpx.NewRateLimit(1, 1, nil) })
	taken := 0
	for range 2000 { // each second of them allows ten more
		a := r.send(t, request{caller: opener(orgA), method: "POST", target: "/api/links/none/launches", body: launchOfAda})
		if a.status == http.StatusTooManyRequests {
			a.want(t, http.StatusTooManyRequests, "too_many_requests")
			break
		}
		taken++
	}
	if taken < 600 || taken == 2000 {
		t.Errorf("%d launches were taken", taken)
	}
	r.send(t, request{caller: opener(orgB), method: "POST", target: "/api/links/none/launches", body: launchOfAda}).want(t, http.StatusNotFound, "link_not_found")
}

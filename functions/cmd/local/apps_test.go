package main

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"fhirlink/functions/cmd/local/sandbox"
	"fhirlink/shared/entra"
)

// device is what an app and a browser do, one request after the other.
type device struct {
	*launched
	t      *testing.T
	public string // URL of the deployment
	app    string // URL of the app's site
	slug   string
	client string
}

func newDevice(t *testing.T) *device {
	l := startProgram(t, "-addr", "127.0.0.1:0", "-data", t.TempDir())
	t.Cleanup(func() { l.stop(); <-l.status })
	return &device{slug: "good-health-clinic", client: "sandbox-app", launched: l, t: t, public: "http://localhost" + l.url[strings.LastIndex(l.url, ":"):], app: l.stdout.find(t, `Try a SMART app: (\S+)`)[1]}
}

// ask sends a request, and follows no redirect. Headers come in pairs of name and value.
func (d *device) ask(method, target, body string, headers ...string) (*http.Response, string) {
	d.t.Helper()
	target = strings.Replace(target, d.public, d.url, 1) // localhost may be an address that nothing answers at
	r, err := http.NewRequestWithContext(d.t.Context(), method, target, strings.NewReader(body))
	if err != nil {
		d.t.Fatal(err)
	}
	for n := 0; n+1 < len(headers); n += 2 {
		r.Header.Set(headers[n], headers[n+1])
	}
	client := http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	response, err := client.Do(r)
	if err != nil {
		d.t.Fatal(err)
	}
	defer response.Body.Close()
	data, err := io.ReadAll(response.Body)
	if err != nil {
		d.t.Fatal(err)
	}
	return response, string(data)
}

// launch signs somebody in, and returns what the app is told at its address. more are parameters by name and
// value.
func (d *device) launch(fhirBase, who, scope, verifier string, more ...string) url.Values {
	d.t.Helper()
	sum := sha256.Sum256([]byte(verifier))
	asked := url.Values{
		"response_type": {"code"}, "client_id": {d.client}, "redirect_uri": {d.app}, "scope": {scope}, "state": {"s"}, "aud": {fhirBase}, "login_hint": {"auto:" + who},
		"code_challenge": {base64.RawURLEncoding.EncodeToString(sum[:])}, "code_challenge_method": {"S256"},
	}
	for i := 0; i+1 < len(more); i += 2 {
		asked.Set(more[i], more[i+1])
	}
	to, cookie := d.public+"/api/smart/"+d.slug+"/authorize?"+asked.Encode(), ""
	for range 4 { // authorize, Entra, callback, app
		response, body := d.ask(http.MethodGet, to, "", "Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "document", "Cookie", cookie)
		if set := response.Header.Get("Set-Cookie"); strings.HasPrefix(set, "__Host-smart-") {
			cookie, _, _ = strings.Cut(set, ";")
		}
		if to = response.Header.Get("Location"); to == "" {
			d.t.Fatalf("%d %s", response.StatusCode, body)
		}
		if at, query, _ := strings.Cut(to, "?"); at == d.app {
			answer, err := url.ParseQuery(query)
			if err != nil || answer.Get("state") != "s" {
				d.t.Fatalf("%v, %v", answer, err)
			}
			return answer
		}
	}
	d.t.Fatal("the sign-in does not come to an end")
	return nil
}

// TestSMARTApp: the app's site prepares the clinic, and a patient's app reads their record, and nobody
// else's.
func TestSMARTApp(t *testing.T) {
	d := newDevice(t)
	response, page := d.ask(http.MethodGet, d.app, "")
	policy := response.Header.Get("Content-Security-Policy")
	if response.StatusCode != 200 || !strings.Contains(page, "<h1>SMART app</h1>") || !strings.Contains(policy, "connect-src 'self' "+d.public+";") || strings.Contains(policy, "unsafe") {
		t.Errorf("%d, %s", response.StatusCode, policy)
	}
	for _, tt := range []struct {
		header []string
		want   int
	}{
		{[]string{"Origin", "https://evil.example"}, 403}, {[]string{"Sec-Fetch-Site", "cross-site"}, 403}, {[]string{"Sec-Fetch-Site", "same-site"}, 403},
	} {
		if response, _ := d.ask(http.MethodPost, d.app+"prepare?server=firely", "", tt.header...); response.StatusCode != tt.want {
			t.Errorf("%q: %d", tt.header, response.StatusCode)
		}
	}
	if response, _ := d.ask(http.MethodGet, strings.Replace(d.app, "127.0.0.1", "localhost", 1), ""); response.StatusCode != http.StatusMisdirectedRequest {
		t.Errorf("another host: %d", response.StatusCode)
	}
	if _, none := d.ask(http.MethodGet, d.app+"links.json", ""); !strings.HasPrefix(none, `{"links":[],"prepares":{"entra":"good-health-clinic-entra","fhirlink":"good-health-clinic"},"registered":["patient/*.rs",`) {
		t.Errorf("before: %s", none)
	}
	if response, body := d.ask(http.MethodPost, d.app+"prepare?server=epic", ""); response.StatusCode != 422 || !strings.Contains(body, "error") {
		t.Errorf("an unknown kind: %d %s", response.StatusCode, body)
	}
	if response, body := d.ask(http.MethodPost, d.app+"prepare?server=firely&tokens=google", ""); response.StatusCode != 422 || !strings.Contains(body, "error") {
		t.Errorf("unknown tokens: %d %s", response.StatusCode, body)
	}
	for _, kind := range []string{"fhirServer", "firely", "firely"} {
		if response, body := d.ask(http.MethodPost, d.app+"prepare?server="+kind, ""); response.StatusCode != 200 || !strings.Contains(body, `"server":"`+kind+`"`) || strings.Count(body, "sandbox-app") != 1 {
			t.Fatalf("prepare: %d %s", response.StatusCode, body)
		}
	}

	const scope, verifier = "openid fhirUser launch/patient patient/Observation.rs?category=laboratory", "0123456789012345678901234567890123456789012"
	base := d.public + "/sandbox/fhir/good-health-clinic"
	if refused := d.launch("https://evil.example/fhir", "pat", scope, verifier); refused.Get("error") != "invalid_request" {
		t.Errorf("another aud: %v", refused)
	}
	if refused := d.launch(base, "nobody", scope, verifier); refused.Get("error") != "access_denied" {
		t.Errorf("nobody: %v", refused)
	}
	for _, aud := range []string{base, "https://clinic.fhir.sandbox.test"} {
		code := d.launch(aud, "pat", scope, verifier).Get("code")
		form := url.Values{"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {d.app}, "client_id": {"sandbox-app"}, "code_verifier": {verifier}}
		response, body := d.ask(http.MethodPost, d.public+"/api/smart/good-health-clinic/token", form.Encode(), "Content-Type", "application/x-www-form-urlencoded", "Sec-Fetch-Site", "cross-site", "Origin", strings.TrimSuffix(d.app, "/"))
		var told struct {
			AccessToken string `json:"access_token"`
			Scope       string
			Patient     string
		}
		if err := json.Unmarshal([]byte(body), &told); err != nil || response.StatusCode != 200 || told.Scope != scope || told.Patient != "p-1" {
			t.Fatalf("token: %d, %v: %s", response.StatusCode, err, body)
		}
		for path, want := range map[string]int{"/Observation/p-1-1": 200, "/Observation/p-1-3": 404, "/Observation/p-2-1": 404, "/Observation": 200, "/Patient/p-1": 403} {
			response, body := d.ask(http.MethodGet, base+path, "", "Authorization", "Bearer "+told.AccessToken, "Sec-Fetch-Site", "cross-site", "Origin", "https://app.example")
			if response.StatusCode != want || response.Header.Get("Access-Control-Allow-Origin") != "*" || strings.Contains(body, "p-2") {
				t.Errorf("%s: %d, want %d: %s", path, response.StatusCode, want, body)
			}
		}
	}
	text := d.stdout.String()
	for _, never := range []string{sandbox.Secret, "p-1", "Observation.rs", "flc_", "code_verifier"} {
		if _, log, _ := strings.Cut(text, "What else there is"); strings.Contains(log, never) {
			t.Errorf("the log has %s", never)
		}
	}
}

// TestSMARTAppFromEHR: the pretend EHR makes a launch for ada, and opens the app with it.
func TestSMARTAppFromEHR(t *testing.T) {
	d := newDevice(t)
	open := func(query string, headers ...string) (int, string) {
		t.Helper()
		response, body := d.ask(http.MethodPost, d.app+"open?"+query, "", headers...)
		return response.StatusCode, body
	}
	if status, body := open("link=other-clinic&client=sandbox-app&patient=p-1"); status != 404 || !strings.Contains(body, "other-clinic") {
		t.Errorf("an unknown link: %d %s", status, body)
	}
	if status, body := open("link=good-health-clinic&client=other-app&patient=p-1"); status != 404 || !strings.Contains(body, "error") {
		t.Errorf("an unknown app: %d %s", status, body)
	}
	// An app that was registered before EHRs could open it, and for another port of this site.
	for _, r := range []struct{ method, path, body string }{
		{http.MethodPost, "/api/register", `{"slug":"good-health-clinic","description":"Clinic","fhirServerUrl":"https://clinic.fhir.sandbox.test","clientId":"` + sandbox.ClientID + `","clientSecret":"` + sandbox.Secret + `","secretExpiresOn":"` + time.Now().AddDate(0, 6, 0).Format(time.DateOnly) + `"}`},
		{http.MethodPut, "/api/links/good-health-clinic/smart", `{"tokens":"fhirlink","server":"firely"}`},
		{http.MethodPost, "/api/links/good-health-clinic/apps", `{"clientId":"sandbox-app","name":"App","type":"public","redirectUris":["http://127.0.0.1/"],"scopes":["openid"]}`},
	} {
		if response, body := d.ask(r.method, d.public+r.path, r.body, "Content-Type", "application/json", "If-None-Match", "*"); response.StatusCode != 201 {
			t.Fatalf("%s: %d %s", r.path, response.StatusCode, body)
		}
	}
	if status, _ := open("link=good-health-clinic&client=sandbox-app&patient=p-1", "Origin", "https://evil.example"); status != 403 {
		t.Errorf("another site: %d", status)
	}
	if status, body := open("link=good-health-clinic&client=sandbox-app&patient=p_1"); status != 422 || !strings.Contains(body, "error") {
		t.Errorf("no patient: %d %s", status, body)
	}
	status, body := open("link=good-health-clinic&client=sandbox-app&patient=p-2")
	var told struct {
		Request map[string]any
		Answer  struct{ Launch, LaunchURL string }
	}
	base := d.public + "/sandbox/fhir/good-health-clinic"
	err := json.Unmarshal([]byte(body), &told)
	if want := d.app + "?iss=" + url.QueryEscape(base) + "&launch=" + told.Answer.Launch; err != nil || status != 200 || told.Answer.LaunchURL != want || told.Request["patient"] != "p-2" || told.Request["user"] != "a0a0a0a0-0000-4000-8000-000000000001" {
		t.Fatalf("%d %v: %s", status, err, body)
	}
	const scope, verifier = "openid launch launch/patient launch/encounter patient/Encounter.r", "0123456789012345678901234567890123456789012"
	if refused := d.launch(base, "pat", scope, verifier, "launch", told.Answer.Launch); refused.Get("error") != "access_denied" {
		t.Errorf("another user: %v", refused)
	}
	code := d.launch(base, "ada", scope, verifier, "launch", told.Answer.Launch).Get("code")
	form := url.Values{"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {d.app}, "client_id": {"sandbox-app"}, "code_verifier": {verifier}}
	_, answer := d.ask(http.MethodPost, d.public+"/api/smart/good-health-clinic/token", form.Encode(), "Content-Type", "application/x-www-form-urlencoded", "Sec-Fetch-Site", "cross-site", "Origin", strings.TrimSuffix(d.app, "/"))
	var tokens struct {
		AccessToken               string `json:"access_token"`
		Scope, Patient, Encounter string
	}
	if err := json.Unmarshal([]byte(answer), &tokens); err != nil || tokens.Scope != scope || tokens.Patient != "p-2" || tokens.Encounter != "p-2-7" {
		t.Fatalf("%v: %s", err, answer)
	}
	for path, want := range map[string]int{"/Encounter/p-2-7": 200, "/Encounter/p-1-7": 404, "/Patient/p-2": 403} {
		if response, body := d.ask(http.MethodGet, base+path, "", "Authorization", "Bearer "+tokens.AccessToken); response.StatusCode != want {
			t.Errorf("%s: %d, want %d: %s", path, response.StatusCode, want, body)
		}
	}
	if _, log, _ := strings.Cut(d.stdout.String(), "What else there is"); strings.Contains(log, "p-2") || strings.Contains(log, "fll_") {
		t.Error("the log names the patient or the launch")
	}
}

// TestSMARTAppOfEntra: with Entra's own tokens the clinic's server lets an app at what contract-smart.md §9 says of
// its kind, standalone and opened by an EHR.
func TestSMARTAppOfEntra(t *testing.T) {
	d := newDevice(t)
	d.slug = "good-health-clinic-entra"
	base := d.public + "/sandbox/fhir/" + d.slug
	const verifier = "0123456789012345678901234567890123456789012"
	own, all, refused := map[string]int{"/Patient/p-1": 200, "/Patient/p-2": 404}, map[string]int{"/Patient/p-1": 200, "/Patient/p-2": 200}, map[string]int{"/Patient/p-1": 403, "/Patient/p-2": 403}
	for _, tt := range []struct {
		kind, client, who string
		patient           string // whom the EHR opens; empty: the app is started by itself
		scp               string // the app's own scope, in Entra's spelling
		reads             map[string]int
	}{
		{"firely", "sandbox-patient-app", "pat", "", "patient~*.cruds", refused},
		{"firely", "sandbox-user-app", "ada", "", "user~*.cruds", refused},
		{"firely", "sandbox-patient-app", "ada", "p-2", "patient~*.cruds", refused},
		{"fhirServer", "sandbox-patient-app", "pat", "", "patient.all.cruds", own},
		{"fhirServer", "sandbox-user-app", "ada", "", "user.all.cruds", all},
		{"fhirServer", "sandbox-patient-app", "ada", "p-2", "patient.all.cruds", all},
		{"fhirServer", "sandbox-user-app", "nobody", "", "user.all.cruds", refused},
		{"ahds", "sandbox-patient-app", "pat", "", "patient.all.cruds", own},
		{"ahds", "sandbox-user-app", "ada", "", "user.all.cruds", all},
		{"ahds", "sandbox-patient-app", "ada", "p-2", "patient.all.cruds", all},
		{"ahds", "sandbox-user-app", "nobody", "", "user.all.cruds", map[string]int{"/Patient/p-1": 400}},
	} {
		name := tt.kind + ", " + tt.client + ", " + tt.who
		if response, body := d.ask(http.MethodPost, d.app+"prepare?server="+tt.kind+"&tokens=entra", ""); response.StatusCode != 200 || !strings.Contains(body, `"tokens":"entra"`) || !strings.Contains(body, tt.client) {
			t.Fatalf("%s: %d %s", name, response.StatusCode, body)
		}
		d.client = tt.client
		context := strings.TrimSuffix(strings.TrimPrefix(tt.client, "sandbox-"), "-app")
		scope, more := "openid "+context+"/Patient.rs", []string(nil)
		if tt.patient != "" {
			response, body := d.ask(http.MethodPost, d.app+"open?link="+d.slug+"&client="+d.client+"&patient="+tt.patient, "")
			var told struct{ Answer struct{ Launch string } }
			if err := json.Unmarshal([]byte(body), &told); err != nil || response.StatusCode != 200 {
				t.Fatalf("%s: %d %s", name, response.StatusCode, body)
			}
			more = []string{"launch", told.Answer.Launch}
		}
		answer := d.launch(base, tt.who, scope, verifier, more...)
		form := url.Values{"grant_type": {"authorization_code"}, "code": {answer.Get("code")}, "redirect_uri": {d.app}, "client_id": {d.client}, "code_verifier": {verifier}}
		response, body := d.ask(http.MethodPost, d.public+"/api/smart/"+d.slug+"/token", form.Encode(), "Content-Type", "application/x-www-form-urlencoded")
		var told struct {
			AccessToken string `json:"access_token"`
			Extra       string `json:"granted_extra"`
			Scope       string
			Patient     string
		}
		if err := json.Unmarshal([]byte(body), &told); err != nil || response.StatusCode != 200 || told.Scope != scope || !strings.Contains(told.Extra, context+"/*.cruds") || tt.patient != "" && told.Patient != tt.patient {
			t.Fatalf("%s: %v, %d %s", name, answer, response.StatusCode, body)
		}
		claims, err := entra.ParseClaims(told.AccessToken)
		if err != nil || !slices.Contains(strings.Fields(claims.Scopes), tt.scp) {
			t.Errorf("%s: %v, scp %q", name, err, claims.Scopes)
		}
		for path, want := range tt.reads {
			if response, body := d.ask(http.MethodGet, base+path, "", "Authorization", "Bearer "+told.AccessToken); response.StatusCode != want {
				t.Errorf("%s, %s: %d, want %d: %s", name, path, response.StatusCode, want, body)
			}
		}
	}
}

package functions_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"fhirlink/shared/entra/entratest/browser"
)

// canary is in everything that these tests send and that may be secret: a text with it is a leak.
const canary = "canary"

// The client ids of these tests, besides those of launching. No app has strangeID, though one could.
const (
	backendID = "backend"
	strangeID = "canary-client"
)

// launchRig is a rig with links of both kinds of tokens, each with apps, and a person with a browser.
type launchRig struct {
	*rig
	person *browser.Person
	key    *ecdsa.PrivateKey // of the backend service
}

func newLaunchRig(t *testing.T) *launchRig {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	set, err := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: key.Public(), KeyID: "k"}}})
	if err != nil {
		t.Fatal(err)
	}
	r, person := launching(t)
	create := func(slug, app string) {
		r.send(t, request{caller: manager(orgA), method: "POST", target: "/api/links/" + slug + "/apps", body: app}).want(t, http.StatusCreated, "")
	}
	create("clinic", openedApp)
	create("clinic", `{"clientId":"`+backendID+`","name":"Backend","type":"asymmetric","grants":["client_credentials"],"scopes":["system/*.rs"],"jwks":`+string(set)+`}`)
	r.register(t, orgA, "other")
	r.send(t, request{caller: manager(orgA), method: "PUT", target: "/api/links/other/smart", body: `{"tokens":"entra"}`, header: http.Header{"If-None-Match": {"*"}}}).want(t, http.StatusCreated, "")
	create("other", strings.TrimSuffix(strings.Replace(publicApp, `"patient/*.rs"`, `"patient/*.rs","patient/Observation.rs?category=x"`, 1), "}")+`,"entra":{"clientId":"`+chartID+`","clientSecret":"`+chartSecret+`"}}`)
	return &launchRig{r, person, key}
}

// given are handles, codes, tokens and secrets of this deployment, as apps, browsers and EHRs have them.
type given struct {
	launch, launchedCode, code, entrasCode string
	refresh, entrasRefresh, access         string
	clientSecret, assertion                string
	begun                                  [3]begun // sign-ins that Entra has answered
}

// begun is a sign-in whose answer has not been brought yet.
type begun struct{ state, cookie, callback string }

// secrets are those of the texts that must never be seen.
func (g given) secrets() []string {
	all := []string{g.launch, g.launchedCode, g.code, g.entrasCode, g.refresh, g.entrasRefresh, g.access, g.clientSecret, g.assertion}
	for _, b := range g.begun {
		_, query, _ := strings.Cut(b.callback, "?")
		values, err := url.ParseQuery(query)
		if err != nil {
			panic(err) // Entra has made it
		}
		all = append(all, b.state, values.Get("code"))
	}
	for i, one := range all {
		for _, prefix := range []string{"fll_", "flc_", "flr_", "fls_"} {
			all[i] = strings.TrimPrefix(all[i], prefix)
		}
		if all[i] == "" {
			panic(fmt.Sprintf("secret %d is empty: %q", i, one))
		}
	}
	return all
}

// authorizing is an authorization request with a canary wherever one can be.
func authorizing(client string) url.Values {
	q := appRequest()
	maps.Copy(q, url.Values{"client_id": {client}, "state": {"canary-state"}, "nonce": {"canary-nonce"}, "login_hint": {"canary-hint@example.org"}})
	return q
}

// give makes everything anew, while nothing is wrong.
func (r *launchRig) give(t *testing.T) (g given) {
	t.Helper()
	opened := r.opens(t, launchWithCanaries)
	opened.want(t, http.StatusCreated, "")
	g.launch = opened.field(t, "launch").(string)
	again := r.opens(t, launchWithCanaries)
	again.want(t, http.StatusCreated, "")
	launched := authorizing("chart")
	launched.Set("scope", "launch openid launch/patient launch/encounter patient/Observation.rs")
	launched.Set("launch", again.field(t, "launch").(string))
	g.launchedCode = r.codeOf(t, "clinic", "ada", launched)
	g.code, g.entrasCode = r.codeOf(t, "clinic", "pat", authorizing("growth-chart")), r.codeOf(t, "other", "pat", authorizing("growth-chart"))
	first, second := r.exchange(t, "clinic", r.codeOf(t, "clinic", "pat", authorizing("growth-chart"))), r.exchange(t, "other", r.codeOf(t, "other", "pat", authorizing("growth-chart")))
	g.refresh, g.access, g.entrasRefresh = first.Refresh, first.Access, second.Refresh
	for i := range g.begun {
		g.begun[i] = r.begin(t, authorizing("growth-chart"))
	}
	made := r.send(t, request{caller: manager(orgA), method: "POST", target: "/api/links/clinic/apps/portal/secret", body: `{"overlapHours":0}`})
	made.want(t, http.StatusCreated, "")
	g.clientSecret = made.field(t, "clientSecret").(string)
	g.assertion = r.assertion(t, r.key, backendID)
	return g
}

const launchWithCanaries = `{"clientId":"chart","user":"a0a0a0a0-0000-4000-8000-000000000001","patient":"canary-patient","encounter":"canary-encounter","fhirContext":[{"reference":"ImagingStudy/canary-study"}],"intent":"canary-intent","tenant":"canary-tenant"}`

// codeOf signs a user in, and returns the code that the app gets.
func (r *launchRig) codeOf(t *testing.T, slug, user string, q url.Values) string {
	t.Helper()
	to, err := r.person.Open("/api/smart/"+slug+"/authorize?"+q.Encode(), "Sec-Fetch-Site", "cross-site")
	if err != nil {
		t.Fatal(err)
	}
	back, err := r.person.Authorize(to, user, "")
	if err != nil {
		t.Fatal(err)
	}
	location, err := url.Parse(back.Header.Get("Location"))
	if err != nil || location.Query().Get("code") == "" {
		t.Fatalf("%s %v", location, err)
	}
	return location.Query().Get("code")
}

func (r *launchRig) exchange(t *testing.T, slug, code string) issued {
	t.Helper()
	form := url.Values{"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {"https://app.example/cb"}, "client_id": {"growth-chart"}, "code_verifier": {appVerifier}}
	return readIssued(t, r.send(t, request{method: "POST", target: "/api/smart/" + slug + "/token", contentType: formType, body: form.Encode()}))
}

// begin signs a user in, up to Entra's answer.
func (r *launchRig) begin(t *testing.T, q url.Values) begun {
	t.Helper()
	a := r.send(t, request{method: "GET", target: issuer + "/authorize?" + q.Encode()})
	at, err := r.person.Visit(a.header.Get("Location"), url.Values{"user": {"pat"}}.Encode())
	if err != nil {
		t.Fatal(err)
	}
	callback, ok := strings.CutPrefix(at.Header.Get("Location"), publicURL)
	cookie, _, _ := strings.Cut(a.header.Get("Set-Cookie"), ";")
	if _, state, named := strings.Cut(cookie, "="); ok && named {
		return begun{state, cookie, callback}
	}
	t.Fatalf("%d %s %s", at.Status, at.Header.Get("Location"), at.Body)
	return begun{}
}

// assertion is a client assertion that a key has signed.
func (r *launchRig) assertion(t *testing.T, key *ecdsa.PrivateKey, client string) string {
	t.Helper()
	s, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES384, Key: jose.JSONWebKey{Key: key, KeyID: "k"}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	claims, err := json.Marshal(map[string]any{"iss": client, "sub": client, "aud": publicURL + issuer + "/token", "exp": time.Now().Add(time.Minute).Unix(), "jti": "canary-jti-" + rand.Text()})
	if err != nil {
		t.Fatal(err)
	}
	signed, err := s.Sign(claims)
	if err != nil {
		t.Fatal(err)
	}
	text, err := signed.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// newlyIssued are the secrets that an answer may have, because it hands them out: the members of a token answer, of an
// app and of a launch, and the parameters of a redirect to Entra and to the app. Its cookie has the state once more.
func newlyIssued(a answer) (all []string) {
	var body map[string]any
	if a.status < 300 && json.Unmarshal([]byte(a.body), &body) == nil {
		for _, name := range []string{"access_token", "refresh_token", "id_token", "launch", "clientSecret"} {
			if value, ok := body[name].(string); ok {
				all = append(all, value)
			}
		}
	}
	to, err := url.Parse(a.header.Get("Location"))
	if err != nil || a.status != http.StatusSeeOther {
		return all
	}
	for _, name := range []string{"code", "state", "nonce", "code_challenge"} {
		if value := to.Query().Get(name); value != "" && !strings.Contains(value, canary) {
			all = append(all, value)
		}
	}
	return all
}

// TestNothingOfAppsLeaks: every route of SMART authorization, with everything that can go wrong behind it. No answer
// repeats a handle, a code, a token, a secret, an assertion or the context of a launch that it was sent, and none of
// them is in the log, nor what an answer hands out.
func TestNothingOfAppsLeaks(t *testing.T) {
	r := newLaunchRig(t)
	everything := app(orgA, "Links.Manage.All", "Links.Token.All", "Links.Launch.All")
	never := []string{clientSecret, expiredSecret, wrongSecret, chartSecret, r.token(everything)}
	outcomes := map[string]bool{}
	for _, trouble := range troubles(r.rig) {
		clearFaults(r.rig)
		before := len(r.log.String())
		g := r.give(t)
		secrets := g.secrets()
		unlogged := slices.Concat(never, secrets)
		trouble.set()
		for _, q := range requestsOfApps(t, r, g) {
			if !strings.HasPrefix(q.target, "/api/smart/") {
				q.caller = everything
			}
			a := r.send(t, q.request)
			text, fresh := fmt.Sprint(a.header)+a.body, newlyIssued(a)
			for _, one := range append(fresh, q.may...) {
				if !slices.ContainsFunc(secrets, func(secret string) bool { return strings.Contains(one, secret) }) {
					text = strings.ReplaceAll(text, one, "")
				}
			}
			if found := leaks(text, append(secrets, append(never, canary)...)...); found != nil {
				t.Errorf("%s, %s %s %s: %q in %d %v %s", trouble.name, q.method, q.target, q.body, found, a.status, a.header, a.body)
			}
			if a.status >= 500 && a.status != http.StatusServiceUnavailable && !strings.Contains(trouble.name, "panics") {
				t.Errorf("%s, %s %s: %d %s", trouble.name, q.method, q.target, a.status, a.body)
			}
			unlogged = append(unlogged, fresh...)
			path, _, _ := strings.Cut(q.target, "?")
			outcomes[fmt.Sprintf("%s %s %d", q.method, path, a.status)] = true
		}
		if found := leaks(r.log.String()[before:], unlogged...); found != nil {
			t.Errorf("%s: the log has %q", trouble.name, found)
		}
		if found := leaks(fmt.Sprint(r.rows.All()), unlogged...); found != nil {
			t.Errorf("%s: the rows have %q", trouble.name, found)
		}
	}
	clearFaults(r.rig)
	// Requests that were all refused in the same way would find nothing.
	for _, one := range []string{
		"GET /api/smart/clinic/authorize 303", "POST /api/smart/clinic/authorize 303", "GET /api/smart/clinic/authorize 400", "GET /api/smart/clinic/callback 303", "GET /api/smart/clinic/callback 400", "GET /api/smart/clinic/callback 503",
		"POST /api/smart/clinic/token 200", "POST /api/smart/clinic/token 400", "POST /api/smart/clinic/token 401", "POST /api/smart/clinic/token 503", "POST /api/smart/other/token 200", "POST /api/smart/other/token 503", "POST /api/smart/clinic/revoke 200", "POST /api/smart/clinic/revoke 503",
		"POST /api/links/clinic/launches 201", "POST /api/links/clinic/launches 422", "POST /api/links/clinic/launches 503", "POST /api/links/clinic/apps/portal/secret 201", "POST /api/links/other/apps 409", "PATCH /api/links/other/apps/growth-chart 422",
	} {
		if !outcomes[one] {
			t.Errorf("never seen: %s", one)
		}
	}
	log := r.log.String()
	for line := range strings.Lines(log) {
		if found := leaks(line, canary, "Pat Patient", "Patient/p-1", "Practitioner/1"); found != nil {
			t.Errorf("the log has %q: %s", found, line)
		}
	}
	for _, event := range []string{"smart.authorize", "smart.signed_in", "smart.token", "panic", "request.failed"} {
		if !strings.Contains(log, `"msg":"`+event+`"`) {
			t.Errorf("the log has no %s", event)
		}
	}
	if found := leaks(fmt.Sprint(r.rows.All()), canary); found != nil {
		t.Errorf("the rows have %q", found)
	}
}

// TestEveryRouteIsTriedForLeaks: a route that is added needs a request above, or in leak_test.go.
func TestEveryRouteIsTriedForLeaks(t *testing.T) {
	r := newRig(t)
	mux := http.NewServeMux()
	for _, route := range r.deps.Routes() {
		mux.HandleFunc(route.Method+" "+route.Path, func(http.ResponseWriter, *http.Request) {})
	}
	tried := map[string]bool{}
	all := requestsWithSecrets(r)
	none := begun{callback: issuer + "/callback"}
	for _, q := range requestsOfApps(t, &launchRig{rig: r}, given{begun: [3]begun{none, none, none}}) {
		all = append(all, q.request)
	}
	for _, q := range all {
		if strings.Contains(fmt.Sprint(q.target, q.body, q.header), canary) {
			_, pattern := mux.Handler(r.request(t, q))
			tried[pattern] = true
		}
	}
	for _, route := range r.deps.Routes() {
		if !tried[route.Method+" "+route.Path] {
			t.Errorf("%s %s: no request with a secret is sent there", route.Method, route.Path)
		}
	}
}

// secretRequest is a request that carries secrets, and what of it an answer may have.
type secretRequest struct {
	request
	may []string
}

// requestsOfApps returns requests with secrets to the routes of SMART authorization, in the right places and in wrong
// ones. Each of the secrets is used first in ways that leave it as it is, and then as it should be.
func requestsOfApps(t *testing.T, r *launchRig, g given) (all []secretRequest) {
	t.Helper()
	header := func(more ...string) http.Header {
		h := http.Header{"X-Functions-Key": {"canary-key"}, "Referer": {"https://app.example/?code=canary-referer"}, "Cookie": {"__Host-smart-canary-8=canary-cookie; a=canary-cookie"}}
		for i := 0; i+1 < len(more); i += 2 {
			h.Set(more[i], more[i+1])
		}
		return h
	}
	add := func(q request, may ...string) {
		if q.header == nil {
			q.header = header("Authorization", "Bearer canary-bearer")
		}
		all = append(all, secretRequest{q, may})
	}
	const inQuery = "?code=canary-code&access_token=canary-token&client_secret=canary-secret&launch=canary-launch&patient=canary-patient"

	for _, path := range discoveryPaths {
		add(request{method: "GET", target: issuer + path + inQuery})
		add(request{method: "HEAD", target: issuer + path + inQuery})
		add(request{method: "POST", target: issuer + path + inQuery, contentType: formType, body: "code=canary-code"})
		add(request{method: "GET", target: "/api/smart/none" + path + inQuery})
	}

	// Who signs in. The app's state goes back to the app, and a hint to Entra.
	echoed := []string{"state=canary-state", "login_hint=canary-hint%40example.org"}
	for _, path := range []string{"/authorize", "/oauth2/v2.0/authorize"} {
		authorize := func(q url.Values, may ...string) {
			add(request{method: "GET", target: issuer + path + "?" + q.Encode()}, may...)
			add(request{method: "POST", target: issuer + path, contentType: formType, body: q.Encode()}, may...)
		}
		for _, name := range []string{
			"response_type", "scope", "aud", "resource", "code_challenge", "code_challenge_method", "launch", "prompt", "response_mode", "request", "request_uri",
			"code", "code_verifier", "client_secret", "client_assertion", "access_token", "refresh_token", "id_token_hint", "patient", "encounter", "fhirContext", "intent",
		} {
			q := authorizing("growth-chart")
			q.Set(name, "canary-"+name+"/x")
			authorize(q, echoed...)
			q.Add(name, "canary-2")
			authorize(q, echoed...)
		}
		for _, name := range []string{"client_id", "redirect_uri"} {
			q := authorizing("growth-chart")
			q.Set(name, "https://canary.example/ "+strangeID)
			authorize(q)
			q.Add(name, "canary-2")
			authorize(q)
		}
		for _, name := range []string{"state", "nonce", "login_hint"} {
			q := authorizing("growth-chart")
			q.Add(name, "canary-2")
			authorize(q, echoed...)
			q.Set(name, strings.Repeat("canary", 500))
			authorize(q, echoed...)
		}
		for _, app := range []string{"growth-chart", "chart", "portal"} { // who may use it, and who may not
			q := authorizing(app)
			q.Set("launch", g.launch)
			authorize(q, echoed...)
		}
		add(request{method: "GET", target: issuer + path + "?client_id=%zz&code=canary-code"})
		add(request{method: "POST", target: issuer + path + inQuery, body: `{"state":"canary-state"}`})
		add(request{method: "POST", target: issuer + path, contentType: formType, body: "state=" + strings.Repeat("canary", 3000)})
		add(request{method: "GET", target: "/api/smart/none" + path + "?" + authorizing("growth-chart").Encode()})
	}
	add(request{method: "GET", target: "/api/smart/other/authorize?" + authorizing("growth-chart").Encode()}, echoed...)

	// What Entra answers.
	callback := issuer + "/callback"
	wrong := "?code=canary-code&session_state=canary-session&error=canary-error&error_description=AADSTS65004%3A+canary-description&state="
	add(request{method: "GET", target: callback + wrong + "canary-state"})
	add(request{method: "GET", target: callback + wrong + "%zz"})
	add(request{method: "GET", target: "/api/smart/none/callback" + wrong + "canary-state"})
	for _, b := range g.begun {
		add(request{method: "GET", target: callback + wrong + b.state})
		add(request{method: "GET", target: callback + wrong + b.state + "&state=canary-state", header: header("Cookie", b.cookie)})
		add(request{method: "POST", target: callback + wrong + b.state, contentType: formType, body: "state=" + b.state, header: header("Cookie", b.cookie)})
	}
	cookie := func(i int) http.Header { return header("Cookie", "a=canary-cookie; "+g.begun[i].cookie) }
	add(request{method: "GET", target: callback + wrong + g.begun[0].state, header: cookie(0)}, echoed...)
	add(request{method: "GET", target: callback + "?code=canary-code&state=" + g.begun[1].state, header: cookie(1)}, echoed...)
	for range 2 { // the second time it is used
		add(request{method: "GET", target: g.begun[2].callback, header: cookie(2)}, echoed...)
	}

	tokenRequestsOfApps(t, r, g, header, add)

	// How apps are registered, and opened.
	for _, target := range []string{"/api/links/clinic/smart", "/api/links/clinic/apps", "/api/links/clinic/apps/portal"} {
		add(request{method: "GET", target: target + inQuery})
		add(request{method: "HEAD", target: target, header: header()})
		add(request{method: "GET", target: target, header: header()})
	}
	withTag := header("If-Match", "*")
	add(request{method: "DELETE", target: "/api/links/none/smart" + inQuery, header: withTag})
	add(request{method: "DELETE", target: "/api/links/none/smart", header: withTag})
	add(request{method: "DELETE", target: "/api/links/clinic/apps/none", header: withTag})
	add(request{method: "DELETE", target: "/api/links/clinic/apps/" + url.PathEscape(strangeID), header: withTag}, strangeID) // whoever manages apps is told which one there is not
	add(request{method: "GET", target: "/api/links/clinic/apps/" + url.PathEscape(strangeID), header: withTag}, strangeID)
	add(request{method: "GET", target: "/api/links/clinic/apps?continue=canary-continue", header: withTag})
	wrongSecrets := []string{
		`{"clientSecret":["` + wrongSecret + `"]}`, `{"clientSecret":{"` + wrongSecret + `":1}}`, `{"clientSecret":"` + wrongSecret + `","clientSecret":"canary"}`, `{"ClientSecret":"` + wrongSecret + `"}`, `{"secret":"` + wrongSecret + `"}`, `{"clientSecret":"` + wrongSecret, `"` + wrongSecret + `"`, `{"clientSecret":"canary ä"}`,
		`{"entra":{"clientSecret":["` + wrongSecret + `"]}}`, `{"entra":{"ClientSecret":"` + wrongSecret + `"}}`, `{"entra":"` + wrongSecret + `"}`, `{"entra":{"clientId":"` + wrongSecret + `","clientSecret":"` + wrongSecret + `"}}`,
		`{"jwks":{"keys":[{"kty":"EC","crv":"P-384","kid":"k","x":"canary","y":"canary","d":"` + wrongSecret + `"}]}}`, `{"jwks":"` + wrongSecret + `"}`, `{"jwksUri":{"` + wrongSecret + `":1}}`, `{"patient":"canary-patient"}`,
	}
	for _, body := range wrongSecrets {
		for _, q := range []request{
			{method: "PUT", target: "/api/links/clinic/smart"},
			{method: "POST", target: "/api/links/clinic/apps"},
			{method: "PATCH", target: "/api/links/clinic/apps/portal"},
			{method: "POST", target: "/api/links/clinic/apps/portal/secret"},
			{method: "POST", target: "/api/links/clinic/launches"},
		} {
			q.body, q.header = body, withTag
			add(q)
		}
	}
	entras := func(secret string) string {
		return `"entra":{"clientId":"` + chartID + `","clientSecret":"` + secret + `"}`
	}
	add(request{method: "POST", target: "/api/links/other/apps", header: withTag, body: strings.TrimSuffix(strings.Replace(publicApp, "growth-chart", "second", 1), "}") + "," + entras(chartSecret) + "}"})
	add(request{method: "POST", target: "/api/links/other/apps", header: withTag, body: strings.Replace(strings.TrimSuffix(strings.Replace(publicApp, "growth-chart", "third", 1), "}")+","+entras(wrongSecret)+"}", chartID, clientID, 1)})
	add(request{method: "PATCH", target: "/api/links/other/apps/growth-chart", header: withTag, body: `{"entra":{"clientSecret":"` + wrongSecret + `"}}`})
	add(request{method: "PATCH", target: "/api/links/other/apps/growth-chart", header: withTag, body: `{"entra":{"clientSecret":"` + chartSecret + `"}}`})
	for _, body := range []string{`{"clientSecret":"canary short"}`, `{"clientSecret":"canary-imported-secret-0123456789","overlapHours":-1}`, `{"clientSecret":"canary-imported-secret-0123456789"}`, `{}`} {
		add(request{method: "POST", target: "/api/links/clinic/apps/portal/secret", header: header(), body: body})
		add(request{method: "POST", target: "/api/links/clinic/apps/growth-chart/secret", header: header(), body: body})
	}
	for _, body := range []string{
		launchWithCanaries, strings.Replace(launchWithCanaries, `"patient":"`, `"patient":"Patient/`, 1), strings.Replace(launchWithCanaries, `"chart"`, `"none"`, 1), strings.Replace(launchWithCanaries, "a0a0a0a0", "canary", 1), strings.Replace(launchWithCanaries, "ImagingStudy", "Patient", 1),
		`{"patient":["canary-patient"]}`, `{"Patient":"canary-patient"}`, `{"patient":"canary-1","patient":"canary-2"}`, `{"fhirContext":{"canary":1}}`, `{"fhirContext":["canary"]}`, `{"patient":"canary-patient"`, `{"iss":"https://canary.example","patient":"canary-patient"}`, `{"smartStyleUrl":"canary","intent":"canary"}`,
	} {
		add(request{method: "POST", target: "/api/links/clinic/launches", header: header(), body: body})
		add(request{method: "POST", target: "/api/links/none/launches" + inQuery, header: header(), body: body})
	}
	return all
}

// tokenRequestsOfApps adds those to the endpoints that hand out tokens and take them back.
func tokenRequestsOfApps(t *testing.T, r *launchRig, g given, header func(...string) http.Header, add func(request, ...string)) {
	t.Helper()
	ofLaunch := []string{"canary-patient", "canary-encounter", "canary-study", "canary-intent", "canary-tenant"}
	basic := func(text string) http.Header {
		return header("Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(text)))
	}
	with := func(form url.Values, more ...string) url.Values {
		form = maps.Clone(form)
		for i := 0; i+1 < len(more); i += 2 {
			form[more[i]] = []string{more[i+1]}
		}
		return form
	}
	byCode := url.Values{"grant_type": {"authorization_code"}, "code": {g.code}, "redirect_uri": {"https://app.example/cb"}, "client_id": {"growth-chart"}, "code_verifier": {appVerifier}}
	byRefresh := url.Values{"grant_type": {"refresh_token"}, "refresh_token": {g.refresh}}
	backend := url.Values{"grant_type": {"client_credentials"}, "scope": {"system/*.rs"}, "client_assertion_type": {"urn:ietf:params:oauth:client-assertion-type:jwt-bearer"}, "client_assertion": {g.assertion}}
	revoke := url.Values{"token": {g.refresh}, "client_id": {"growth-chart"}}
	for _, path := range []string{"/token", "/oauth2/v2.0/token", "/revoke"} {
		post := func(slug string, form url.Values, h http.Header, may ...string) {
			if h == nil {
				h = header()
			}
			add(request{method: "POST", target: "/api/smart/" + slug + path + "?code=canary-code&client_secret=canary-secret", contentType: formType, body: form.Encode(), header: h}, may...)
		}
		kinds := []url.Values{byCode, byRefresh, backend}
		if path == "/revoke" {
			kinds = []url.Values{revoke}
		}
		for _, form := range kinds {
			wrong := with(form, "code", "flc_canary-code", "refresh_token", "flr_canary-refresh-token", "token", "canary-token")
			for _, name := range []string{
				"grant_type", "code", "redirect_uri", "code_verifier", "refresh_token", "scope", "token", "token_type_hint", "client_secret", "client_assertion", "client_assertion_type",
				"access_token", "id_token", "launch", "patient", "password", "assertion", "device_code",
			} {
				one := with(wrong, name, "canary-"+name+"/x")
				post("clinic", one, nil)
				one.Add(name, "canary-2")
				post("clinic", one, nil)
			}
			post("clinic", with(form, "client_id", strangeID), nil) // no app's: it is not believed
			for _, credentials := range []string{"portal:canary-password", strangeID + ":canary-password", "canary-password", ":canary-password", "growth-chart:canary%zz"} {
				post("clinic", with(form, "client_id", ""), basic(credentials))
				post("clinic", with(form, "client_id", "portal", "client_secret", "canary-secret"), basic(credentials))
			}
			for _, authorization := range []string{"Bearer canary-bearer", "Basic canary", "Canary canary", "canary"} {
				post("clinic", form, header("Authorization", authorization))
			}
			post("none", form, nil)
			post("clinic", with(form, "client_id", "portal", "client_secret", g.clientSecret+"x"), nil) // another app
			post("clinic", with(form, "client_id", "portal", "client_secret", g.clientSecret), nil)
			post("clinic", with(form, "client_id", ""), basic("portal:"+g.clientSecret))
		}
		target := issuer + path + "?client_secret=canary-secret"
		add(request{method: "GET", target: target + "&code=canary-code"})
		add(request{method: "POST", target: target, contentType: formType, body: "client_secret=canary%zz"})
		add(request{method: "POST", target: target, contentType: formType, body: "client_secret=" + strings.Repeat("canary", 20_000)})
		add(request{method: "POST", target: target, body: `{"client_secret":"canary-secret"}`})
		add(request{method: "POST", target: target})
		if path == "/revoke" {
			continue
		}
		if r.key != nil { // of nobody, and of another key
			post("clinic", with(backend, "client_assertion", r.assertion(t, r.key, strangeID)), nil)
			stranger, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
			if err != nil {
				t.Fatal(err)
			}
			post("clinic", with(backend, "client_assertion", r.assertion(t, stranger, backendID)), nil)
		}
		post("clinic", with(byCode, "code_verifier", strings.Repeat("canary", 10)), nil)
		post("clinic", with(byCode, "redirect_uri", "https://app.example/canary"), nil)
		for range 2 { // the second time it was used
			post("clinic", with(byCode, "code", g.launchedCode, "client_id", "chart"), nil, ofLaunch...)
			post("clinic", byCode, nil)
			post("other", with(byCode, "code", g.entrasCode), nil)
			post("clinic", backend, nil)
			post("clinic", byRefresh, nil)
			post("clinic", with(byRefresh, "scope", "canary/x.y"), nil, "canary/x.y") // the app is told which one it was not granted
			post("other", with(byRefresh, "refresh_token", g.entrasRefresh), nil)
		}
	}
	for _, token := range []string{g.access, g.refresh, g.code} {
		add(request{method: "POST", target: issuer + "/revoke", contentType: formType, body: with(revoke, "token", token).Encode(), header: header()})
	}
}

package launch

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"fhirlink/shared/entra/entratest"
	"fhirlink/shared/link"
	"fhirlink/shared/smartauth/ehr"
	"fhirlink/shared/smartauth/handle"
	"fhirlink/shared/store"
)

// fromEHR is a request of the app, which an EHR has opened with a launch.
func (r *rig) fromEHR(t testing.TB, request url.Values, launch string) url.Values {
	t.Helper()
	made, err := r.ehr.Create(t.Context(), orgA, slug, read[ehr.NewLaunch](t, launch))
	if err != nil {
		t.Fatal(err)
	}
	return with(request, "launch="+made.Launch)
}

// ehrApp is a rig with one app that EHRs open, and a request that the app may make once it has a launch.
func ehrApp(t testing.TB) (*rig, url.Values) {
	t.Helper()
	r, request := patientApp(t)
	r.change(t, `{"launchUri":"https://app.example/launch","scopes":["launch","openid","fhirUser","launch/patient","launch/encounter","offline_access","patient/*.rs","user/*.rs"]}`)
	return r, with(request, "scope=launch openid fhirUser launch/patient launch/encounter offline_access patient/Observation.rs user/Practitioner.rs")
}

const (
	forAda = `{"user":"A0A0A0A0-0000-4000-8000-000000000001","patient":"canary-p2","encounter":"canary-e1"}`
	anyOne = `{"clientId":"one","user":"a0a0a0a0-0000-4000-8000-000000000001","patient":"canary-p2","encounter":"canary-e1","fhirContext":[{"reference":"ImagingStudy/canary-i1", "role" : "a&<b"}],"intent":"canary-intent","needPatientBanner":false,"smartStyleUrl":"https://style.example/ehr.json","tenant":"west"}`
)

// TestEHRLaunch: an app that an EHR opens gets what the EHR has said, in its tokens and beside them, now and
// when it refreshes. A practitioner gets at the patient of the launch.
func TestEHRLaunch(t *testing.T) {
	r, request := ehrApp(t)
	r.put(t, `{"tokens":"fhirlink","context":{"tenant":"east","smartStyleUrl":"https://style.example/s.json","needPatientBanner":true}}`)
	const (
		scope = "launch openid fhirUser launch/patient launch/encounter offline_access patient/Observation.rs user/Practitioner.rs"
		whole = `"patient":"canary-p2","encounter":"canary-e1","need_patient_banner":false,"smart_style_url":"https://style.example/ehr.json","tenant":"west","fhirContext":[{"reference":"ImagingStudy/canary-i1","role":"a&<b"}],"intent":"canary-intent"}`
		short = `"patient":"canary-p2","encounter":"canary-e1","need_patient_banner":true,"smart_style_url":"https://style.example/s.json","tenant":"east"}`
	)
	for launch, want := range map[string]string{anyOne: whole, forAda: short} {
		answer := r.tokens(t, r.signIn(t, r.fromEHR(t, request, launch), ada))
		for _, what := range []string{"by code", "by refresh"} {
			if answer.Scope != scope {
				t.Errorf("%s: %q", what, answer.Scope)
			}
			if access := r.claimsOf(t, answer.AccessToken, "at+jwt"); access["patient"] != "canary-p2" || access["encounter"] != "canary-e1" || access["scope"] != scope || access["fhirUser"] != "https://clinic.example/fhir/Practitioner/canary-1" {
				t.Errorf("%s: %v", what, access)
			}
			if text := textOfAnswer(t, answer); !strings.HasSuffix(text, want) || strings.Contains(text, "null") {
				t.Errorf("%s: %s\nwant %s", what, text, want)
			}
			if answer.IDToken != "" && r.claimsOf(t, answer.IDToken, "JWT")["fhirUser"] != "https://clinic.example/fhir/Practitioner/canary-1" {
				t.Error("the id token names another user")
			}
			answer = r.tokens(t, refreshForm(answer))
		}
		narrow := r.tokens(t, with(refreshForm(answer), "scope=launch patient/Observation.rs"))
		if narrow.Scope != "launch patient/Observation.rs offline_access" || narrow.Encounter != "canary-e1" {
			t.Errorf("%q", narrow.Scope)
		}
	}
}

func textOfAnswer(t testing.TB, a TokenAnswer) string {
	t.Helper()
	var b strings.Builder
	encoder := json.NewEncoder(&b) // as httpx.WriteJSON does
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(a); err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(b.String())
}

// TestWhoIsLaunched: what is granted by what the EHR says, by who has signed in, and by what the app asks for.
func TestWhoIsLaunched(t *testing.T) {
	launch := func(u entratest.Account, rest string) string { return `{"user":"` + u.ObjectID + `",` + rest + `}` }
	for name, tt := range map[string]struct {
		user               entratest.Account
		launch             string
		scope, granted     string // "app …": what the app is told
		patient, encounter string
	}{
		"without the scope launch":          {ada, launch(ada, `"patient":"canary-p2"`), "openid patient/*.rs", "openid patient/*.rs", "canary-p2", ""},
		"the scope launch alone":            {ada, launch(ada, `"patient":"canary-p2"`), "launch", "launch", "canary-p2", ""},
		"no encounter":                      {ada, launch(ada, `"patient":"canary-p2"`), "launch launch/patient launch/encounter", "launch launch/patient", "canary-p2", ""},
		"an encounter only":                 {ada, launch(ada, `"encounter":"canary-e1"`), "launch launch/patient launch/encounter user/*.rs patient/*.rs", "launch launch/encounter user/*.rs", "", "canary-e1"},
		"an encounter only, patient/ scope": {ada, launch(ada, `"encounter":"canary-e1"`), "launch patient/*.rs", "app access_denied", "", ""},
		"an intent only, a patient":         {pat, launch(pat, `"intent":"canary"`), "launch launch/patient patient/*.rs", "launch launch/patient patient/*.rs", "canary-p1", ""},
		"a patient's own record":            {pat, launch(pat, `"patient":"canary-p1","encounter":"canary-e1"`), "launch patient/*.rs user/*.rs", "launch patient/*.rs", "canary-p1", "canary-e1"},
		"a patient, another record":         {pat, launch(pat, `"patient":"canary-p2"`), "launch patient/*.rs", "app access_denied", "", ""},
		"another user":                      {pat, launch(ada, `"patient":"canary-p1"`), "launch patient/*.rs", "app access_denied", "", ""},
		"nobody of the server's":            {nobody, launch(nobody, `"patient":"canary-p2"`), "launch patient/*.rs", "app access_denied", "", ""},
		"nobody, no data":                   {nobody, launch(nobody, `"patient":"canary-p2"`), "launch openid", "launch openid", "canary-p2", ""},
	} {
		t.Run(name, func(t *testing.T) {
			r, request := ehrApp(t)
			request = r.fromEHR(t, with(request, "scope="+tt.scope), tt.launch)
			begun, err := r.Authorize(t.Context(), slug, request)
			if err != nil {
				t.Fatal(err)
			}
			answered, err := r.callback(t.Context(), begun, r.entraAnswers(t, begun, tt.user))
			if err != nil {
				var refused *Refused
				if codeOf(err) != tt.granted || !errors.As(err, &refused) || strings.Contains(refused.Description, "canary") || strings.Contains(refused.Description, "a0a0a0a0") || refused.Description == "" {
					t.Errorf("%v", err)
				}
				if _, err := r.Authorize(t.Context(), slug, request); err != nil {
					t.Errorf("no code was issued, and the launch is spent: %v", err)
				}
				return
			}
			answer := r.tokens(t, r.formOf(t, request, answered))
			if answer.Scope != tt.granted || answer.Patient != tt.patient || answer.Encounter != tt.encounter {
				t.Errorf("%q, patient %q, encounter %q", answer.Scope, answer.Patient, answer.Encounter)
			}
			if _, err := r.Authorize(t.Context(), slug, request); codeOf(err) != "app invalid_request" {
				t.Errorf("with the same launch again: %v", err)
			}
		})
	}
}

// TestCompartmentOfLaunch: for Microsoft's servers, which look for the patient in fhirUser, the access token's is
// the patient of the launch, and the id token's is the user.
func TestCompartmentOfLaunch(t *testing.T) {
	for _, kind := range []string{"fhirServer", "ahds"} {
		r, request := ehrApp(t)
		r.put(t, `{"tokens":"fhirlink","server":"`+kind+`"}`)
		answer := r.tokens(t, r.signIn(t, r.fromEHR(t, with(request, "scope=launch openid fhirUser offline_access patient/*.rs"), anyOne), ada))
		if id := r.claimsOf(t, answer.IDToken, "JWT")["fhirUser"]; id != "https://clinic.example/fhir/Practitioner/canary-1" {
			t.Errorf("%s: the id token has %v", kind, id)
		}
		for range 2 {
			if access := r.claimsOf(t, answer.AccessToken, "at+jwt"); access["fhirUser"] != "https://clinic.example/fhir/Patient/canary-p2" || access["patient"] != "canary-p2" {
				t.Errorf("%s: %v", kind, access)
			}
			answer = r.tokens(t, refreshForm(answer))
		}
	}
}

// TestLaunchIsBound: a launch is refused that is not the app's and the link's, or over, or that was for the app
// or the settings as they were before. It is so when the app begins, and when the user comes back.
func TestLaunchIsBound(t *testing.T) {
	twins := func(t *testing.T, r *rig) { // a link with an app of the same client id
		t.Helper()
		other := r.links[slug]
		other.Slug, other.ID = "other", "id-2"
		r.links["other"] = other
		r.putAt(t, "other", `{"tokens":"fhirlink"}`)
		r.createAt(t, "other", `{"clientId":"one","name":"One","type":"public","redirectUris":["https://app.example/cb"],"scopes":["launch","patient/*.rs"]}`)
	}
	for name, tt := range map[string]struct {
		launch       string
		do           func(t *testing.T, r *rig, launch string)
		begin, comes string
	}{
		"as it was":         {anyOne, func(*testing.T, *rig, string) {}, "ok", "ok"},
		"of another app":    {strings.Replace(anyOne, `"one"`, `"two"`, 1), func(*testing.T, *rig, string) {}, "app invalid_request", ""},
		"spent":             {anyOne, func(t *testing.T, r *rig, launch string) { r.spend(t, launch) }, "app invalid_request", "app invalid_request"},
		"after 299 seconds": {anyOne, func(_ *testing.T, r *rig, _ string) { r.pass(299 * time.Second) }, "ok", "ok"},
		"after 300 seconds": {anyOne, func(_ *testing.T, r *rig, _ string) { r.pass(300 * time.Second) }, "app invalid_request", "app invalid_request"},
		"the app off":       {anyOne, func(t *testing.T, r *rig, _ string) { r.change(t, `{"enabled":false}`) }, "page app_disabled", "page app_disabled"},
		"the app off and on": {anyOne, func(t *testing.T, r *rig, _ string) {
			r.change(t, `{"enabled":false}`)
			r.change(t, `{"enabled":true}`)
		}, "app invalid_request", "page request_expired"},
		"any app, off and on": {forAda, func(t *testing.T, r *rig, _ string) {
			r.change(t, `{"enabled":false}`)
			r.change(t, `{"enabled":true}`)
		}, "ok", "page request_expired"},
		"the app made anew": {anyOne, func(t *testing.T, r *rig, _ string) {
			r.deleteApp(t)
			r.create(t, `{"clientId":"one","name":"One","type":"public","redirectUris":["https://app.example/cb"],"scopes":["launch","patient/*.rs"]}`)
		}, "app invalid_request", "page request_expired"},
		"SMART off and on": {forAda, func(t *testing.T, r *rig, _ string) { r.off(t); r.put(t, `{"tokens":"fhirlink"}`) }, "app invalid_request", "page request_expired"},
		"another server": {forAda, func(_ *testing.T, r *rig, _ string) {
			r.relink(func(l *link.Link) { l.TenantID = "33333333-3333-4333-8333-333333333333" })
		}, "app invalid_request", "page request_expired"},
		"the table is down": {forAda, func(_ *testing.T, r *rig, _ string) {
			r.rows.Fault = func(op string, k store.Key, _ bool) error {
				if op == "Row" && strings.HasPrefix(k.Name, "l_") {
					return fmt.Errorf("%w: canary", store.ErrUnavailable)
				}
				return nil
			}
		}, "app temporarily_unavailable", "app temporarily_unavailable"},
		"the table is down as it is spent": {forAda, func(_ *testing.T, r *rig, _ string) {
			r.rows.Fault = func(op string, k store.Key, _ bool) error {
				if op == "Swap" && strings.HasPrefix(k.Name, "l_") {
					return fmt.Errorf("%w: canary", store.ErrUnavailable)
				}
				return nil
			}
		}, "ok", "app temporarily_unavailable"},
	} {
		t.Run(name, func(t *testing.T) {
			for _, when := range []string{"begin", "comes"} {
				r, request := ehrApp(t)
				r.create(t, `{"clientId":"two","name":"Two","type":"public","redirectUris":["https://app.example/cb"],"scopes":["launch","patient/*.rs"]}`)
				if _, err := r.smart.Server(t.Context(), slug); err != nil {
					t.Fatal(err)
				}
				request = r.fromEHR(t, request, tt.launch)
				if when == "begin" {
					tt.do(t, r, request.Get("launch"))
					_, err := r.Authorize(t.Context(), slug, request)
					r.check(t, "authorize", err, tt.begin)
					continue
				}
				if tt.comes == "" {
					continue
				}
				begun, err := r.Authorize(t.Context(), slug, request)
				if err != nil {
					t.Fatal(err)
				}
				query := r.entraAnswers(t, begun, ada)
				tt.do(t, r, request.Get("launch"))
				_, err = r.callback(t.Context(), begun, query)
				r.check(t, "callback", err, tt.comes)
			}
		})
	}

	r, request := ehrApp(t)
	twins(t, r)
	launched := r.fromEHR(t, request, forAda)
	if _, err := r.Authorize(t.Context(), "other", launched); codeOf(err) != "app invalid_request" {
		t.Errorf("a launch of another link: %v", err)
	}
	if _, err := r.Authorize(t.Context(), slug, launched); err != nil {
		t.Errorf("the launch was spent at another link: %v", err)
	}
	for _, value := range []string{"x", "fll_", "fll_" + string(handle.New(r.clock())), launched.Get("launch") + "x"} {
		_, err := r.Authorize(t.Context(), slug, with(request, "launch="+value))
		r.check(t, "an unknown launch", err, "app invalid_request")
	}
	if _, err := r.Authorize(t.Context(), slug, with(launched, "+launch=x")); codeOf(err) != "app invalid_request" {
		t.Errorf("two launches: %v", err)
	}
}

// check compares what an app is told, which says what to do and names nobody.
func (r *rig) check(t *testing.T, what string, err error, want string) {
	t.Helper()
	var refused *Refused
	if codeOf(err) != want || errors.As(err, &refused) && (strings.Contains(refused.Description, "canary") || refused.State != "canary-state" || refused.Description == "") {
		t.Errorf("%s: %v, want %s", what, err, want)
	}
}

// spend spends a launch, as another sign-in with it does.
func (r *rig) spend(t *testing.T, launch string) {
	t.Helper()
	found, err := r.smart.Server(t.Context(), slug)
	if err != nil {
		t.Fatal(err)
	}
	app, _ := found.App("one")
	_, row, err := ehr.Look(t.Context(), r.handles(), found, app, launch, r.clock())
	if err == nil {
		err = r.handles().Spend(t.Context(), row, "")
	}
	if err != nil {
		t.Fatal(err)
	}
}

// relink changes the link.
func (r *rig) relink(change func(*link.Link)) {
	l := r.links[slug]
	change(&l)
	r.links[slug] = l
	r.smart.Forget(slug)
}

// TestOneLaunchAtOnce: of several sign-ins with one launch exactly one gets a code.
func TestOneLaunchAtOnce(t *testing.T) {
	r, request := ehrApp(t)
	for range 5 {
		launched := r.fromEHR(t, request, forAda)
		var (
			wg       sync.WaitGroup
			mu       sync.Mutex
			answered []Answered
		)
		all := make([]Begun, 6)
		for i := range all {
			var err error
			if all[i], err = r.Authorize(t.Context(), slug, launched); err != nil {
				t.Fatal(err)
			}
		}
		for _, begun := range all {
			query := r.entraAnswers(t, begun, ada)
			wg.Go(func() {
				switch one, err := r.callback(t.Context(), begun, query); codeOf(err) {
				case "ok":
					mu.Lock()
					defer mu.Unlock()
					answered = append(answered, one)
				case "app invalid_request":
				default:
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if len(answered) != 1 {
			t.Fatalf("%d sign-ins got a code", len(answered))
		}
		r.tokens(t, r.formOf(t, launched, answered[0]))
	}
}

// TestLaunchIsNotShown: nothing of a launch is in any row in plain words, in the log, or in what an error says.
func TestLaunchIsNotShown(t *testing.T) {
	r, request := ehrApp(t)
	launched := r.fromEHR(t, request, anyOne)
	begun, err := r.Authorize(t.Context(), slug, launched)
	if err != nil {
		t.Fatal(err)
	}
	_, wrongUser := r.callback(t.Context(), begun, r.entraAnswers(t, begun, pat))
	form := r.signIn(t, launched, ada)
	answer := r.tokens(t, form)
	_, spent := r.Authorize(t.Context(), slug, launched)
	var printed strings.Builder
	slog.New(slog.NewJSONHandler(&printed, nil)).Info("x", "answer", answer, "wrongUser", wrongUser, "spent", spent)
	shown := r.log.String() + printed.String() + fmt.Sprintf("%v %+v %v %+v %#v", wrongUser, spent, answer, answer, answer)
	for _, row := range r.rows.All() {
		if row.Partition[0] != 'a' {
			shown += row.Partition + row.Name + row.Value
		}
	}
	for _, one := range []string{launched.Get("launch"), strings.TrimPrefix(launched.Get("launch"), "fll_"), "canary-p2", "canary-e1", "canary-i1", "canary-intent"} {
		if strings.Contains(strings.ReplaceAll(shown, "canary-state", ""), one) {
			t.Errorf("%.12s… is shown", one)
		}
	}
}

// TestRowsFromBefore: what was kept before EHRs could open apps is read as it was.
func TestRowsFromBefore(t *testing.T) {
	kept := read[request](t, `{"SettingsID":"s","Served":"x","AppID":"a","ClientID":"one","RedirectURI":"https://app.example/cb","State":"eA==","Scopes":["openid"],"Asked":1,"Audience":"https://clinic.example/fhir","EntraNonce":"n","EntraVerifier":"v"}`)
	if kept.Launch != "" || kept.ClientID != "one" {
		t.Error("a request")
	}
	box := read[boxed](t, `{"Refresh":"r","Grant":{"ID":"","User":{"ObjectID":"o","Name":"","Username":"","Email":"","FHIRUser":"Patient/p-1"},"Scopes":["patient/*.rs"],"Context":{"Patient":"p-1","Encounter":""},"Audience":"https://clinic.example/fhir"}}`)
	if c := box.Grant.Context; c.Patient != "p-1" || c.Encounter != "" || c.FHIRContext != nil || c.NeedPatientBanner != nil {
		t.Error("a grant")
	}
}

// TestSignInsFromBefore: who was signing in when the version was deployed in which apps can have applications of their own
// is not sent back. What was kept until then names no application: it was always the link's.
func TestSignInsFromBefore(t *testing.T) {
	fromBefore := func(r *rig, begun Begun) {
		rewrite(t, r, handle.Request, begun.Cookie.Value, func(kept *request) { kept.EntraClientID = "" })
	}
	codeFromBefore := func(r *rig, form url.Values) {
		rewrite(t, r, handle.Code, strings.TrimPrefix(form.Get("code"), codePrefix), func(kept *code) { kept.EntraClientID = "" })
	}
	r, asks := patientApp(t)
	begun, err := r.Authorize(t.Context(), slug, asks)
	if err != nil {
		t.Fatal(err)
	}
	fromBefore(r, begun)
	answered, err := r.callback(t.Context(), begun, r.entraAnswers(t, begun, pat))
	if err != nil {
		t.Fatal(err)
	}
	for _, form := range []url.Values{r.formOf(t, asks, answered), r.signIn(t, asks, pat)} {
		codeFromBefore(r, form)
		if answer := r.tokens(t, refreshForm(r.tokens(t, form))); answer.AccessToken == "" {
			t.Error("no token")
		}
	}
	// With Entra's tokens there is nothing from before, and such a row would be nobody's.
	r, asks = entraRig(t, "")
	if begun, err = r.Authorize(t.Context(), slug, asks); err != nil {
		t.Fatal(err)
	}
	fromBefore(r, begun)
	if _, err := r.callback(t.Context(), begun, r.entraAnswers(t, begun, pat)); codeOf(err) != "page request_expired" {
		t.Errorf("%v", err)
	}
	form := r.signIn(t, asks, pat)
	codeFromBefore(r, form)
	if _, err := r.Token(t.Context(), slug, nil, form); codeOf(err) != "invalid_grant" {
		t.Errorf("%v", err)
	}
}

// rewrite changes what is kept under a handle.
func rewrite[T any](t testing.TB, r *rig, kind handle.Kind, name string, change func(*T)) {
	t.Helper()
	kept, row, err := handle.Look[T](t.Context(), r.handles(), kind, handle.Handle(name), "id-1")
	if err == nil {
		change(&kept)
		_, err = r.rows.Remove(t.Context(), row)
	}
	if err == nil {
		err = handle.Keep(t.Context(), r.handles(), kind, handle.Handle(name), "id-1", r.clock().Add(time.Minute), kept)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// TestLargestLaunch: as much as an EHR may say, and an app may ask for, is kept on the whole way.
func TestLargestLaunch(t *testing.T) {
	r, request := ehrApp(t)
	object := `{"reference":"ImagingStudy/1","x":"` + strings.Repeat("<", 200) + `"}`
	launch := `{"user":"` + ada.ObjectID + `","patient":"` + strings.Repeat("p", 64) + `","encounter":"` + strings.Repeat("e", 64) + `","intent":"` + strings.Repeat("i", 200) + `","fhirContext":[` + strings.TrimSuffix(strings.Repeat(object+",", 32), ",") + `]}`
	scopes := func(n int) string {
		var all strings.Builder
		for i := range n {
			fmt.Fprintf(&all, "patient/Observation.rs?category=%07d ", i)
		}
		return all.String() + "offline_access"
	}
	form := r.signIn(t, r.fromEHR(t, with(request, "scope="+scopes(190)), launch), ada) // of 8 KiB
	if _, err := r.Token(t.Context(), slug, nil, form); codeOf(err) != "invalid_scope" {
		t.Errorf("an access token of any length: %v", err)
	}
	answer := r.tokens(t, r.signIn(t, r.fromEHR(t, with(request, "scope="+scopes(50)), launch), ada))
	if again := r.tokens(t, refreshForm(answer)); len(again.FHIRContext) != 32 || string(again.FHIRContext[31]) != object {
		t.Errorf("%d objects", len(again.FHIRContext))
	}
}

// TestScopeLaunchAlone: an app that asks for the context of a launch without one is told what is missing.
func TestScopeLaunchAlone(t *testing.T) {
	r, request := ehrApp(t)
	var refused *Refused
	if _, err := r.Authorize(t.Context(), slug, with(request, "scope=launch")); codeOf(err) != "app invalid_scope" || !errors.As(err, &refused) || !strings.Contains(refused.Description, "parameter launch") {
		t.Errorf("%v", err)
	}
	begun, err := r.Authorize(t.Context(), slug, with(request, "scope=launch user/*.rs")) // without its value it is left out
	if err != nil {
		t.Fatal(err)
	}
	answered, err := r.callback(t.Context(), begun, r.entraAnswers(t, begun, ada))
	if err != nil {
		t.Fatal(err)
	}
	if answer := r.tokens(t, r.formOf(t, request, answered)); answer.Scope != "user/*.rs" {
		t.Errorf("%q", answer.Scope)
	}
}

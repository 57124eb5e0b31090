package launch

import (
	"net/url"
	"strings"
	"testing"

	"fhirlink/shared/entra/entratest"
	"fhirlink/shared/oauth"
	"fhirlink/shared/smartauth"
	"fhirlink/shared/smartauth/handle"
)

// held is what an app and a browser hold of link "clinic" and app "one": one of each kind, none of which was used.
type held struct {
	request url.Values // with a launch
	begun   Begun
	query   url.Values // of Entra's answer to it
	form    url.Values // with a code
	answer  TokenAnswer
}

// hold makes one of each kind.
func (r *rig) hold(t *testing.T, request url.Values) (h held) {
	t.Helper()
	h.answer = r.tokens(t, r.signIn(t, request, ada))
	h.form = r.signIn(t, request, ada)
	begun, err := r.Authorize(t.Context(), slug, request)
	if err != nil {
		t.Fatal(err)
	}
	h.begun, h.query = begun, r.entraAnswers(t, begun, ada)
	h.request = r.fromEHR(t, request, anyOne)
	return h
}

// place is where, and as whom, somebody uses what is not theirs.
type place struct {
	slug string
	as   []string // changes of a form that name the client
}

// uses are the ways to use what is held, by what it is.
var uses = map[string]func(t *testing.T, r *rig, h held, at place) error{
	"state": func(t *testing.T, r *rig, h held, at place) error {
		_, err := r.Callback(t.Context(), at.slug, h.query, func(string) string { return h.begun.Cookie.Value })
		return err
	},
	"code": func(t *testing.T, r *rig, h held, at place) error {
		_, err := r.Token(t.Context(), at.slug, nil, with(h.form, at.as...))
		return err
	},
	"refresh token": func(t *testing.T, r *rig, h held, at place) error {
		_, err := r.Token(t.Context(), at.slug, nil, with(refreshForm(h.answer), at.as...))
		return err
	},
	"launch": func(t *testing.T, r *rig, h held, at place) error {
		_, err := r.Authorize(t.Context(), at.slug, with(h.request, at.as...))
		return err
	},
}

// TestOfOthers: no state, code, refresh token or launch of one link and app counts at another one, however alike they
// are, nor once SMART authorization or the app was switched off or made anew. Nothing is spent or ended by the attempt,
// nor by one to revoke.
func TestOfOthers(t *testing.T) {
	const app = `{"clientId":"%","name":"A","type":"public","redirectUris":["https://app.example/cb"],"scopes":["launch","openid","fhirUser","launch/patient","launch/encounter","offline_access","patient/*.rs","user/*.rs"]}`
	called := func(id string) string { return strings.Replace(app, "%", id, 1) }
	nothing := func(*testing.T, *rig) {}
	here, twin := place{slug, []string{"client_id=one"}}, place{"other", []string{"client_id=one"}}
	for name, tt := range map[string]struct {
		do                           func(t *testing.T, r *rig)
		at                           place
		state, code, refresh, launch string // what is answered; empty: there is no such use
		stays                        bool   // afterwards it counts where it belongs
	}{
		"as it should be":               {nothing, here, "ok", "ok", "ok", "ok", false},
		"another link":                  {nothing, twin, "page browser_mismatch", oauth.InvalidGrant, oauth.InvalidGrant, "app invalid_request", true},
		"another link, without client":  {nothing, place{"other", []string{"-client_id"}}, "", "", oauth.InvalidGrant, "", true},
		"another app":                   {nothing, place{slug, []string{"client_id=two"}}, "", oauth.InvalidGrant, oauth.InvalidGrant, "app invalid_request", true},
		"another app, that proves it":   {nothing, place{slug, []string{"client_id=conf", "client_secret=a-secret-of-24-characters"}}, "", oauth.InvalidGrant, oauth.InvalidGrant, "", true},
		"SMART off and on":              {func(t *testing.T, r *rig) { r.off(t); r.put(t, `{"tokens":"fhirlink"}`) }, here, "page request_expired", oauth.InvalidGrant, oauth.InvalidGrant, "app invalid_request", false},
		"SMART settings changed":        {func(t *testing.T, r *rig) { r.put(t, `{"tokens":"fhirlink","refreshDays":80}`) }, here, "ok", "ok", "ok", "ok", false},
		"the app made anew":             {func(t *testing.T, r *rig) { r.deleteApp(t); r.create(t, called("one")) }, here, "page request_expired", oauth.InvalidGrant, oauth.InvalidGrant, "app invalid_request", false},
		"the app off and on":            {func(t *testing.T, r *rig) { r.change(t, `{"enabled":false}`); r.change(t, `{"enabled":true}`) }, here, "page request_expired", oauth.InvalidGrant, oauth.InvalidGrant, "app invalid_request", false},
		"the app off":                   {func(t *testing.T, r *rig) { r.change(t, `{"enabled":false}`) }, here, "page app_disabled", oauth.InvalidClient, oauth.InvalidClient, "page app_disabled", false},
		"the app gone":                  {func(t *testing.T, r *rig) { r.deleteApp(t) }, here, "page unknown_app", oauth.InvalidClient, oauth.InvalidClient, "page unknown_app", false},
		"the app renamed":               {func(t *testing.T, r *rig) { r.change(t, `{"name":"B"}`) }, here, "ok", "ok", "ok", "ok", false},
		"another link of the same name": {func(t *testing.T, r *rig) { r.anew(t); r.create(t, called("one")) }, here, "page browser_mismatch", oauth.InvalidGrant, oauth.InvalidGrant, "app invalid_request", false},
	} {
		t.Run(name, func(t *testing.T) {
			r, request := ehrApp(t)
			other := r.links[slug]
			other.Slug, other.ID = "other", "id-2"
			r.links["other"] = other
			r.putAt(t, "other", `{"tokens":"fhirlink"}`)
			r.createAt(t, "other", called("one"))
			r.create(t, called("two"))
			r.create(t, `{"clientId":"conf","name":"Conf","type":"symmetric","redirectUris":["https://app.example/cb"],"scopes":["openid","offline_access","patient/*.rs","user/*.rs"]}`)
			if _, _, _, err := r.smart.NewAppSecret(t.Context(), orgA, slug, "conf", smartauth.Precondition{}, read[smartauth.NewSecret](t, `{"clientSecret":"a-secret-of-24-characters"}`)); err != nil {
				t.Fatal(err)
			}
			h := r.hold(t, request)
			tt.do(t, r)
			for what, want := range map[string]string{"state": tt.state, "code": tt.code, "refresh token": tt.refresh, "launch": tt.launch} {
				if want == "" {
					continue
				}
				if err := uses[what](t, r, h, tt.at); codeOf(err) != want {
					t.Errorf("a %s: %v, want %s", what, err, want)
				}
			}
			if !tt.stays {
				return
			}
			for _, token := range []string{h.answer.RefreshToken, h.answer.AccessToken} {
				if err := r.Revoke(t.Context(), tt.at.slug, nil, with(url.Values{"token": {token}}, tt.at.as...)); err != nil || r.alive(t) != 1 {
					t.Errorf("a revocation: %v, %d grants are alive", err, r.alive(t))
				}
			}
			for what, use := range uses {
				if err := use(t, r, h, here); err != nil {
					t.Errorf("the %s where it belongs, afterwards: %v", what, err)
				}
			}
		})
	}
}

// anew deletes the link, and registers another one of that name.
func (r *rig) anew(t *testing.T) {
	t.Helper()
	r.off(t)
	l := r.links[slug]
	l.ID = "id-9"
	r.links[slug] = l
	r.smart.Forget(slug)
	r.put(t, `{"tokens":"fhirlink"}`)
}

// TestOfAnotherKind: what is one thing is not another one, with its own prefix or with the other's.
func TestOfAnotherKind(t *testing.T) {
	r, request := ehrApp(t)
	h := r.hold(t, request)
	handles := map[string]string{
		"state": h.query.Get("state"), "code": strings.TrimPrefix(h.form.Get("code"), "flc_"), "launch": strings.TrimPrefix(h.request.Get("launch"), "fll_"),
		"refresh token": strings.TrimPrefix(h.answer.RefreshToken, "flr_"), "access token": h.answer.AccessToken, "Entra's code": h.query.Get("code"),
	}
	for kind, text := range handles {
		for _, prefix := range []string{"", "flc_", "flr_", "fll_"} {
			value := prefix + text
			if kind != "code" || prefix != "flc_" {
				if _, err := r.Token(t.Context(), slug, nil, with(h.form, "code="+value)); codeOf(err) != oauth.InvalidGrant {
					t.Errorf("a %s as code, with %q: %v", kind, prefix, err)
				}
			}
			if kind != "refresh token" || prefix != "flr_" {
				if _, err := r.Token(t.Context(), slug, nil, with(refreshForm(h.answer), "refresh_token="+value)); codeOf(err) != oauth.InvalidGrant {
					t.Errorf("a %s as refresh token, with %q: %v", kind, prefix, err)
				}
				if kind != "access token" || prefix != "" {
					if err := r.Revoke(t.Context(), slug, nil, url.Values{"token": {value}, "client_id": {"one"}}); err != nil || r.alive(t) != 1 {
						t.Errorf("a %s to be revoked, with %q: %v, %d grants are alive", kind, prefix, err, r.alive(t))
					}
				}
			}
			if kind != "launch" || prefix != "fll_" {
				if _, err := r.Authorize(t.Context(), slug, with(h.request, "launch="+value)); codeOf(err) != "app invalid_request" {
					t.Errorf("a %s as launch, with %q: %v", kind, prefix, err)
				}
			}
			if kind != "state" || prefix != "" {
				if _, err := r.Callback(t.Context(), slug, with(h.query, "state="+value), func(string) string { return value }); codeOf(err) != "page browser_mismatch" {
					t.Errorf("a %s as state, with %q: %v", kind, prefix, err)
				}
			}
		}
	}
	for what, use := range uses {
		if err := use(t, r, h, place{slug, nil}); err != nil {
			t.Errorf("the %s as what it is, afterwards: %v", what, err)
		}
	}
}

// TestOfAnotherUser: two users sign in at once. What Entra says of one of them does not count for the other, in
// whatever browser.
func TestOfAnotherUser(t *testing.T) {
	other := pat
	other.ObjectID, other.Claims = "a0a0a0a0-0000-4000-8000-000000000009", map[string]any{"fhirUser": "Patient/canary-p9"}
	queryOf := func(begun Begun) url.Values {
		u, err := url.Parse(begun.URL)
		if err != nil {
			t.Fatal(err)
		}
		return u.Query()
	}
	for name, tt := range map[string]struct {
		query  func(r *rig, a, b Begun) url.Values // what comes back
		cookie func(a, b Begun) func(string) string
		want   string
		who    string // is in context
	}{
		"as it should be":                 {func(r *rig, a, _ Begun) url.Values { return r.entraAnswers(t, a, pat) }, both, "ok", "canary-p1"},
		"the other one":                   {func(r *rig, _, b Begun) url.Values { return r.entraAnswers(t, b, other) }, both, "ok", "canary-p9"},
		"the state of b, the cookie of a": {func(r *rig, _, b Begun) url.Values { return r.entraAnswers(t, b, other) }, onlyFirst, "page browser_mismatch", ""},
		"that cookie as the one of b":     {func(r *rig, _, b Begun) url.Values { return r.entraAnswers(t, b, other) }, firstAsAny, "page browser_mismatch", ""},
		"Entra's code of b at the state of a": {func(r *rig, a, b Begun) url.Values {
			return with(r.entraAnswers(t, b, other), "state="+queryOf(a).Get("state"))
		}, both, "app server_error", ""},
		"with the challenge of a": {func(r *rig, a, b Begun) url.Values {
			return with(r.entraAnswers(t, b, other, func(s *entratest.SignIn) { s.Challenge = queryOf(a).Get("code_challenge") }), "state="+queryOf(a).Get("state"))
		}, both, "app server_error", ""},
		"with the nonce of a": {func(r *rig, a, b Begun) url.Values {
			return with(r.entraAnswers(t, b, other, func(s *entratest.SignIn) { s.Nonce = queryOf(a).Get("nonce") }), "state="+queryOf(a).Get("state"))
		}, both, "app server_error", ""},
	} {
		r, request := patientApp(t)
		var begun [2]Begun
		for i := range begun {
			var err error
			if begun[i], err = r.Authorize(t.Context(), slug, request); err != nil {
				t.Fatal(err)
			}
		}
		answered, err := r.Callback(t.Context(), slug, tt.query(r, begun[0], begun[1]), tt.cookie(begun[0], begun[1]))
		if codeOf(err) != tt.want {
			t.Errorf("%s: %v, want %s", name, err, tt.want)
			continue
		}
		if err == nil {
			if answer := r.tokens(t, r.formOf(t, request, answered)); answer.Patient != tt.who {
				t.Errorf("%s: the patient is %q", name, answer.Patient)
			}
			continue
		}
		for _, row := range r.rows.All() {
			if strings.HasPrefix(row.Name, "c_") || strings.HasPrefix(row.Name, "g_") {
				t.Errorf("%s: something is granted", name)
			}
		}
	}
}

// both is a browser in which two sign-ins have begun.
func both(a, b Begun) func(string) string {
	return func(name string) string {
		return map[string]string{a.Cookie.Name: a.Cookie.Value, b.Cookie.Name: b.Cookie.Value}[name]
	}
}

// onlyFirst is a browser in which only one has begun.
func onlyFirst(a, _ Begun) func(string) string {
	return func(name string) string { return map[string]string{a.Cookie.Name: a.Cookie.Value}[name] }
}

// firstAsAny is one whose user gives that cookie other names.
func firstAsAny(a, _ Begun) func(string) string { return func(string) string { return a.Cookie.Value } }

// TestRefreshingIsTakenAway: an app from which offline_access was taken refreshes no more, and what it was granted is
// there once it has it again.
func TestRefreshingIsTakenAway(t *testing.T) {
	r, request := patientApp(t)
	answer := r.tokens(t, r.signIn(t, with(request, "scope=openid offline_access patient/*.rs"), pat))
	r.change(t, `{"scopes":["openid","patient/*.rs"]}`)
	if again, err := r.Token(t.Context(), slug, nil, refreshForm(answer)); codeOf(err) != oauth.InvalidGrant {
		t.Errorf("%v, granted %q", err, again.Scope)
	}
	r.change(t, `{"scopes":["openid","offline_access","patient/*.rs"]}`)
	answer = r.tokens(t, refreshForm(answer))
	r.change(t, `{"scopes":["openid","patient/*.rs"]}`)
	if again, err := r.Token(t.Context(), slug, nil, refreshForm(answer)); codeOf(err) != oauth.InvalidGrant {
		t.Errorf("after a refresh: %v, granted %q", err, again.Scope)
	}
}

// TestUnknownHandles: a handle that was never made counts nowhere, however well it is formed.
func TestUnknownHandles(t *testing.T) {
	r, request := ehrApp(t)
	h := r.hold(t, request)
	made := string(handle.New(r.clock()))
	h.form.Set("code", "flc_"+made)
	h.request.Set("launch", "fll_"+made)
	h.query.Set("state", made)
	h.answer.RefreshToken = "flr_" + made
	h.begun.Cookie.Value = made
	for what, want := range map[string]string{"state": "page browser_mismatch", "code": oauth.InvalidGrant, "refresh token": oauth.InvalidGrant, "launch": "app invalid_request"} {
		if err := uses[what](t, r, h, place{slug, nil}); codeOf(err) != want {
			t.Errorf("a %s: %v, want %s", what, err, want)
		}
	}
}

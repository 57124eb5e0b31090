package launch

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/golang-jwt/jwt/v5"

	"fhirlink/shared/entra"
	"fhirlink/shared/entra/entratest"
	"fhirlink/shared/oauth"
	"fhirlink/shared/problem"
	"fhirlink/shared/seal"
	"fhirlink/shared/secret"
	"fhirlink/shared/smartauth"
	"fhirlink/shared/smartauth/handle"
)

const resource = "https://clinic.sandbox.test"

// entraRig is a rig whose apps get Entra's own tokens, and a request that its app may make.
func entraRig(t testing.TB, settings string) (*rig, url.Values) {
	t.Helper()
	r := newRig()
	r.put(t, `{"tokens":"entra","resource":"`+resource+`"`+settings+`}`)
	r.create(t, `{"clientId":"one","name":"One","type":"public","redirectUris":["https://app.example/cb"],"scopes":["openid","fhirUser","launch","launch/patient","offline_access","patient/*.rs","patient/Observation.rs?category=a-b","user/*.cruds"],
		"entra":{"clientId":"`+chartID+`","clientSecret":"x"}}`)
	return r, url.Values{
		"response_type": {"code"}, "client_id": {"one"}, "redirect_uri": {"https://app.example/cb"}, "scope": {"openid fhirUser launch/patient offline_access patient/Observation.rs?category=a-b patient/Patient.read"}, "state": {"canary-state"},
		"aud": {"https://clinic.example/fhir"}, "code_challenge": {challenge}, "code_challenge_method": {"S256"}, "nonce": {"canary-nonce"},
	}
}

// askedOf is the scope that Entra is asked for.
func askedOf(t testing.TB, b Begun) (client, scope string) {
	t.Helper()
	u, err := url.Parse(b.URL)
	if err != nil {
		t.Fatal(err)
	}
	return u.Query().Get("client_id"), u.Query().Get("scope")
}

// TestEntrasTokens is a launch with Entra's own tokens: Entra is asked in its spelling for what is registered, the
// app is told in SMART's what it asked for and the token has, and gets the token as it is.
func TestEntrasTokens(t *testing.T) {
	r, request := entraRig(t, `,"diagnostics":true`)
	begun, err := r.Authorize(t.Context(), slug, request)
	if err != nil {
		t.Fatal(err)
	}
	client, scope := askedOf(t, begun)
	if client != chartID || scope != "openid profile offline_access "+resource+"/patient~*.rs "+resource+"/patient~Observation.rs?category=a-b" {
		t.Errorf("%s is asked for %q", client, scope)
	}
	if strings.Contains(strings.ReplaceAll(scope, resource+"/", ""), "/") {
		t.Errorf("a slash is sent: %q", scope)
	}
	// The user has consented to more before, which Entra puts into every token.
	r.entraAnswers(t, begun, pat, func(s *entratest.SignIn) { s.Scopes.Names = []string{"user~*.cruds", "Admin.All"} })
	answered, err := r.callback(t.Context(), begun, r.entraAnswers(t, begun, pat))
	if err != nil {
		t.Fatal(err)
	}
	form := r.formOf(t, request, answered)
	r.pass(100 * time.Second)
	answer := r.tokens(t, form)
	const granted = "openid fhirUser launch/patient offline_access patient/Observation.rs?category=a-b patient/Patient.read"
	if answer.Scope != granted || answer.Patient != "canary-p1" || answer.ExpiresIn < 3480 || answer.ExpiresIn > 3500 || answer.GrantedExtra == "" {
		t.Errorf("%q %d, extra %q", answer.Scope, answer.ExpiresIn, answer.GrantedExtra)
	}
	if !strings.Contains(answer.GrantedExtra, "user/*.cruds") || strings.Contains(answer.Scope, "user/") {
		t.Errorf("the union of scopes: %q, extra %q", answer.Scope, answer.GrantedExtra)
	}
	claims, err := entra.ParseClaims(answer.AccessToken)
	if err != nil || claims.AppID != chartID || !strings.Contains(claims.Scopes, "patient~*.rs") || !slices.Contains(claims.Audience, resource) {
		t.Errorf("%+v, %v", claims, err)
	}
	if id := r.claimsOf(t, answer.IDToken, "JWT"); id["aud"] != "one" || id["iss"] != issuer || id["fhirUser"] != "https://clinic.example/fhir/Patient/canary-p1" {
		t.Errorf("%v", id)
	}
	again := r.tokens(t, refreshForm(answer))
	if again.Scope != granted || again.AccessToken == answer.AccessToken || again.Patient != "canary-p1" || again.RefreshToken == answer.RefreshToken || again.IDToken != "" {
		t.Errorf("%q", again.Scope)
	}
	repeated := r.tokens(t, refreshForm(answer)) // its answer was lost
	if repeated.RefreshToken != again.RefreshToken || repeated.AccessToken != again.AccessToken {
		t.Error("the repetition is answered with something else")
	}
	less := r.tokens(t, with(refreshForm(again), "scope=patient/Patient.read"))
	if less.Scope != "patient/Patient.read offline_access" {
		t.Errorf("%q", less.Scope)
	}
	for _, secretText := range []string{answer.AccessToken, answer.RefreshToken, "canary-p1", "canary-of-the-chart"} {
		if strings.Contains(r.log.String(), secretText) {
			t.Error("the log has a secret")
		}
	}
	if !strings.Contains(r.log.String(), `"extra":`) {
		t.Error(r.log.String())
	}
	if err := r.Revoke(t.Context(), slug, nil, url.Values{"token": {answer.AccessToken}, "client_id": {"one"}}); err != nil {
		t.Errorf("Entra's tokens end by themselves: %v", err)
	}
	if err := r.Revoke(t.Context(), slug, nil, url.Values{"token": {less.RefreshToken}, "client_id": {"one"}}); err != nil {
		t.Error(err)
	}
	if _, err := r.Token(t.Context(), slug, nil, refreshForm(less)); codeOf(err) != oauth.InvalidGrant {
		t.Error(err)
	}
}

// TestEntraIsAskedFor: what is asked for upstream, and what is granted of what comes back.
func TestEntraIsAskedFor(t *testing.T) {
	for name, tt := range map[string]struct {
		settings, scope string
		asked           string // behind openid profile
		returned        func(string) string
		user            entratest.Account
		granted         string
		patient         string
	}{
		"one registered scope covers several":  {"", "patient/Patient.r patient/Condition.s openid", "patient~*.rs", nil, pat, "patient/Patient.r patient/Condition.s openid", "canary-p1"},
		"the static permissions":               {`,"request":"default"`, "openid patient/Patient.rs", ".default", nil, pat, "openid patient/Patient.rs", "canary-p1"},
		"no data":                              {"", "openid fhirUser", ".default", nil, ada, "openid fhirUser", ""},
		"user/ of a practitioner":              {"", "user/Patient.rs", "user~*.cruds", nil, ada, "user/Patient.rs", ""},
		"user/ of a patient: the server knows": {"", "user/Patient.rs", "user~*.cruds", nil, pat, "user/Patient.rs", "canary-p1"},
		"user/ of nobody":                      {"", "user/Patient.rs openid fhirUser", "user~*.cruds", nil, nobody, "user/Patient.rs openid", ""},
		"patient/ without a patient":           {"", "patient/Patient.rs user/Patient.rs", "patient~*.rs user~*.cruds", nil, ada, "user/Patient.rs", ""},
		"patient/ only, without a patient":     {"", "patient/Patient.rs", "patient~*.rs", nil, ada, "app access_denied", ""},
		"the dialect of Microsoft's servers":   {`,"dialect":"ahds"`, "patient/Patient.rs", "patient.all.rs", nil, pat, "patient/Patient.rs", "canary-p1"},
		"an alias":                             {`,"aliases":{"patient/*.rs":"everything"}`, "patient/Patient.rs", "everything", nil, pat, "patient/Patient.rs", "canary-p1"},
		"unprefixed in the answer":             {"", "patient/Patient.rs", "patient~*.rs", func(s string) string { return strings.ReplaceAll(s, resource+"/", "") }, pat, "patient/Patient.rs", "canary-p1"},
		"no scope in the answer":               {"", "patient/Patient.rs", "patient~*.rs", func(string) string { return "" }, pat, "patient/Patient.rs", "canary-p1"},
		"fewer in the answer":                  {"", "patient/Patient.rs user/Patient.rs", "patient~*.rs user~*.cruds", func(string) string { return resource + "/patient~*.rs openid" }, pat, "patient/Patient.rs", "canary-p1"},
		"others in the answer": {"", "patient/Patient.rs", "patient~*.rs", func(string) string {
			return resource + "/patient~Observation.rs " + resource + "/User.Read https://other.example/x"
		}, pat, "app access_denied", ""},
		"less than covers it": {"", "patient/Patient.rs", "patient~*.rs", func(string) string { return resource + "/patient~Patient.r" }, pat, "app access_denied", ""},
	} {
		t.Run(name, func(t *testing.T) {
			r, request := entraRig(t, tt.settings)
			r.entra.Scope = tt.returned
			begun, err := r.Authorize(t.Context(), slug, with(request, "scope="+tt.scope))
			if err != nil {
				t.Fatal(err)
			}
			var want []string
			for _, one := range strings.Fields(tt.asked) {
				want = append(want, resource+"/"+one)
			}
			if _, scope := askedOf(t, begun); scope != "openid profile "+strings.Join(want, " ") {
				t.Errorf("Entra is asked for %q", scope)
			}
			answers := r.entraAnswers(t, begun, tt.user, func(s *entratest.SignIn) {
				if s.Scopes.Default() { // what was consented to before
					s.Scopes.Names = []string{"patient~*.rs", "user~*.cruds"}
				}
			})
			answered, err := r.callback(t.Context(), begun, answers)
			if strings.HasPrefix(tt.granted, "app ") || err != nil {
				if codeOf(err) != tt.granted {
					t.Errorf("%v", err)
				}
				return
			}
			answer := r.tokens(t, r.formOf(t, with(request, "scope="+tt.scope), answered))
			if answer.Scope != tt.granted || answer.Patient != tt.patient || answer.GrantedExtra != "" {
				t.Errorf("%q, %q, extra %q", answer.Scope, answer.Patient, answer.GrantedExtra)
			}
		})
	}
}

// TestRefusalsNameTheScope: what Entra does not know is named in SMART's spelling, with what to do; a sentence that
// whoever signs in has made up is not repeated.
func TestRefusalsNameTheScope(t *testing.T) {
	for sentence, want := range map[string]string{
		"AADSTS650053: The application 'x' asked for scope 'patient~*.rs' that doesn't exist on the resource 'y'.": "It is patient/*.rs: the organization's administrator registers it as patient~*.rs at the FHIR server's application, or sets request to default. (AADSTS650053)",
		"AADSTS70011: The scope '" + resource + "/patient~*.rs' is not valid.":                                     "It is patient/*.rs",
		"AADSTS650053: asked for scope 'canary' that doesn't exist":                                                "registers the scopes that the settings list",
		"AADSTS7000222: canary": "Entra says that the app's entra.clientSecret has expired",
		"AADSTS65001: canary":   "has not consented",
	} {
		r, request := entraRig(t, "")
		begun, err := r.Authorize(t.Context(), slug, with(request, "scope=patient/Patient.rs"))
		if err != nil {
			t.Fatal(err)
		}
		u, err := url.Parse(begun.URL)
		if err != nil {
			t.Fatal(err)
		}
		_, err = r.callback(t.Context(), begun, url.Values{"state": {u.Query().Get("state")}, "error": {"invalid_client"}, "error_description": {sentence}})
		refused, ok := err.(*Refused)
		if !ok || !strings.Contains(refused.Description, want) || strings.Contains(refused.Description, "canary") {
			t.Errorf("%s: %v", sentence, err)
		}
	}
}

// refusing is an authority that refuses refresh tokens.
type refusing struct {
	entra.SignIns
	refusal *entra.Refusal
}

func (s refusing) Refresh(context.Context, entra.Credentials, secret.Value, string) (entra.UserTokens, error) {
	return entra.UserTokens{}, s.refusal
}

// TestRefusalsNameTheSetting: who must mend the application in Entra is told which setting names it: the link's, or with
// Entra's tokens the app's own.
func TestRefusalsNameTheSetting(t *testing.T) {
	ours, request := patientApp(t)
	entras, entraRequest := entraRig(t, "")
	for of, mode := range map[string]struct {
		*rig
		request url.Values
	}{"the link's ": {ours, request}, "the app's entra.": {entras, entraRequest}} {
		live := mode.tokens(t, mode.signIn(t, mode.request, pat))
		signIns := mode.SignIns
		for number, setting := range map[int]string{650057: "clientId", 65005: "clientId", 7000215: "clientSecret", 7000222: "clientSecret", 700016: "clientId", 50011: "clientId", 500113: "clientId"} {
			begun, err := mode.Authorize(t.Context(), slug, mode.request)
			if err != nil {
				t.Fatal(err)
			}
			u, err := url.Parse(begun.URL)
			if err != nil {
				t.Fatal(err)
			}
			sentence := fmt.Sprintf("AADSTS%d: canary", number)
			var refused *Refused
			_, err = mode.callback(t.Context(), begun, url.Values{"state": {u.Query().Get("state")}, "error": {"invalid_client"}, "error_description": {sentence}})
			if !errors.As(err, &refused) || refused.Code != oauth.ServerError || !strings.Contains(refused.Description, of+setting+" ") || !strings.Contains(refused.Description, fmt.Sprintf("(AADSTS%d)", number)) {
				t.Errorf("%d: %v", number, err)
			}
			mode.SignIns = refusing{signIns, &entra.Refusal{HTTPStatus: 401, OAuthError: "invalid_client", Number: number, Sentence: "canary"}}
			_, err = mode.Token(t.Context(), slug, nil, refreshForm(live))
			if detail := problem.From(err).Detail; problem.CodeOf(err) != problem.UpstreamUnavailable || !strings.Contains(detail, of+setting+" ") || !strings.Contains(detail, fmt.Sprintf("(AADSTS%d)", number)) || strings.Contains(detail, "canary") {
				t.Errorf("%d at a refresh: %v", number, err)
			}
		}
		for status, want := range map[int]string{429: "Entra is busy", 503: "Entra is busy", 400: of + "clientId "} {
			mode.SignIns = refusing{signIns, &entra.Refusal{HTTPStatus: status, OAuthError: "unauthorized_client", Number: 7654321}}
			if _, err := mode.Token(t.Context(), slug, nil, refreshForm(live)); !strings.Contains(problem.From(err).Detail, want) {
				t.Errorf("%d: %v", status, err)
			}
		}
		mode.SignIns = signIns
		if again := mode.tokens(t, refreshForm(live)); again.AccessToken == "" {
			t.Error("the grant has ended")
		}
	}
}

// TestLongAddress: Entra refuses long addresses, so they are refused before, with what to do.
func TestLongAddress(t *testing.T) {
	r := newRig()
	r.put(t, `{"tokens":"entra","resource":"`+resource+`"}`)
	var scopes []string
	for i := range 150 {
		scopes = append(scopes, "patient/Observation.rs?category=http://terminology.hl7.org/"+strings.Repeat("c", i%50+1)+"|"+strings.Repeat("x", i/50+1))
	}
	r.create(t, `{"clientId":"one","name":"One","type":"public","redirectUris":["https://app.example/cb"],"scopes":["`+strings.Join(scopes, `","`)+`"],"entra":{"clientId":"`+chartID+`","clientSecret":"x"}}`)
	request := url.Values{
		"response_type": {"code"}, "client_id": {"one"}, "redirect_uri": {"https://app.example/cb"}, "scope": {strings.Join(scopes[:80], " ")}, "state": {"s"},
		"aud": {"https://clinic.example/fhir"}, "code_challenge": {challenge}, "code_challenge_method": {"S256"},
	}
	_, err := r.Authorize(t.Context(), slug, request)
	if codeOf(err) != "app invalid_scope" || !strings.Contains(err.Error(), "request to default") {
		t.Errorf("%v", err)
	}
	r.put(t, `{"tokens":"entra","resource":"`+resource+`","request":"default"}`)
	if _, err := r.Authorize(t.Context(), slug, request); err != nil {
		t.Error(err)
	}
}

// TestAppsSecret: a secret of the app's own application that Entra no longer takes ends no grant. The app is told which
// setting it is, and the log has Entra's number.
func TestAppsSecret(t *testing.T) {
	for name, tt := range map[string]struct {
		secret string
		number int
		detail string
	}{
		"expired": {chartExpired, 7000222, "the app's entra.clientSecret has expired"},
		"wrong":   {"wrong", 7000215, "the app's entra.clientSecret is wrong"},
	} {
		t.Run(name, func(t *testing.T) {
			r, request := entraRig(t, "")
			answer := r.tokens(t, r.signIn(t, request, pat))
			r.asChart = tt.secret
			for range 3 {
				if _, err := r.Token(t.Context(), slug, nil, refreshForm(answer)); problem.CodeOf(err) != problem.UpstreamUnavailable || !strings.Contains(problem.From(err).Detail, tt.detail) {
					t.Errorf("%v", err)
				}
			}
			if n := strings.Count(r.log.String(), fmt.Sprintf(`"aadsts":%d,`, tt.number)); n != 3 {
				t.Errorf("the log has the number %d times", n)
			}
			begun, err := r.Authorize(t.Context(), slug, request)
			if err != nil {
				t.Fatal(err)
			}
			var refused *Refused
			if _, err := r.callback(t.Context(), begun, r.entraAnswers(t, begun, pat)); !errors.As(err, &refused) || refused.Code != oauth.ServerError || !strings.Contains(refused.Description, tt.detail) {
				t.Errorf("callback: %v", err)
			}
			r.asChart = chartSecret
			if again := r.tokens(t, refreshForm(answer)); again.AccessToken == "" {
				t.Error("the grant is dead")
			}
		})
	}
}

// TestAnotherApplication: what was granted by an application ends when the app gets another one.
func TestAnotherApplication(t *testing.T) {
	r, request := entraRig(t, "")
	begun, err := r.Authorize(t.Context(), slug, request)
	if err != nil {
		t.Fatal(err)
	}
	form, live := r.signIn(t, request, pat), r.tokens(t, r.signIn(t, request, pat))
	if _, _, err := r.smart.ChangeApp(t.Context(), orgA, slug, "one", smartauth.Precondition{IfMatch: "*"}, read[smartauth.NewApp](t, `{"entra":{"clientId":"66666666-6666-4666-8666-666666666666","clientSecret":"x"}}`)); err != nil {
		t.Fatal(err)
	}
	if _, err := r.callback(t.Context(), begun, r.entraAnswers(t, begun, pat)); codeOf(err) != "page request_expired" {
		t.Errorf("%v", err)
	}
	if _, err := r.Token(t.Context(), slug, nil, form); codeOf(err) != oauth.InvalidGrant {
		t.Errorf("%v", err)
	}
	if _, err := r.Token(t.Context(), slug, nil, refreshForm(live)); codeOf(err) != oauth.InvalidGrant {
		t.Errorf("%v", err)
	}
}

// TestRefreshesForTheServer: a refresh token of Entra's is tied to no resource, so each refresh says that the access token
// is for the FHIR server, and asks for nothing that nobody has consented to.
func TestRefreshesForTheServer(t *testing.T) {
	const alone = "openid profile offline_access"
	for name, tt := range map[string]struct {
		settings, scope, change, asked string
	}{
		"as it was asked for":                 {"", "patient/Patient.rs offline_access", "", resource + "/patient~*.rs " + alone},
		"several":                             {"", "patient/Patient.rs user/Patient.rs offline_access", "", resource + "/patient~*.rs " + resource + "/user~*.cruds " + alone},
		"the static permissions":              {`,"request":"default"`, "patient/Patient.rs offline_access", "", resource + "/.default " + alone},
		"no data":                             {"", "openid offline_access", "", resource + "/.default " + alone},
		"the app may have another one, too":   {"", "patient/Patient.rs offline_access", `{"scopes":["offline_access","patient/*.rs","patient/*.cruds","patient/Patient.rs"]}`, resource + "/patient~*.rs " + alone},
		"the app has another one that covers": {"", "patient/Patient.rs offline_access", `{"scopes":["offline_access","patient/*.cruds"]}`, resource + "/.default " + alone},
	} {
		t.Run(name, func(t *testing.T) {
			r, request := entraRig(t, tt.settings)
			begun, err := r.Authorize(t.Context(), slug, with(request, "scope="+tt.scope))
			if err != nil {
				t.Fatal(err)
			}
			answered, err := r.callback(t.Context(), begun, r.entraAnswers(t, begun, pat, func(s *entratest.SignIn) {
				if s.Scopes.Default() { // what was consented to before
					s.Scopes.Names = []string{"patient~*.rs"}
				}
			}))
			if err != nil {
				t.Fatal(err)
			}
			answer := r.tokens(t, r.formOf(t, request, answered))
			if tt.change != "" {
				r.change(t, tt.change)
			}
			var asked []string
			r.entra.Before = func(_ http.ResponseWriter, r *http.Request) bool {
				_ = r.ParseForm()
				asked = append(asked, r.PostForm.Get("scope"))
				return false
			}
			for range 2 {
				if answer = r.tokens(t, refreshForm(answer)); answer.AccessToken == "" {
					t.Fatal("no token")
				}
			}
			if want := []string{tt.asked, tt.asked}; !slices.Equal(asked, want) {
				t.Errorf("asked for %q, want %q", asked, want)
			}
		})
	}
	r, request := patientApp(t)
	answer := r.tokens(t, r.signIn(t, request, pat))
	var asked string
	r.entra.Before = func(_ http.ResponseWriter, r *http.Request) bool {
		_ = r.ParseForm()
		asked = r.PostForm.Get("scope")
		return false
	}
	if r.tokens(t, refreshForm(answer)); asked != alone {
		t.Errorf("with tokens of ours Entra is asked for %q", asked)
	}
}

// other is an authority whose access tokens are for another resource than the FHIR server.
type other struct {
	entra.SignIns
	entra.TokenSource
	audience string
}

func (o other) token() secret.Value {
	text, err := jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.MapClaims{"aud": o.audience, "scp": "patient~*.rs user~*.cruds", "roles": []string{"system~Patient.cruds"}}).SignedString([]byte("x"))
	if err != nil {
		panic(err)
	}
	return secret.New(text)
}

func (o other) Redeem(ctx context.Context, c entra.Credentials, code, verifier secret.Value, redirectURI string) (entra.UserTokens, error) {
	t, err := o.SignIns.Redeem(ctx, c, code, verifier, redirectURI)
	t.Access = o.token()
	return t, err
}

func (o other) Refresh(ctx context.Context, c entra.Credentials, token secret.Value, scope string) (entra.UserTokens, error) {
	t, err := o.SignIns.Refresh(ctx, c, token, scope)
	t.Access = o.token()
	return t, err
}

func (o other) Token(ctx context.Context, c entra.Credentials, scope string) (entra.Token, error) {
	t, err := o.TokenSource.Token(ctx, c, scope)
	t.Access = o.token()
	return t, err
}

// TestTokensForOthers: a token that opens Microsoft Graph is handed to no app, whatever its scopes are called, and ends no
// grant.
func TestTokensForOthers(t *testing.T) {
	for audience, refused := range map[string]bool{
		entratest.Graph: true, "https://graph.microsoft.com": true, "https://graph.microsoft.com/": true, "https://vault.azure.net": true,
		resource: false, "77777777-7777-4777-8777-777777777777": false, "": false,
	} {
		t.Run(audience, func(t *testing.T) {
			r, request := entraRig(t, "")
			live := r.tokens(t, r.signIn(t, request, pat))
			r.create(t, `{"clientId":"backend","name":"Backend","type":"asymmetric","grants":["client_credentials"],"scopes":["system/*.rs"],"jwks":`+setOf(publicKey(rsaKey, "rsa"))+`,"entra":{"clientId":"`+chartID+`","clientSecret":"x"}}`)
			signIns, source := r.SignIns, r.Tokens
			r.SignIns, r.Tokens = other{SignIns: signIns, audience: audience}, other{TokenSource: source, audience: audience}
			begun, err := r.Authorize(t.Context(), slug, request)
			if err != nil {
				t.Fatal(err)
			}
			var told *Refused
			_, err = r.callback(t.Context(), begun, r.entraAnswers(t, begun, pat))
			if errors.As(err, &told) != refused || refused && (told.Code != oauth.ServerError || !strings.Contains(told.Description, "the setting resource")) {
				t.Errorf("callback: %v", err)
			}
			_, backend := r.Token(t.Context(), slug, nil, with(backendForm(r.assertion()), "scope=system/Patient.rs"))
			_, refresh := r.Token(t.Context(), slug, nil, refreshForm(live))
			for name, err := range map[string]error{"backend": backend, "refresh": refresh} {
				if refused != (problem.CodeOf(err) == problem.UpstreamUnavailable) || refused && !strings.Contains(problem.From(err).Detail, "the setting resource") || !refused && err != nil {
					t.Errorf("%s: %v", name, err)
				}
			}
			if !refused {
				return
			}
			r.SignIns = signIns
			if again := r.tokens(t, refreshForm(live)); again.AccessToken == "" {
				t.Error("the grant has ended")
			}
		})
	}
}

// TestKeptTokens: a grant keeps an access token of Entra's only for a refresh whose answer may have been lost.
func TestKeptTokens(t *testing.T) {
	r, request := entraRig(t, "")
	server, err := r.server(t.Context(), slug)
	if err != nil {
		t.Fatal(err)
	}
	kept := func(refreshToken string) upstreamToken {
		t.Helper()
		token, err := handle.ReadRefreshToken(t.Context(), r.Sealer, refreshToken)
		if err != nil {
			t.Fatal(err)
		}
		grant, _, _, err := r.readGrant(t.Context(), server, token.Grant())
		if err != nil {
			t.Fatal(err)
		}
		box, _, err := seal.Open[boxed](t.Context(), r.Sealer, boxUse(server.Link.ID, secret.New(refreshToken)), grant.Box)
		if err != nil {
			t.Fatal(err)
		}
		return box.Upstream
	}
	first := r.tokens(t, r.signIn(t, request, pat))
	if got := kept(first.RefreshToken); got.Access != "" || !got.Ends.IsZero() || !slices.Contains(got.Returned, "patient/*.rs") {
		t.Errorf("the code's token is kept: %t, of %q", got.Access != "", got.Returned)
	}
	second := r.tokens(t, refreshForm(first))
	if got := kept(second.RefreshToken); got.Access != second.AccessToken || !slices.Contains(got.Returned, "patient/*.rs") {
		t.Errorf("the refresh's token is kept: %t, of %q", got.Access != "", got.Returned)
	}
}

// TestLostRegistration: while the row of an app's registration is missing, as after a crash, nobody signs in anew, and no
// grant ends: what was granted goes on when the row is there again.
func TestLostRegistration(t *testing.T) {
	r, request := entraRig(t, "")
	live := r.tokens(t, r.signIn(t, request, pat))
	begun, err := r.Authorize(t.Context(), slug, request)
	if err != nil {
		t.Fatal(err)
	}
	answers, form := r.entraAnswers(t, begun, pat), r.signIn(t, request, pat)
	r.lose(true)
	var refused *Refused
	if _, err := r.Authorize(t.Context(), slug, request); codeOf(err) != "app server_error" || !errors.As(err, &refused) || !strings.Contains(refused.Description, "entra") {
		t.Errorf("authorize: %v", err)
	}
	if _, err := r.callback(t.Context(), begun, answers); codeOf(err) != "app server_error" || !errors.As(err, &refused) || !strings.Contains(refused.Description, "entra") || refused.State != "canary-state" {
		t.Errorf("callback: %v", err)
	}
	if answer, err := r.Token(t.Context(), slug, nil, form); err != nil || answer.AccessToken == "" {
		t.Errorf("a code, for which Entra is not asked: %v", err)
	}
	for range 2 {
		if _, err := r.Token(t.Context(), slug, nil, refreshForm(live)); problem.CodeOf(err) != problem.UpstreamUnavailable || !strings.Contains(problem.From(err).Detail, "entra") {
			t.Errorf("refresh: %v", err)
		}
	}
	r.lose(false)
	if again := r.tokens(t, refreshForm(live)); again.AccessToken == "" || again.RefreshToken == live.RefreshToken {
		t.Error("the grant is dead")
	}
}

// TestBackendOfEntra: a backend service gets Entra's token, and is told which of its roles it asked for.
func TestBackendOfEntra(t *testing.T) {
	r := newRig()
	r.put(t, `{"tokens":"entra","resource":"`+resource+`","diagnostics":true}`)
	r.create(t, `{"clientId":"backend","name":"Backend","type":"asymmetric","grants":["client_credentials"],"scopes":["system/*.rs"],"jwks":`+setOf(publicKey(rsaKey, "rsa"))+`,"entra":{"clientId":"`+chartID+`","clientSecret":"x"}}`)
	answer := r.tokens(t, with(backendForm(r.assertion()), "scope=system/Observation.r system/Patient.rs system/Condition.rs"))
	if answer.Scope != "system/Observation.r system/Patient.rs" || answer.ExpiresIn < 3500 || answer.RefreshToken != "" || answer.GrantedExtra != "system/Observation.rs system/Patient.cruds" {
		t.Errorf("%q %d, extra %q", answer.Scope, answer.ExpiresIn, answer.GrantedExtra)
	}
	if claims, err := entra.ParseClaims(answer.AccessToken); err != nil || claims.AppID != chartID || len(claims.Roles) != 3 {
		t.Errorf("%+v, %v", claims, err)
	}
	if _, err := r.Token(t.Context(), slug, nil, with(backendForm(r.assertion()), "scope=system/Condition.rs")); codeOf(err) != oauth.InvalidScope {
		t.Errorf("%v", err)
	}
	r.asChart = "wrong"
	if _, err := r.Token(t.Context(), slug, nil, backendForm(r.assertion())); problem.CodeOf(err) != problem.UpstreamUnavailable {
		t.Errorf("%v", err)
	}
	r.lose(true)
	if _, err := r.Token(t.Context(), slug, nil, backendForm(r.assertion())); problem.CodeOf(err) != problem.UpstreamUnavailable || !strings.Contains(problem.From(err).Detail, "registration of the app in Entra") {
		t.Errorf("without a registration: %v", err)
	}
}

// TestTenantKeys: who reads our keys can verify Entra's tokens.
func TestTenantKeys(t *testing.T) {
	r, request := entraRig(t, "")
	answer := r.tokens(t, r.signIn(t, request, pat))
	set, err := r.smart.KeySet(t.Context(), slug)
	if err != nil || len(set.Keys) != 2 {
		t.Fatalf("%d keys, %v", len(set.Keys), err)
	}
	signed, err := jose.ParseSignedCompact(answer.AccessToken, []jose.SignatureAlgorithm{jose.RS256})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := signed.Verify(&set); err != nil {
		t.Error(err)
	}
	own := newRig()
	own.put(t, `{"tokens":"fhirlink"}`)
	if set, err := own.smart.KeySet(t.Context(), slug); err != nil || len(set.Keys) != 1 {
		t.Errorf("%d keys, %v", len(set.Keys), err)
	}
}

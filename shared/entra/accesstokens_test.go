package entra_test

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"reflect"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"fhirlink/shared/caller"
	"fhirlink/shared/entra"
	"fhirlink/shared/entra/entratest"
)

const (
	api       = "99999999-9999-4999-8999-999999999999"
	other     = "12121212-1212-4212-8212-121212121212"
	operator  = "78787878-7878-4878-8878-787878787878"
	personal  = "9188040d-6c67-4c5b-b112-36a304b66dad"
	authority = "https://login.sandbox.test/"
)

// fixture is an authority, the validator of its tokens, and one clock for both.
type fixture struct {
	*entratest.Authority
	tokens *entra.AccessTokens
	passed atomic.Int64 // nanoseconds of its clock
}

// pass lets time go by.
func (f *fixture) pass(d time.Duration) { f.passed.Add(int64(d)) }

func newFixture(change func(*entra.AccessTokensConfig)) *fixture {
	f := &fixture{}
	f.Authority = entratest.New(entratest.Tenant{ID: tenant, Name: "Contoso"})
	f.URL = authority
	f.Now = func() time.Time {
		return time.Date(2026, 11, 23, 6, 0, 0, 0, time.UTC).Add(time.Duration(f.passed.Load()))
	}
	config := entra.AccessTokensConfig{
		Authority: authority, Audiences: []string{api}, Tenants: []string{tenant}, OperatorTenant: operator,
		Client: &http.Client{Transport: entratest.InProcess(f.Authority)}, Now: f.Now,
	}
	if change != nil {
		change(&config)
	}
	f.tokens = entra.NewAccessTokens(config)
	return f
}

// with returns the claims of an application's token for our API, with changes.
func with(changes ...map[string]any) map[string]any {
	claims := map[string]any{"aud": api}
	for _, c := range changes {
		for name, value := range c {
			claims[name] = value
		}
	}
	return claims
}

type claim = map[string]any

func TestAuthenticate(t *testing.T) {
	f := newFixture(nil)
	app := caller.Caller{
		Organization: tenant, ObjectID: "33333333-3333-4333-8333-333333333333", AppID: "44444444-4444-4444-8444-444444444444", App: true,
	}
	user := app
	user.App, user.Scopes, user.Roles = false, []string{"Links.Manage", "Other"}, []string{"Links.Administrator"}
	withRoles, ofOperator, upper, noScope := app, app, app, user
	user.Name = "A Person"
	withRoles.Roles = []string{"Links.Token.All", "Links.Manage.All"}
	ofOperator.Organization, ofOperator.Operator = operator, true
	noScope.Scopes, noScope.Roles = []string{}, nil
	bare := caller.Caller{Organization: tenant, AppID: app.AppID, App: true}
	for _, c := range []struct {
		name   string
		claims claim
		want   caller.Caller
	}{
		{"application", nil, app},
		{"application with roles", claim{"roles": []string{"Links.Token.All", "Links.Manage.All"}}, withRoles},
		{"application that says so", claim{"idtyp": "app"}, app},
		{"application without oid", claim{"oid": nil, "sub": nil}, bare},
		{"user", claim{"scp": "Links.Manage Other", "roles": []string{"Links.Administrator"}, "name": "A Person", "preferred_username": "a@b"}, user},
		{"empty scp is a user's", claim{"scp": ""}, noScope},
		{"scp null is a user's", claim{"scp": json.RawMessage("null")}, noScope},
		{"operator", claim{"tid": operator}, ofOperator},
		{"several audiences", claim{"aud": []string{"x", api}}, app},
		{"tenant in upper case is the same", claim{"tid": strings.ToUpper(tenant)}, upper},
		{"claims of another case are others", claim{"SCP": "x", "Tid": other, "Aud": "y", "Exp": 1}, app},
		{"expired within the leeway", claim{"exp": f.Now().Unix() - 59}, app},
		{"not yet valid within the leeway", claim{"nbf": f.Now().Unix() + 60}, app},
		{"without nbf", claim{"nbf": nil}, app},
		{"fractions of seconds", claim{"exp": float64(f.Now().Unix()) + 0.5}, app},
	} {
		got, err := f.tokens.Validate(t.Context(), f.Mint(with(c.claims)))
		if err != nil || !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s:\ngot  %+v (%v)\nwant %+v", c.name, got, err, c.want)
		}
	}
	if n := f.KeyFetches.Load(); n != 1 {
		t.Errorf("the keys were fetched %d times", n)
	}
}

func TestAuthenticateRefuses(t *testing.T) {
	f := newFixture(func(c *entra.AccessTokensConfig) { c.Tenants = []string{tenant, personal} })
	at := f.Now().Unix()
	for _, c := range []struct {
		name   string
		claims claim
		reason string
	}{
		{"version 1", claim{"ver": "1.0", "iss": "https://sts.windows.net/" + tenant + "/", "azp": nil, "appid": client}, "version '1.0', needed is 2.0: set requestedAccessTokenVersion: 2"},
		{"no version", claim{"ver": nil}, "requestedAccessTokenVersion: 2"},
		{"another audience", claim{"aud": audience}, "another audience"},
		{"no audience", claim{"aud": nil}, "another audience"},
		{"empty audience", claim{"aud": ""}, "another audience"},
		{"no audience in the list", claim{"aud": []string{}}, "another audience"},
		{"audience of numbers", claim{"aud": []int{1}}, "well-formed"},
		{"expired", claim{"exp": at - 60}, "expired at 2026-11-23T05:59:00Z"},
		{"no end", claim{"exp": nil}, "no expiry time"},
		{"no end in time", claim{"exp": 1e300}, "no expiry time"},
		{"end as a text", claim{"exp": "1795420799"}, "well-formed"},
		{"not yet valid", claim{"nbf": at + 61}, "not valid before 2026-11-23T06:01:01Z"},
		{"another tenant", claim{"tid": other}, "tenant " + other + " may not call"},
		{"personal account", claim{"tid": personal, "scp": "Links.Manage"}, "may not call"},
		{"no tenant", claim{"tid": nil}, "no tenant id"},
		{"tenant is a name", claim{"tid": "contoso.com"}, "no tenant id"},
		{"tenant is a path", claim{"tid": tenant + "/../" + other}, "no tenant id"},
		{"tenant is a number", claim{"tid": 5}, "well-formed"},
		{"issuer of another tenant", claim{"iss": authority + other + "/v2.0"}, "another authority"},
		{"another issuer", claim{"iss": "https://evil.example/" + tenant + "/v2.0"}, "another authority"},
		{"issuer of version 1", claim{"iss": authority + tenant + "/"}, "another authority"},
		{"issuer with a slash", claim{"iss": authority + tenant + "/v2.0/"}, "another authority"},
		{"no issuer", claim{"iss": nil}, "another authority"},
		{"ID token", claim{"nonce": "n", "preferred_username": "a@b", "azp": nil}, "not an access token"},
		{"ID token without the profile", claim{"oid": nil, "azp": nil}, "not an access token"},
		{"user without scp", claim{"idtyp": "user"}, "not an access token"},
		{"scp is a list", claim{"scp": []string{"Links.Manage"}}, "well-formed"},
		{"roles is a text", claim{"roles": "Links.Token.All"}, "well-formed"},
	} {
		t.Run(c.name, func(t *testing.T) { refused(t, f, f.Mint(with(c.claims)), c.reason) })
	}
}

// refused asserts that the token is refused. The reason must contain part and be fit for
// error_description (RFC 6750 §3).
func refused(t *testing.T, f *fixture, token, part string) {
	t.Helper()
	got, err := f.tokens.Validate(t.Context(), token)
	var refused *caller.Refused
	if !errors.As(err, &refused) || !strings.Contains(refused.Reason, part) {
		t.Fatalf("got %+v, %v; want *caller.Refused with %q", got, err, part)
	}
	if !reflect.DeepEqual(got, caller.Caller{}) {
		t.Errorf("a refused token gave %+v", got)
	}
	for _, r := range refused.Reason {
		if r < ' ' || r > '~' || r == '"' || r == '\\' || r == '?' { // '?' replaces a character that is not allowed
			t.Errorf("%q holds %q", refused.Reason, r)
		}
	}
}

// forge signs with a key that is not the authority's.
func forge(header, payload any, sign func(text string) []byte) string {
	encode := func(v any) string {
		data, err := json.Marshal(v)
		if err != nil {
			panic(err)
		}
		return base64.RawURLEncoding.EncodeToString(data)
	}
	text := encode(header) + "." + encode(payload)
	return text + "." + base64.RawURLEncoding.EncodeToString(sign(text))
}

func TestForgeries(t *testing.T) {
	f := newFixture(nil)
	good := f.Mint(with())
	parts := strings.Split(good, ".")
	var header struct{ Kid string }
	data, err := base64.RawURLEncoding.DecodeString(parts[0])
	if err != nil || json.Unmarshal(data, &header) != nil {
		t.Fatal(err)
	}
	var payload json.RawMessage
	if payload, err = base64.RawURLEncoding.DecodeString(parts[1]); err != nil {
		t.Fatal(err)
	}
	published := publishedModulus(t, f)
	hmacSign := func(text string) []byte {
		mac := hmac.New(sha256.New, published)
		mac.Write([]byte(text))
		return mac.Sum(nil)
	}
	nothing := func(string) []byte { return nil }
	stranger := entratest.New(entratest.Tenant{ID: tenant})
	stranger.URL, stranger.Now = authority, f.Now
	stranger.Rotate(true)
	for name, c := range map[string]struct{ token, part string }{
		"alg none":                         {forge(claim{"alg": "none", "kid": header.Kid}, payload, nothing), "RS256"},
		"alg None":                         {forge(claim{"alg": "None", "kid": header.Kid}, payload, nothing), "cannot be verified"},
		"no alg":                           {forge(claim{"kid": header.Kid}, payload, nothing), "cannot be verified"},
		"HS256 with the public key":        {forge(claim{"alg": "HS256", "kid": header.Kid}, payload, hmacSign), "RS256"},
		"RS256 signed by HMAC":             {forge(claim{"alg": "RS256", "kid": header.Kid}, payload, hmacSign), "signature"},
		"RS512 by a published key":         {f.Sign(claim{"alg": "RS512"}, payload), "RS256"},
		"PS256 by a published key":         {f.Sign(claim{"alg": "PS256"}, payload), "RS256"},
		"a stranger's key":                 {stranger.Mint(with()), "does not publish"},
		"a stranger's key of the same id":  {stranger.Sign(claim{"kid": header.Kid}, payload), "signature"},
		"the stranger's key in the header": {stranger.Sign(claim{"kid": header.Kid, "jku": "https://evil.example/keys", "jwk": claim{"kty": "RSA"}}, payload), "signature"},
		"payload changed":                  {parts[0] + "." + base64.RawURLEncoding.EncodeToString([]byte(`{"tid":"x"}`)) + "." + parts[2], "signature"},
		"signature cut":                    {good[:len(good)-7] + "AAAAAAA", "signature"},
		"no signature":                     {parts[0] + "." + parts[1] + ".", "signature"},
		"no key id":                        {f.Sign(claim{"kid": nil}, payload), "does not name its signing key"},
		"key id a number":                  {f.Sign(claim{"kid": 7}, payload), "does not name its signing key"},
		"key id a path":                    {f.Sign(claim{"kid": "../" + header.Kid}, payload), "does not publish"},
		"extensions":                       {f.Sign(claim{"crit": []string{"b64"}, "b64": false}, payload), "crit"},
		"nested token":                     {f.Sign(claim{"cty": "JWT"}, payload), "cty"},
		"another type":                     {f.Sign(claim{"typ": "pop"}, payload), "another type"},
		"type a number":                    {f.Sign(claim{"typ": 5}, payload), "another type"},
		"claims twice":                     {f.Sign(nil, json.RawMessage(strings.Replace(string(payload), `{`, `{"tid":"`+other+`",`, 1))), "well-formed"},
		"claims a list":                    {f.Sign(nil, json.RawMessage(`[]`)), "well-formed"},
		"claims no JSON":                   {f.Sign(nil, json.RawMessage(`{"aud":`)), "well-formed"},
		"data after the claims":            {f.Sign(nil, json.RawMessage(string(payload)+`{}`)), "well-formed"},
		"empty":                            {"", "well-formed"},
		"opaque":                           {"opaque", "well-formed"},
		"four parts":                       {good + ".x", "well-formed"},
		"padding":                          {parts[0] + "." + parts[1] + "=." + parts[2], "well-formed"},
		"space":                            {" " + good, "well-formed"},
		"with its scheme":                  {"Bearer " + good, "well-formed"},
		"too large":                        {good + strings.Repeat("A", 16<<10), "more than 16384 bytes"},
	} {
		t.Run(name, func(t *testing.T) { refused(t, f, c.token, c.part) })
	}
	for _, typ := range []any{nil, "jwt", "at+jwt"} {
		if _, err := f.tokens.Validate(t.Context(), f.Sign(claim{"typ": typ}, payload)); err != nil {
			t.Errorf("typ %v: %v", typ, err)
		}
	}
}

func publishedModulus(t *testing.T, f *fixture) []byte {
	t.Helper()
	response, err := f.Client().Get(authority + "common/discovery/v2.0/keys")
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	var set struct{ Keys []struct{ N string } }
	if err := json.NewDecoder(response.Body).Decode(&set); err != nil {
		t.Fatal(err)
	}
	n, err := base64.RawURLEncoding.DecodeString(set.Keys[0].N)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestTenants(t *testing.T) {
	for _, c := range []struct {
		name     string
		tenants  []string
		operator string
		tid      string
		good     bool
	}{
		{"named", []string{tenant, other}, "", other, true},
		{"named in upper case", []string{strings.ToUpper("abcdefab-cdef-4bcd-8fab-cdefabcdefab")}, "", "abcdefab-cdef-4bcd-8fab-cdefabcdefab", true},
		{"not named", []string{tenant}, "", other, false},
		{"star", []string{"*"}, "", other, true},
		{"star and a personal account", []string{"*"}, "", personal, false},
		{"star and a personal account in upper case", []string{"*"}, "", strings.ToUpper(personal), false},
		{"personal account as operator", nil, personal, personal, false},
		{"operator", nil, operator, operator, true},
		{"nothing allowed", nil, "", tenant, false},
	} {
		f := newFixture(func(config *entra.AccessTokensConfig) { config.Tenants, config.OperatorTenant = c.tenants, c.operator })
		got, err := f.tokens.Validate(t.Context(), f.Mint(with(claim{"tid": c.tid})))
		if (err == nil) != c.good || got.Operator != (c.good && c.tid == c.operator) {
			t.Errorf("%s: %+v, %v", c.name, got, err)
		}
	}
}

func TestAudiences(t *testing.T) {
	mixed := "ABCDEFab-0000-4000-8000-000000000000"
	f := newFixture(func(c *entra.AccessTokensConfig) { c.Audiences = []string{"api://Links", mixed} })
	for aud, good := range map[string]bool{"api://Links": true, "api://links": false, strings.ToLower(mixed): true, api: false} {
		if _, err := f.tokens.Validate(t.Context(), f.Mint(with(claim{"aud": aud}))); (err == nil) != good {
			t.Errorf("aud %s: %v", aud, err)
		}
	}
	none := newFixture(func(c *entra.AccessTokensConfig) { c.Audiences = nil })
	refused(t, none, none.Mint(with(claim{"aud": ""})), "another audience")
}

// A valid token is cached for at most ten minutes, and not beyond its expiry.
func TestRemembers(t *testing.T) {
	f := newFixture(nil)
	good, short := f.Mint(with()), f.Mint(with(claim{"exp": f.Now().Add(5 * time.Minute).Unix()}))
	authenticate := func(token string) error {
		_, err := f.tokens.Validate(t.Context(), token)
		return err
	}
	if err := errors.Join(authenticate(good), authenticate(short)); err != nil {
		t.Fatal(err)
	}
	f.pass(6 * time.Minute)
	if err := authenticate(good); err != nil {
		t.Error(err)
	}
	refused(t, f, short, "expired")
	f.Rotate(true) // the key that signed good is withdrawn
	if err := authenticate(good); err != nil {
		t.Errorf("not remembered: %v", err)
	}
	if err := authenticate(f.Mint(with())); err != nil { // signed by the new key, so the keys are fetched
		t.Error(err)
	}
	f.pass(4*time.Minute + time.Second)
	refused(t, f, good, "does not publish")
}

func TestKeysRotate(t *testing.T) {
	f := newFixture(nil)
	before := f.Mint(with())
	f.Rotate(false)
	after := f.Mint(with())
	for _, token := range []string{before, after} {
		if _, err := f.tokens.Validate(t.Context(), token); err != nil {
			t.Error(err)
		}
	}
	f.Rotate(false)
	if _, err := f.tokens.Validate(t.Context(), f.Mint(with())); err != nil {
		t.Errorf("a token of a key that is newer than the fetched ones: %v", err)
	}
	if n := f.KeyFetches.Load(); n != 2 {
		t.Errorf("%d fetches, want 2", n)
	}
}

// Unknown key ids cause a few requests to the authority, not one request each.
func TestUnknownKeysAreLimited(t *testing.T) {
	f := newFixture(nil)
	for i := range 100 {
		refused(t, f, f.Sign(claim{"kid": fmt.Sprint("made-up-", i)}, with()), "does not publish")
	}
	if n := f.KeyFetches.Load(); n != 5 {
		t.Errorf("%d fetches for 100 made-up keys, want 5", n)
	}
	if _, err := f.tokens.Validate(t.Context(), f.Mint(with())); err != nil {
		t.Errorf("afterwards: %v", err)
	}
	f.pass(time.Minute)
	f.Rotate(false)
	if _, err := f.tokens.Validate(t.Context(), f.Mint(with())); err != nil {
		t.Errorf("a real new key after a minute: %v", err)
	}
}

func TestKeysUnreachable(t *testing.T) {
	for name, c := range map[string]struct {
		answer func(http.ResponseWriter, *http.Request)
		reason string
	}{
		"failing":       {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(503) }, "answered 503 with nothing"},
		"web page":      {func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "<html>") }, "answered 200 with a web page"},
		"no keys":       {func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `{"keys":[]}`) }, "JSON of another shape"},
		"unusable keys": {func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, weakKeys) }, "JSON of another shape"},
		"redirect": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "https://evil.example/keys", http.StatusFound)
		}, "a redirect"},
		"endless": {func(w http.ResponseWriter, _ *http.Request) {
			fmt.Fprint(w, `{"keys":[`+strings.Repeat(" ", 1<<20)+`]}`)
		}, "JSON of another shape"},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(nil)
			f.Before = func(w http.ResponseWriter, r *http.Request) bool { c.answer(w, r); return true }
			good := f.Mint(with())
			for range 3 {
				_, err := f.tokens.Validate(t.Context(), good)
				var u *entra.Unreachable
				if !errors.As(err, &u) || !strings.Contains(u.Reason, c.reason) {
					t.Fatalf("got %v, want Unreachable: %s", err, c.reason)
				}
			}
			if n := f.KeyFetches.Load(); n != 1 {
				t.Errorf("%d fetches within the pause, want 1", n)
			}
			f.Before = nil
			f.pass(6 * time.Second)
			if _, err := f.tokens.Validate(t.Context(), good); err != nil {
				t.Errorf("after the pause: %v", err)
			}
		})
	}
}

// weakKeys holds keys that must not be used, each for a different reason.
var weakKeys = func() string {
	n := base64.RawURLEncoding.EncodeToString(append([]byte{0x80}, make([]byte, 255)...))
	key := func(change claim) claim {
		k := claim{"kty": "RSA", "use": "sig", "kid": "k", "n": n, "e": "AQAB"}
		for name, v := range change {
			k[name] = v
		}
		return k
	}
	data, err := json.Marshal(claim{"keys": []any{
		key(claim{"kty": "EC"}), key(claim{"use": "enc"}), key(claim{"alg": "RS512"}), key(claim{"kid": ""}),
		key(claim{"n": n[:100]}), key(claim{"n": "!"}), key(claim{"n": ""}), key(claim{"e": "AQ"}), key(claim{"e": ""}),
		key(claim{"e": strings.Repeat("AQAB", 4)}), key(claim{"n": strings.Repeat(n, 40)}), "text", nil, key(claim{"kid": 5}),
	}})
	if err != nil {
		panic(err)
	}
	return string(data)
}()

// One unusable key in the set must not make the other keys unusable.
func TestOddKeyBesideGoodOnes(t *testing.T) {
	f := newFixture(nil)
	f.Before = func(w http.ResponseWriter, r *http.Request) bool {
		if r.Header.Get("Inner") != "" {
			return false
		}
		inner, err := http.NewRequest(http.MethodGet, r.URL.String(), nil)
		if err != nil {
			t.Error(err)
			return true
		}
		inner.URL.Scheme, inner.URL.Host, inner.Header = "https", "login.sandbox.test", http.Header{"Inner": {"1"}}
		response, err := f.Client().Do(inner)
		if err != nil {
			t.Error(err)
			return true
		}
		defer response.Body.Close()
		var good, weak struct{ Keys []any }
		if err := errors.Join(json.NewDecoder(response.Body).Decode(&good), json.Unmarshal([]byte(weakKeys), &weak)); err != nil {
			t.Error(err)
		}
		if err := json.NewEncoder(w).Encode(claim{"keys": append(weak.Keys, good.Keys...)}); err != nil {
			t.Error(err)
		}
		return true
	}
	if _, err := f.tokens.Validate(t.Context(), f.Mint(with())); err != nil {
		t.Error(err)
	}
}

// While the authority is down, known keys can be used for a day.
func TestKeysOutliveTheAuthority(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(nil)
		f.Authority.Now, f.Lifetime = time.Now, 100*time.Hour
		f.tokens = entra.NewAccessTokens(entra.AccessTokensConfig{Authority: authority, Audiences: []string{api}, Tenants: []string{"*"}, Client: f.Client()})
		call := func() error {
			_, err := f.tokens.Validate(t.Context(), f.Mint(with(claim{"jti": time.Now().String()})))
			synctest.Wait() // for the fetch in the background
			return err
		}
		if err := call(); err != nil {
			t.Fatal(err)
		}
		f.Before = func(w http.ResponseWriter, _ *http.Request) bool { w.WriteHeader(503); return true }
		for range 23 {
			time.Sleep(time.Hour)
			if err := call(); err != nil {
				t.Fatalf("after %v: %v", time.Now(), err)
			}
		}
		time.Sleep(time.Hour)
		var u *entra.Unreachable
		if err := call(); !errors.As(err, &u) {
			t.Errorf("after a day: %v, want Unreachable", err)
		}
		f.Before = nil
		time.Sleep(time.Minute)
		if err := call(); err != nil {
			t.Errorf("when it is back: %v", err)
		}
		fetches := f.KeyFetches.Load()
		time.Sleep(2 * time.Hour)
		if err := errors.Join(call(), call()); err != nil || f.KeyFetches.Load() != fetches+1 {
			t.Errorf("an old set was fetched %d times (%v), want once", f.KeyFetches.Load()-fetches, err)
		}
	})
}

// A caller that gives up while the keys are fetched does not cancel the fetch for the others.
func TestKeysHonourTheContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(nil)
		f.Before = func(http.ResponseWriter, *http.Request) bool { time.Sleep(3 * time.Second); return false }
		good := f.Mint(with())
		var wg sync.WaitGroup
		for i := range 10 {
			wg.Go(func() {
				ctx, cancel := context.WithTimeout(t.Context(), time.Duration(i)*time.Second+time.Second/2)
				defer cancel()
				_, err := f.tokens.Validate(ctx, good)
				var u *entra.Unreachable
				switch {
				case i >= 3 && err != nil:
					t.Errorf("with %d s: %v", i, err)
				case i < 3 && (!errors.As(err, &u) || !errors.Is(err, context.DeadlineExceeded) || u.Reason != "timed out"):
					t.Errorf("with %d s: %v, want Unreachable: timed out", i, err)
				}
			})
			synctest.Wait() // the first caller, which starts the fetch, is the first to give up
		}
		wg.Wait()
		if n := f.KeyFetches.Load(); n != 1 {
			t.Errorf("%d fetches, want 1", n)
		}
	})
}

func TestKeysTimeOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(nil)
		f.Before = func(_ http.ResponseWriter, r *http.Request) bool { <-r.Context().Done(); return true }
		started := time.Now()
		_, err := f.tokens.Validate(t.Context(), f.Mint(with()))
		if took := time.Since(started); took != 5*time.Second || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%v after %v", err, took)
		}
	})
}

// Entra names the issuer beside each key. A key of one tenant must not sign for another.
func TestKeyIssuer(t *testing.T) {
	for issuer, good := range map[string]bool{
		"":                            true,
		authority + "{tenantid}/v2.0": true,
		authority + tenant + "/v2.0":  true,
		authority + other + "/v2.0":   false,
		"https://login.microsoftonline.com/" + personal + "/v2.0": false,
	} {
		f := newFixture(nil)
		f.tokens = entra.NewAccessTokens(entra.AccessTokensConfig{
			Authority: authority, Audiences: []string{api}, Tenants: []string{"*"}, Now: f.Now,
			Client: &http.Client{Transport: reissue{f.Client().Transport, issuer}},
		})
		_, err := f.tokens.Validate(t.Context(), f.Mint(with()))
		if (err == nil) != good || !good && !strings.Contains(err.Error(), "key of another issuer") {
			t.Errorf("issuer %q: %v", issuer, err)
		}
	}
}

// reissue publishes the keys with another issuer.
type reissue struct {
	http.RoundTripper
	issuer string
}

func (r reissue) RoundTrip(request *http.Request) (*http.Response, error) {
	response, err := r.RoundTripper.RoundTrip(request)
	if err != nil {
		return nil, err
	}
	var set struct {
		Keys []map[string]any `json:"keys"`
	}
	if err := json.NewDecoder(response.Body).Decode(&set); err != nil {
		return nil, err
	}
	for _, k := range set.Keys {
		k["issuer"] = r.issuer
	}
	data, err := json.Marshal(set)
	response.Body = http.NoBody
	if err == nil {
		response.Body = readCloser{strings.NewReader(string(data))}
	}
	return response, err
}

type readCloser struct{ *strings.Reader }

func (readCloser) Close() error { return nil }

func TestNoRequestBeforeTheFirstToken(t *testing.T) {
	f := newFixture(nil)
	if n := f.KeyFetches.Load(); n != 0 {
		t.Errorf("%d requests of the constructor", n)
	}
	refused(t, f, "junk", "well-formed")
	if n := f.KeyFetches.Load(); n != 0 {
		t.Errorf("%d requests for junk", n)
	}
}

func FuzzAuthenticate(f *testing.F) {
	x := newFixture(nil)
	good := x.Mint(with())
	f.Add(good)
	f.Add(x.Sign(claim{"alg": "none"}, with()))
	f.Add("a.b.c")
	f.Fuzz(func(t *testing.T, token string) {
		caller, err := x.tokens.Validate(t.Context(), token)
		if err == nil && token != good {
			t.Errorf("%+v for %q", caller, token)
		}
	})
}

// FuzzClaims signs arbitrary claims. None may panic, or be accepted as a caller of another
// tenant.
func FuzzClaims(f *testing.F) {
	x := newFixture(nil)
	f.Add(`{"aud":"` + api + `","iss":"` + authority + tenant + `/v2.0","tid":"` + tenant + `","ver":"2.0","exp":1795420799,"azp":"a"}`)
	f.Add(`{"scp":null,"roles":["a"],"exp":1e9,"nbf":-1}`)
	f.Fuzz(func(t *testing.T, payload string) {
		caller, err := x.tokens.Validate(t.Context(), x.Sign(nil, json.RawMessage(payload)))
		if err == nil && caller.Organization != tenant && caller.Organization != operator {
			t.Errorf("%+v for %q", caller, payload)
		}
	})
}

func BenchmarkAuthenticate(b *testing.B) {
	f := newFixture(nil)
	token := f.Mint(with(claim{"exp": math.MaxInt32}))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := f.tokens.Validate(b.Context(), token); err != nil {
			b.Fatal(err)
		}
	}
}

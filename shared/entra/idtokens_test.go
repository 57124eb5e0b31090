package entra_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"reflect"
	"strings"
	"testing"

	"fhirlink/shared/caller"
	"fhirlink/shared/entra"
	"fhirlink/shared/entra/entratest"
)

const (
	nonce  = "n-0123456789"
	person = "33333333-3333-4333-8333-333333333333"
)

// idToken returns the claims of an ID token of Entra, with changes.
func idToken(changes ...claim) claim {
	claims := claim{
		"aud": api, "nonce": nonce, "azp": nil, "azpacr": nil, "rh": "0.A", "sub": "AAAAsub", "roles": []string{"Links.Administrator", "Other"},
		"name": "Ada", "preferred_username": "ada@contoso.com", "login_hint": "O.CiQ",
	}
	for _, c := range changes {
		for name, value := range c {
			claims[name] = value
		}
	}
	return claims
}

func TestIDTokens(t *testing.T) {
	f := newFixture(nil)
	ids := f.tokens.IDTokens(strings.ToUpper(api))
	ada := entra.Person{tenant, person, "Ada", "ada@contoso.com", "O.CiQ", []string{"Links.Administrator", "Other"}}
	ofOperator, bare := ada, entra.Person{Tenant: tenant, ObjectID: person}
	ofOperator.Tenant = operator
	for _, c := range []struct {
		name   string
		claims claim
		want   entra.Person
	}{
		{"usual", nil, ada},
		{"operator", claim{"tid": operator}, ofOperator},
		{"upper case", claim{"tid": strings.ToUpper(tenant), "oid": strings.ToUpper(person)}, ada},
		{"bare", claim{"name": nil, "preferred_username": nil, "login_hint": nil, "roles": nil}, bare},
		{"odd claims that are only shown", claim{"name": 5, "preferred_username": []int{1}, "login_hint": true, "roles": nil}, bare},
		{"audience in a list", claim{"aud": []string{api}}, ada},
		{"within the leeway", claim{"exp": f.Now().Unix() - 59, "nbf": f.Now().Unix() + 60}, ada},
	} {
		got, err := ids.Validate(t.Context(), f.Mint(idToken(c.claims)), nonce)
		if err != nil || !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s:\ngot  %+v (%v)\nwant %+v", c.name, got, err, c.want)
		}
	}
	long, err := ids.Validate(t.Context(), f.Mint(idToken(claim{"name": strings.Repeat("ä", 100) + "\u202e"})), nonce)
	if err != nil || len([]rune(long.Name)) != 64 {
		t.Errorf("a long name became %q, %v", long.Name, err)
	}
}

func TestIDTokensRefuse(t *testing.T) {
	f := newFixture(nil)
	ids := f.tokens.IDTokens(api)
	at := f.Now().Unix()
	for _, c := range []struct {
		name     string
		token    string
		nonce    string
		reason   string
		untimely bool
	}{
		{"another nonce", f.Mint(idToken()), "n-other", "nonce", false},
		{"nonce not asked for", f.Mint(idToken(claim{"nonce": ""})), "", "nonce", false},
		{"no nonce", f.Mint(idToken(claim{"nonce": nil})), nonce, "nonce", false},
		{"nonce of another type", f.Mint(idToken(claim{"nonce": 5})), nonce, "well-formed", false},
		{"access token for us", f.Mint(idToken(claim{"scp": "Links.Manage"})), nonce, "access token", false},
		{"access token with an empty scp", f.Mint(idToken(claim{"scp": ""})), nonce, "access token", false},
		{"access token whose scp is null", f.Mint(idToken(claim{"scp": json.RawMessage("null")})), nonce, "access token", false},
		{"application's access token", f.Mint(with()), nonce, "nonce", false},
		{"another audience", f.Mint(idToken(claim{"aud": other})), nonce, "aud", false},
		{"more audiences", f.Mint(idToken(claim{"aud": []string{api, other}})), nonce, "aud", false},
		{"the URI of the API", f.Mint(idToken(claim{"aud": "api://" + api})), nonce, "aud", false},
		{"no audience", f.Mint(idToken(claim{"aud": nil})), nonce, "aud", false},
		{"nobody", f.Mint(idToken(claim{"oid": nil})), nonce, "oid", false},
		{"oid no GUID", f.Mint(idToken(claim{"oid": "ada"})), nonce, "oid", false},
		{"version 1", f.Mint(idToken(claim{"ver": "1.0"})), nonce, "version", false},
		{"issuer of another tenant", f.Mint(idToken(claim{"iss": authority + other + "/v2.0"})), nonce, "another authority", false},
		{"no tenant", f.Mint(idToken(claim{"tid": nil})), nonce, "tenant id", false},
		{"ended", f.Mint(idToken(claim{"exp": at - 60})), nonce, "expired", true},
		{"not yet", f.Mint(idToken(claim{"nbf": at + 61})), nonce, "not valid before", true},
		{"no end", f.Mint(idToken(claim{"exp": nil})), nonce, "expiry", false},
		{"roles a text", f.Mint(idToken(claim{"roles": "Links.Administrator"})), nonce, "well-formed", false},
		{"nonce twice", f.Sign(nil, json.RawMessage(`{"nonce":"a","nonce":"b"}`)), nonce, "well-formed", false},
		{"typ of an access token", f.Sign(claim{"typ": "at+jwt"}, idToken()), nonce, "another type", false},
		{"alg none", f.Sign(claim{"alg": "none"}, idToken()), nonce, "RS256", false},
		{"PS256", f.Sign(claim{"alg": "PS256"}, idToken()), nonce, "RS256", false},
		{"a stranger's key", stranger(f).Mint(idToken()), nonce, "does not publish", false},
		{"junk", "junk", nonce, "well-formed", false},
		{"empty", "", nonce, "well-formed", false},
		{"too large", f.Mint(idToken()) + strings.Repeat("A", 16<<10), nonce, "more than", false},
	} {
		got, err := ids.Validate(t.Context(), c.token, c.nonce)
		var refused *caller.Refused
		if !errors.As(err, &refused) || !strings.Contains(refused.Reason, c.reason) || errors.Is(err, entra.ErrUntimely) != c.untimely {
			t.Errorf("%s: %v", c.name, err)
		}
		if !reflect.DeepEqual(got, entra.Person{}) {
			t.Errorf("%s gave %+v", c.name, got)
		}
	}
}

func stranger(f *fixture) *entratest.Authority {
	a := entratest.New(entratest.Tenant{ID: tenant})
	a.URL, a.Now = authority, f.Now
	a.Rotate(true)
	return a
}

func TestIDTokensOfOtherTenants(t *testing.T) {
	f := newFixture(nil)
	for _, tid := range []string{other, personal} {
		_, err := f.tokens.IDTokens(api).Validate(t.Context(), f.Mint(idToken(claim{"tid": tid})), nonce)
		var not *entra.TenantNotAllowed
		if !errors.As(err, &not) || not.Tenant != tid {
			t.Errorf("%s: %v", tid, err)
		}
	}
	_, err := f.tokens.IDTokens(api).Validate(t.Context(), f.Mint(idToken(claim{"tid": other, "nonce": "x"})), nonce)
	if !strings.Contains(err.Error(), "nonce") {
		t.Errorf("a forged sign-in is told of its tenant: %v", err)
	}
}

// One set of keys serves both kinds of tokens, and an ID token is no access token.
func TestIDTokensShareTheKeys(t *testing.T) {
	f := newFixture(nil)
	ids := f.tokens.IDTokens(api)
	for range 3 {
		if _, err := ids.Validate(t.Context(), f.Mint(idToken()), nonce); err != nil {
			t.Fatal(err)
		}
		if _, err := f.tokens.Validate(t.Context(), f.Mint(with())); err != nil {
			t.Fatal(err)
		}
	}
	if n := f.KeyFetches.Load(); n != 1 {
		t.Errorf("%d fetches", n)
	}
	refused(t, f, f.Mint(idToken()), "not an access token")
	f.Rotate(true)
	if _, err := ids.Validate(t.Context(), f.Mint(idToken()), nonce); err != nil {
		t.Errorf("a key that was rotated: %v", err)
	}
	down := newFixture(nil)
	down.Before = func(w http.ResponseWriter, _ *http.Request) bool { w.WriteHeader(503); return true }
	_, err := down.tokens.IDTokens(api).Validate(t.Context(), down.Mint(idToken()), nonce)
	var u *entra.Unreachable
	if !errors.As(err, &u) {
		t.Errorf("the authority is down: %v", err)
	}
}

// FuzzIDClaims signs arbitrary claims. None may panic, or be accepted for another tenant or sign-in.
func FuzzIDClaims(f *testing.F) {
	x := newFixture(nil)
	ids := x.tokens.IDTokens(api)
	f.Add(`{"aud":"` + api + `","iss":"` + authority + tenant + `/v2.0","tid":"` + tenant + `","ver":"2.0","exp":1795420799,"nonce":"n-0123456789","oid":"` + person + `"}`)
	f.Add(`{"scp":null,"roles":["a"],"exp":1e9,"nbf":-1}`)
	f.Fuzz(func(t *testing.T, payload string) {
		p, err := ids.Validate(t.Context(), x.Sign(nil, json.RawMessage(payload)), nonce)
		if err == nil && (p.Tenant != tenant && p.Tenant != operator || !entra.IsGUID(p.ObjectID) || !strings.Contains(payload, nonce)) {
			t.Errorf("%+v for %q", p, payload)
		}
	})
}

func TestParseRedirectRefusal(t *testing.T) {
	r, ok := entra.ParseRedirectRefusal("unsupported_response", "AADSTS700054: response_type 'id_token' is not enabled for the application. Trace ID: 1\r\nTrace ID: aaaa-1\r\nCorrelation ID: bbbb-2\r\nTimestamp: 2026-11-29 06:00:00Z")
	if !ok || r.Number != 700054 || r.OAuthError != "unsupported_response" || r.TraceID != "aaaa-1" || r.CorrelationID != "bbbb-2" ||
		r.Sentence != "response_type 'id_token' is not enabled for the application." {
		t.Errorf("%+v, %v", r, ok)
	}
	for _, oauth := range []string{"", "<script>", "Über", strings.Repeat("a", 65), "a b"} {
		if r, ok := entra.ParseRedirectRefusal(oauth, "AADSTS65004: x"); ok {
			t.Errorf("%q is read as %+v", oauth, r)
		}
	}
}

package entra_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"fhirlink/shared/caller"
	"fhirlink/shared/entra"
	"fhirlink/shared/entra/entratest"
)

// applications is a fixture with the validator of the ID tokens of applications, which are those of
// links here.
type applications struct {
	*fixture
	*entra.Applications
	asked []string // URLs of requests
}

func newApplications() *applications {
	a := &applications{fixture: newFixture(nil)}
	a.Applications = entra.NewApplications(a.client(), a.Now)
	return a
}

func (a *applications) client() *http.Client {
	return &http.Client{Transport: entratest.InProcess(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a.asked = append(a.asked, r.URL.String())
		a.Authority.ServeHTTP(w, r)
	}))}
}

var link = entra.Credentials{Authority: authority, TenantID: tenant, ClientID: client}

// signedInToken returns the claims of an ID token of the link's application, with changes.
func signedInToken(changes ...claim) claim {
	return idToken(append([]claim{{"aud": client, "roles": nil, "login_hint": nil}}, changes...)...)
}

func TestApplications(t *testing.T) {
	a := newApplications()
	for name, c := range map[string]struct {
		claims claim
		link   entra.Credentials
		want   entra.SignedIn
	}{
		"usual":              {nil, link, entra.SignedIn{ObjectID: person, Name: "Ada", Username: "ada@contoso.com"}},
		"mail":               {claim{"email": "ada@contoso.com"}, link, entra.SignedIn{ObjectID: person, Name: "Ada", Username: "ada@contoso.com", Email: "ada@contoso.com"}},
		"bare":               {claim{"name": nil, "preferred_username": nil}, link, entra.SignedIn{ObjectID: person}},
		"odd shown claims":   {claim{"name": 5, "preferred_username": []int{1}, "email": true}, link, entra.SignedIn{ObjectID: person}},
		"not printable":      {claim{"name": "A\u202eda\n", "email": "a\r\nb@c"}, link, entra.SignedIn{ObjectID: person, Name: "A da", Username: "ada@contoso.com", Email: "a  b@c"}},
		"upper case":         {claim{"tid": strings.ToUpper(tenant), "oid": strings.ToUpper(person)}, link, entra.SignedIn{ObjectID: person, Name: "Ada", Username: "ada@contoso.com"}},
		"link in upper case": {nil, entra.Credentials{Authority: strings.TrimRight(authority, "/"), TenantID: strings.ToUpper(tenant), ClientID: strings.ToUpper(client)}, entra.SignedIn{ObjectID: person, Name: "Ada", Username: "ada@contoso.com"}},
	} {
		got, err := a.Validate(t.Context(), c.link, a.Mint(signedInToken(c.claims)), nonce)
		if err != nil || got.Claims["oid"] == nil {
			t.Errorf("%s: %v", name, err)
		}
		got.Claims = nil
		if !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: %#v", name, fields(got))
		}
	}
	if len(a.asked) != 1 || a.asked[0] != authority+tenant+"/discovery/v2.0/keys?appid="+client {
		t.Errorf("asked %q", a.asked)
	}
}

// fields prints what SignedIn itself does not.
func fields(s entra.SignedIn) []any { return []any{s.ObjectID, s.Name, s.Username, s.Email, s.Claims} }

// TestClaimsOfOrganizations: what an organization adds to the tokens of an application is there as it
// is written.
func TestClaimsOfOrganizations(t *testing.T) {
	a := newApplications()
	const extension = "extension_0123456789abcdef0123456789abcdef_fhirUser"
	got, err := a.Validate(t.Context(), link, a.Mint(signedInToken(claim{
		"fhirUser": "Practitioner/1", "extn.fhirUser": []string{"Patient/p-1"}, extension: "Patient/p-2", "odd": json.RawMessage("null"),
	})), nonce)
	if err != nil {
		t.Fatal(err)
	}
	odd, has := got.Claims["odd"]
	if got.Claims["fhirUser"] != "Practitioner/1" || !reflect.DeepEqual(got.Claims["extn.fhirUser"], []any{"Patient/p-1"}) || got.Claims[extension] != "Patient/p-2" || odd != nil || !has {
		t.Errorf("%#v", got.Claims)
	}
}

func TestSignedInDoesNotPrint(t *testing.T) {
	s := entra.SignedIn{ObjectID: "canary", Name: "canary", Username: "canary", Email: "canary", Claims: claim{"canary": "canary"}}
	var b bytes.Buffer
	slog.New(slog.NewTextHandler(&b, nil)).Info("x", "v", s, "p", &s, "in", struct{ S entra.SignedIn }{s})
	slog.New(slog.NewJSONHandler(&b, nil)).Info("x", "v", s, "p", &s, "in", struct{ S entra.SignedIn }{s})
	if _, err := fmt.Fprintf(&b, "%v %+v %#v %s %q %x %d %v %+v", s, s, s, s, s, s, s, &s, []entra.SignedIn{s}); err != nil {
		t.Fatal(err)
	}
	if text := b.String(); strings.Contains(text, "canary") || strings.Contains(text, fmt.Sprintf("%x", "canary")) || strings.Count(text, "[redacted]") != 15 {
		t.Errorf("%s", text)
	}
}

func TestApplicationsRefuse(t *testing.T) {
	a := newApplications()
	at := a.Now().Unix()
	elsewhere := link
	elsewhere.TenantID = other
	for name, c := range map[string]struct {
		link     entra.Credentials
		token    string
		nonce    string
		reason   string
		untimely bool
	}{
		"another nonce":             {link, a.Mint(signedInToken()), "n-other", "nonce", false},
		"nonce not asked for":       {link, a.Mint(signedInToken(claim{"nonce": ""})), "", "nonce", false},
		"no nonce":                  {link, a.Mint(signedInToken(claim{"nonce": nil})), nonce, "nonce", false},
		"another application":       {link, a.Mint(signedInToken(claim{"aud": api})), nonce, "aud", false},
		"more audiences":            {link, a.Mint(signedInToken(claim{"aud": []string{client, api}})), nonce, "aud", false},
		"another tenant":            {link, a.Mint(signedInToken(claim{"tid": other})), nonce, "another tenant", false},
		"personal account":          {link, a.Mint(signedInToken(claim{"tid": personal})), nonce, "another tenant", false},
		"tenant of another link":    {elsewhere, a.Mint(signedInToken()), nonce, "another tenant", false},
		"issuer of another tenant":  {link, a.Mint(signedInToken(claim{"iss": authority + other + "/v2.0"})), nonce, "another authority", false},
		"access token":              {link, a.Mint(signedInToken(claim{"scp": "x"})), nonce, "access token", false},
		"version 1":                 {link, a.Mint(signedInToken(claim{"ver": "1.0"})), nonce, "version", false},
		"nobody":                    {link, a.Mint(signedInToken(claim{"oid": "ada"})), nonce, "oid", false},
		"ended":                     {link, a.Mint(signedInToken(claim{"exp": at - 60})), nonce, "expired", true},
		"not yet":                   {link, a.Mint(signedInToken(claim{"nbf": at + 61})), nonce, "not valid before", true},
		"alg none":                  {link, a.Sign(claim{"alg": "none"}, signedInToken()), nonce, "RS256", false},
		"HS256":                     {link, a.Sign(claim{"alg": "HS256"}, signedInToken()), nonce, "RS256", false},
		"PS256":                     {link, a.Sign(claim{"alg": "PS256"}, signedInToken()), nonce, "RS256", false},
		"claim twice":               {link, a.Sign(nil, json.RawMessage(`{"nonce":"a","nonce":"b"}`)), nonce, "well-formed", false},
		"a stranger's key":          {link, stranger(a.fixture).Mint(signedInToken()), nonce, "does not publish", false},
		"too large":                 {link, a.Mint(signedInToken()) + strings.Repeat("A", 16<<10), nonce, "more than", false},
		"link without a tenant":     {entra.Credentials{Authority: authority, ClientID: client}, a.Mint(signedInToken()), nonce, "without a tenant id", false},
		"link whose tenant is path": {entra.Credentials{Authority: authority, TenantID: "../" + tenant, ClientID: client}, a.Mint(signedInToken()), nonce, "without a tenant id", false},
		"link without a client":     {entra.Credentials{Authority: authority, TenantID: tenant}, a.Mint(signedInToken(claim{"aud": ""})), nonce, "without a tenant id", false},
	} {
		got, err := a.Validate(t.Context(), c.link, c.token, c.nonce)
		var refused *caller.Refused
		if !errors.As(err, &refused) || !strings.Contains(refused.Reason, c.reason) || errors.Is(err, entra.ErrUntimely) != c.untimely {
			t.Errorf("%s: %v", name, err)
		}
		if !reflect.DeepEqual(got, entra.SignedIn{}) {
			t.Errorf("%s gave %v", name, fields(got))
		}
	}
}

// TestKeyOfAnApplication is published for that application only, and signs for no other.
func TestKeyOfAnApplication(t *testing.T) {
	a := newApplications()
	a.OwnKey(client)
	if _, err := a.Validate(t.Context(), link, a.SignFor(client, nil, json.RawMessage(payload(t, a.Mint(signedInToken())))), nonce); err != nil {
		t.Error(err)
	}
	neighbour := link
	neighbour.ClientID = api
	_, err := a.Validate(t.Context(), neighbour, a.SignFor(client, nil, json.RawMessage(payload(t, a.Mint(signedInToken(claim{"aud": api}))))), nonce)
	if err == nil || !strings.Contains(err.Error(), "does not publish") {
		t.Errorf("a token for another application: %v", err)
	}
}

// payload returns the claims of a token.
func payload(t *testing.T, token string) []byte {
	t.Helper()
	_, rest, _ := strings.Cut(token, ".")
	body, _, _ := strings.Cut(rest, ".")
	data, err := base64.RawURLEncoding.DecodeString(body)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestKeysOfApplications(t *testing.T) {
	a := newApplications()
	validate := func(what string, good bool) {
		t.Helper()
		if _, err := a.Validate(t.Context(), link, a.Mint(signedInToken()), nonce); (err == nil) != good {
			t.Errorf("%s: %v", what, err)
		}
	}
	validate("at first", true)
	a.Rotate(false)
	validate("a new key", true)
	if n := len(a.asked); n != 2 {
		t.Errorf("%d fetches", n)
	}
	a.Before = func(w http.ResponseWriter, _ *http.Request) bool { w.WriteHeader(503); return true }
	a.pass(23 * time.Hour)
	validate("old keys while the authority is down", true)
	a.pass(2 * time.Hour)
	_, err := a.Validate(t.Context(), link, a.Mint(signedInToken()), nonce)
	var u *entra.Unreachable
	if !errors.As(err, &u) || u.Status != 503 {
		t.Errorf("keys of yesterday: %v", err)
	}
	a.Before = nil
	a.pass(6 * time.Second)
	validate("when the authority is back", true)
}

// TestManyApplications: no more sets of keys are kept than there is room for.
func TestManyApplications(t *testing.T) {
	a := newApplications()
	for i := range 1001 {
		c := link
		c.ClientID = fmt.Sprintf("22222222-2222-4222-8222-%012d", i)
		if _, err := a.Validate(t.Context(), c, a.Mint(signedInToken(claim{"aud": c.ClientID})), nonce); err != nil {
			t.Fatal(err)
		}
	}
	first := link
	first.ClientID = fmt.Sprintf("22222222-2222-4222-8222-%012d", 0)
	if _, err := a.Validate(t.Context(), first, a.Mint(signedInToken(claim{"aud": first.ClientID})), nonce); err != nil || len(a.asked) != 1002 {
		t.Errorf("%d fetches, %v", len(a.asked), err)
	}
}

// TestAtOnce: the keys are fetched once for all who need them.
func TestAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newApplications()
		token := a.Mint(signedInToken())
		a.Before = func(http.ResponseWriter, *http.Request) bool { time.Sleep(time.Second); return false }
		errs := make(chan error)
		for range 20 {
			go func() {
				_, err := a.Validate(t.Context(), link, token, nonce)
				errs <- err
			}()
		}
		for range 20 {
			if err := <-errs; err != nil {
				t.Error(err)
			}
		}
		if len(a.asked) != 1 {
			t.Errorf("%d fetches", len(a.asked))
		}
	})
}

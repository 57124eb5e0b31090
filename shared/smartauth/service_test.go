package smartauth_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"fhirlink/shared/date"
	"fhirlink/shared/httpx"
	"fhirlink/shared/link"
	"fhirlink/shared/link/condition"
	"fhirlink/shared/link/intake"
	"fhirlink/shared/problem"
	"fhirlink/shared/secret"
	"fhirlink/shared/signer"
	"fhirlink/shared/smart"
	"fhirlink/shared/smartauth"
	"fhirlink/shared/store"
	"fhirlink/shared/store/rowtest"
)

const (
	orgA = "11111111-1111-4111-8111-111111111111"
	orgB = "44444444-4444-4444-8444-444444444444"
	slug = "clinic"
)

// desk is a service over rows in memory, with links that tests set.
type desk struct {
	*smartauth.Service
	rows  *rowtest.Rows
	links map[string]link.Link
	kept  []string // slugs that were kept without end
	now   time.Time

	keyless error // of the signing key

	registered map[string]link.Link // by client id in Entra
	refuses    error                // what Put answers
	undeleted  error                // what Delete answers
	unread     error                // what Get answers
	named      bool                 // what Tend was told last
	audience   string
}

// names reports whether an app names a registration, as the timer is told.
func (d *desk) names(t *testing.T, registration link.Link) (bool, error) {
	t.Helper()
	d.named = false
	_, _, err := d.Tend(t.Context(), registration)
	return d.named, err
}

func newDesk() *desk {
	d := &desk{rows: rowtest.New(), links: map[string]link.Link{}, registered: map[string]link.Link{}, now: time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC)}
	d.links[slug] = link.Link{
		Slug: slug, ID: "id-1", Organization: orgA, Phase: link.Live, FHIRServerURL: "https://clinic.example/fhir", Audience: "api://clinic", ClientID: "22222222-2222-4222-8222-222222222222", TenantID: orgA,
	}
	now := func() time.Time { return d.now }
	d.Service = smartauth.New(smartauth.Deps{
		Rows: d.rows, Links: d, Keys: d, PublicURL: "https://links.example.org", Now: now, Registrations: registrations{d},
	})
	return d
}

// Get implements [smartauth.Links].
func (d *desk) Get(_ context.Context, organization, slug string) (link.Link, error) {
	l, ok := d.links[slug]
	if !ok || l.Organization != organization {
		return link.Link{}, problem.New(problem.LinkNotFound, "There is none.")
	}
	return l, nil
}

// Live implements [smartauth.Links].
func (d *desk) Live(_ context.Context, slug string) (link.Link, error) {
	if l, ok := d.links[slug]; ok && l.Phase == link.Live {
		return l, nil
	}
	return link.Link{}, problem.New(problem.LinkNotFound, "There is none.")
}

// Keys implements [smartauth.Keys].
func (d *desk) Keys(context.Context) ([]jose.JSONWebKey, error) {
	return []jose.JSONWebKey{{KeyID: "a"}}, d.keyless
}

// KeepSlug implements [smartauth.Links].
func (d *desk) KeepSlug(_ context.Context, _, slug string) error {
	if d.rows.Fault != nil {
		if err := d.rows.Fault("KeepSlug", store.Key{}, true); err != nil {
			return problem.Unavailable(err, time.Second, "The table is down.")
		}
	}
	d.kept = append(d.kept, slug)
	return nil
}

var (
	creating = smartauth.Precondition{IfNoneMatch: "*"}
	anything = smartauth.Precondition{IfMatch: "*"}
)

func tag(etag string) smartauth.Precondition { return smartauth.Precondition{IfMatch: etag} }

func read[T any](t *testing.T, text string) (in T) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), &in); err != nil {
		t.Fatal(err)
	}
	return in
}

func (d *desk) put(t *testing.T, text string) smartauth.Settings {
	t.Helper()
	s, _, err := d.PutSettings(t.Context(), orgA, slug, smartauth.Precondition{IfNoneMatch: "*", IfMatch: ""}, read[smartauth.NewSettings](t, text))
	if problem.CodeOf(err) == problem.ChangedMeanwhile {
		s, _, err = d.PutSettings(t.Context(), orgA, slug, anything, read[smartauth.NewSettings](t, text))
	}
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return s.Settings
}

// all returns the apps of a link.
func (d *desk) all(ctx context.Context, organization string) ([]smartauth.App, error) {
	s, err := d.Settings(ctx, organization, slug)
	return s.Apps, err
}

func (d *desk) create(t *testing.T, text string) (smartauth.App, secret.Value) {
	t.Helper()
	a, s, _, err := d.CreateApp(t.Context(), orgA, slug, read[smartauth.NewApp](t, text))
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return a, s
}

func wantCode(t *testing.T, err error, want problem.Code, fields ...string) {
	t.Helper()
	var p *problem.Error
	if !errors.As(err, &p) || p.Code != want {
		t.Fatalf("%v, want %s", err, want)
	}
	var got []string
	for _, f := range p.Fields {
		got = append(got, f.Field+" "+f.Code)
		if f.Message == "" || f.Fix == "" {
			t.Errorf("%s: no message or no fix: %+v", want, f)
		}
	}
	if len(fields) > 0 && !slices.Equal(got, fields) {
		t.Errorf("the mistakes are %q, want %q", got, fields)
	}
}

func TestSettings(t *testing.T) {
	d := newDesk()
	_, err := d.Settings(t.Context(), orgA, slug)
	wantCode(t, err, problem.SMARTNotEnabled)
	s := d.put(t, `{"tokens":"fhirlink"}`)
	if s.Tokens != smartauth.Own || s.Server != smartauth.Other || s.ServerClientID != d.links[slug].ClientID || s.Compartment != smartauth.ByClaim || len(*s.AccessTokenRoles) != 0 ||
		s.TokenSeconds != 3600 || s.RefreshDays != 90 || s.UserClaim != "fhirUser" || s.Audience(d.links[slug]) != "https://clinic.example/fhir" {
		t.Errorf("the defaults: %+v", s)
	}
	if !slices.Equal(d.kept, []string{slug}) {
		t.Errorf("kept are %q", d.kept)
	}
	if d.Issuer(slug) != "https://links.example.org/api/smart/clinic" {
		t.Error(d.Issuer(slug))
	}
	d.now = d.now.Add(time.Hour)
	again := d.put(t, `{"tokens":"fhirlink","server":"fhirServer","serverClientId":"33333333-3333-4333-8333-333333333333","audience":"api://clinic","fhirBaseUrls":["https://GATEWAY.example/fhir/","https://gateway.example/fhir"],`+
		`"userClaim":"extn.fhirUser","consent":"none","picker":"none","introspection":false,"accessTokenSeconds":300,"refreshDays":1,"context":{"tenant":"t","smartStyleUrl":"https://a.example/style","needPatientBanner":true},`+
		`"scopesSupported":["openid","patient/*.rs","openid"],"diagnostics":true,"issuer":7,"callback":[],"entra":{},"snippets":null,"createdAt":"x","updatedAt":"x","etag":"x","notes":[]}`)
	if again.ID != s.ID || again.Tag == s.Tag || !again.CreatedAt.Equal(s.CreatedAt) || again.UpdatedAt.Equal(s.UpdatedAt) || !slices.Equal(*again.AccessTokenRoles, []string{"smartUser"}) || again.Compartment != smartauth.ByFHIRUser ||
		again.Audience(d.links[slug]) != "api://clinic" || !slices.Equal(again.FHIRBaseURLs, []string{"https://gateway.example/fhir"}) || !slices.Equal(*again.ScopesSupported, []string{"openid", "patient/*.rs"}) || !*again.Context.NeedPatientBanner {
		t.Errorf("%+v", again)
	}
	found, err := d.Settings(t.Context(), orgA, slug)
	if err != nil || found.Settings.Tag != again.Tag || !slices.Equal(found.BaseURLs(), []string{"https://clinic.example/fhir", "https://gateway.example/fhir"}) {
		t.Errorf("%+v, %v", found, err)
	}
	d.MoreBaseURLs = func(l link.Link) []string { return []string{"http://localhost/fhir/" + string(l.Slug)} }
	if found, err := d.Settings(t.Context(), orgA, slug); err != nil || !slices.Equal(found.BaseURLs(), []string{"https://clinic.example/fhir", "https://gateway.example/fhir", "http://localhost/fhir/" + slug}) {
		t.Errorf("%+v, %v", found, err)
	}
	if d.put(t, `{"tokens":"fhirlink","server":"ahds","accessTokenRoles":["a","b"],"compartment":"claim"}`); len(d.kept) != 1 {
		t.Error("the slug is kept again")
	}

	// The link's own addresses, as they are now.
	l := d.links[slug]
	l.FHIRServerURL = "https://ws-clinic.fhir.azurehealthcareapis.com"
	d.links[slug] = l
	if s := d.put(t, `{"tokens":"fhirlink"}`); s.Server != smartauth.AHDS || s.Compartment != smartauth.ByFHIRUser || s.Audience(l) != l.FHIRServerURL {
		t.Errorf("of a host of Microsoft's: %+v", s)
	}
}

func TestSettingsThatAreRefused(t *testing.T) {
	d := newDesk()
	for text, want := range map[string][]string{
		`{}`:                 {"tokens required"},
		`{"tokens":"Entra"}`: {"tokens unknown_value"},
		`{"tokens":"entra","dialect":"x","request":"all"}`:                                     {"request unknown_value", "dialect unknown_dialect"},
		`{"tokens":"entra","dialect":"ahds","separator":"-"}`:                                  {"separator separator_not_used"},
		`{"tokens":"entra","separator":"/"}`:                                                   {"separator invalid_separator"},
		`{"tokens":"entra","resource":"a b"}`:                                                  {"resource invalid_resource"},
		`{"tokens":"entra","aliases":{"patient/*.rs":"patient/x"}}`:                            {"aliases invalid_alias"},
		`{"tokens":"entra","picker":"search"}`:                                                 {"picker not_available_yet"},
		`{"tokens":"fhirlink","server":"hapi","compartment":"x","consent":"x","picker":"x"}`:   {"server unknown_value", "compartment unknown_value", "consent unknown_value", "picker unknown_value"},
		`{"tokens":"fhirlink","consent":"ask","picker":"search","introspection":true}`:         {"consent not_available_yet", "picker not_available_yet", "introspection not_available_yet"},
		`{"tokens":"fhirlink","accessTokenSeconds":299,"refreshDays":0}`:                       {"accessTokenSeconds out_of_range", "refreshDays out_of_range"},
		`{"tokens":"fhirlink","accessTokenSeconds":3601,"refreshDays":91}`:                     {"accessTokenSeconds out_of_range", "refreshDays out_of_range"},
		`{"tokens":"fhirlink","audience":"https://graph.microsoft.com"}`:                       {"audience audience_foreign"},
		`{"tokens":"fhirlink","audience":"https://clinic.example/fhir/"}`:                      {"audience audience_foreign"},
		`{"tokens":"fhirlink","serverClientId":"x","userClaim":"a b"}`:                         {"serverClientId client_id_syntax", "userClaim claim_syntax"},
		`{"tokens":"fhirlink","accessTokenRoles":["a","b","c","d","e","f g"]}`:                 {"accessTokenRoles too_many", "accessTokenRoles role_syntax"},
		`{"tokens":"fhirlink","fhirBaseUrls":["http://a.example"]}`:                            {"fhirBaseUrls url_not_https"},
		`{"tokens":"fhirlink","fhirBaseUrls":["","","","","","","","",""]}`:                    {"fhirBaseUrls too_many"},
		`{"tokens":"fhirlink","context":{"tenant":"a\nb","smartStyleUrl":"http://a.example"}}`: {"context text", "context url_not_https"},
		`{"tokens":"fhirlink","scopesSupported":["a b","","patient/Observation.x","\"","ä"]}`:  {"scopesSupported scope_syntax", "scopesSupported scope_syntax", "scopesSupported scope_syntax", "scopesSupported scope_syntax", "scopesSupported scope_syntax"},
		`{"tokens":"fhirlink","scopesSupported":[` + strings.Repeat(`"a",`, 200) + `"a"]}`:     {"scopesSupported too_many"},
	} {
		_, _, err := d.PutSettings(t.Context(), orgA, slug, creating, read[smartauth.NewSettings](t, text))
		t.Log(text)
		wantCode(t, err, problem.InvalidFields, want...)
	}
	for _, member := range []string{`"dialect":"firely"`, `"separator":"~"`, `"aliases":{}`, `"resource":"api://x"`, `"request":"scopes"`} {
		_, _, err := d.PutSettings(t.Context(), orgA, slug, creating, read[smartauth.NewSettings](t, `{"tokens":"fhirlink",`+member+`}`))
		wantCode(t, err, problem.NotWithFhirlink)
	}
	for _, member := range []string{`"serverClientId":"33333333-3333-4333-8333-333333333333"`, `"audience":"api://clinic"`, `"accessTokenRoles":[]`, `"compartment":"claim"`, `"accessTokenSeconds":3600`, `"introspection":true`} {
		_, _, err := d.PutSettings(t.Context(), orgA, slug, creating, read[smartauth.NewSettings](t, `{"tokens":"entra",`+member+`}`))
		wantCode(t, err, problem.NotWithEntra)
	}
	_, _, err := d.PutSettings(t.Context(), orgA, slug, creating, read[smartauth.NewSettings](t, `{"tokens":"entra","consent":"ask"}`))
	wantCode(t, err, problem.ConsentNotPossible)
	if _, err := d.Settings(t.Context(), orgA, slug); problem.CodeOf(err) != problem.SMARTNotEnabled || len(d.kept) != 0 {
		t.Errorf("something was stored: %v, kept %q", err, d.kept)
	}
	unknown := newDesk()
	unknown.PublicURL = ""
	_, _, err = unknown.PutSettings(t.Context(), orgA, slug, creating, read[smartauth.NewSettings](t, `{"tokens":"fhirlink"}`))
	wantCode(t, err, problem.SMARTNotConfigured)
	for keyless, want := range map[error]problem.Code{signer.ErrNone: problem.SMARTNotConfigured, signer.ErrUnavailable: problem.UpstreamUnavailable} {
		d.keyless = keyless
		_, _, err := d.PutSettings(t.Context(), orgA, slug, creating, read[smartauth.NewSettings](t, `{"tokens":"fhirlink"}`))
		wantCode(t, err, want)
	}
}

func TestPreconditions(t *testing.T) {
	d := newDesk()
	put := func(p smartauth.Precondition) error {
		_, _, err := d.PutSettings(t.Context(), orgA, slug, p, read[smartauth.NewSettings](t, `{"tokens":"fhirlink"}`))
		return err
	}
	wantCode(t, put(smartauth.Precondition{}), problem.IfMatchRequired)
	wantCode(t, put(anything), problem.ChangedMeanwhile) // there is nothing that could match
	wantCode(t, put(tag(`"x"`)), problem.ChangedMeanwhile)
	wantCode(t, put(smartauth.Precondition{IfNoneMatch: `"x"`}), problem.IfMatchRequired)
	if err := put(creating); err != nil {
		t.Fatal(err)
	}
	wantCode(t, put(creating), problem.ChangedMeanwhile)
	wantCode(t, put(smartauth.Precondition{}), problem.IfMatchRequired)
	server, _ := d.Settings(t.Context(), orgA, slug)
	s := server.Settings
	for _, stale := range []string{`"x"`, "W/" + s.ETag(), strings.Trim(s.ETag(), `"`), `"x", *`, " "} {
		wantCode(t, put(tag(stale)), problem.ChangedMeanwhile)
		wantCode(t, d.DeleteSettings(t.Context(), orgA, slug, tag(stale)), problem.ChangedMeanwhile)
	}
	if err := put(tag(`"x", ` + s.ETag())); err != nil {
		t.Error(err)
	}
	wantCode(t, d.DeleteSettings(t.Context(), orgA, slug, smartauth.Precondition{}), problem.IfMatchRequired)
	if err := d.DeleteSettings(t.Context(), orgA, slug, anything); err != nil {
		t.Fatal(err)
	}
	wantCode(t, d.DeleteSettings(t.Context(), orgA, slug, anything), problem.SMARTNotEnabled)
}

// TestSwitchedOnAgain: what was granted before SMART was switched off stays dead, and the apps are there.
func TestSwitchedOnAgain(t *testing.T) {
	d := newDesk()
	first := d.put(t, `{"tokens":"fhirlink"}`)
	d.create(t, `{"clientId":"app","name":"App","type":"public","redirectUris":["https://app.example/"],"scopes":["openid"]}`)
	if err := d.DeleteSettings(t.Context(), orgA, slug, tag(first.ETag())); err != nil {
		t.Fatal(err)
	}
	_, _, err := d.App(t.Context(), orgA, slug, "app")
	wantCode(t, err, problem.SMARTNotEnabled)
	if second := d.put(t, `{"tokens":"fhirlink"}`); second.ID == first.ID {
		t.Error("it is the same authorization server as before")
	}
	if _, _, err := d.App(t.Context(), orgA, slug, "app"); err != nil {
		t.Error(err)
	}
}

// TestAnotherLink: settings and apps belong to one link of one organization. Nothing of a link that had
// the slug before counts for the one that has it now.
func TestAnotherLink(t *testing.T) {
	d := newDesk()
	d.put(t, `{"tokens":"fhirlink","server":"firely"}`)
	const app = `{"clientId":"app","name":"App","type":"public","redirectUris":["https://app.example/"],"scopes":["openid"]}`
	a, _ := d.create(t, app)
	ctx := t.Context()
	_, settings := d.Settings(ctx, orgB, slug)
	_, _, put := d.PutSettings(ctx, orgB, slug, anything, read[smartauth.NewSettings](t, `{"tokens":"fhirlink"}`))
	_, apps := d.all(ctx, orgB)
	_, _, one := d.App(ctx, orgB, slug, "app")
	_, _, _, create := d.CreateApp(ctx, orgB, slug, read[smartauth.NewApp](t, app))
	_, _, change := d.ChangeApp(ctx, orgB, slug, "app", anything, smartauth.NewApp{})
	_, _, _, renew := d.NewAppSecret(ctx, orgB, slug, "app", anything, smartauth.NewSecret{})
	for i, err := range []error{settings, put, d.DeleteSettings(ctx, orgB, slug, anything), apps, one, create, change, renew, d.DeleteApp(ctx, orgB, slug, "app", anything)} {
		if problem.CodeOf(err) != problem.LinkNotFound {
			t.Errorf("operation %d of another organization: %v", i, err)
		}
	}
	l := d.links[slug]
	l.ID = "id-2"
	d.links[slug] = l
	_, err := d.Settings(ctx, orgA, slug)
	wantCode(t, err, problem.SMARTNotEnabled)
	if s := d.put(t, `{"tokens":"fhirlink"}`); s.Server == smartauth.Firely {
		t.Error("the settings of the link before count")
	}
	if apps, err := d.all(ctx, orgA); err != nil || len(apps) != 0 {
		t.Errorf("the apps of the link before count: %v, %v", apps, err)
	}
	if again, _ := d.create(t, app); again.ID == a.ID {
		t.Error("it is the same app")
	}
}

func TestApps(t *testing.T) {
	d := newDesk()
	d.put(t, `{"tokens":"fhirlink","server":"ahds"}`)
	a, s, notes, err := d.CreateApp(t.Context(), orgA, slug, read[smartauth.NewApp](t, `{"name":" Growth Chart ","type":"symmetric","redirectUris":["https://app.example/cb","https://app.example/cb"],"launchUri":"https://app.example/launch?x=1","scopes":["openid","patient/Observation.cruds","openid"],"grants":["authorization_code"],"pkce":"optional","authorizationResponseIss":true,"introspect":false}`))
	if err != nil {
		t.Fatal(err)
	}
	if len(a.ClientID) != 36 || a.Name != "Growth Chart" || len(a.RedirectURIs) != 1 || len(a.Scopes) != 2 || !a.PKCEOptional || !a.AuthorizationResponseIss || a.Disabled || len(notes) != 2 || !strings.Contains(notes[0], "read only") || !strings.Contains(notes[1], "SMART v1") {
		t.Errorf("%+v, %q", a, notes)
	}
	if !strings.HasPrefix(s.Reveal(), "fls_") || len(s.Reveal()) != 47 || !a.Authenticates(s, d.now) || a.Authenticates(secret.New("fls_"), d.now) || a.Authenticates(secret.Value{}, d.now) {
		t.Errorf("the secret %q does not fit", s.Reveal())
	}
	rows, err := d.rows.List(t.Context(), "a"+slug, "", "", 10)
	if err != nil || len(rows) != 2 || strings.Contains(fmt.Sprint(rows), s.Reveal()[4:]) {
		t.Error("the secret is stored")
	}
	public, none := d.create(t, `{"clientId":"a.b_c~d-1","name":"P","type":"public","redirectUris":["com.example.app:/cb"],"scopes":["openid"],"enabled":false}`)
	if !none.IsZero() || !public.Disabled || public.Authenticates(secret.Value{}, d.now) {
		t.Errorf("%+v", public)
	}
	if apps, err := d.all(t.Context(), orgA); err != nil || len(apps) != 2 {
		t.Errorf("%v, %v", apps, err)
	}
	_, _, _, err = d.CreateApp(t.Context(), orgA, slug, read[smartauth.NewApp](t, `{"clientId":"a.b_c~d-1","name":"P","type":"public","redirectUris":["https://a.example/"],"scopes":["openid"]}`))
	wantCode(t, err, problem.AppExists, "clientId app_exists")

	changed, _, err := d.ChangeApp(t.Context(), orgA, slug, public.ClientID, tag(public.ETag()), read[smartauth.NewApp](t, `{"clientId":"a.b_c~d-1","type":"public","name":"Q","enabled":true}`))
	if err != nil || changed.Name != "Q" || changed.Disabled || changed.Tag == public.Tag || !slices.Equal(changed.RedirectURIs, public.RedirectURIs) {
		t.Errorf("%+v, %v", changed, err)
	}
	if changed.ID != public.ID {
		t.Error("what an app was granted died for nothing")
	}
	off, _, err := d.ChangeApp(t.Context(), orgA, slug, public.ClientID, anything, read[smartauth.NewApp](t, `{"enabled":false}`))
	if err != nil || off.ID == changed.ID {
		t.Errorf("an app that was switched off keeps what it was granted: %v", err)
	}
	changed, _, err = d.ChangeApp(t.Context(), orgA, slug, public.ClientID, anything, read[smartauth.NewApp](t, `{"enabled":true}`))
	if err != nil || changed.ID != off.ID {
		t.Errorf("%+v, %v", changed, err)
	}
	_, _, err = d.ChangeApp(t.Context(), orgA, slug, public.ClientID, tag(public.ETag()), smartauth.NewApp{})
	wantCode(t, err, problem.ChangedMeanwhile)
	_, _, err = d.ChangeApp(t.Context(), orgA, slug, public.ClientID, smartauth.Precondition{}, smartauth.NewApp{})
	wantCode(t, err, problem.IfMatchRequired)
	_, _, err = d.ChangeApp(t.Context(), orgA, slug, public.ClientID, anything, read[smartauth.NewApp](t, `{"clientId":"other","type":"symmetric","pkce":"optional"}`))
	wantCode(t, err, problem.InvalidFields, "clientId immutable", "pkce pkce_required", "type immutable")
	for _, missing := range []string{"none", "a b", "../S", ""} {
		_, _, err = d.App(t.Context(), orgA, slug, missing)
		wantCode(t, err, problem.AppNotFound)
	}
	wantCode(t, d.DeleteApp(t.Context(), orgA, slug, public.ClientID, tag(public.ETag())), problem.ChangedMeanwhile)
	if err := d.DeleteApp(t.Context(), orgA, slug, public.ClientID, tag(changed.ETag())); err != nil {
		t.Error(err)
	}
	_, _, err = d.App(t.Context(), orgA, slug, public.ClientID)
	wantCode(t, err, problem.AppNotFound)
}

func TestAppsThatAreRefused(t *testing.T) {
	d := newDesk()
	d.put(t, `{"tokens":"fhirlink"}`)
	whole := func(members string) string {
		return `{"name":"App","type":"public","redirectUris":["https://app.example/"],"scopes":["openid"]` + members + `}`
	}
	for text, want := range map[string][]string{
		`{}`:                            {"name required", "redirectUris required", "scopes required", "type required"},
		whole(`,"clientId":"a b"`):      {"clientId client_id_syntax"},
		whole(`,"clientId":"ab"`):       {"clientId client_id_syntax"},
		whole(`,"type":"asymmetric"`):   {"jwksUri required"},
		whole(`,"type":"confidential"`): {"type unknown_value"},
		whole(`,"name":" "`):            {"name name_syntax"},
		whole(`,"name":"` + strings.Repeat("ä", 101) + `"`):           {"name name_syntax"},
		whole(`,"name":"a\u202eb"`):                                   {"name name_syntax"},
		whole(`,"redirectUris":[]`):                                   {"redirectUris required"},
		whole(`,"redirectUris":["http://a.example/","javascript:x"]`): {"redirectUris redirect_uri", "redirectUris redirect_uri"},
		whole(`,"launchUri":"http://a.example/"`):                     {"launchUri url_not_https"},
		whole(`,"scopes":[]`):                                         {"scopes required"},
		whole(`,"scopes":["patient/.rs","patient/a,b/c.rs","user.*.read","patient$x.rs","patient/A.sr"]`): {"scopes scope_syntax", "scopes scope_syntax", "scopes scope_syntax", "scopes scope_syntax", "scopes scope_syntax"},
		whole(`,"grants":[]`):                                {"grants required"},
		whole(`,"grants":["implicit","authorization_code"]`): {"grants unknown_value"},
		whole(`,"pkce":"optional"`):                          {"pkce pkce_required"},
		whole(`,"pkce":"none"`):                              {"pkce unknown_value"},
		whole(`,"jwksUri":"https://a.example","jwks":{"keys":[]},"introspect":true`): {"introspect not_available_yet", "jwks app_has_no_key", "jwksUri app_has_no_key"},
	} {
		_, _, _, err := d.CreateApp(t.Context(), orgA, slug, read[smartauth.NewApp](t, text))
		t.Log(text)
		wantCode(t, err, problem.InvalidFields, want...)
	}
	for _, members := range []string{`,"grants":["client_credentials"]`, `,"scopes":["openid","system/*.rs"]`} {
		_, _, _, err := d.CreateApp(t.Context(), orgA, slug, read[smartauth.NewApp](t, whole(members)))
		wantCode(t, err, problem.BackendNeedsAsymmetric)
	}
	for i := range 100 {
		d.create(t, whole(fmt.Sprintf(`,"clientId":"app-%d"`, i)))
	}
	_, _, _, err := d.CreateApp(t.Context(), orgA, slug, read[smartauth.NewApp](t, whole("")))
	wantCode(t, err, problem.TooManyApps)
	_, _, _, err = d.NewAppSecret(t.Context(), orgA, slug, "app-1", smartauth.Precondition{}, smartauth.NewSecret{})
	wantCode(t, err, problem.InvalidFields, "type app_has_no_secret")

	// The apps of a link that had the slug before take no place, and none out of sight.
	l := d.links[slug]
	l.ID = "id-2"
	d.links[slug] = l
	d.put(t, `{"tokens":"fhirlink"}`)
	var scopes []string
	for i := range 200 {
		scopes = append(scopes, fmt.Sprintf(`"%s%d"`, strings.Repeat("&", 500), i))
	}
	d.create(t, whole(`,"clientId":"zzz","scopes":[`+strings.Join(scopes, ",")+`]`)) // a large one
	if apps, err := d.all(t.Context(), orgA); err != nil || len(apps) != 1 || len(apps[0].Scopes) != 200 {
		t.Errorf("%d apps, %v", len(apps), err)
	}
	// Nor do those that are made at the same time.
	for i := range 98 {
		d.create(t, whole(fmt.Sprintf(`,"clientId":"app-%d"`, i)))
	}
	d.rows.Fault = func(op string, k store.Key, before bool) error {
		if op == "Swap" && before && strings.HasSuffix(k.Name, "_mine") {
			d.rows.Fault = nil
			d.create(t, whole(`,"clientId":"theirs"`))
		}
		return nil
	}
	_, _, _, err = d.CreateApp(t.Context(), orgA, slug, read[smartauth.NewApp](t, whole(`,"clientId":"mine"`)))
	wantCode(t, err, problem.TooManyApps)
	if apps, err := d.all(t.Context(), orgA); err != nil || len(apps) != 100 {
		t.Errorf("%d apps, %v", len(apps), err)
	}
}

// keySet is a set with an EC key on a curve, made by a published example, RFC 7515 A.3 and RFC 7520 §3.1.
const (
	p256Key = `{"kty":"EC","crv":"P-256","kid":"p256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}`
	rsa2048 = `"n":"n4EPtAOCc9AlkeQHPzHStgAbgs7bTZLwUBZdR8_KuKPEHLd4rHVTeT-O-XV2jRojdNhxJWTDvNd7nqQ0VEiZQHz_AJmSCpMaJMRBSFKrKb2wqVwGU_NsYOYL-QtiWN2lbzcEe6XC0dApr5ydQLrHqkHHig3RBordaZ6Aj-oBHqFEHYpPe7Tpe-OfVfHd1E6cS6M1FZcD1NNLYD5lFHpPI9bTwJlsde3uhGqC0ZCuEHg8lhzwOHrtIQbS0FVbb9k3-tVTU4fg_3L_vniUFAKwuCLqKnS2BYwdq_mzSnbLY7h_qixoR7jig3__kRhuaxwUkRz5iaiQkqgc5gHdrNP5zw","e":"AQAB"`
)

// TestAppKeys: an asymmetric app has one place where its public keys are, and nothing secret is kept.
func TestAppKeys(t *testing.T) {
	d := newDesk()
	d.put(t, `{"tokens":"fhirlink"}`)
	key := func(kid, more string) string { return `{"kty":"RSA","kid":"` + kid + `",` + rsa2048 + more + `}` }
	set := func(keys ...string) string { return `"jwks":{"keys":[` + strings.Join(keys, ",") + `]}` }
	whole := func(members string) string {
		return `{"name":"App","type":"asymmetric","grants":["client_credentials"],"scopes":["system/*.rs"],` + members + `}`
	}
	many := []string{}
	for i := range 17 {
		many = append(many, key(fmt.Sprint(i), ""))
	}
	for text, want := range map[string]string{
		whole(set(key("a", ""), key("b", `,"alg":"RS384","use":"sig"`))):           "",
		whole(`"jwksUri":"https://app.example/keys?x=1"`):                          "",
		whole(`"jwksUri":"https://app.example:443/keys"`):                          "",
		whole(`"jwksUri":"http://app.example/keys"`):                               "jwksUri url_not_https",
		whole(`"jwksUri":"https://app.example:8443/keys"`):                         "jwksUri url_host",
		whole(`"jwksUri":"https://127.0.0.1/keys"`):                                "jwksUri url_host",
		whole(`"jwksUri":"https://localhost/keys"`):                                "jwksUri url_host",
		whole(`"jwksUri":"https://app.example/` + strings.Repeat("k", 1024) + `"`): "jwksUri url_not_https",
		whole(`"jwksUri":""`):                                                      "jwksUri url_not_https",
		whole(`"jwksUri":"https://app.example/keys",` + set(key("a", ""))):         "jwks jwks_twice",
		whole(set()):       "jwks required",
		whole(`"jwks":{}`): "jwks jwks_syntax",
		whole(`"jwks":[]`): "jwks jwks_syntax",
		whole(`"jwks":"https://app.example/keys"`):                           "jwks jwks_syntax",
		whole(set(many...)):                                                  "jwks too_many",
		whole(set(key("a", `,"x5t":"`+strings.Repeat("x", 32<<10)+`"`))):     "jwks too_large",
		whole(set(key("a", `,"d":"canary"`))):                                "jwks private_key",
		whole(set(`{"kty":"oct","kid":"a","k":"canary"}`)):                   "jwks private_key",
		whole(set(key("a", ""), key("a", ""))):                               "jwks kid_repeated",
		whole(set(key("", ""))):                                              "jwks kid_missing",
		whole(set(key("a", `,"use":"enc"`))):                                 "jwks key_unusable",
		whole(set(key("a", `,"alg":"RS256"`))):                               "jwks key_unusable",
		whole(set(p256Key)):                                                  "jwks key_unusable",
		whole(set(`{"kty":"RSA","kid":"a","n":"AQAB","e":"AQAB"}`)):          "jwks key_unusable",
		whole(set(`{"kty":"EC","crv":"P-384","kid":"a","x":"AA","y":"AA"}`)): "jwks key_syntax",
		whole(set(`7`)): "jwks key_syntax",
		strings.Replace(whole(set(key("a", ""))), `["client_credentials"]`, `["authorization_code"]`, 1): "grants grant_missing",
	} {
		_, _, _, err := d.CreateApp(t.Context(), orgA, slug, read[smartauth.NewApp](t, text))
		if want == "" {
			if err != nil {
				t.Errorf("%s: %v", text, err)
			}
			continue
		}
		var p *problem.Error
		if !errors.As(err, &p) || strings.Contains(fmt.Sprintf("%+v", p), "canary") {
			t.Fatalf("%s: %v", text, err)
		}
		found := p.Fields[0].Field + " " + p.Fields[0].Code
		if want == "grants grant_missing" && len(p.Fields) == 2 { // its redirect URIs are missing, too
			p.Fields = p.Fields[:1]
		}
		if found != want || len(p.Fields) != 1 {
			t.Errorf("%.300s: %v, want %s", text, p.Fields, want)
		}
	}

	a, made := d.create(t, whole(`"clientId":"app",`+set(key("a", ""))))
	if !made.IsZero() || a.JWKS.IsZero() || len(a.RedirectURIs) != 0 {
		t.Errorf("%+v", a)
	}
	change := func(text string) (smartauth.App, error) {
		changed, _, err := d.ChangeApp(t.Context(), orgA, slug, "app", smartauth.Precondition{IfMatch: "*"}, read[smartauth.NewApp](t, text))
		return changed, err
	}
	if b, err := change(`{"jwksUri":"https://app.example/keys"}`); err != nil || !b.JWKS.IsZero() || b.JWKSURI == "" {
		t.Errorf("one takes the place of the other: %+v, %v", b, err)
	}
	if b, err := change(`{` + set(key("b", "")) + `}`); err != nil || b.JWKS.IsZero() || b.JWKSURI != "" {
		t.Errorf("and back: %+v, %v", b, err)
	}
	stored, _, err := d.App(t.Context(), orgA, slug, "app")
	if text, _ := json.Marshal(stored.JWKS); err != nil || string(text) != `{"keys":[`+key("b", "")+`]}` {
		t.Errorf("%s, %v", text, err)
	}
	for text, want := range map[string]string{
		`{"grants":["authorization_code"]}`: "grants grant_missing", `{"grants":["authorization_code","client_credentials"]}`: "redirectUris required",
		`{"type":"public"}`: "type immutable",
	} {
		_, err := change(text)
		var p *problem.Error
		if !errors.As(err, &p) || p.Fields[0].Field+" "+p.Fields[0].Code != want {
			t.Errorf("%s: %v", text, err)
		}
	}
	d.create(t, `{"clientId":"public","name":"P","type":"public","redirectUris":["https://app.example/"],"scopes":["openid"]}`)
	_, _, err = d.ChangeApp(t.Context(), orgA, slug, "public", smartauth.Precondition{IfMatch: "*"}, read[smartauth.NewApp](t, `{"scopes":["system/*.rs"]}`))
	wantCode(t, err, problem.BackendNeedsAsymmetric)
}

func TestAppSecrets(t *testing.T) {
	d := newDesk()
	d.put(t, `{"tokens":"fhirlink"}`)
	a, first := d.create(t, `{"clientId":"app","name":"App","type":"symmetric","redirectUris":["https://app.example/"],"scopes":["openid"]}`)
	renew := func(text string) (smartauth.App, secret.Value) {
		t.Helper()
		changed, made, _, err := d.NewAppSecret(t.Context(), orgA, slug, "app", smartauth.Precondition{}, read[smartauth.NewSecret](t, text))
		if err != nil {
			t.Fatal(err)
		}
		return changed, made
	}
	b, second := renew(`{}`)
	if !b.Authenticates(first, d.now) || !b.Authenticates(second, d.now) || b.Authenticates(first, d.now.Add(24*time.Hour)) || !b.Authenticates(second, d.now.Add(9999*time.Hour)) || b.Tag == a.Tag {
		t.Errorf("%+v", b)
	}
	const imported = "an-imported-client-secret-of-old"
	c, made := renew(`{"clientSecret":"` + imported + `","overlapHours":0}`)
	if !made.IsZero() || !c.Authenticates(secret.New(imported), d.now) || c.Authenticates(second, d.now) || c.Authenticates(first, d.now) {
		t.Errorf("%+v", c)
	}
	for range 6 {
		c, _ = renew(`{"overlapHours":720}`)
	}
	if len(c.Secrets) != 4 || !c.Secrets[0].Until.IsZero() {
		t.Errorf("%d secrets are valid", len(c.Secrets))
	}
	for text, want := range map[string]string{`{"overlapHours":721}`: "overlapHours out_of_range", `{"overlapHours":-1}`: "overlapHours out_of_range", `{"clientSecret":"short"}`: "clientSecret secret_syntax", `{"clientSecret":"a secret with a letter ä in it, long"}`: "clientSecret secret_syntax"} {
		_, _, _, err := d.NewAppSecret(t.Context(), orgA, slug, "app", smartauth.Precondition{}, read[smartauth.NewSecret](t, text))
		wantCode(t, err, problem.InvalidFields, want)
	}
	_, _, _, err := d.NewAppSecret(t.Context(), orgA, slug, "app", tag(`"stale"`), smartauth.NewSecret{})
	wantCode(t, err, problem.ChangedMeanwhile)
}

// TestTwoWriters: whoever comes second at a row, between the read and the write of another call, is not
// overwritten by it.
func TestTwoWriters(t *testing.T) {
	const app = `{"clientId":"app","name":"App","type":"symmetric","redirectUris":["https://app.example/"],"scopes":["openid"]}`
	for name, op := range map[string]struct {
		run  func(t *testing.T, d *desk) error
		want problem.Code // "": it is repeated on top of the other's change
	}{
		"put": {func(t *testing.T, d *desk) error {
			_, _, err := d.PutSettings(t.Context(), orgA, slug, anything, read[smartauth.NewSettings](t, `{"tokens":"fhirlink"}`))
			return err
		}, ""},
		"put by tag": {func(t *testing.T, d *desk) error {
			server, _ := d.Settings(t.Context(), orgA, slug)
			s := server.Settings
			_, _, err := d.PutSettings(t.Context(), orgA, slug, tag(s.ETag()), read[smartauth.NewSettings](t, `{"tokens":"fhirlink"}`))
			return err
		}, problem.ChangedMeanwhile},
		"delete": {func(t *testing.T, d *desk) error {
			server, _ := d.Settings(t.Context(), orgA, slug)
			s := server.Settings
			return d.DeleteSettings(t.Context(), orgA, slug, tag(s.ETag()))
		}, problem.ChangedMeanwhile},
		"change app": {func(t *testing.T, d *desk) error {
			_, _, err := d.ChangeApp(t.Context(), orgA, slug, "app", anything, read[smartauth.NewApp](t, `{"name":"Mine"}`))
			return err
		}, ""},
		"by tag": {func(t *testing.T, d *desk) error {
			a, _, _ := d.App(t.Context(), orgA, slug, "app")
			_, _, err := d.ChangeApp(t.Context(), orgA, slug, "app", tag(a.ETag()), read[smartauth.NewApp](t, `{"name":"Mine"}`))
			return err
		}, problem.ChangedMeanwhile},
		"delete app": {func(t *testing.T, d *desk) error {
			a, _, _ := d.App(t.Context(), orgA, slug, "app")
			return d.DeleteApp(t.Context(), orgA, slug, "app", tag(a.ETag()))
		}, problem.ChangedMeanwhile},
		"new secret": {func(t *testing.T, d *desk) error {
			_, _, _, err := d.NewAppSecret(t.Context(), orgA, slug, "app", smartauth.Precondition{}, smartauth.NewSecret{})
			return err
		}, ""},
		"create again": {func(t *testing.T, d *desk) error {
			_, _, _, err := d.CreateApp(t.Context(), orgA, slug, read[smartauth.NewApp](t, strings.Replace(app, `"app"`, `"second"`, 1)))
			return err
		}, problem.AppExists},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDesk()
			d.put(t, `{"tokens":"fhirlink"}`)
			d.create(t, app)
			d.rows.Fault = func(op string, k store.Key, before bool) error {
				if !before || op != "Swap" && op != "Remove" {
					return nil
				}
				d.rows.Fault = nil // the other writer comes first, once
				var err error
				switch {
				case k.Name == "S":
					_, _, err = d.PutSettings(t.Context(), orgA, slug, anything, read[smartauth.NewSettings](t, `{"tokens":"fhirlink","diagnostics":true}`))
				case strings.HasSuffix(k.Name, "_second"):
					_, _, _, err = d.CreateApp(t.Context(), orgA, slug, read[smartauth.NewApp](t, strings.Replace(app, `"app"`, `"second"`, 1)))
				default:
					_, _, err = d.ChangeApp(t.Context(), orgA, slug, "app", anything, read[smartauth.NewApp](t, `{"launchUri":"https://app.example/theirs"}`))
				}
				if err != nil {
					t.Error(err)
				}
				return nil
			}
			err := op.run(t, d)
			if problem.CodeOf(err) != op.want && (err != nil || op.want != "") {
				t.Fatalf("%v, want %q", err, op.want)
			}
			if a, _, err := d.App(t.Context(), orgA, slug, "app"); err == nil && strings.Contains(name, "app") && a.LaunchURI != "https://app.example/theirs" {
				t.Errorf("the other's change is lost: %+v", a)
			}
		})
	}
}

// TestTableIsDown: each request to the database fails in turn, before and after it took place. Nothing is
// half written, and the answer says to try again.
func TestTableIsDown(t *testing.T) {
	const app = `{"clientId":"other","name":"App","type":"public","redirectUris":["https://app.example/"],"scopes":["openid"]}`
	for name, run := range map[string]func(d *desk) error{
		"put": func(d *desk) error {
			_, _, err := d.PutSettings(t.Context(), orgA, slug, anything, read[smartauth.NewSettings](t, `{"tokens":"fhirlink"}`))
			return err
		},
		"delete": func(d *desk) error { return d.DeleteSettings(t.Context(), orgA, slug, anything) },
		"create": func(d *desk) error {
			_, _, _, err := d.CreateApp(t.Context(), orgA, slug, read[smartauth.NewApp](t, app))
			return err
		},
		"change": func(d *desk) error {
			_, _, err := d.ChangeApp(t.Context(), orgA, slug, "app", anything, read[smartauth.NewApp](t, `{"name":"B"}`))
			return err
		},
		"secret": func(d *desk) error {
			_, _, _, err := d.NewAppSecret(t.Context(), orgA, slug, "app", anything, smartauth.NewSecret{})
			return err
		},
		"list":   func(d *desk) error { _, err := d.all(t.Context(), orgA); return err },
		"remove": func(d *desk) error { return d.DeleteApp(t.Context(), orgA, slug, "app", anything) },
	} {
		for failing := range 12 {
			d := newDesk()
			d.put(t, `{"tokens":"fhirlink"}`)
			d.create(t, `{"clientId":"app","name":"App","type":"symmetric","redirectUris":["https://app.example/"],"scopes":["openid"]}`)
			calls := 0
			d.rows.Fault = func(string, store.Key, bool) error {
				if calls++; calls == failing+1 {
					return fmt.Errorf("%w: canary", store.ErrUnavailable)
				}
				return nil
			}
			err := run(d)
			if calls <= failing {
				break
			}
			if problem.CodeOf(err) != problem.UpstreamUnavailable || strings.Contains(problem.From(err).Detail, "canary") {
				t.Errorf("%s, call %d: %v", name, failing, err)
			}
			d.rows.Fault = nil
			if _, err := d.all(t.Context(), orgA); err != nil && problem.CodeOf(err) != problem.SMARTNotEnabled {
				t.Errorf("%s, call %d leaves: %v", name, failing, err)
			}
		}
	}
}

func TestAppsPage(t *testing.T) {
	d := newDesk()
	d.put(t, `{"tokens":"fhirlink"}`)
	for _, id := range []string{"b.app", "A-app", "c~app", "a_app"} {
		d.create(t, `{"clientId":"`+id+`","name":"App","type":"public","redirectUris":["https://app.example/"],"scopes":["openid"]}`)
	}
	var found []string
	from := ""
	for range 3 {
		apps, next, err := d.AppsPage(t.Context(), orgA, slug, 2, from)
		if err != nil {
			t.Fatal(err)
		}
		for _, a := range apps {
			found = append(found, a.ClientID)
		}
		if from = next; next == "" {
			break
		}
	}
	if want := []string{"A-app", "a_app", "b.app", "c~app"}; !slices.Equal(found, want) {
		t.Errorf("%q, want %q", found, want)
	}
	_, _, err := d.AppsPage(t.Context(), orgA, slug, 2, "x")
	wantCode(t, err, problem.InvalidFields, "continue continue_unknown")
	_, _, err = d.AppsPage(t.Context(), orgB, slug, 2, "")
	wantCode(t, err, problem.LinkNotFound)
}

// TestRemove: nothing is left of a link that is deleted, and nothing else is touched.
func TestRemove(t *testing.T) {
	d := newDesk()
	d.put(t, `{"tokens":"fhirlink"}`)
	const app = `{"clientId":"%s","name":"App","type":"public","redirectUris":["https://app.example/"],"scopes":["openid"]}`
	for i := range 3 {
		d.create(t, fmt.Sprintf(app, fmt.Sprint("app-", i)))
	}
	gone := d.links[slug]
	l := gone
	l.ID = "id-2"
	d.links[slug] = l // the slug is registered again
	if _, err := d.all(t.Context(), orgA); problem.CodeOf(err) != problem.SMARTNotEnabled {
		t.Error(err)
	}
	if err := d.Removed(t.Context(), l); err != nil || d.rows.Len() != 4 {
		t.Errorf("%v; of the other link there are %d rows", err, d.rows.Len())
	}
	d.rows.Fault = func(string, store.Key, bool) error { return store.ErrUnavailable }
	if err := d.Removed(t.Context(), gone); !errors.Is(err, store.ErrUnavailable) {
		t.Error(err)
	}
	d.rows.Fault = nil
	for range 2 { // and once more, after a crash
		if err := d.Removed(t.Context(), gone); err != nil || d.rows.Len() != 0 {
			t.Errorf("%v; %d rows are left", err, d.rows.Len())
		}
	}
}

// TestPreconditionTable: the headers of RFC 9110 §13.1 in every combination.
func TestPreconditionTable(t *testing.T) {
	for _, tt := range []struct {
		ifMatch, ifNoneMatch string
		none, there          problem.Code // "": it is done
	}{
		{"", "", problem.IfMatchRequired, problem.IfMatchRequired},
		{"", `"x"`, problem.IfMatchRequired, problem.IfMatchRequired},
		{"", "*", "", problem.ChangedMeanwhile},
		{"*", "", problem.ChangedMeanwhile, ""},
		{"*", "*", problem.ChangedMeanwhile, problem.ChangedMeanwhile},
		{`"x"`, "", problem.ChangedMeanwhile, problem.ChangedMeanwhile},
	} {
		for _, there := range []bool{false, true} {
			d, want := newDesk(), tt.none
			if there {
				d.put(t, `{"tokens":"fhirlink"}`)
				want = tt.there
			}
			p := smartauth.Precondition{IfMatch: tt.ifMatch, IfNoneMatch: tt.ifNoneMatch}
			_, _, err := d.PutSettings(t.Context(), orgA, slug, p, read[smartauth.NewSettings](t, `{"tokens":"fhirlink"}`))
			if got := problem.CodeOf(err); err == nil && want != "" || err != nil && got != want {
				t.Errorf("put with %+v, there: %v: %v, want %s", p, there, err, want)
			}
			if want == problem.IfMatchRequired { // before anything is said of the body
				_, _, err := d.PutSettings(t.Context(), orgA, slug, p, smartauth.NewSettings{})
				wantCode(t, err, problem.IfMatchRequired)
			}
		}
	}
	// Whoever switches it on has nothing to read an ETag from, and is told which header creates.
	d := newDesk()
	for _, p := range []smartauth.Precondition{{}, {IfMatch: "*"}, {IfMatch: `"x"`}} {
		_, _, err := d.PutSettings(t.Context(), orgA, slug, p, read[smartauth.NewSettings](t, `{"tokens":"fhirlink"}`))
		var told *problem.Error
		if !errors.As(err, &told) || !strings.Contains(told.Detail, "If-None-Match: *") {
			t.Errorf("put with %+v, nothing there: %v does not name the header that creates", p, err)
		}
	}
	d.put(t, `{"tokens":"fhirlink"}`)
	d.create(t, `{"clientId":"app","name":"App","type":"public","redirectUris":["https://app.example/"],"scopes":["openid"]}`)
	onlyNone := smartauth.Precondition{IfNoneMatch: "*"}
	_, _, change := d.ChangeApp(t.Context(), orgA, slug, "app", onlyNone, smartauth.NewApp{})
	for _, err := range []error{change, d.DeleteApp(t.Context(), orgA, slug, "app", onlyNone), d.DeleteSettings(t.Context(), orgA, slug, onlyNone)} {
		wantCode(t, err, problem.IfMatchRequired)
	}
}

// TestManyScopes: what GET answers can be sent back, however many scopes the apps have together.
func TestManyScopes(t *testing.T) {
	d := newDesk()
	d.put(t, `{"tokens":"fhirlink"}`)
	for app := range 3 {
		scopes := make([]string, 100)
		for i := range scopes {
			scopes[i] = fmt.Sprintf(`"custom-%d-%d"`, app, i)
		}
		d.create(t, fmt.Sprintf(`{"clientId":"app-%d","name":"App","type":"public","redirectUris":["https://app.example/"],"scopes":[%s]}`, app, strings.Join(scopes, ",")))
	}
	s, err := d.Settings(t.Context(), orgA, slug)
	if err != nil {
		t.Fatal(err)
	}
	supported := s.ScopesSupported()
	in := smartauth.NewSettings{Tokens: "fhirlink", ScopesSupported: &supported}
	if _, _, err := d.PutSettings(t.Context(), orgA, slug, anything, in); err != nil || len(supported) != 300 {
		t.Errorf("%d scopes: %v", len(supported), err)
	}
}

// TestStrictBodies: unknown members are refused in what stands inside, too; a backend service is told what
// it needs before anything else.
func TestStrictBodies(t *testing.T) {
	for body, want := range map[string]string{
		`{"context":{"foo":1}}`: "context.foo unknown_field", `{"context":{"TENANT":"x"}}`: "context.TENANT unknown_field", `{"context":{"tenant":1}}`: "context.tenant wrong_type", `{"context":"x"}`: "context wrong_type",
	} {
		wantCode(t, httpx.DecodeJSON(asBody(body), &smartauth.NewSettings{}), problem.MalformedBody, want)
	}
	for body, want := range map[string]string{`{"entra":{"clientSecrte":"x"}}`: "entra.clientSecrte unknown_field", `{"entra":{"clientID":"x"}}`: "entra.clientID unknown_field", `{"entra":["x"]}`: "entra wrong_type"} {
		wantCode(t, httpx.DecodeJSON(asBody(body), &smartauth.NewApp{}), problem.MalformedBody, want)
	}
	var in smartauth.NewApp
	if err := httpx.DecodeJSON(asBody(`{"entra":{"clientId":"x","secretExpiresOn":null,"secret":{"state":"ok"}}}`), &in); err != nil || in.Entra == nil || in.Entra.ClientID != "x" {
		t.Errorf("what GET answered: %+v, %v", in.Entra, err)
	}
	d := newDesk()
	d.put(t, `{"tokens":"fhirlink"}`)
	for _, body := range []string{`{"name":"b","type":"symmetric","grants":["client_credentials"],"scopes":["system/*.rs"]}`, `{"type":"public","scopes":["system/*.rs"]}`} {
		_, _, _, err := d.CreateApp(t.Context(), orgA, slug, read[smartauth.NewApp](t, body))
		wantCode(t, err, problem.BackendNeedsAsymmetric)
	}
}

func asBody(text string) *http.Request {
	r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(text))
	r.Header.Set("Content-Type", "application/json")
	return r
}

// registrations are those of a desk, in memory. The real ones have their tests in package application.
type registrations struct{ d *desk }

// Get implements [smartauth.Registrations].
func (r registrations) Get(_ context.Context, of link.Link, app, clientID string) (link.Link, error) {
	if r.d.unread != nil {
		return link.Link{}, r.d.unread
	}
	l, ok := r.d.registered[clientID]
	if !ok || l.Of != of.Slug || l.App != app {
		return link.Link{}, problem.New(problem.LinkNotFound, "There is none.")
	}
	return l, nil
}

// Put implements [smartauth.Registrations].
func (r registrations) Put(_ context.Context, of link.Link, app string, in intake.Application) (link.Result, error) {
	if r.d.refuses != nil {
		return link.Result{}, r.d.refuses
	}
	l := link.Link{App: app, Of: of.Slug, Organization: of.Organization, TenantID: of.TenantID, ClientID: in.ClientID, Secret: link.Secret{Version: in.ClientSecret.Reveal()}, Condition: condition.Condition{Health: condition.Active}}
	r.d.registered[in.ClientID] = l
	return link.Result{Link: l}, nil
}

// Date implements [smartauth.Registrations].
func (r registrations) Date(ctx context.Context, of link.Link, app, clientID, secretExpiresOn string) (link.Result, error) {
	l, err := r.Get(ctx, of, app, clientID)
	if err != nil {
		return link.Result{}, err
	}
	l.Secret.ExpiresOn, err = date.Parse(secretExpiresOn)
	r.d.registered[clientID] = l
	return link.Result{Link: l}, err
}

// Delete implements [smartauth.Registrations].
func (r registrations) Delete(_ context.Context, registration link.Link) error {
	if r.d.undeleted == nil {
		delete(r.d.registered, registration.ClientID)
	}
	return r.d.undeleted
}

// Tend implements [smartauth.Registrations].
func (r registrations) Tend(_ context.Context, registration, of link.Link, named bool) (link.Link, string, error) {
	r.d.named, r.d.audience = named, of.Audience
	return registration, "", nil
}

// Free implements [smartauth.Registrations].
func (registrations) Free(context.Context, string, string) error { return nil }

// TestOwnRegistrations: an app has the registration that its row names, whatever fails in between; what no row
// names is removed.
func TestOwnRegistrations(t *testing.T) {
	const one, two = "44444444-4444-4444-8444-444444444444", "55555555-5555-4555-8555-555555555555"
	d := newDesk()
	d.put(t, `{"tokens":"fhirlink"}`)
	app := func(clientID, entra string) string {
		return `{"clientId":"` + clientID + `","name":"App","type":"public","redirectUris":["https://app.example/"],"scopes":["openid"],"entra":` + entra + `}`
	}
	change := func(text string) (smartauth.App, error) {
		a, _, err := d.ChangeApp(t.Context(), orgA, slug, "app", smartauth.Precondition{IfMatch: "*"}, read[smartauth.NewApp](t, text))
		return a, err
	}
	has := func(want ...string) {
		t.Helper()
		if len(d.registered) != len(want) {
			t.Errorf("%d registrations, want %q", len(d.registered), want)
		}
		for _, clientID := range want {
			if _, ok := d.registered[clientID]; !ok {
				t.Errorf("there is no registration %s", clientID)
			}
		}
	}
	a, _ := d.create(t, app("app", `{"clientId":"`+strings.ToUpper(one)+`","clientSecret":"first","secretExpiresOn":"2027-05-01"}`))
	if a.EntraClientID != one || a.Registration.Row.ClientID != one || !a.Registration.At.Equal(d.now) {
		t.Errorf("%+v", a)
	}
	has(one)
	if named, err := d.names(t, d.registered[one]); err != nil || !named {
		t.Errorf("%v, %v", named, err)
	}
	if d.audience != "api://clinic" {
		t.Errorf("it follows the audience %q", d.audience)
	}
	other := d.registered[one]
	other.ClientID = two
	if named, err := d.names(t, other); err != nil || named {
		t.Errorf("another is named: %v, %v", named, err)
	}
	// Each member by itself.
	if a, err := change(`{"entra":{"clientSecret":"second"}}`); err != nil || a.EntraClientID != one || d.registered[one].Secret.Version != "second" {
		t.Errorf("%v", err)
	}
	if a, err := change(`{"entra":{"secretExpiresOn":"2027-06-01"}}`); err != nil || a.Registration.Row.Secret.ExpiresOn.String() != "2027-06-01" || d.registered[one].Secret.Version != "second" {
		t.Errorf("%v", err)
	}
	for _, text := range []string{`{"entra":{}}`, `{"entra":{"clientId":"` + one + `","secret":{"state":"ok"}}}`, `{"name":"Other"}`, `{"entra":null}`} {
		if a, err := change(text); err != nil || a.EntraClientID != one || d.registered[one].Secret.Version != "second" {
			t.Errorf("%s: %v", text, err)
		}
	}
	// What is refused changes nothing.
	d.refuses = problem.Invalid(problem.Field{Field: "clientSecret", Code: "required", Message: "It is missing.", Fix: "Send it."})
	_, err := change(`{"name":"Third","entra":{"clientId":"` + two + `"}}`)
	wantCode(t, err, problem.InvalidFields, "entra.clientSecret required")
	d.refuses = nil
	if a, _, err := d.App(t.Context(), orgA, slug, "app"); err != nil || a.Name != "Other" || a.EntraClientID != one {
		t.Errorf("%+v, %v", a, err)
	}
	// Another application takes the place of the one before.
	if a, err := change(`{"entra":{"clientId":"` + two + `","clientSecret":"third"}}`); err != nil || a.EntraClientID != two {
		t.Errorf("%v", err)
	}
	has(two)
	// An app that is not made leaves no registration.
	if _, _, _, err := d.CreateApp(t.Context(), orgA, slug, read[smartauth.NewApp](t, app("app", `{"clientId":"`+one+`","clientSecret":"x"}`))); problem.CodeOf(err) != problem.AppExists {
		t.Error(err)
	}
	has(two)
	d.rows.Fault = func(op string, k store.Key, before bool) error {
		if op == "Swap" && before && strings.HasSuffix(k.Name, "_late") {
			d.rows.Fault = nil
			d.create(t, app("late", `{"clientId":"`+one+`","clientSecret":"theirs"}`)) // another request is faster
		}
		return nil
	}
	if _, _, _, err := d.CreateApp(t.Context(), orgA, slug, read[smartauth.NewApp](t, app("late", `{"clientId":"`+one+`","clientSecret":"x"}`))); problem.CodeOf(err) != problem.AppExists {
		t.Error(err)
	}
	has(one, two) // it is the faster one's
	// Another request that is faster has changed the registration, or the app: this one does not undo it.
	for what, meanwhile := range map[string]string{"another application": `{"entra":{"clientId":"55555555-5555-4555-8555-555555555556","clientSecret":"theirs"}}`, "another name": `{"name":"Fourth"}`} {
		before, _, err := d.App(t.Context(), orgA, slug, "app")
		if err != nil {
			t.Fatal(err)
		}
		d.rows.Fault = func(op string, k store.Key, before bool) error {
			if op == "Swap" && before && strings.HasSuffix(k.Name, "_app") {
				d.rows.Fault = nil
				if _, err := change(meanwhile); err != nil {
					t.Error(err)
				}
			}
			return nil
		}
		_, _, err = d.ChangeApp(t.Context(), orgA, slug, "app", smartauth.Precondition{IfMatch: before.ETag()}, read[smartauth.NewApp](t, `{"entra":{"secretExpiresOn":"2027-07-01"}}`))
		if wantCode(t, err, problem.ChangedMeanwhile); !strings.Contains(err.Error(), "has been stored") {
			t.Errorf("%s: %v", what, err)
		}
		d.rows.Fault = nil
	}
	if a, err := change(`{"entra":{"clientId":"` + two + `","clientSecret":"third"}}`); err != nil || a.EntraClientID != two {
		t.Errorf("%v", err)
	}
	has(one, two)
	// What cannot be read after a change is not told; the change is.
	d.unread = store.ErrUnavailable
	made, secret, _, err := d.CreateApp(t.Context(), orgA, slug, read[smartauth.NewApp](t, strings.Replace(app("once", `{"clientId":"55555555-5555-4555-8555-555555555557","clientSecret":"x"}`), `"public"`, `"symmetric"`, 1)))
	if err != nil || secret.IsZero() || made.Registration.Row.ClientID != "" {
		t.Errorf("the client secret is lost: %+v, %v", made, err)
	}
	d.unread = nil
	if a, _, _, err := d.NewAppSecret(t.Context(), orgA, slug, "once", smartauth.Precondition{}, smartauth.NewSecret{}); err != nil || a.Registration.Row.ClientID == "" {
		t.Errorf("the answer denies the registration: %+v, %v", a, err)
	}
	if err := d.DeleteApp(t.Context(), orgA, slug, "once", smartauth.Precondition{IfMatch: "*"}); err != nil {
		t.Error(err)
	}
	has(one, two)
	// A registration whose row is gone is told, and can be made again.
	delete(d.registered, one)
	if a, _, err := d.App(t.Context(), orgA, slug, "late"); err != nil || a.EntraClientID != one || a.Registration.Row.ClientID != "" {
		t.Errorf("%+v, %v", a, err)
	}
	_, _, err = d.ChangeApp(t.Context(), orgA, slug, "late", smartauth.Precondition{IfMatch: "*"}, read[smartauth.NewApp](t, `{"entra":{"secretExpiresOn":"2027-06-01"}}`))
	wantCode(t, err, problem.InvalidFields, "entra.clientSecret required")
	if apps, _, err := d.AppsPage(t.Context(), orgA, slug, 10, ""); err != nil || len(apps) != 2 || apps[0].Registration.Row.ClientID != two || apps[1].Registration.Row.ClientID != "" {
		t.Errorf("%+v, %v", apps, err)
	}
	// It goes with its app; what cannot be removed now is named by nobody.
	d.undeleted = store.ErrUnavailable
	if err := d.DeleteApp(t.Context(), orgA, slug, "app", smartauth.Precondition{IfMatch: "*"}); err != nil {
		t.Error(err)
	}
	has(two)
	if named, err := d.names(t, d.registered[two]); err != nil || named {
		t.Errorf("%v, %v", named, err)
	}
	d.rows.Fault = func(string, store.Key, bool) error { return store.ErrUnavailable }
	if _, err := d.names(t, d.registered[two]); err == nil {
		t.Error("nobody knows, and it is answered")
	}
	d.rows.Fault, d.undeleted = nil, nil
	// And with its link.
	d.create(t, app("last", `{"clientId":"`+one+`","clientSecret":"x"}`))
	d.undeleted = store.ErrUnavailable
	if err := d.Removed(t.Context(), d.links[slug]); err == nil {
		t.Error("the link goes before the registrations of its apps")
	}
	d.undeleted = nil
	if err := d.Removed(t.Context(), d.links[slug]); err != nil {
		t.Error(err)
	}
	has(two)
}

// TestEntraSettings: defaults, what is to be registered, and what an app needs for Entra's tokens.
func TestEntraSettings(t *testing.T) {
	const own = `"entra":{"clientId":"44444444-4444-4444-8444-444444444444","clientSecret":"x"}`
	d := newDesk()
	aliases, err := smart.NewAliases(map[string]string{"patient/Observation.rs?category=deployment": "of-the-deployment"})
	if err != nil {
		t.Fatal(err)
	}
	d.Aliases = aliases
	s := d.put(t, `{"tokens":"entra"}`)
	if s.Spelling.Dialect != smart.Firely || s.Spelling.Separator != "~" || s.Spelling.Default || s.TokenSeconds != 0 {
		t.Errorf("%+v", s.Spelling)
	}
	app := func(clientID, scopes, more string) string {
		return `{"clientId":"` + clientID + `","name":"App","type":"public","redirectUris":["https://app.example/"],"scopes":[` + scopes + `]` + more + `}`
	}
	create := func(text string) error {
		_, _, _, err := d.CreateApp(t.Context(), orgA, slug, read[smartauth.NewApp](t, text))
		return err
	}
	wantCode(t, create(app("one", `"openid"`, "")), problem.AppRegistrationRequired)
	if err := create(app("off", `"openid"`, `,"enabled":false`)); err != nil {
		t.Errorf("an app that is off needs none: %v", err)
	}
	_, _, err = d.ChangeApp(t.Context(), orgA, slug, "off", smartauth.Precondition{IfMatch: "*"}, read[smartauth.NewApp](t, `{"enabled":true}`))
	wantCode(t, err, problem.AppRegistrationRequired)
	if err := create(app("one", `"openid","fhirUser","launch/patient","offline_access","patient/*.rs","user/Patient.read","patient/Observation.rs?category=a-b","patient/Observation.rs?category=deployment","custom"`, ","+own)); err != nil {
		t.Fatal(err)
	}
	server, err := d.Settings(t.Context(), orgA, slug)
	if err != nil {
		t.Fatal(err)
	}
	scopes, roles := server.ToRegister()
	text, _ := json.Marshal(scopes)
	if want := `[{"scope":"custom","value":"custom","registrable":true,"reasons":[]},{"scope":"patient/*.rs","value":"patient~*.rs","registrable":true,"reasons":[]},` +
		`{"scope":"patient/Observation.rs?category=a-b","value":"patient~Observation.rs?category=a-b","registrable":true,"reasons":[]},{"scope":"patient/Observation.rs?category=deployment","value":"of-the-deployment","registrable":true,"reasons":[]},` +
		`{"scope":"user/Patient.read","value":"user~Patient.read","registrable":true,"reasons":[]}]`; string(text) != want || len(roles) != 0 || server.Resource() != "api://clinic" {
		t.Errorf("%s\nwant %s; %v, %s", text, want, roles, server.Resource())
	}
	for value, want := range map[string]string{"api://clinic/patient~*.rs": "patient/*.rs", "patient~*.rs": "patient/*.rs", "of-the-deployment": "patient/Observation.rs?category=deployment"} {
		if got, ok := server.Unspell(value); !ok || got != want {
			t.Errorf("%s: %q", value, got)
		}
	}
	if _, ok := server.Unspell("https://other.example/patient~*.rs"); ok {
		t.Error("a scope of another resource is read")
	}
	// Microsoft's servers refuse tokens that mix.
	_, _, err = d.PutSettings(t.Context(), orgA, slug, anything, read[smartauth.NewSettings](t, `{"tokens":"entra","server":"fhirServer","dialect":"ahds"}`))
	if wantCode(t, err, problem.MixedScopes); !strings.Contains(err.Error(), "one") {
		t.Error(err)
	}
	if _, _, err := d.ChangeApp(t.Context(), orgA, slug, "one", smartauth.Precondition{IfMatch: "*"}, read[smartauth.NewApp](t, `{"scopes":["openid","patient/*.rs"]}`)); err != nil {
		t.Error(err)
	}
	s = d.put(t, `{"tokens":"entra","server":"fhirServer","dialect":"ahds"}`)
	if s.Spelling.Dialect != smart.AHDS || s.Spelling.Separator != "" {
		t.Errorf("%+v", s.Spelling)
	}
	for _, scopes := range []string{`["openid","patient/*.rs","user/*.rs"]`, `["patient/*.rs","patient/Patient.read"]`} {
		_, _, err = d.ChangeApp(t.Context(), orgA, slug, "one", smartauth.Precondition{IfMatch: "*"}, read[smartauth.NewApp](t, `{"scopes":`+scopes+`}`))
		wantCode(t, err, problem.MixedScopes)
	}
	_, _, err = d.ChangeApp(t.Context(), orgA, slug, "one", smartauth.Precondition{IfMatch: "*"}, read[smartauth.NewApp](t, `{"scopes":["custom"]}`))
	wantCode(t, err, problem.InvalidFields, "scopes unsupported_scope") // the dialect cannot carry it
	// One does not become the other while grants live; an app keeps its registration meanwhile.
	_, _, err = d.PutSettings(t.Context(), orgA, slug, anything, read[smartauth.NewSettings](t, `{"tokens":"fhirlink"}`))
	wantCode(t, err, problem.InvalidFields, "tokens not_available_yet")
	if err := d.DeleteSettings(t.Context(), orgA, slug, anything); err != nil {
		t.Fatal(err)
	}
	d.put(t, `{"tokens":"fhirlink"}`)
	if a, _, err := d.App(t.Context(), orgA, slug, "one"); err != nil || a.EntraClientID == "" {
		t.Errorf("%+v, %v", a, err)
	}
	if scopes, roles := func() ([]smartauth.Registered, []smartauth.Registered) {
		server, err := d.Settings(t.Context(), orgA, slug)
		if err != nil {
			t.Fatal(err)
		}
		return server.ToRegister()
	}(); len(scopes)+len(roles) != 0 {
		t.Error("with tokens of our own Entra must know scopes")
	}
	// Back again, with an app that has none.
	if err := create(app("none", `"openid"`, "")); err != nil {
		t.Fatal(err)
	}
	if err := d.DeleteSettings(t.Context(), orgA, slug, anything); err != nil {
		t.Fatal(err)
	}
	_, _, err = d.PutSettings(t.Context(), orgA, slug, creating, read[smartauth.NewSettings](t, `{"tokens":"entra"}`))
	if wantCode(t, err, problem.AppRegistrationRequired); !strings.Contains(err.Error(), "none: none.") {
		t.Error(err)
	}
}

// TestNotesOfRegistrations: an app whose users cannot sign in by its registration says so, and why.
func TestNotesOfRegistrations(t *testing.T) {
	const one = "44444444-4444-4444-8444-444444444444"
	d := newDesk()
	d.put(t, `{"tokens":"entra","server":"ahds","dialect":"ahds"}`)
	d.create(t, `{"clientId":"app","name":"App","type":"public","redirectUris":["https://app.example/"],"scopes":["openid"],"entra":{"clientId":"`+one+`","clientSecret":"x"}}`)
	_, notes, err := d.App(t.Context(), orgA, slug, "app")
	if err != nil {
		t.Fatal(err)
	}
	for _, note := range notes {
		if strings.Contains(note, "(entra)") {
			t.Errorf("it works: %s", note)
		}
	}
	for want, change := range map[string]func(*link.Link){
		"has expired": func(l *link.Link) { l.Secret.Expired = true },
		"is broken: Entra does not know the application. If": func(l *link.Link) {
			l.Condition = condition.Condition{Health: condition.Broken, Problem: &condition.Problem{Message: "Entra does not know the application."}}
		},
		"is not kept any more": nil,
	} {
		l := d.registered[one]
		if change == nil {
			delete(d.registered, one)
		} else {
			changed := l
			change(&changed)
			d.registered[one] = changed
		}
		_, notes, err := d.App(t.Context(), orgA, slug, "app")
		if err != nil || len(notes) == 0 || !strings.Contains(notes[0], want) || !strings.Contains(notes[0], "entra.clientSecret") {
			t.Errorf("%s: %q, %v", want, notes, err)
		}
		d.registered[one] = l
	}
}

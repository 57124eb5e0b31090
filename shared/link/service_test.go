package link_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"fhirlink/shared/date"
	"fhirlink/shared/link"
	"fhirlink/shared/link/condition"
	"fhirlink/shared/link/intake"
	"fhirlink/shared/link/linktest"
	"fhirlink/shared/notify"
	"fhirlink/shared/problem"
	"fhirlink/shared/secret"
	"fhirlink/shared/secret/secrettest"
	"fhirlink/shared/store"
	"fhirlink/shared/verification"
)

// desk is a service whose clock and verification are the test's.
type desk struct {
	*link.Service
	deps   link.Deps
	links  *linktest.Stores
	vault  *secrettest.Store
	now    time.Time
	report verification.Report
	asked  []verification.Target
	asks   *asks
	log    bytes.Buffer
}

func newDesk() *desk {
	d := &desk{links: linktest.New(), vault: secrettest.New(), now: time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC), report: healthy, asks: &asks{}}
	d.deps = link.Deps{
		Stores: d.links, Secrets: d.vault, Authority: testAuthority, Log: slog.New(slog.NewJSONHandler(&d.log, nil)), MaxLinks: 3,
		Verifier: verifierFunc(func(t verification.Target) verification.Report { d.asked = append(d.asked, t); return d.report }),
		Tokens:   d.asks,
		Now:      func() time.Time { return d.now },
	}
	d.Service = link.New(d.deps)
	return d
}

// named is a store that chooses the names of secrets.
type named struct {
	*secrettest.Store
	asked []string // for what kinds
}

func (n *named) NewName(kind string) string {
	n.asked = append(n.asked, kind)
	return fmt.Sprint("chosen-", len(n.asked))
}

// Who keeps the secrets says what they are called: which vault is part of it.
func TestTheStoreNamesTheSecrets(t *testing.T) {
	d := newDesk()
	n := &named{Store: d.vault}
	d.deps.Secrets = n
	d.Service = link.New(d.deps)
	if l := d.register(t, orgA, "clinic"); l.Secret.Name != "chosen-1" {
		t.Errorf("the new link's secret is called %q", l.Secret.Name)
	}
	if err := d.vault.Delete(t.Context(), "chosen-1"); err != nil { // by hand
		t.Fatal(err)
	}
	res, err := d.SetSecret(t.Context(), orgA, "clinic", "*", intake.NewSecret{ClientSecret: secret.New("second")})
	if err != nil || res.Link.Secret.Name != "chosen-2" || !slices.Equal(n.asked, []string{"link", "link"}) {
		t.Errorf("the secret after that is called %q (%v), asked for %q", res.Link.Secret.Name, err, n.asked)
	}
}

type verifierFunc func(verification.Target) verification.Report

func (f verifierFunc) Verify(_ context.Context, t verification.Target) verification.Report {
	return f(t)
}

func (d *desk) register(t *testing.T, org, slug string) link.Link {
	t.Helper()
	r := registration("the-secret")
	r.Slug = slug
	res, err := d.Register(t.Context(), org, r)
	if err != nil {
		t.Fatal(err)
	}
	return res.Link
}

func wantCode(t *testing.T, err error, want problem.Code) *problem.Error {
	t.Helper()
	var p *problem.Error
	if !errors.As(err, &p) || p.Code != want {
		t.Fatalf("got %v, want %s", err, want)
	}
	return p
}

func TestRegister(t *testing.T) {
	d := newDesk()
	r := registration("  the-secret\n")
	r.Slug, r.FHIRServerURL, r.Listed = slug, " "+server+"/metadata ", true
	res, err := d.Register(t.Context(), orgA, r)
	if err != nil {
		t.Fatal(err)
	}
	l := res.Link
	if l.FHIRServerURL != server || l.Status(d.now) != condition.Active || l.SecretState(d.now) != link.SecretOK || !l.Listed || l.Revision != 1 || l.TenantID != orgA || l.Audience != server {
		t.Errorf("link %+v", l)
	}
	if !slices.ContainsFunc(res.Notes, func(n string) bool { return strings.Contains(n, "/metadata") }) || !slices.ContainsFunc(res.Notes, func(n string) bool { return strings.Contains(n, "white space around the client secret") }) {
		t.Errorf("notes %q", res.Notes)
	}
	if res.Report == nil || res.Report.Checks[0].ID != verification.CheckFields {
		t.Errorf("report %+v", res.Report)
	}
	v, err := d.vault.Get(t.Context(), l.Secret.Name, l.Secret.Version)
	if err != nil || v.Reveal() != "the-secret" {
		t.Errorf("stored secret: %v, as it should be: %v", err, v.Reveal() == "the-secret")
	}
	held := d.vault.Entries()[0].Versions[0]
	if held.Slug != slug || held.Organization != orgA || held.ExpiresOn.Format(time.DateOnly) != "2027-11-01" {
		t.Errorf("attributes in the vault: %+v", held.Attributes)
	}
}

func TestRegisterRefusals(t *testing.T) {
	for _, c := range []struct {
		report verification.Report
		code   problem.Code
	}{
		{wrong, problem.VerificationFailed},
		{expired, problem.VerificationFailed},
		{unreachable, problem.UpstreamUnavailable},
	} {
		d := newDesk()
		d.report = c.report
		p := wantCode(t, register(d.Service, "the-secret"), c.code)
		if p.Report == nil || (c.code == problem.UpstreamUnavailable) != (p.RetryAfter > 0) {
			t.Errorf("%s: report %v, retry after %v", c.code, p.Report, p.RetryAfter)
		}
		if len(d.vault.Entries()) > 0 {
			t.Errorf("%s: a secret was stored", c.code)
		}
		if _, err := d.links.Get(t.Context(), slug); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("%s: a row was stored", c.code)
		}
	}
}

func TestRegisterFields(t *testing.T) {
	good := registration("the-secret")
	for name, c := range map[string]struct {
		change func(*intake.Registration)
		field  string
		code   string
	}{
		"no slug":            {func(r *intake.Registration) { r.Slug = "" }, "slug", "required"},
		"upper case":         {func(r *intake.Registration) { r.Slug = "Clinic" }, "slug", "slug_syntax"},
		"two letters":        {func(r *intake.Registration) { r.Slug = "ab" }, "slug", "slug_syntax"},
		"64 letters":         {func(r *intake.Registration) { r.Slug = strings.Repeat("a", 64) }, "slug", "slug_syntax"},
		"two hyphens":        {func(r *intake.Registration) { r.Slug = "a--b" }, "slug", "slug_syntax"},
		"newline":            {func(r *intake.Registration) { r.Slug = "clinic\n" }, "slug", "slug_syntax"},
		"path":               {func(r *intake.Registration) { r.Slug = "../clinic" }, "slug", "slug_syntax"},
		"Cyrillic":           {func(r *intake.Registration) { r.Slug = "сlinic" }, "slug", "slug_syntax"},
		"reserved":           {func(r *intake.Registration) { r.Slug = "api" }, "slug", "slug_reserved"},
		"resource type":      {func(r *intake.Registration) { r.Slug = "observation" }, "slug", "slug_reserved"},
		"of DSTU2":           {func(r *intake.Registration) { r.Slug = "deviceuserequest" }, "slug", "slug_reserved"},
		"of R6":              {func(r *intake.Registration) { r.Slug = "moleculardefinition" }, "slug", "slug_reserved"},
		"no description":     {func(r *intake.Registration) { r.Description = " " }, "description", "required"},
		"long description":   {func(r *intake.Registration) { r.Description = strings.Repeat("ä", 201) }, "description", "description_too_long"},
		"two lines":          {func(r *intake.Registration) { r.Description = "a\r\nX-Evil: 1" }, "description", "description_syntax"},
		"right to left":      {func(r *intake.Registration) { r.Description = "a\u202eb" }, "description", "description_syntax"},
		"no URL":             {func(r *intake.Registration) { r.FHIRServerURL = "" }, "fhirServerUrl", "required"},
		"http":               {func(r *intake.Registration) { r.FHIRServerURL = "http://x.example.com" }, "fhirServerUrl", "url_not_https"},
		"no client":          {func(r *intake.Registration) { r.ClientID = "" }, "clientId", "required"},
		"client no GUID":     {func(r *intake.Registration) { r.ClientID = "app" }, "clientId", "client_id_syntax"},
		"client of MS":       {func(r *intake.Registration) { r.ClientID = "4F6778D8-5AEF-43DC-A1FF-B073724B9495" }, "clientId", "client_id_is_healthcare_apis"},
		"client is tenant":   {func(r *intake.Registration) { r.TenantID = r.ClientID }, "clientId", "client_id_is_tenant"},
		"tenant no GUID":     {func(r *intake.Registration) { r.TenantID = "common" }, "tenantId", "tenant_id_syntax"},
		"personal tenant":    {func(r *intake.Registration) { r.TenantID = "9188040d-6c67-4c5b-b112-36a304b66dad" }, "tenantId", "tenant_id_personal"},
		"no secret":          {func(r *intake.Registration) { r.ClientSecret = secret.Value{} }, "clientSecret", "required"},
		"blank secret":       {func(r *intake.Registration) { r.ClientSecret = secret.New("\t ") }, "clientSecret", "secret_blank"},
		"secret id":          {func(r *intake.Registration) { r.ClientSecret = secret.New("AAAAAAAA-bbbb-4ccc-8ddd-eeeeeeeeeeee") }, "clientSecret", "secret_is_id"},
		"long secret":        {func(r *intake.Registration) { r.ClientSecret = secret.New(strings.Repeat("x", 1025)) }, "clientSecret", "secret_too_long"},
		"secret of 2 lines":  {func(r *intake.Registration) { r.ClientSecret = secret.New("a\nb") }, "clientSecret", "secret_syntax"},
		"no date":            {func(r *intake.Registration) { r.SecretExpiresOn = "soon" }, "secretExpiresOn", "expiry_syntax"},
		"31 February":        {func(r *intake.Registration) { r.SecretExpiresOn = "2027-02-31" }, "secretExpiresOn", "expiry_syntax"},
		"yesterday":          {func(r *intake.Registration) { r.SecretExpiresOn = "2026-11-22" }, "secretExpiresOn", "expiry_past"},
		"too far":            {func(r *intake.Registration) { r.SecretExpiresOn = "2028-11-25" }, "secretExpiresOn", "expiry_too_far"},
		"audience no URI":    {func(r *intake.Registration) { r.Audience = "my audience" }, "audience", "audience_syntax"},
		"audience and scope": {func(r *intake.Registration) { r.Audience = "https://a.example.com b" }, "audience", "audience_syntax"},
	} {
		t.Run(name, func(t *testing.T) {
			d, r := newDesk(), good
			c.change(&r)
			_, err := d.Register(t.Context(), orgA, r)
			p := wantCode(t, err, problem.InvalidFields)
			if len(p.Fields) != 1 || p.Fields[0].Field != c.field || p.Fields[0].Code != c.code || p.Fields[0].Message == "" || p.Fields[0].Fix == "" {
				t.Errorf("got %+v", p.Fields)
			}
			rehearsal, err := d.Rehearse(t.Context(), orgA, r)
			if err != nil || rehearsal.Status != verification.Fail || rehearsal.Checks[0].Code != "invalid_fields" || !slices.Equal(rehearsal.Checks[0].Errors, p.Fields) {
				t.Errorf("rehearsal %+v, %v", rehearsal, err)
			}
			if len(d.asked) > 0 {
				t.Error("a request was made although a field is wrong")
			}
		})
	}
	for _, day := range []string{"", "2026-11-23", "2028-11-24"} {
		r := good
		r.SecretExpiresOn = day
		if _, err := newDesk().Register(t.Context(), orgA, r); err != nil {
			t.Errorf("date %q: %v", day, err)
		}
	}
	_, err := newDesk().Register(t.Context(), orgA, intake.Registration{})
	if p := wantCode(t, err, problem.InvalidFields); len(p.Fields) != 5 {
		t.Errorf("an empty registration has %d mistakes, want one for each of the five fields: %+v", len(p.Fields), p.Fields)
	}
}

// TestNothingIsQuoted: no answer repeats what was pasted into the wrong field.
func TestNothingIsQuoted(t *testing.T) {
	const pasted = "canary~8Q~pasted into the wrong field"
	for name, put := range map[string]func(*intake.Registration){
		"slug":            func(r *intake.Registration) { r.Slug = pasted },
		"fhirServerUrl":   func(r *intake.Registration) { r.FHIRServerURL = pasted },
		"clientId":        func(r *intake.Registration) { r.ClientID = pasted },
		"tenantId":        func(r *intake.Registration) { r.TenantID = pasted },
		"audience":        func(r *intake.Registration) { r.Audience = pasted },
		"secretExpiresOn": func(r *intake.Registration) { r.SecretExpiresOn = pasted },
	} {
		r := registration("the-secret")
		put(&r)
		_, err := newDesk().Register(t.Context(), orgA, r)
		p := wantCode(t, err, problem.InvalidFields)
		if said := strings.ToLower(fmt.Sprintf("%v %+v", err, p.Fields)); strings.Contains(said, "canary") {
			t.Errorf("%s: %s", name, said)
		}
	}
}

func TestSlugTaken(t *testing.T) {
	d := newDesk()
	d.register(t, orgA, slug)
	for _, org := range []string{orgA, orgB} {
		_, err := d.Register(t.Context(), org, registration("x-secret"))
		wantCode(t, err, problem.SlugTaken)
		report, err := d.Rehearse(t.Context(), org, registration("x-secret"))
		if err != nil || report.Status != verification.Fail || report.Checks[0].Code != "slug_taken" {
			t.Errorf("rehearsal: %+v, %v", report, err)
		}
	}
	if err := d.Delete(t.Context(), orgA, slug, "*"); err != nil {
		t.Fatal(err)
	}
	_, err := d.Register(t.Context(), orgB, registration("x-secret"))
	wantCode(t, err, problem.SlugTaken)
	d.now = d.now.Add(91 * 24 * time.Hour)
	r := registration("x-secret")
	r.SecretExpiresOn = ""
	if _, err := d.Register(t.Context(), orgB, r); err != nil {
		t.Errorf("90 days later: %v", err)
	}
}

func TestMaxLinks(t *testing.T) {
	d := newDesk()
	for i := range 3 {
		d.register(t, orgA, fmt.Sprintf("clinic-%d", i))
	}
	err := register(d.Service, "the-secret")
	wantCode(t, err, problem.TooManyLinks)
	one := registration("x-secret")
	one.Slug = "one-too-many"
	if report, err := d.Rehearse(t.Context(), orgA, one); err != nil || report.Status != verification.Fail || report.Checks[0].Code != "too_many_links" || report.Checks[0].Fix == "" {
		t.Errorf("rehearsal: %+v, %v", report, err)
	}
	if _, err := d.Register(t.Context(), orgB, registration("the-secret")); err != nil {
		t.Errorf("another organization: %v", err)
	}
	if err := d.Delete(t.Context(), orgA, "clinic-1", "*"); err != nil {
		t.Fatal(err)
	}
	d.register(t, orgA, "clinic-4")
}

// TestNotYours: every method treats another organization's link as one that is not there.
func TestNotYours(t *testing.T) {
	d := newDesk()
	d.register(t, orgA, slug)
	calls := map[string]func(slug string) error{
		"Get":       func(s string) error { _, err := d.Get(t.Context(), orgB, s); return err },
		"Verify":    func(s string) error { _, err := d.Verify(t.Context(), orgB, s); return err },
		"Patch":     func(s string) error { _, err := d.Patch(t.Context(), orgB, s, "*", intake.Patch{}); return err },
		"Delete":    func(s string) error { return d.Delete(t.Context(), orgB, s, "*") },
		"Directory": func(s string) error { _, err := d.Directory(t.Context(), s); return err },
		"ForTokens": func(s string) error {
			_, err := d.ForTokens(t.Context(), d.links.Get, orgB, false, s)
			return err
		},
		"SetSecret": func(s string) error {
			_, err := d.SetSecret(t.Context(), orgB, s, "*", intake.NewSecret{ClientSecret: secret.New("x-secret")})
			return err
		},
	}
	asked := len(d.asked)
	for name, call := range calls {
		theirs, absent := wantCode(t, call(slug), problem.LinkNotFound), wantCode(t, call("no-such-clinic"), problem.LinkNotFound)
		if strings.ReplaceAll(theirs.Detail, slug, "X") != strings.ReplaceAll(absent.Detail, "no-such-clinic", "X") {
			t.Errorf("%s: %q is not as %q", name, theirs.Detail, absent.Detail)
		}
	}
	links, _, err := d.List(t.Context(), orgB, link.Filter{}, 10, "")
	if err != nil || len(links) > 0 {
		t.Errorf("list: %v, %v", links, err)
	}
	if len(d.asked) > asked {
		t.Error("a request was made on behalf of somebody else")
	}
}

func TestIfMatch(t *testing.T) {
	d := newDesk()
	first := d.register(t, orgA, slug)
	change := func(ifMatch, description string) (link.Link, error) {
		res, err := d.Patch(t.Context(), orgA, slug, ifMatch, intake.Patch{Description: &description})
		return res.Link, err
	}
	_, err := change("", "A")
	wantCode(t, err, problem.IfMatchRequired)
	_, err = change("W/"+first.ETag(), "A")
	wantCode(t, err, problem.ChangedMeanwhile)
	for _, list := range []string{`"a", *`, "*, *", `*, "a"`, "*,", "**", `"*"`} { // RFC 9110 §13.1.1: * stands alone
		_, err = change(list, "A")
		wantCode(t, err, problem.ChangedMeanwhile)
	}
	second, err := change(first.ETag(), "A")
	if err != nil || second.ETag() == first.ETag() {
		t.Fatal(second.ETag(), err)
	}
	_, err = change(first.ETag(), "B")
	wantCode(t, err, problem.ChangedMeanwhile)
	if _, err := change(`"other", `+second.ETag(), "C"); err != nil {
		t.Errorf("a list of tags: %v", err)
	}
	wantCode(t, d.Delete(t.Context(), orgA, slug, first.ETag()), problem.ChangedMeanwhile)
	before, _ := d.Get(t.Context(), orgA, slug)
	if _, err := d.Verify(t.Context(), orgA, slug); err != nil {
		t.Fatal(err)
	}
	after, _ := d.Get(t.Context(), orgA, slug)
	if before.ETag() != after.ETag() {
		t.Error("a verification changed the ETag")
	}
	if err := d.Delete(t.Context(), orgA, slug, "*"); err != nil {
		t.Fatal(err)
	}
	if again := d.register(t, orgA, slug); again.ETag() == first.ETag() {
		t.Error("the slug's next link has the ETag of the one before")
	}
}

// TestPatchWithoutEffect: what is sent as it is already changes nothing, the ETag least of all.
func TestPatchWithoutEffect(t *testing.T) {
	d := newDesk()
	first := d.register(t, orgA, slug)
	d.now = d.now.Add(time.Hour)
	for name, p := range map[string]intake.Patch{
		"nothing":     {},
		"description": {Description: ptr(first.Description)},
		"listed":      {Listed: ptr(false)},
		"date":        {SecretExpiresOn: intake.Nullable[string]{Present: true, Value: ptr(first.Secret.ExpiresOn.String())}},
		"client":      {ClientID: ptr(first.ClientID)},
	} {
		res, err := d.Patch(t.Context(), orgA, slug, first.ETag(), p)
		if err != nil || res.Link.ETag() != first.ETag() || !res.Link.UpdatedAt.Equal(first.UpdatedAt) {
			t.Errorf("%s: %v, ETag %s, updated %s", name, err, res.Link.ETag(), res.Link.UpdatedAt)
		}
	}
}

func TestPatch(t *testing.T) {
	d := newDesk()
	d.register(t, orgA, slug)
	asked := len(d.asked)
	wantCode(t, patch(d.Service, intake.Patch{ClientID: ptr(otherClient)}), problem.SecretRequired)
	wantCode(t, patch(d.Service, intake.Patch{Audience: ptr("https://other.example.com")}), problem.SecretRequired)
	wantCode(t, patch(d.Service, intake.Patch{TenantID: ptr(orgB)}), problem.SecretRequired)
	wantCode(t, patch(d.Service, intake.Patch{FHIRServerURL: ptr("https://evil.example.com")}), problem.SecretRequired)
	if len(d.asked) != asked {
		t.Error("a request was made without the secret being given again")
	}
	if err := patch(d.Service, intake.Patch{FHIRServerURL: ptr(server + "/"), ClientID: ptr(strings.ToUpper(client))}); err != nil {
		t.Errorf("what changes nothing needs no secret: %v", err)
	}
	if err := patch(d.Service, intake.Patch{SecretExpiresOn: intake.Nullable[string]{Present: true}}); err != nil {
		t.Fatal(err)
	}
	l, _ := d.Get(t.Context(), orgA, slug)
	if l.SecretState(d.now) != link.SecretUnknown || l.Change != nil || !d.vault.Entries()[0].Versions[0].ExpiresOn.IsZero() {
		t.Errorf("after clearing the date: %+v", l)
	}
	d.report = wrong
	wantCode(t, setSecret(d.Service, "bad-secret"), problem.VerificationFailed)
	if after, _ := d.Get(t.Context(), orgA, slug); after.ETag() != l.ETag() || after.Status(d.now) != condition.Active {
		t.Errorf("a failed change of the secret left %+v", after)
	}
	_, err := d.SetSecret(t.Context(), orgA, slug, "*", intake.NewSecret{})
	if p := wantCode(t, err, problem.InvalidFields); p.Fields[0].Code != "required" {
		t.Errorf("without a secret: %+v", p.Fields)
	}
}

// TestAnotherServer: a link that moves to another server asks that one for tenant and audience.
func TestAnotherServer(t *testing.T) {
	d := newDesk()
	d.register(t, orgA, slug)
	if err := patch(d.Service, intake.Patch{FHIRServerURL: ptr("https://ws-new.fhir.azurehealthcareapis.com"), ClientSecret: secret.New("new-secret")}); err != nil {
		t.Fatal(err)
	}
	last := d.asked[len(d.asked)-1]
	if last.TenantID != "" || last.Audience != "" || last.Credential.Text().Reveal() != "new-secret" {
		t.Errorf("asked with tenant %q, audience %q", last.TenantID, last.Audience)
	}
}

// TestTwoChangesOfTheSecret: the second waits its turn, and the first's version stays enabled.
func TestTwoChangesOfTheSecret(t *testing.T) {
	d := newDesk()
	d.register(t, orgA, slug)
	var second error
	d.vault.Fault = func(op, _ string, before bool) error {
		if op == "Put" && !before {
			d.vault.Fault = nil
			second = setSecret(d.Service, "second-secret")
		}
		return nil
	}
	if err := setSecret(d.Service, "first-secret"); err != nil {
		t.Fatal(err)
	}
	wantCode(t, second, problem.ChangedMeanwhile)
	l, _ := d.Get(t.Context(), orgA, slug)
	v, err := d.vault.Get(t.Context(), l.Secret.Name, l.Secret.Version)
	if err != nil || v.Reveal() != "first-secret" {
		t.Errorf("the link's secret: %v", err)
	}
}

// TestSlowChange: a change that was overtaken fails, and undoes only its own writes.
func TestSlowChange(t *testing.T) {
	d := newDesk()
	d.register(t, orgA, slug)
	d.vault.Fault = func(op, _ string, before bool) error {
		if op == "Put" && !before {
			d.vault.Fault = nil
			d.now = d.now.Add(2 * time.Minute)
			if err := setSecret(d.Service, "fast-secret"); err != nil {
				t.Error(err)
			}
		}
		return nil
	}
	wantCode(t, setSecret(d.Service, "slow-secret"), problem.ChangedMeanwhile)
	l, _ := d.Get(t.Context(), orgA, slug)
	v, err := d.vault.Get(t.Context(), l.Secret.Name, l.Secret.Version)
	if err != nil || v.Reveal() != "fast-secret" {
		t.Errorf("the link's secret: %v", err)
	}
	if enabled := d.vault.Enabled(l.Secret.Name); len(enabled) != 2 {
		t.Errorf("enabled versions %v, want the current and the previous one", enabled)
	}
}

func TestList(t *testing.T) {
	d := newDesk()
	for _, s := range []string{"clinic-c", "clinic-a", "clinic-b"} {
		d.register(t, orgA, s)
	}
	var got []link.Slug
	next := ""
	for page := 0; ; page++ {
		links, more, err := d.List(t.Context(), orgA, link.Filter{}, 2, next)
		if err != nil || page > 2 {
			t.Fatal(page, err)
		}
		for _, l := range links {
			got = append(got, l.Slug)
		}
		if next = more; next == "" {
			break
		}
		_, _, err = d.List(t.Context(), orgB, link.Filter{}, 2, next)
		wantCode(t, err, problem.InvalidFields)
	}
	if !slices.Equal(got, []link.Slug{"clinic-a", "clinic-b", "clinic-c"}) {
		t.Errorf("listed %v", got)
	}
	for _, forged := range []string{"x", "!", "Y2xpbmljLWE", strings.Repeat("A", 5000)} {
		_, _, err := d.List(t.Context(), orgA, link.Filter{}, 2, forged)
		wantCode(t, err, problem.InvalidFields)
	}
}

// A new secret without a date takes away the date of the one before, and says so.
func TestSecretWithoutItsDate(t *testing.T) {
	d := newDesk()
	d.register(t, orgA, slug)
	note := "cleared secretExpiresOn, because a client secret came without its date"
	for _, change := range []func() (link.Result, error){
		func() (link.Result, error) {
			return d.SetSecret(t.Context(), orgA, slug, "*", intake.NewSecret{ClientSecret: secret.New("next-secret")})
		},
		func() (link.Result, error) {
			return d.Patch(t.Context(), orgA, slug, "*", intake.Patch{ClientSecret: secret.New("x-secret")})
		},
	} {
		dated, err := d.SetSecret(t.Context(), orgA, slug, "*", intake.NewSecret{ClientSecret: secret.New("a-secret"), SecretExpiresOn: "2027-05-01"})
		if err != nil || slices.Contains(dated.Notes, note) {
			t.Fatalf("%+v, %v", dated.Notes, err)
		}
		r, err := change()
		if err != nil || !r.Link.Secret.ExpiresOn.IsZero() || !slices.Contains(r.Notes, note) {
			t.Errorf("%q, %v, %v", r.Notes, r.Link.Secret.ExpiresOn, err)
		}
		if r, err = change(); err != nil || slices.Contains(r.Notes, note) {
			t.Errorf("there was no date any more: %q, %v", r.Notes, err)
		}
	}
}

func TestDirectory(t *testing.T) {
	d := newDesk()
	d.register(t, orgA, slug)
	_, err := d.Directory(t.Context(), slug)
	if p := wantCode(t, err, problem.LinkNotFound); strings.Contains(p.Detail, "organization has no link") || !strings.Contains(p.Detail, "directory") {
		t.Errorf("a reader of the directory is told %q", p.Detail)
	}
	_, absent := d.Directory(t.Context(), "no-clinic")
	if p := wantCode(t, absent, problem.LinkNotFound); strings.ReplaceAll(p.Detail, "no-clinic", slug) != wantCode(t, err, problem.LinkNotFound).Detail {
		t.Errorf("a link that is not listed differs from one that is not there: %q", p.Detail)
	}
	if err := patch(d.Service, intake.Patch{Listed: ptr(true)}); err != nil {
		t.Fatal(err)
	}
	if l, err := d.Directory(t.Context(), slug); err != nil || l.Description != "Good Health Clinic" {
		t.Errorf("listed: %+v, %v", l, err)
	}
	d.report = wrong
	if _, err := d.Verify(t.Context(), orgA, slug); err != nil {
		t.Fatal(err)
	}
	_, err = d.Directory(t.Context(), slug)
	wantCode(t, err, problem.LinkNotFound)
}

// sweep is one run of the timer.
func (d *desk) sweep(t *testing.T) (findings []link.Finding) {
	t.Helper()
	var due []link.Slug
	if err := d.Due(t.Context(), d.now, func(s link.Slug) bool { due = append(due, s); return true }); err != nil {
		t.Fatal(err)
	}
	for _, s := range due {
		f, err := d.Tend(t.Context(), s)
		if err != nil {
			t.Fatal(err)
		}
		findings = append(findings, f)
	}
	return findings
}

// TestPendingAccess: a link whose role is missing is verified again after 1, 3, 5, 10, 20 and
// 30 minutes, then hourly; then it is active. Whoever verifies meanwhile uses nothing up, and nobody
// is told before it is broken, after 14 days.
func TestPendingAccess(t *testing.T) {
	for name, spreads := range map[string]bool{"the role spreads": true, "the role never comes": false} {
		t.Run(name, func(t *testing.T) {
			d := newDesk()
			d.report = noRole
			if l := d.register(t, orgA, slug); l.Status(d.now) != condition.PendingAccess {
				t.Fatalf("status %s", l.Status(d.now))
			}
			var at []time.Duration
			start := d.now
			for range 180 {
				d.now = d.now.Add(30 * time.Second)
				if f := d.sweep(t); len(f) > 0 {
					at = append(at, d.now.Sub(start))
				}
				if _, err := d.Verify(t.Context(), orgA, slug); err != nil { // somebody is impatient
					t.Fatal(err)
				}
				if spreads && d.now.Sub(start) > 8*time.Minute {
					d.report = healthy
				}
			}
			l, _ := d.Get(t.Context(), orgA, slug)
			m := time.Minute
			want, status := []time.Duration{1 * m, 3 * m, 5 * m, 10 * m, 20 * m, 30 * m, 90 * m}, condition.PendingAccess
			if spreads {
				want, status = want[:3], condition.Active
			}
			if !slices.Equal(at, want) || l.Status(d.now) != status {
				t.Errorf("verified after %v, then %s; want %v, then %s", at, l.Status(d.now), want, status)
			}
			if spreads {
				return
			}
			verified := 0
			for ; l.Status(d.now) == condition.PendingAccess; l, _ = d.Get(t.Context(), orgA, slug) {
				if d.now.Sub(start) > 20*24*time.Hour || l.ToldCondition != "" {
					t.Fatalf("after %v it is %s, told %q", d.now.Sub(start), l.Status(d.now), l.ToldCondition)
				}
				d.now = l.RecheckAt()
				d.sweep(t)
				verified++
			}
			if after := d.now.Sub(start); after != 14*24*time.Hour+30*m || verified != 14*24-1 || l.Status(d.now) != condition.Broken || l.ToldCondition != notify.LinkBroken {
				t.Errorf("%s after %v and %d more verifications, told %q", l.Status(d.now), after, verified, l.ToldCondition)
			}
			events, err := d.links.Events(t.Context(), orgA, slug, "", 1000)
			if err != nil || len(events) != 1+180+1 { // the registration, the impatient one, and the change of status
				t.Errorf("the trail has %d events, %v", len(events), err)
			}
		})
	}
}

// TestDegraded: three transient failures in a row, then hourly until it works again.
func TestDegraded(t *testing.T) {
	d := newDesk()
	d.register(t, orgA, slug)
	d.report = unreachable
	if _, err := d.Verify(t.Context(), orgA, slug); err != nil {
		t.Fatal(err)
	}
	var states []condition.Status
	for range 40 {
		l, _ := d.Get(t.Context(), orgA, slug)
		if n := len(states); n == 0 || states[n-1] != l.Status(d.now) {
			states = append(states, l.Status(d.now))
		}
		if d.now = d.now.Add(5 * time.Minute); len(d.asked) == 6 {
			d.report = healthy
		}
		d.sweep(t)
	}
	if !slices.Equal(states, []condition.Status{condition.Active, condition.Degraded, condition.Active}) {
		t.Errorf("states %v", states)
	}
}

// TestDailyRecheck: every link's token once a day and its whole verification once a week, each
// link at its own time of day, and what is found changes the status.
func TestDailyRecheck(t *testing.T) {
	d := newDesk()
	d.register(t, orgA, slug)
	d.register(t, orgA, "another-clinic")
	minutes := map[link.Slug]int{}
	for minute := range 16 * 24 * 60 {
		d.now = d.now.Add(time.Minute)
		for _, f := range d.sweep(t) {
			minutes[f.Slug] = minute % (24 * 60)
		}
	}
	if tokens, whole := d.asks.calls, len(d.asked)-2; tokens != 2*14 || whole != 2*2 {
		t.Errorf("in 16 days 2 links were asked for %d tokens and verified %d times, want 28 and 4", tokens, whole)
	}
	if minutes[slug] == minutes["another-clinic"] {
		t.Errorf("both at minute %d of the day", minutes[slug])
	}
	d.asks.answer = refuse(7000222)
	d.report = expired
	d.now = d.now.Add(24 * time.Hour)
	d.sweep(t)
	if l, _ := d.Get(t.Context(), orgA, slug); l.Status(d.now) != condition.Expired {
		t.Errorf("the day after the secret expired: %s", l.Status(d.now))
	}
	d.asks.answer, d.report = nil, healthy
	d.now = d.now.Add(24 * time.Hour)
	d.sweep(t)
	if l, _ := d.Get(t.Context(), orgA, slug); l.Status(d.now) != condition.Active {
		t.Errorf("the day after it works again: %s", l.Status(d.now))
	}
}

// TestNotices: the timer reports at 60, 30, 14, 7, 3, 1 and 0 days and after the end, once
// each, and once for what passed while it was silent.
func TestNotices(t *testing.T) {
	d := newDesk()
	d.register(t, orgA, slug)
	if err := patch(d.Service, intake.Patch{SecretExpiresOn: intake.Nullable[string]{Present: true, Value: ptr("2027-02-01")}}); err != nil {
		t.Fatal(err)
	}
	var days []int
	for range 80 {
		d.now = d.now.Add(24 * time.Hour)
		for _, f := range d.sweep(t) {
			if f.Notice {
				days = append(days, *f.DaysLeft)
			}
		}
		if f := d.sweep(t); len(f) > 0 {
			t.Fatalf("a second sweep found something to do: %+v", f)
		}
	}
	if want := []int{60, 30, 14, 7, 3, 1, 0, -1}; !slices.Equal(days, want) {
		t.Errorf("noticed at %v days, want %v", days, want)
	}
	l, _ := d.Get(t.Context(), orgA, slug)
	if l.Status(d.now) != condition.Expired || l.SecretState(d.now) != link.SecretExpired {
		t.Errorf("after its end: %s, %s", l.Status(d.now), l.SecretState(d.now))
	}

	silent := newDesk()
	silent.register(t, orgA, slug)
	if err := patch(silent.Service, intake.Patch{SecretExpiresOn: intake.Nullable[string]{Present: true, Value: ptr("2027-02-01")}}); err != nil {
		t.Fatal(err)
	}
	silent.now = silent.now.Add(60 * 24 * time.Hour)
	if f := silent.sweep(t); len(f) != 1 || !f[0].Notice || *f[0].DaysLeft != 10 || f[0].State != link.SecretExpiring {
		t.Errorf("after 60 days of silence: %+v", f)
	}
}

func TestSecretState(t *testing.T) {
	now := time.Date(2026, 11, 23, 23, 59, 59, 0, time.UTC)
	for date, want := range map[string]link.SecretState{
		"2027-01-23": link.SecretOK, "2027-01-22": link.SecretExpiring, "2026-11-23": link.SecretExpiring,
		"2026-11-22": link.SecretExpired, "": link.SecretUnknown,
	} {
		var l link.Link
		if err := l.Secret.ExpiresOn.UnmarshalText([]byte(date)); err != nil {
			t.Fatal(err)
		}
		if got := l.SecretState(now); got != want {
			t.Errorf("%q: %s, want %s", date, got, want)
		}
	}
}

func FuzzParseSlug(f *testing.F) {
	for _, s := range []string{slug, "", "a--b", "api", "patient", "ABC", "a\x00b", "-ab", "ab-", "a/b", "ａｂｃ"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		parsed, mistake := link.ParseSlug(s)
		if mistake == nil && (string(parsed) != s || strings.ToLower(s) != s || len(s) < 3 || len(s) > 63 || strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789-") != "") {
			t.Errorf("accepted %q as %q", s, parsed)
		}
		if mistake != nil && (mistake.Message == "" || mistake.Fix == "") {
			t.Errorf("%q: %+v", s, mistake)
		}
	})
}

// TestListExpiring: those that end soon or have ended, page by page.
func TestListExpiring(t *testing.T) {
	d := newDesk()
	ends := d.deps
	ends.MaxLinks = 50
	d.Service = link.New(ends)
	var want []link.Slug
	for i := range 40 {
		r := registration("the-secret")
		r.Slug = fmt.Sprintf("clinic-%02d", i)
		r.SecretExpiresOn = ""
		if i%8 != 0 {
			r.SecretExpiresOn = date.Of(d.now).AddDays(i * 2).String()
		}
		if _, err := d.Register(t.Context(), orgA, r); err != nil {
			t.Fatal(err)
		}
		if i%8 != 0 && i*2 <= 30 {
			want = append(want, link.Slug(r.Slug))
		}
	}
	want = append(want, "clinic-32")
	if _, err := d.links.Update(t.Context(), "clinic-32", func(l link.Link) (link.Link, error) { l.Secret.Expired = true; return l, nil }); err != nil {
		t.Fatal(err)
	}
	for _, limit := range []int{1, 5, 100} {
		var got []link.Slug
		for next := ""; ; {
			links, more, err := d.List(t.Context(), orgA, link.Filter{ExpiringWithin: ptr(30)}, limit, next)
			if err != nil || len(links) > limit {
				t.Fatal(len(links), err)
			}
			for _, l := range links {
				got = append(got, l.Slug)
			}
			if next = more; next == "" {
				break
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("by %d: %v, want %v", limit, got, want)
		}
	}
}
